/** The label of code 2, cut as the specification's section 1 says. */
import { expect, it } from "vitest";

import { cutCode2Label } from "../../src/shared/protocol/code";

it.each([
  ["", ""],
  ["Compte n° 1", "Compte n° 1"],
  ["x".repeat(64), "x".repeat(64)],
  ["x".repeat(65), "x".repeat(64)],
  [`${"x".repeat(63)}é`, "x".repeat(63)],
  [`${"x".repeat(62)}é1`, `${"x".repeat(62)}é`],
  ["😀".repeat(17), "😀".repeat(16)],
])("cuts %j", (label, cut) => {
  expect(cutCode2Label(label)).toBe(cut);
});
