/** The OPRF client over RFC 9497's own vectors (appendix A.3.1), and what it refuses. */
import { describe, expect, it } from "vitest";

import { blind, finalize } from "../../src/shared/protocol/oprf";
import { hex, toHex } from "./raw-keys";
import { listVectors, readVectors } from "./vector-files";

interface Suite {
  mode: number;
  vectors: Record<"Blind" | "BlindedElement" | "EvaluationElement" | "Input" | "Output", string>[];
}

/** Mode 0 of either layout: the RFC's list of modes, or that list as a member. */
function suiteOf(file: string): Suite {
  const read = readVectors(file) as { suites: Suite[] } | Suite[];
  return (Array.isArray(read) ? read : read.suites).find(({ mode }) => mode === 0)!;
}

const files = listVectors("oprf");

describe.skipIf(files.length === 0)("RFC 9497 vectors", () => {
  it.each(files)("%s", (file) => {
    const { vectors } = suiteOf(file);
    expect(vectors.length).toBeGreaterThan(0);
    for (const vector of vectors) {
      // The library maps 48 random bytes to a scalar as FIPS 186-5 A.2.1 does: r mod (n - 1) + 1.
      const wide = hex((BigInt(`0x${vector.Blind}`) - 1n).toString(16).padStart(96, "0"));
      const blinded = blind(hex(vector.Input), () => wide);
      expect(toHex(blinded.blind)).toBe(vector.Blind);
      expect(toHex(blinded.element)).toBe(vector.BlindedElement);
      expect(toHex(finalize(hex(vector.Input), blinded.blind, hex(vector.EvaluationElement)))).toBe(vector.Output);
    }
  });
});

describe("the OPRF client", () => {
  it("blinds the same input differently each time", () => {
    expect(toHex(blind(hex("00")).element)).not.toBe(toHex(blind(hex("00")).element));
  });

  it.each([
    ["nothing", ""],
    ["the identity", "00".repeat(33)],
    ["no point", `02${"ff".repeat(32)}`],
    ["an uncompressed point's length", "04".padEnd(130, "1")],
  ])("refuses %s as an evaluated element", (_, element) => {
    const { blind: blinding } = blind(hex("01"));
    expect(() => finalize(hex("01"), blinding, hex(element))).toThrow("point");
  });
});
