/**
 * The codes that people scan, follow or type (section 1 of the specification): the activation code's 88 bytes, the link
 * around them, the typed form, code 2, and which payload is an offline code. Every parser takes whatever a camera, an address bar or a keyboard gives, and
 * raises `malformed`, `foreign-host` or `typed-check`.
 */
import { type Bytes, concat, copyBytes, equalBytes, fromBase64Url, fromUtf8, readUnsigned, utf8 } from "./bytes";
import { decodeCharacters, readChecked } from "./crockford";
import { ProtocolError } from "./errors";
import { parseOffline } from "./offline";

export const CODE_BYTES = 88;
export const TYPED_ROTATION = 0xffff;
const LAST_ROTATION = 0xfffe;
/** The link of an offline code: 806 bytes in base64url behind a HOST of 255. */
const LONGEST_SCAN = 1_536;
const CODE2_LABEL_BYTES = 64;
const CODE2_SHORTEST = 1 + 12 + 16 + 10 + 16;
const LINK = /^(https?):\/\/([A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?|\[::1\](?::[0-9]{1,5})?)\/a#([A-Za-z0-9_-]+)$/;
const LOOPBACK = /^(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?$/;

/** The code on the bank's page. `psk` is secret. */
export interface ParsedCode {
  readonly kind: "activation";
  readonly activation: Bytes;
  readonly psk: Bytes;
  readonly gatewayStatic: Bytes;
  readonly expiry: number; // Unix seconds
  readonly rotation: number;
}

/** The typed form: `locator` finds the activation, `secret` (14 characters) stands for the one-time key. */
export interface TypedCode {
  readonly kind: "typed";
  readonly locator: string;
  readonly secret: string;
}

/** Code 2, still sealed. */
export interface Code2 {
  readonly kind: "code2";
  readonly payload: Bytes;
}

/** What the bank asks of a phone without a network, still sealed: `parseOffline` takes it apart. */
export interface OfflineCode {
  readonly kind: "offline";
  readonly payload: Bytes;
}

/** What code 2 says once opened. `nonce` is secret until it was sent. */
export interface OpenedCode2 {
  readonly nonce: Bytes;
  readonly label: string;
}

/** Reads the payload of any code. Whether S is a point is checked by the handshake. */
export function parsePayload(payload: Uint8Array): ParsedCode | Code2 | OfflineCode {
  if (payload[0] === 0x02) return parseCode2(payload);
  if (payload[0] === 0x03) {
    parseOffline(payload);
    return { kind: "offline", payload: copyBytes(payload) };
  }
  const rotation = readUnsigned(payload.subarray(86, 88));
  const sign = payload[49];
  if (payload.length !== CODE_BYTES || payload[0] !== 0x01 || (sign !== 2 && sign !== 3) || rotation > LAST_ROTATION) {
    throw new ProtocolError("malformed", "not one of our codes");
  }
  return {
    kind: "activation",
    activation: copyBytes(payload.subarray(1, 17)),
    psk: copyBytes(payload.subarray(17, 49)),
    gatewayStatic: copyBytes(payload.subarray(49, 82)),
    expiry: readUnsigned(payload.subarray(82, 86)),
    rotation,
  };
}

function parseCode2(payload: Uint8Array): Code2 {
  if (payload.length < CODE2_SHORTEST || payload.length > CODE2_SHORTEST + CODE2_LABEL_BYTES) {
    throw new ProtocolError("malformed", "not a code 2");
  }
  return { kind: "code2", payload: copyBytes(payload) };
}

/** Reads a link that must lead to `ownHost`. Plain http is taken for a loopback host alone (development). */
export function parseLink(link: string, ownHost: string): ParsedCode | Code2 | OfflineCode {
  const [, scheme, written, fragment] = (link.length <= LONGEST_SCAN ? LINK.exec(link.trim()) : null) ?? [];
  if (scheme === undefined || written === undefined || fragment === undefined) {
    throw new ProtocolError("malformed", "not one of our links");
  }
  const host = scheme === "https" ? written.toLowerCase().replace(/:443$/, "") : written.toLowerCase();
  if (scheme === "http" && !LOOPBACK.test(host)) throw new ProtocolError("malformed", "the link is not https");
  if (host !== ownHost) throw new ProtocolError("foreign-host", host);
  return parsePayload(fromBase64Url(fragment));
}

/** Reads what a symbol of either kind carried: the payload itself, or the link around it. */
export function parseScan(scanned: Uint8Array, ownHost: string): ParsedCode | Code2 | OfflineCode {
  if (scanned.length < 2 || scanned.length > LONGEST_SCAN) throw new ProtocolError("malformed", "not one of our codes");
  if (scanned[0]! >= 0x01 && scanned[0]! <= 0x03) return parsePayload(scanned);
  return parseLink(fromUtf8(scanned), ownHost);
}

/** Reads a typed activation code: 20 characters in any grouping. */
export function parseTypedCode(typed: string): TypedCode {
  const characters = readChecked(typed, 19, "TSR1 typed");
  return { kind: "typed", locator: characters.slice(0, 5), secret: characters.slice(5) };
}

/** Reads the typed form of code 2: its nonce, 10 bytes. */
export function parseTypedCode2(typed: string): Bytes {
  return decodeCharacters(readChecked(typed, 16, "TSR1 code2"));
}

const LABEL_BYTES = 64;

/** What of a label fits into code 2: at most 64 bytes of UTF-8, cut at a character's end. */
export function cutCode2Label(label: string): string {
  let cut = "";
  let length = 0;
  for (const character of label) {
    length += utf8(character).length;
    if (length > LABEL_BYTES) break;
    cut += character;
  }
  return cut;
}

/** Opens code 2 with export("code2") and checks that it is for this binding. Raises `decrypt`. */
export async function openCode2(key: Bytes, code: Code2, binding: Bytes): Promise<OpenedCode2> {
  const { payload } = code;
  const imported = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["decrypt"]);
  const parameters = { name: "AES-GCM", iv: payload.slice(1, 13), additionalData: utf8("TSR1 code2") };
  let plain: Bytes;
  try {
    plain = concat(new Uint8Array(await crypto.subtle.decrypt(parameters, imported, payload.slice(13))));
  } catch (cause) {
    throw new ProtocolError("decrypt", "code 2 is not for this phone", { cause });
  }
  if (!equalBytes(plain.subarray(0, 16), binding)) throw new ProtocolError("decrypt", "code 2 is for another binding");
  return { nonce: plain.slice(16, 26), label: fromUtf8(plain.subarray(26)) };
}
