/** Typing a code by hand: what the field holds after each keystroke, paste and correction. */
import { describe, expect, it } from "vitest";
import { ACTIVATION_SHAPE, CODE2_SHAPE, groupCode, takeTyping } from "./typed-entry.js";

function typeAll(text: string, shape = ACTIVATION_SHAPE): ReturnType<typeof takeTyping> {
  let field = "";
  let typing = takeTyping("", 0, shape);
  for (const character of text) {
    const raw = field.slice(0, typing.caret) + character + field.slice(typing.caret);
    typing = takeTyping(raw, typing.caret + character.length, shape);
    field = typing.text;
  }
  return typing;
}

describe("takeTyping", () => {
  it("groups while typing, forgiving of case and of O, I and L", () => {
    expect(typeAll("abcdefghjkoil").text).toBe("ABCDE-FGHJK-011");
    expect(typeAll("abcde").text).toBe("ABCDE");
    expect(typeAll("abcdef").text).toBe("ABCDE-F");
    expect(typeAll("abcdef").caret).toBe(7);
  });

  it("takes a pasted code with any separators", () => {
    for (const pasted of ["abcde fghjk mnpqr stvwx", " ABCDE–FGHJK–MNPQR–STVWX\n", "a.b.c.d.e.fghjk·mnpqr_stvwx"]) {
      expect(takeTyping(pasted, pasted.length, ACTIVATION_SHAPE).code).toBe("ABCDEFGHJKMNPQRSTVWX");
    }
  });

  it("names the first character that no code holds, and leaves it out", () => {
    const typing = takeTyping("ABU!E", 5, ACTIVATION_SHAPE);
    expect(typing.bad).toBe("U");
    expect(typing.code).toBe("ABE");
  });

  it("never holds more than a code", () => {
    expect(takeTyping("A".repeat(60), 60, ACTIVATION_SHAPE)).toMatchObject({ code: "A".repeat(20), caret: 23 });
    expect(takeTyping("A".repeat(60), 60, CODE2_SHAPE).text).toBe("AAAAA-AAAAAA-AAAAAA");
  });

  it("keeps the caret in place when a character is put in or taken out in the middle", () => {
    expect(takeTyping("ABXCDE-FGHJK", 3, ACTIVATION_SHAPE)).toMatchObject({ text: "ABXCD-EFGHJ-K", caret: 3 });
    expect(takeTyping("ABDE-FGHJK", 2, ACTIVATION_SHAPE)).toMatchObject({ text: "ABDEF-GHJK", caret: 2 });
  });

  it("lets a hyphen be erased together with the character before it", () => {
    expect(takeTyping("ABCDE", 5, ACTIVATION_SHAPE)).toMatchObject({ text: "ABCDE", caret: 5 });
  });

  it("is steady: what it gives it takes unchanged", () => {
    for (const text of ["", "A", "ABCDE", "ABCDE-F", "ABCDE-FGHJK-MNPQR-STVWX"]) {
      expect(takeTyping(text, text.length, ACTIVATION_SHAPE)).toMatchObject({ text, caret: text.length, bad: null });
    }
  });

  it("survives anything that a keyboard can send", () => {
    for (const text of ["👩‍👩‍👧", "ß", "İı", "\u0000", "٣", "ＡＢ", "e\u0301"]) {
      const typing = takeTyping(text, text.length, ACTIVATION_SHAPE);
      expect(typing.code).toMatch(/^[0-9A-HJKMNP-TV-Z]*$/);
      expect(typing.caret).toBeLessThanOrEqual(typing.text.length);
    }
  });
});

describe("groupCode", () => {
  it("puts a hyphen between full groups only", () => {
    expect(groupCode("", ACTIVATION_SHAPE)).toBe("");
    expect(groupCode("ABCDEFGHJKMNPQRST", CODE2_SHAPE)).toBe("ABCDE-FGHJKM-NPQRST");
  });
});
