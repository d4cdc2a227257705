/** The gateway's side of both handshakes, for tests: the same engine in the other role. */
import { ml_kem768 } from "@noble/post-quantum/ml-kem.js";

import { type Bytes, concat, copyBytes, readUnsigned } from "../../src/shared/protocol/bytes";
import { type DhKey, Handshake, type Kem } from "../../src/shared/protocol/noise";
import { AES_GCM, ML_KEM_768, P256 } from "../../src/shared/protocol/primitives";
import { type Suite, SUITES } from "../../src/shared/protocol/suites";

export interface Hello {
  kind: number;
  suite: Suite;
  id: Bytes;
  counter: number;
  message: Bytes;
}

export function parseHello(frame: Bytes): Hello {
  if (frame[0] !== 1) throw new Error("not a hello");
  return {
    kind: frame[1]!,
    suite: frame[2] as Suite,
    id: frame.slice(3, 19),
    counter: readUnsigned(frame.subarray(19, 23)),
    message: frame.slice(23),
  };
}

/** ML-KEM-768 that encapsulates with fixed randomness. */
export function fixedKem(randomness: Bytes): Kem {
  return {
    ...ML_KEM_768,
    encapsulate(publicKey) {
      const { cipherText, sharedSecret } = ml_kem768.encapsulate(publicKey, randomness);
      return { ciphertext: copyBytes(cipherText), secret: copyBytes(sharedSecret) };
    },
  };
}

export interface ResponderKeys {
  prologue: Bytes;
  psk: Bytes;
  staticKey: DhKey;
  ephemeralKey?: DhKey;
  kem?: Kem;
  /** Of the phone, for suites 3 and 4. */
  phoneStatic?: Bytes;
}

export function respond(suite: Suite, keys: ResponderKeys): Handshake {
  const { protocolName, pattern, kem } = SUITES[suite];
  return new Handshake({
    protocolName,
    pattern,
    initiator: false,
    dh: P256,
    cipher: AES_GCM,
    prologue: keys.prologue,
    psks: [keys.psk],
    staticKey: keys.staticKey,
    ...(kem === null ? {} : { kem: keys.kem ?? kem }),
    ...(keys.ephemeralKey === undefined ? {} : { ephemeralKey: keys.ephemeralKey }),
    ...(keys.phoneStatic === undefined ? {} : { remoteStatic: keys.phoneStatic }),
  });
}

export function answerFrame(message: Bytes): Bytes {
  return concat(new Uint8Array([2]), message);
}
