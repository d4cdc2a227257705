/** Every message table of the pages: complete in both languages, its functions working, no text left in the wrong one. */
import { beforeAll, describe, expect, it, vi } from "vitest";
import { browserLang, matchLang } from "./locale.js";
import { formatAgo, formatCountdown, formatMoment, formatMoney, formatWait, groupText, regionOf } from "./format.js";
import { plural } from "./table.js";
import { LANGS } from "./index.js";

type Table = Readonly<Record<"fr" | "en", Readonly<Record<string, unknown>>>>;

const modules = import.meta.glob<Readonly<Record<string, unknown>>>(["../../**/text/*.ts", "../../**/text.ts", "../../**/messages.ts", "!../protocol/**", "!../codes/**"], { eager: true });

function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && "fr" in value && "en" in value;
}

const tables = Object.entries(modules).flatMap(([path, module]) =>
  Object.entries(module).flatMap(([name, value]) => (isTable(value) ? [[`${path} ${name}`, value] as const] : [])),
);

function sample(message: unknown): string {
  if (typeof message === "string") return message;
  if (typeof message !== "function") return Array.isArray(message) ? message.join(" ") : "";
  return String((message as (...args: unknown[]) => unknown)(...Array.from({ length: message.length }, () => 2)));
}

describe("message tables", () => {
  it("are found", () => {
    expect(tables.length).toBeGreaterThan(6);
  });

  it.each(tables)("%s has the same messages in both languages, none empty", (_, table) => {
    expect(Object.keys(table.fr).sort()).toEqual(Object.keys(table.en).sort());
    for (const lang of LANGS) {
      for (const [key, message] of Object.entries(table[lang])) expect(sample(message), `${lang}.${key}`).not.toBe("");
    }
  });

  it.each(tables)("%s takes as many arguments in French as in English", (_, table) => {
    for (const [key, message] of Object.entries(table.en)) {
      const french = table.fr[key];
      if (typeof message === "function") expect(typeof french === "function" ? french.length : -1, key).toBe(message.length);
    }
  });

  it.each(tables)("%s sets no-break spaces as French does", (_, table) => {
    for (const [key, message] of Object.entries(table.fr)) expect(sample(message), key).not.toMatch(/ [:;!?»](?!\/)|« /);
  });
});

describe("languages", () => {
  it("matches tags by their primary part", () => {
    expect(matchLang("fr-CH")).toBe("fr");
    expect(matchLang("EN_us")).toBe("en");
    expect(matchLang("frr")).toBeNull();
    expect(matchLang("")).toBeNull();
    expect(matchLang(null)).toBeNull();
  });

  it("takes the first language of the browser that we speak, else English", () => {
    expect(browserLang(["de-DE", "fr-BE", "en"])).toBe("fr");
    expect(browserLang(["ja"])).toBe("en");
    expect(browserLang([])).toBe("en");
  });

  it("formats by the browser's region of that language", () => {
    expect(regionOf("en", ["fr-FR", "en-US"])).toBe("en-US");
    expect(regionOf("en", ["en"])).toBe("en-GB");
    expect(regionOf("fr", [])).toBe("fr-FR");
  });
});

describe("formats", () => {
  beforeAll(() => {
    vi.stubGlobal("navigator", { languages: [] }); // Node before 21 has none
  });

  it("counts down in minutes, never below zero", () => {
    expect(formatCountdown(247_000)).toBe("4:07");
    expect(formatCountdown(3_661_000)).toBe("1:01:01");
    expect(formatCountdown(1)).toBe("0:01");
    expect(formatCountdown(-5_000)).toBe("0:00");
    expect(formatWait("en", 58)).toBe("58 seconds");
    expect(formatWait("en", 121)).toBe("3 minutes");
  });

  it("says how long ago", () => {
    const now = Date.UTC(2026, 5, 15, 12);
    expect(formatAgo("en", now - 20_000, now)).toBe("now");
    expect(formatAgo("en", now - 3 * 3_600_000, now)).toBe("3 hours ago");
    expect(formatAgo("fr", now - 86_400_000, now)).toBe("hier");
    expect(formatAgo("en", now - 40 * 86_400_000, now)).toContain("2026");
  });

  it("tells two moments of one minute apart", () => {
    expect(formatMoment("en", "2026-06-15T12:00:07Z")).toContain(":07");
    expect(formatMoment("fr", "2026-06-15T12:00:07Z")).toContain(":07");
  });

  it("groups text and keeps what is left over", () => {
    expect(groupText("12345678", [4, 4])).toBe("1234 5678");
    expect(groupText("123456789", [4, 4])).toBe("1234 5678 9");
    expect(groupText("123", [4, 4])).toBe("123");
  });

  it("writes money and plurals by the language", () => {
    expect(formatMoney("fr", 123_456)).toMatch(/1\s234,56\s€/u);
    expect(plural("fr", 0, "essai", "essais")).toBe("essai");
    expect(plural("en", 0, "try", "tries")).toBe("tries");
  });
});
