/**
 * Crockford's Base32, for what people type: no U, I and L read as 1, O as 0, case, spaces and hyphens ignored, and a
 * check character at the end. Used by the typed codes alone.
 */
import { type Bytes, utf8 } from "./bytes";
import { ProtocolError } from "./errors";
import { sha256 } from "./primitives";

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LONGEST = 64;

/** The characters as meant, `length` of them without the check character, which is verified. Raises `typed-check`. */
export function readChecked(typed: string, length: number, purpose: string): string {
  const plain = typed.length > LONGEST ? "" : typed.toUpperCase().replace(/[\s-]/g, "").replace(/[IL]/g, "1").replace(/O/g, "0");
  const known = Array.from(plain).every((character) => ALPHABET.includes(character));
  if (plain.length !== length + 1 || !known) throw new ProtocolError("typed-check", "not a code of this length");
  const body = plain.slice(0, length);
  if (plain[length] !== ALPHABET[sha256(utf8(purpose), utf8(body))[0]! % 32]) {
    throw new ProtocolError("typed-check", "the check character does not fit");
  }
  return body;
}

/** The bytes of characters that `readChecked` returned, five bits each; their bits must fill whole bytes. */
export function decodeCharacters(characters: string): Bytes {
  let value = 0n;
  for (const character of characters) value = (value << 5n) | BigInt(ALPHABET.indexOf(character));
  const bytes = new Uint8Array((characters.length * 5) / 8);
  for (let index = bytes.length - 1; index >= 0; index -= 1) {
    bytes[index] = Number(value & 255n);
    value >>= 8n;
  }
  return bytes;
}
