import { describe, expect, it } from "vitest";
import { textIn } from "./text.js";

const en = { title: "Hello", body: "" };
const fr = { title: "Bonjour", body: "" };

describe("which language of a message is shown", () => {
  it("is the page's where it is there", () => {
    expect(textIn({ texts: { fr, en } }, "fr")).toEqual({ text: fr, lang: "fr" });
  });
  it("is the other one where the bank wrote that alone", () => {
    expect(textIn({ texts: { fr: null, en } }, "fr")).toEqual({ text: en, lang: "en" });
    expect(textIn({ texts: { fr } }, "en")).toEqual({ text: fr, lang: "fr" });
  });
});
