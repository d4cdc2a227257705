/**
 * The cryptography this protocol is built from, none of it ours: SHA-256, HMAC and HKDF on byte arrays from
 * @noble/hashes (synchronous, so that a handshake's state never changes across an await), P-256 and AES-GCM from
 * WebCrypto with non-extractable keys, point checks from @noble/curves, ML-KEM-768 from @noble/post-quantum.
 */
import { p256 } from "@noble/curves/nist.js";
import { expand, hkdf } from "@noble/hashes/hkdf.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js";
import { ml_kem768 } from "@noble/post-quantum/ml-kem.js";

import { type Bytes, concat, copyBytes, unsigned, wipe } from "./bytes";
import { ProtocolError } from "./errors";
import type { Dh, DhKey, Kem, KemKey } from "./noise";
import type { Cipher, CipherKey } from "./symmetric";

export const POINT_BYTES = 65;
export const COMPRESSED_BYTES = 33;

/** SHA-256 of the parts joined: 32 bytes. */
export function sha256(...parts: readonly Uint8Array[]): Bytes {
  const hash = nobleSha256.create();
  for (const part of parts) hash.update(part);
  return copyBytes(hash.digest());
}

/** HMAC-SHA-256 (RFC 2104) of the parts joined: 32 bytes. */
export function hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Bytes {
  const mac = hmac.create(nobleSha256, key);
  for (const part of parts) mac.update(part);
  return copyBytes(mac.digest());
}

/** HKDF-SHA-256 (RFC 5869). */
export function hkdfSha256(ikm: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Bytes {
  return copyBytes(hkdf(nobleSha256, ikm, salt, info, length));
}

/** The second half of HKDF-SHA-256 (RFC 5869 section 2.3), for a pseudorandom key that a CryptoKey extracted. */
export function hkdfExpandSha256(prk: Uint8Array, info: Uint8Array, length: number): Bytes {
  return copyBytes(expand(nobleSha256, prk, info, length));
}

/** Random bytes of the platform. */
export function randomBytes(length: number): Bytes {
  return crypto.getRandomValues(new Uint8Array(length));
}

/** A point in its uncompressed form (65 bytes), from either form. Raises `point` when it is not on the curve. */
export function uncompressPoint(point: Uint8Array): Bytes {
  try {
    if (point.length !== POINT_BYTES && point.length !== COMPRESSED_BYTES) throw new RangeError("length");
    return copyBytes(p256.Point.fromBytes(point).toBytes(false));
  } catch (cause) {
    throw new ProtocolError("point", "not a P-256 point", { cause });
  }
}

/** A point in its compressed form (33 bytes), from either form. */
export function compressPoint(point: Uint8Array): Bytes {
  const uncompressed = uncompressPoint(point);
  return concat(new Uint8Array([2 + (uncompressed[64]! & 1)]), uncompressed.subarray(1, 33));
}

/** Makes a DhKey of a WebCrypto key pair; the private half stays where WebCrypto keeps it. */
export function webCryptoDhKey(privateKey: CryptoKey, publicKey: Bytes): DhKey {
  return {
    publicKey,
    async agree(remote: Bytes): Promise<Bytes> {
      P256.check(remote);
      const imported = await crypto.subtle.importKey("raw", remote, { name: "ECDH", namedCurve: "P-256" }, false, []);
      return new Uint8Array(await crypto.subtle.deriveBits({ name: "ECDH", public: imported }, privateKey, 256));
    },
  };
}

/** P-256 ECDH: public keys of 65 bytes, results of 32 (the x coordinate). */
export const P256: Dh = {
  publicLength: POINT_BYTES,
  check(publicKey: Bytes): void {
    if (publicKey.length !== POINT_BYTES || publicKey[0] !== 4) throw new ProtocolError("point", "not uncompressed");
    uncompressPoint(publicKey);
  },
  async generate(): Promise<DhKey> {
    const pair = await crypto.subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, false, ["deriveBits"]);
    return webCryptoDhKey(pair.privateKey, new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey)));
  },
};

function gcmParameters(counter: number, associated: Bytes): AesGcmParams {
  return { name: "AES-GCM", iv: concat(new Uint8Array(4), unsigned(counter, 8)), additionalData: associated };
}

/** AES-256-GCM with Noise's nonce: 4 zero bytes and the big-endian counter. */
export const AES_GCM: Cipher = {
  async importKey(raw: Bytes): Promise<CipherKey> {
    const key = await crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt", "decrypt"]);
    wipe(raw);
    return {
      async encrypt(counter: number, associated: Bytes, plaintext: Bytes): Promise<Bytes> {
        return new Uint8Array(await crypto.subtle.encrypt(gcmParameters(counter, associated), key, plaintext));
      },
      async decrypt(counter: number, associated: Bytes, ciphertext: Bytes): Promise<Bytes> {
        return new Uint8Array(await crypto.subtle.decrypt(gcmParameters(counter, associated), key, ciphertext));
      },
    };
  },
};

/** ML-KEM-768 (FIPS 203): encapsulation keys of 1,184 bytes, ciphertexts of 1,088, secrets of 32. */
export const ML_KEM_768: Kem = {
  publicLength: 1184,
  ciphertextLength: 1088,
  generate(): KemKey {
    const seed = randomBytes(64);
    const { publicKey, secretKey } = ml_kem768.keygen(seed);
    wipe(seed);
    return mlKemKey(publicKey, secretKey);
  },
  encapsulate(publicKey: Bytes): { ciphertext: Bytes; secret: Bytes } {
    const { cipherText, sharedSecret } = ml_kem768.encapsulate(publicKey);
    return { ciphertext: copyBytes(cipherText), secret: copyBytes(sharedSecret) };
  },
};

/** A KemKey of raw ML-KEM-768 keys; its secret is wiped after its one decapsulation. */
export function mlKemKey(publicKey: Uint8Array, secretKey: Uint8Array): KemKey {
  return {
    publicKey: copyBytes(publicKey),
    decapsulate(ciphertext: Bytes): Bytes {
      const secret = copyBytes(ml_kem768.decapsulate(ciphertext, secretKey));
      wipe(secretKey);
      return secret;
    },
  };
}
