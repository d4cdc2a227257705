/** Every parser of outside bytes under random and mutated input: it answers as typed, or raises ProtocolError. */
import { describe, expect, it } from "vitest";

import { parseStatement } from "../../src/shared/protocol/approval";
import { fromBase64Url, fromUtf8, toBase64Url, unsigned, utf8 } from "../../src/shared/protocol/bytes";
import { parseLink, parsePayload, parseScan, parseTypedCode, parseTypedCode2 } from "../../src/shared/protocol/code";
import { ProtocolError } from "../../src/shared/protocol/errors";
import { helloFrame, parseGatewayFrame } from "../../src/shared/protocol/frames";
import { decodeFirstAnswer, decodeGatewayMessage, decodeResumeAnswer, encodeFacts, encodePhoneMessage } from "../../src/shared/protocol/messages";
import { parseSuite } from "../../src/shared/protocol/ocra";
import { openOffline, parseOffline } from "../../src/shared/protocol/offline";
import { uncompressPoint } from "../../src/shared/protocol/primitives";
import { base64UpTo, list, object, oneOf, parseJson, plainText, text } from "../../src/shared/protocol/validate";
import { weakness } from "../../src/shared/protocol/pin";
import { Random } from "./random";
import { hex, toHex } from "./raw-keys";
import { readVectors } from "./vector-files";
import type { TesseraVectors } from "./vector-types";

const ROUNDS = 4_000;

function onlyRefuses(work: () => unknown): void {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(ProtocolError);
  }
}

const CODE = hex(`01${"aa".repeat(16)}${"bb".repeat(32)}02${"cc".repeat(32)}6b49d32c0007`);
const MESSAGES = [
  '{"t":"welcome","next":1,"state":"active","tenant":"Bank","label":"L","hybrid_due":1,"pin":{"digits":6,"left":5,"blocked_until":null}}',
  '{"t":"pin-evaluated","element":"OPmbcnAzQ0MJYHjGkdgjgk1a62zz_xTsIUVkFm5BADRV","left":4,"nonce":"OPmbcnAzQ0MJYHjGkdgjgg"}',
  '{"t":"ended","reason":"contested"}',
  '{"t":"ask","id":"OPmbcnAzQ0MJYHjGkdgjgg","statement":"e30","factors":["pin"],"number":"choose","numbers":[10,47],"time":1}',
  '{"t":"inbox-page","items":[{"id":"OPmbcnAzQ0MJYHjGkdgjgg","title":"T","body":"B","at":1,"expires":null,"read":false}],"more":true,"unread":1}',
].map(utf8);
const VECTORS = readVectors("tessera-v1.json") as TesseraVectors;

describe("parsers under random input", () => {
  it("codes", () => {
    const random = new Random(1);
    for (let round = 0; round < ROUNDS; round += 1) {
      const bytes = random.below(2) === 0 ? random.bytes(random.below(120)) : random.mutate(CODE);
      onlyRefuses(() => parsePayload(bytes));
      onlyRefuses(() => parseScan(bytes, "bank.example"));
      onlyRefuses(() => parseScan(random.mutate(utf8(`https://bank.example/a#${toBase64Url(bytes)}`)), "bank.example"));
    }
  });

  it("links lead nowhere but to the own host", () => {
    const random = new Random(2);
    const link = `https://bank.example/a#${toBase64Url(CODE)}`;
    for (let round = 0; round < ROUNDS; round += 1) {
      const mutated = String.fromCharCode(...random.mutate(utf8(link)));
      try {
        parseLink(mutated, "bank.example");
        expect(mutated.trim().toLowerCase().startsWith("https://bank.example/a#") || mutated.includes(":443/")).toBe(true);
      } catch (error) {
        expect(error).toBeInstanceOf(ProtocolError);
      }
    }
  });

  it("typed codes", () => {
    const random = new Random(3);
    const characters = "0123456789ABCDEFGHJKMNPQRSTVWXYZILOUabc- é\u{1f600}ſı";
    let accepted = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      const typed = Array.from({ length: random.below(24) }, () => random.pick(Array.from(characters))).join("");
      onlyRefuses(() => parseTypedCode2(typed));
      onlyRefuses(() => parseTypedCode(typed));
      onlyRefuses(() => {
        parseTypedCode(Array.from({ length: 20 }, () => characters[random.below(32)]).join(""));
        accepted += 1;
      });
    }
    // One check character in 32 fits by chance.
    expect(accepted).toBeGreaterThan(ROUNDS / 64);
    expect(accepted).toBeLessThan(ROUNDS / 16);
  });

  it("frames and messages", () => {
    const random = new Random(4);
    for (let round = 0; round < ROUNDS; round += 1) {
      const message = random.mutate(random.pick(MESSAGES));
      const bytes = random.below(3) === 0 ? random.bytes(random.below(200)) : message;
      onlyRefuses(() => decodeGatewayMessage(bytes));
      onlyRefuses(() => decodeFirstAnswer(bytes));
      onlyRefuses(() => decodeResumeAnswer(bytes));
      onlyRefuses(() => parseGatewayFrame(bytes));
      onlyRefuses(() => parseGatewayFrame(random.mutate(utf8('\u007f{"error":"busy"}'))));
    }
  });

  it("statements: what is taken is in its one form", () => {
    const random = new Random(7);
    const good = VECTORS.statements.map(({ bytes }) => hex(bytes)).filter(({ length }) => length < 1_000);
    for (let round = 0; round < ROUNDS; round += 1) {
      const bytes = random.below(4) === 0 ? random.bytes(random.below(200)) : random.mutate(random.pick(good));
      onlyRefuses(() => {
        const { fields } = parseStatement(bytes);
        const sorted = JSON.stringify(Object.fromEntries(Object.entries(fields).sort()));
        expect(fromUtf8(bytes)).toContain(`"fields":${sorted}`);
      });
    }
  });

  it("OCRA suites", () => {
    const random = new Random(8);
    for (let round = 0; round < ROUNDS; round += 1) {
      const suite = String.fromCharCode(...random.mutate(utf8(random.pick(VECTORS.ocra_suites.suites))));
      onlyRefuses(() => {
        expect(parseSuite(suite).text).toBe(suite);
      });
    }
  });

  it("offline codes: a changed one does not open", async () => {
    const random = new Random(9);
    const { payload, binding_id, keys } = VECTORS.offline_codes[1]!;
    const [{ index, seal_key }] = keys as [(typeof keys)[0]];
    for (let round = 0; round < 500; round += 1) {
      const mutated = random.below(4) === 0 ? random.bytes(random.below(900)) : random.mutate(hex(payload));
      if (toHex(mutated) === payload) continue;
      onlyRefuses(() => parseOffline(mutated));
      const open = async (): Promise<unknown> =>
        openOffline(parseOffline(mutated), { binding: hex(binding_id), index, sealKey: hex(seal_key) });
      // Whose it is and the other slot are bound to the content as well, so nothing may change.
      await expect(open()).rejects.toBeInstanceOf(ProtocolError);
    }
  });

  it("base64url: one text for each value", () => {
    const random = new Random(5);
    for (let round = 0; round < ROUNDS; round += 1) {
      const bytes = random.bytes(random.below(70));
      const encoded = toBase64Url(bytes);
      expect(toHex(fromBase64Url(encoded))).toBe(toHex(bytes));
      const mutated = String.fromCharCode(...random.mutate(utf8(encoded)));
      onlyRefuses(() => {
        expect(toBase64Url(fromBase64Url(mutated))).toBe(mutated);
      });
    }
  });

  it("points", () => {
    const random = new Random(6);
    for (let round = 0; round < 500; round += 1) {
      onlyRefuses(() => uncompressPoint(random.bytes(random.pick([0, 1, 32, 33, 64, 65, 66]))));
      const compressed = random.bytes(33);
      compressed[0] = 2 + random.below(2);
      onlyRefuses(() => uncompressPoint(compressed));
    }
  });
});

