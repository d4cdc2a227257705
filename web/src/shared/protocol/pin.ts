/**
 * The PIN (section 6 of the specification): which PINs are too easily guessed, the OPRF input, and the PIN key that is
 * derived of OPRF output and device secret, signs once, and is wiped. The PIN never leaves the phone.
 */
import { p256 } from "@noble/curves/nist.js";

import { type Bytes, concat, copyBytes, utf8, wipe } from "./bytes";
import { ProtocolError } from "./errors";
import { hkdfExpandSha256 } from "./primitives";

export type WeakReason = "same" | "run" | "repeated" | "date" | "common";

/** The short list of section 6: what people choose and the other rules do not catch. Part of the specification. */
const COMMON = new Set(
  `0007 0852 1004 1122 1313 1342 1379 1998 2001 2468 2580 4321 5683 6969 7410 7531 8520 9510
   102030 112233 123321 123654 142536 147258 147852 159357 159753 192837 258456 258852 321654 332211
   369258 456123 456321 456852 654123 741852 753951 789123 789456 852456 951753 963852 987456
   11223344 12344321 12341234 14725836 78945612 87654321`.split(/\s+/),
);

/** Whether six digits read as DDMMYY, MMDDYY or YYMMDD: a day of 01 to 31 and a month of 01 to 12. */
function isDate(pin: string): boolean {
  const [first, second, third] = [0, 2, 4].map((place) => Number(pin.slice(place, place + 2))) as [number, number, number];
  const fits = (day: number, month: number): boolean => day >= 1 && day <= 31 && month >= 1 && month <= 12;
  return fits(first, second) || fits(second, first) || fits(third, second);
}

function isRun(digits: readonly number[], step: number): boolean {
  return digits.every((digit, index) => index === 0 || (digits[index - 1]! + step + 10) % 10 === digit);
}

function repeats(pin: string, unit: number): boolean {
  return pin.length > unit && pin.length % unit === 0 && pin === pin.slice(0, unit).repeat(pin.length / unit);
}

/** Why a PIN of 4 to 12 digits is too easily guessed, or null. Raises `malformed` when it is not digits alone. */
export function weakness(pin: string): WeakReason | null {
  if (!/^[0-9]{4,12}$/.test(pin)) throw new ProtocolError("malformed", "a PIN has 4 to 12 digits");
  const digits = Array.from(pin, Number);
  if (isRun(digits, 0)) return "same";
  if (isRun(digits, 1) || isRun(digits, -1)) return "run";
  if (repeats(pin, 2) || repeats(pin, 3)) return "repeated";
  if (pin.length === 6 && isDate(pin)) return "date";
  return COMMON.has(pin) ? "common" : null;
}

/** The OPRF input. The caller wipes it. */
export function pinInput(binding: Bytes, pin: string): Bytes {
  return concat(utf8("tessera pin"), binding, utf8(pin));
}

/** A key that lives for one enrolment or proof. */
export interface PinKey {
  /** 65 bytes. */
  readonly publicKey: Bytes;
  /** ES256, r | s. */
  sign(message: Bytes): Bytes;
  wipe(): void;
}

/**
 * Derives the PIN key: K = HKDF(output, salt = device secret, info, 48), scalar = K mod (order - 1) + 1 (FIPS 186-5
 * appendix A.2.1). `deviceSecret` is a non-extractable HMAC key, since HKDF-Extract is HMAC under the salt.
 */
export async function derivePinKey(output: Bytes, deviceSecret: CryptoKey, binding: Bytes): Promise<PinKey> {
  const prk = new Uint8Array(await crypto.subtle.sign("HMAC", deviceSecret, output));
  const wide = hkdfExpandSha256(prk, concat(utf8("tessera pin key"), binding), 48);
  const secret = scalarBytes(wide);
  wipe(prk, wide);
  return {
    publicKey: copyBytes(p256.getPublicKey(secret, false)),
    sign: (message) => copyBytes(p256.sign(message, secret, { lowS: false })),
    wipe: () => {
      wipe(secret);
    },
  };
}

/**
 * What offline answers are made with, 32 bytes: HKDF("tessera pin verifier" | binding | PIN, salt = device secret, info =
 * "tessera offline pin" | binding, 32). The gateway gets it inside the channel and checks answers against it; without the
 * device secret nobody can try PINs.
 */
export async function offlineVerifier(deviceSecret: CryptoKey, binding: Bytes, pin: string): Promise<Bytes> {
  const typed = concat(utf8("tessera pin verifier"), binding, utf8(pin));
  const prk = new Uint8Array(await crypto.subtle.sign("HMAC", deviceSecret, typed));
  const verifier = hkdfExpandSha256(prk, concat(utf8("tessera offline pin"), binding), 32);
  wipe(typed, prk);
  return verifier;
}

function scalarBytes(wide: Bytes): Bytes {
  const order = p256.Point.Fn.ORDER;
  let value = 0n;
  for (const byte of wide) value = (value << 8n) | BigInt(byte);
  let scalar = (value % (order - 1n)) + 1n;
  const bytes = new Uint8Array(32);
  for (let index = 31; index >= 0; index -= 1) {
    bytes[index] = Number(scalar & 255n);
    scalar >>= 8n;
  }
  return bytes;
}
