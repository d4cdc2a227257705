/** What the customer is told of each thing that the bank does not do. */
import { expect, it } from "vitest";
import { BankError } from "./api.js";
import { troubleOf, type Trouble } from "./banners.js";

it.each<[BankError, Trouble]>([
  [new BankError(0), { kind: "failed", seconds: 0 }],
  [new BankError(502), { kind: "failed", seconds: 0 }],
  [new BankError(401), { kind: "expired", seconds: 0 }],
  [new BankError(403), { kind: "expired", seconds: 0 }],
  [new BankError(409, { code: "no-phone" }), { kind: "needsPhone", seconds: 0 }],
  [new BankError(409, { code: "phone-cannot" }), { kind: "phoneCannot", seconds: 0 }],
  [new BankError(409), { kind: "over", seconds: 0 }],
  [new BankError(429, { retry_after: 90 }), { kind: "tooOften", seconds: 90 }],
  [new BankError(429), { kind: "tooOften", seconds: 30 }],
])("%o is %o", (error, said) => {
  expect(troubleOf(error)).toEqual(said);
});

it("takes whatever else is thrown for a bank that does not answer", () => {
  expect(troubleOf(new TypeError("x")).kind).toBe("failed");
});
