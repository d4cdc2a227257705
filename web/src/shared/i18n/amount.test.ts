/** Amounts digit by digit: nothing is rounded, nothing is lost, and the region's writing is kept. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { formatAccount, formatAmount, formatAnswer } from "./amount.js";

afterEach(() => {
  vi.unstubAllGlobals();
});

/** No-break spaces of every width, as one plain space. */
function plain(text: string): string {
  return text.replace(/[\u00a0\u202f]/g, " ");
}

describe("formatAmount", () => {
  it.each([
    ["fr-FR", "1250.00", "EUR", "1 250,00 €"],
    ["fr-FR", "1250", "EUR", "1 250,00 €"],
    ["fr-FR", "0.5", "EUR", "0,50 €"],
    ["fr-FR", "12.345", "EUR", "12,345 €"],
    ["en-GB", "1250.00", "EUR", "€1,250.00"],
    ["en-GB", "999999999999999.99", "GBP", "£999,999,999,999,999.99"],
    ["en-GB", "123456789012345.999", "GBP", "£123,456,789,012,345.999"],
    ["en-GB", "0.1", "GBP", "£0.10"],
    ["en-GB", "1500", "JPY", "JP¥1,500"],
    ["en-GB", "1500.5", "JPY", "JP¥1,500.5"],
    ["en-GB", "1.5", "BHD", "BHD 1.500"],
    ["en-IN", "1234567.00", "INR", "₹12,34,567.00"],
  ])("%s: %s %s is %s", (region, amount, currency, shown) => {
    vi.stubGlobal("navigator", { languages: [region] });
    expect(plain(formatAmount(region.startsWith("fr") ? "fr" : "en", amount, currency))).toBe(shown);
  });

  it("keeps what is no plain decimal as it stands", () => {
    vi.stubGlobal("navigator", { languages: ["en-GB"] });
    expect(formatAmount("en", "1e9", "EUR")).toBe("1e9 EUR");
  });
});

describe("formatAccount", () => {
  it("groups an IBAN by four and leaves any other number alone", () => {
    expect(formatAccount("FR7630006000011234567890189")).toBe("FR76 3000 6000 0112 3456 7890 189");
    expect(formatAccount("12345-678 90")).toBe("12345-678 90");
    expect(formatAccount("DE44 5001 0517")).toBe("DE44 5001 0517");
  });
});

it("groups the digits of an answer", () => {
  expect(plain(formatAnswer("01234567"))).toBe("01 234 567");
});
