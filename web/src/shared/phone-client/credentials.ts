/**
 * The device's own authenticator (fingerprint, face or screen lock), by WebAuthn: making a credential and having it sign.
 * Part of the browser's environment. What the browser refuses becomes three codes; it does not say more on purpose.
 */
import { type Bytes, copyBytes } from "../protocol/bytes";
import { PhoneClientError } from "./errors";

export interface NewCredential {
  readonly rpId: string;
  /** Shown by the device. */
  readonly rpName: string;
  readonly userName: string;
  readonly user: Bytes;
  readonly challenge: Bytes;
}

export interface MadeCredential {
  readonly clientData: Bytes;
  readonly attestationObject: Bytes;
}

export interface AssertionWish {
  readonly rpId: string;
  readonly challenge: Bytes;
  /** Id of the one credential that will do. */
  readonly credential: Bytes;
  readonly signal: AbortSignal;
}

export interface SignedAssertion {
  readonly clientData: Bytes;
  readonly authenticatorData: Bytes;
  readonly signature: Bytes;
}

/** Rejects with `biometric-cancelled` or `biometric-unsupported`. */
export interface PlatformCredentials {
  available(): Promise<boolean>;
  create(wish: NewCredential): Promise<MadeCredential>;
  get(wish: AssertionWish): Promise<SignedAssertion>;
}

const PATIENCE_MS = 60_000;
/** COSE algorithms, in order of preference: ES256, EdDSA. */
const ALGORITHMS = [-7, -8];

function refused(cause: unknown): PhoneClientError {
  const name = cause instanceof Error ? cause.name : "";
  const cancelled = name === "NotAllowedError" || name === "AbortError" || name === "TimeoutError";
  return new PhoneClientError(cancelled ? "biometric-cancelled" : "biometric-unsupported", {}, { cause });
}

async function asking(ask: () => Promise<Credential | null>): Promise<PublicKeyCredential> {
  if (!("PublicKeyCredential" in globalThis)) throw new PhoneClientError("biometric-unsupported");
  try {
    const credential = await ask();
    if (credential instanceof PublicKeyCredential) return credential;
  } catch (cause) {
    throw refused(cause);
  }
  throw new PhoneClientError("biometric-unsupported");
}

function bytes(buffer: ArrayBuffer): Bytes {
  return copyBytes(new Uint8Array(buffer));
}

async function create(wish: NewCredential): Promise<MadeCredential> {
  const publicKey: PublicKeyCredentialCreationOptions = {
    rp: { id: wish.rpId, name: wish.rpName },
    user: { id: wish.user, name: wish.userName, displayName: wish.userName },
    challenge: wish.challenge,
    pubKeyCredParams: ALGORITHMS.map((alg) => ({ type: "public-key", alg })),
    authenticatorSelection: {
      authenticatorAttachment: "platform",
      userVerification: "required",
      residentKey: "discouraged",
      requireResidentKey: false,
    },
    attestation: "none",
    timeout: PATIENCE_MS,
  };
  const { response } = await asking(() => navigator.credentials.create({ publicKey }));
  if (!(response instanceof AuthenticatorAttestationResponse)) throw new PhoneClientError("biometric-unsupported");
  return { clientData: bytes(response.clientDataJSON), attestationObject: bytes(response.attestationObject) };
}

async function get(wish: AssertionWish): Promise<SignedAssertion> {
  const publicKey: PublicKeyCredentialRequestOptions = {
    rpId: wish.rpId,
    challenge: wish.challenge,
    allowCredentials: [{ type: "public-key", id: wish.credential, transports: ["internal"] }],
    userVerification: "required",
    timeout: PATIENCE_MS,
  };
  const { response } = await asking(() => navigator.credentials.get({ publicKey, signal: wish.signal }));
  if (!(response instanceof AuthenticatorAssertionResponse)) throw new PhoneClientError("biometric-unsupported");
  return {
    clientData: bytes(response.clientDataJSON),
    authenticatorData: bytes(response.authenticatorData),
    signature: bytes(response.signature),
  };
}

async function available(): Promise<boolean> {
  if (!("PublicKeyCredential" in globalThis)) return false;
  try {
    return await PublicKeyCredential.isUserVerifyingPlatformAuthenticatorAvailable();
  } catch {
    return false;
  }
}

/** WebAuthn of this page; where there is none, `available` says so. */
export const webAuthn: PlatformCredentials = { available, create, get };
