/** A device's own authenticator in memory: makes ES256 credentials, and signs as WebAuthn says (sections 6.1, 6.5). */
import { p256 } from "@noble/curves/nist.js";

import { type Bytes, concat, copyBytes, equalBytes, toBase64Url, unsigned, utf8 } from "../../src/shared/protocol/bytes";
import { randomBytes, sha256 } from "../../src/shared/protocol/primitives";
import type { AssertionWish, MadeCredential, NewCredential, PlatformCredentials, SignedAssertion } from "../../src/shared/phone-client/credentials";
import { PhoneClientError } from "../../src/shared/phone-client";

const PRESENT_AND_VERIFIED = 0x05;
const WITH_CREDENTIAL = 0x40;

export class FakeAuthenticator implements PlatformCredentials {
  /** What the person does when the device asks. */
  touch: () => Promise<void> = () => Promise.resolve();
  readonly wishes: (NewCredential | AssertionWish)[] = [];
  #credential: Bytes = new Uint8Array(0);
  #secret: Bytes = new Uint8Array(0);
  #count = 0;

  constructor(readonly origin: string) {}

  available(): Promise<boolean> {
    return Promise.resolve(true);
  }

  async create(wish: NewCredential): Promise<MadeCredential> {
    this.wishes.push(wish);
    await this.touch();
    this.#credential = randomBytes(16);
    this.#secret = copyBytes(p256.utils.randomSecretKey());
    const data = this.#data(wish.rpId, PRESENT_AND_VERIFIED | WITH_CREDENTIAL);
    const point = p256.getPublicKey(this.#secret, false);
    const cose = concat(hex("a5010203262001215820"), point.subarray(1, 33), hex("225820"), point.subarray(33));
    const authenticator = concat(data, new Uint8Array(16), unsigned(this.#credential.length, 2), this.#credential, cose);
    // {"fmt": "none", "attStmt": {}, "authData": bytes}
    const head = concat(hex("a363"), utf8("fmt"), hex("64"), utf8("none"), hex("67"), utf8("attStmt"), hex("a068"), utf8("authData"), hex("58"));
    const attestationObject = concat(head, unsigned(authenticator.length, 1), authenticator);
    return { clientData: this.#clientData("webauthn.create", wish.challenge), attestationObject };
  }

  async get(wish: AssertionWish): Promise<SignedAssertion> {
    this.wishes.push(wish);
    const gone = new Promise<never>((_, reject) => {
      wish.signal.addEventListener("abort", () => {
        reject(new PhoneClientError("biometric-cancelled"));
      });
    });
    await Promise.race([this.touch(), gone]);
    if (!equalBytes(wish.credential, this.#credential)) throw new PhoneClientError("biometric-cancelled");
    const clientData = this.#clientData("webauthn.get", wish.challenge);
    const authenticatorData = this.#data(wish.rpId, PRESENT_AND_VERIFIED);
    const signed = concat(authenticatorData, sha256(clientData));
    const signature = copyBytes(p256.sign(signed, this.#secret, { format: "der" }));
    return { clientData, authenticatorData, signature };
  }

  #data(rpId: string, flags: number): Bytes {
    this.#count += 1;
    return concat(sha256(utf8(rpId)), new Uint8Array([flags]), unsigned(this.#count, 4));
  }

  #clientData(type: string, challenge: Bytes): Bytes {
    return utf8(JSON.stringify({ type, challenge: toBase64Url(challenge), origin: this.origin, crossOrigin: false }));
  }
}

function hex(text: string): Bytes {
  return copyBytes(Buffer.from(text, "hex"));
}
