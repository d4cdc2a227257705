/**
 * Typing a Crockford Base32 code: what a keystroke becomes, where the caret stands after regrouping, which letter is wrong. Pure;
 * the check character itself is verified by the phone client. Used by the typed-code screen.
 */

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const SEPARATORS = /[\s\-–—_.,·]/u;

/** What a code looks like: how many characters, and how they are grouped on the bank's page. */
export interface TypedShape {
  readonly length: number;
  readonly groups: readonly number[];
}

/** The code that finds an activation: 20 characters as 5-5-5-5. */
export const ACTIVATION_SHAPE: TypedShape = { length: 20, groups: [5, 5, 5, 5] };
/** The second code of the two-step form: 17 characters as 5-6-6. */
export const CODE2_SHAPE: TypedShape = { length: 17, groups: [5, 6, 6] };

export interface Typing {
  /** The characters themselves, upper case, nothing between. */
  readonly code: string;
  /** As shown, grouped by hyphens. */
  readonly text: string;
  readonly caret: number;
  /** The first character that no code holds, as it was typed, or null. */
  readonly bad: string | null;
}

/** Returns the alphabet's character for a typed one: forgiving of case and of O, I and L; null for a separator or a stranger. */
function read(character: string): string | null {
  const upper = character.toUpperCase();
  if (upper === "O") return "0";
  if (upper === "I" || upper === "L") return "1";
  return upper.length === 1 && ALPHABET.includes(upper) ? upper : null;
}

/** Groups a code, with a hyphen after each full group but the last. */
export function groupCode(code: string, shape: TypedShape): string {
  const parts: string[] = [];
  let at = 0;
  for (const size of shape.groups) {
    if (at >= code.length) break;
    parts.push(code.slice(at, at + size));
    at += size;
  }
  return parts.join("-");
}

/** Takes the field's raw text and caret after a keystroke, a paste or a deletion; returns what the field should hold. */
export function takeTyping(raw: string, caret: number, shape: TypedShape): Typing {
  let code = "";
  let before = 0;
  let bad: string | null = null;
  let position = 0;
  for (const character of raw) {
    const taken = read(character);
    if (taken === null) {
      if (!SEPARATORS.test(character)) bad ??= character;
    } else if (code.length < shape.length) {
      code += taken;
      if (position < caret) before += 1;
    }
    position += character.length;
  }
  const text = groupCode(code, shape);
  return { code, text, caret: caretAfter(before, shape, code.length), bad };
}

/** Where the caret stands after `count` characters of the code, past a hyphen when one follows. */
function caretAfter(count: number, shape: TypedShape, length: number): number {
  let boundary = 0;
  let hyphens = 0;
  for (const size of shape.groups.slice(0, -1)) {
    boundary += size;
    if (count >= boundary && length > boundary) hyphens += 1;
  }
  return count + hyphens;
}
