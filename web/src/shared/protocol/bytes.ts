/**
 * Byte arrays: joining, big-endian integers, strict base64url (RFC 4648 section 5, unpadded, one text a value), strict
 * UTF-8, and wiping. Everything else in the protocol stands on this file; it knows no rule of the protocol.
 */
import { ProtocolError } from "./errors";

/** A byte array over a plain ArrayBuffer: what WebCrypto takes. */
export type Bytes = Uint8Array<ArrayBuffer>;

export const EMPTY: Bytes = new Uint8Array(0);

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const VALUES = new Map(Array.from(ALPHABET, (character, value) => [character, value]));

/** Joins byte arrays into a new one. */
export function concat(...parts: readonly Uint8Array[]): Bytes {
  const joined = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

/** Overwrites secrets once they were used. A JavaScript engine may hold copies; this shortens their life. */
export function wipe(...secrets: readonly (Uint8Array | null | undefined)[]): void {
  for (const secret of secrets) secret?.fill(0);
}

/** A copy over its own buffer. */
export function copyBytes(bytes: Uint8Array): Bytes {
  return new Uint8Array(bytes);
}

/** Whether two public values are equal, in a time that depends on their lengths alone. */
export function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false;
  let difference = 0;
  for (let index = 0; index < left.length; index += 1) difference |= left[index]! ^ right[index]!;
  return difference === 0;
}

/** An unsigned integer as `length` (1, 2, 4 or 8) big-endian bytes. */
export function unsigned(value: number, length: 1 | 2 | 4 | 8): Bytes {
  if (!Number.isSafeInteger(value) || value < 0 || value >= 2 ** (8 * length)) {
    throw new ProtocolError("malformed", `not an unsigned integer of ${length} bytes`);
  }
  const bytes = new Uint8Array(length);
  let rest = value;
  for (let index = length - 1; index >= 0; index -= 1) {
    bytes[index] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return bytes;
}

/** The unsigned integer of at most 6 big-endian bytes. */
export function readUnsigned(bytes: Uint8Array): number {
  return bytes.reduce((value, byte) => value * 256 + byte, 0);
}

/** UTF-8 of a text. */
export function utf8(text: string): Bytes {
  return copyBytes(new TextEncoder().encode(text));
}

/** The text of UTF-8 bytes; refuses what is not UTF-8. */
export function fromUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new ProtocolError("malformed", "not UTF-8", { cause });
  }
}

/** Unpadded base64url. */
export function toBase64Url(bytes: Uint8Array): string {
  let text = "";
  for (let index = 0; index < bytes.length; index += 3) {
    const group = (bytes[index]! << 16) | ((bytes[index + 1] ?? 0) << 8) | (bytes[index + 2] ?? 0);
    const characters = Math.min(4, bytes.length - index + 1);
    for (let place = 0; place < characters; place += 1) text += ALPHABET[(group >> (18 - 6 * place)) & 63]!;
  }
  return text;
}

/** The bytes of unpadded base64url; refuses padding, other characters and stray low bits. */
export function fromBase64Url(text: string): Bytes {
  if (text.length % 4 === 1) throw new ProtocolError("malformed", "not base64url");
  const bytes = new Uint8Array(Math.floor((text.length * 3) / 4));
  let pending = 0;
  let bits = 0;
  let offset = 0;
  for (const character of text) {
    const value = VALUES.get(character);
    if (value === undefined) throw new ProtocolError("malformed", "not base64url");
    pending = ((pending << 6) | value) & 0x3fff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[offset] = (pending >> bits) & 255;
      offset += 1;
    }
  }
  if ((pending & ((1 << bits) - 1)) !== 0) throw new ProtocolError("malformed", "not canonical base64url");
  return bytes;
}
