/** Makes and uses the phone's own keys: non-extractable, by WebCrypto alone. */
import { type Bytes, wipe } from "../protocol/bytes";
import type { DhKey } from "../protocol/noise";
import { randomBytes, webCryptoDhKey } from "../protocol/primitives";
import type { PhoneKeys, StoredKey } from "./records";

const CURVE = "P-256";

async function stored(pair: CryptoKeyPair): Promise<StoredKey> {
  const publicKey = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  return { privateKey: pair.privateKey, publicKey };
}

/** 32 random bytes as a non-extractable HMAC key; nobody sees them again. */
export async function makeDeviceSecret(): Promise<CryptoKey> {
  const secret = randomBytes(32);
  const key = await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  wipe(secret);
  return key;
}

/** s_D, g_D and the device secret of a new activation. */
export async function makePhoneKeys(): Promise<PhoneKeys> {
  const agreement = await crypto.subtle.generateKey({ name: "ECDH", namedCurve: CURVE }, false, ["deriveBits"]);
  const signing = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: CURVE }, false, ["sign", "verify"]);
  return {
    agreement: await stored(agreement),
    signing: await stored(signing),
    deviceSecret: await makeDeviceSecret(),
  };
}

/** s_D as the Noise engine takes it. */
export function agreementKey(keys: PhoneKeys): DhKey {
  return webCryptoDhKey(keys.agreement.privateKey, keys.agreement.publicKey);
}

/** ES256 by g_D: r | s, 64 bytes. */
export async function signByPhone(keys: PhoneKeys, message: Bytes): Promise<Bytes> {
  const parameters = { name: "ECDSA", hash: "SHA-256" };
  return new Uint8Array(await crypto.subtle.sign(parameters, keys.signing.privateKey, message));
}
