/** Every field that is signed is shown, as it is. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ALL, loginOf, paymentOf } from "./fake-statements.js";
import { kindOf, questionOf, rowsOf, summaryOf } from "./text/said-statement.js";

beforeEach(() => {
  vi.stubGlobal("navigator", { languages: ["fr-FR", "en-GB"] });
});
afterEach(() => {
  vi.unstubAllGlobals();
});

describe("rowsOf", () => {
  it.each(ALL)("shows bank, user and every field of $type", (said) => {
    for (const lang of ["fr", "en"] as const) {
      const shown = rowsOf(said, lang).map(({ value }) => value);
      expect(shown.slice(0, 2)).toEqual([said.bank, said.user]);
      const rest = Object.entries(said.fields).filter(([name]) => !["amount", "account", "kind", "mode"].includes(name));
      for (const [, value] of rest) expect(shown).toContain(value);
      for (const { name, value, none } of rowsOf(said, lang)) expect([name, value === "" ? none : value]).not.toContain(undefined);
      expect(`${kindOf(said, lang)}${questionOf(said, lang)}`).not.toContain("undefined");
      expect(summaryOf(said, lang)).not.toBe("");
    }
  });

  it("writes amount and account for reading, and leaves markup alone", () => {
    const shown = rowsOf(paymentOf(""), "en");
    expect(shown.map(({ value }) => value)).toEqual(["Banque des Halles", "claire", "€1,250.00", "EUR", "Jean <b>Martin</b>", "FR76 3000 6000 0112 3456 7890 189", ""]);
    expect(shown.at(-1)?.none).toBe("None given");
    expect(summaryOf(paymentOf(), "en")).toBe("€1,250.00 · Jean <b>Martin</b>");
  });

  it("says that a place is not known", () => {
    expect(rowsOf(loginOf(""), "fr").at(-1)).toMatchObject({ value: "", none: "Inconnu" });
  });
});
