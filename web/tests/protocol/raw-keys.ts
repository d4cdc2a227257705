/** Raw keys for test vectors, by @noble/curves and @noble/ciphers: the product only ever holds CryptoKeys. */
import { gcm } from "@noble/ciphers/aes.js";
import { chacha20poly1305, xchacha20poly1305 } from "@noble/ciphers/chacha.js";
import { x25519 } from "@noble/curves/ed25519.js";
import { p256 } from "@noble/curves/nist.js";

import { type Bytes, concat, copyBytes, unsigned } from "../../src/shared/protocol/bytes";
import type { Dh, DhKey } from "../../src/shared/protocol/noise";
import { AES_GCM, P256 } from "../../src/shared/protocol/primitives";
import type { Cipher } from "../../src/shared/protocol/symmetric";

export function hex(text: string): Bytes {
  if (!/^([0-9a-f]{2})*$/i.test(text)) throw new Error("not hexadecimal");
  return new Uint8Array(text.match(/../g)?.map((pair) => Number.parseInt(pair, 16)) ?? []);
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function rawP256(secret: Bytes): DhKey {
  return {
    publicKey: copyBytes(p256.getPublicKey(secret, false)),
    agree: (remote) => Promise.resolve(copyBytes(p256.getSharedSecret(secret, remote, true).subarray(1))),
  };
}

export function rawX25519(secret: Bytes): DhKey {
  return {
    publicKey: copyBytes(x25519.getPublicKey(secret)),
    agree: (remote) => Promise.resolve(copyBytes(x25519.getSharedSecret(secret, remote))),
  };
}

export const X25519: Dh = {
  publicLength: 32,
  check: (key) => {
    if (key.length !== 32) throw new Error("length");
  },
  generate: () => Promise.resolve(rawX25519(copyBytes(x25519.utils.randomSecretKey()))),
};

type Aead = (key: Bytes, nonce: Bytes, associated: Bytes) => { encrypt(p: Bytes): Uint8Array; decrypt(c: Bytes): Uint8Array };

function nobleCipher(aead: Aead, nonceOf: (counter: number) => Bytes): Cipher {
  return {
    importKey(raw) {
      const key = copyBytes(raw);
      return Promise.resolve({
        encrypt: (counter, associated, plaintext) =>
          Promise.resolve(copyBytes(aead(key, nonceOf(counter), associated).encrypt(plaintext))),
        decrypt: async (counter, associated, ciphertext) =>
          Promise.resolve(copyBytes(aead(key, nonceOf(counter), associated).decrypt(ciphertext))),
      });
    },
  };
}

const littleEndian = (counter: number): Bytes => copyBytes(unsigned(counter, 8)).reverse();

export const CIPHERS: Record<string, Cipher> = {
  AESGCM: AES_GCM,
  NobleAESGCM: nobleCipher(gcm, (counter) => concat(new Uint8Array(4), unsigned(counter, 8))),
  ChaChaPoly: nobleCipher(chacha20poly1305, (counter) => concat(new Uint8Array(4), littleEndian(counter))),
  XChaChaPoly: nobleCipher(xchacha20poly1305, (counter) => concat(new Uint8Array(16), littleEndian(counter))),
};

export const DHS: Record<string, { dh: Dh; raw: (secret: Bytes) => DhKey }> = {
  "25519": { dh: X25519, raw: rawX25519 },
  P256: { dh: P256, raw: rawP256 },
};