describe("limits", () => {
  it("JSON is at most eight levels deep, and no longer than a frame holds", () => {
    expect(parseJson(utf8(`${"[".repeat(8)}${"]".repeat(8)}`))).toBeTruthy();
    expect(() => parseJson(utf8(`${"[".repeat(9)}${"]".repeat(9)}`))).toThrow("malformed");
    expect(parseJson(utf8('"[[[[[[[[[[\\"[[["'))).toBe('[[[[[[[[[["[[[');
    expect(() => decodeGatewayMessage(utf8(`{"t":"removed"${" ".repeat(16_384)}}`))).toThrow("malformed");
  });

  it("unknown members, inherited names and wrong tags are refused", () => {
    const check = object({ t: oneOf("x") });
    expect(() => check({ t: "x", more: 1 }, "m")).toThrow("malformed");
    expect(() => check(Object.create({ t: "x" }), "m")).toThrow("malformed");
    for (const tag of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
      expect(() => decodeGatewayMessage(utf8(JSON.stringify({ t: tag })))).toThrow("malformed");
    }
    expect(() => decodeGatewayMessage(utf8('{"t":"removed","__proto__":{}}'))).toThrow("malformed");
  });

  it("texts count code points, and hold neither control characters nor lone surrogates", () => {
    const check = text(4, 1);
    expect(check("\u{1f600}".repeat(4), "m")).toHaveLength(8);
    for (const wrong of ["", "abcde", "\u{1f600}".repeat(5), "a\nb", "\ud800", 4]) {
      expect(() => check(wrong, "m")).toThrow("malformed");
    }
  });

  it("lists and bounded bytes keep to their bounds", () => {
    const numbers = list(oneOf("a", "b"), 2, 1);
    expect(numbers(["a", "b"], "m")).toEqual(["a", "b"]);
    for (const wrong of [[], ["a", "b", "a"], ["c"], "ab", { 0: "a", length: 1 }, null]) {
      expect(() => numbers(wrong, "m")).toThrow("malformed");
    }
    const bounded = base64UpTo(2);
    expect(bounded("AAA", "m")).toHaveLength(2);
    for (const wrong of ["", "A", "AAAA", "AA=", "AB", 1, null]) expect(() => bounded(wrong, "m")).toThrow("malformed");
    expect(plainText(3)("a\nb", "m")).toBe("a\nb");
    for (const wrong of ["abcd", "\ud800", 1]) expect(() => plainText(3)(wrong, "m")).toThrow("malformed");
  });

  it("what the phone says fits the wire", () => {
    expect(() => encodeFacts({ app: "x".repeat(65), platform: "web", lang: "fr" })).toThrow("malformed");
    expect(() => encodePhoneMessage({ t: "rename", name: "" })).toThrow("malformed");
    expect(fromUtf8(encodePhoneMessage({ t: "cancel" }))).toBe('{"t":"cancel"}');
    expect(fromUtf8(encodePhoneMessage({ t: "pin-evaluate", blinded: hex("00ff") }))).toBe('{"t":"pin-evaluate","blinded":"AP8"}');
    const hello = { suite: 1 as const, id: hex("aa".repeat(16)), counter: 65_536, message: hex("") };
    expect(() => helloFrame(hello)).toThrow("malformed");
    expect(() => unsigned(256, 1)).toThrow("malformed");
    expect(() => weakness("12a4")).toThrow("malformed");
  });
});
