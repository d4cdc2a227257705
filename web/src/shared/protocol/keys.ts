/**
 * The key schedule around Noise (sections 1 to 5 of the specification): prologues, the typed code's pre-shared key, and
 * the exact bytes that are signed. Pure functions over bytes. What is called psk is a secret: never log or show it.
 */
import { type Bytes, concat, unsigned, utf8, wipe } from "./bytes";
import { ProtocolError } from "./errors";
import { ID_BYTES } from "./frames";
import { hkdfSha256, sha256 } from "./primitives";
import type { Suite } from "./suites";

const MAGIC = utf8("TSR1");
const HOST = /^[\x21-\x40\x5b-\x7e]{1,255}$/;

function hostField(host: string): Bytes {
  if (!HOST.test(host)) throw new ProtocolError("malformed", "HOST is lower-case ASCII of 1 to 255 characters");
  return concat(MAGIC, unsigned(host.length, 1), utf8(host));
}

function checkId(id: Bytes): Bytes {
  if (id.length !== ID_BYTES) throw new ProtocolError("malformed", "an id has 16 bytes");
  return id;
}

/** Prologue of a first contact. `host` lower-case, with its port when that is not 443; `expiry` in Unix seconds. */
export function firstContactPrologue(
  suite: Suite,
  contact: { host: string; activation: Bytes; rotation: number; expiry: number },
): Bytes {
  const { host, activation, rotation, expiry } = contact;
  return concat(hostField(host), checkId(activation), unsigned(rotation, 2), unsigned(expiry, 4), unsigned(suite, 1));
}

/** Prologue of a later contact. */
export function resumePrologue(suite: Suite, contact: { host: string; binding: Bytes; index: number }): Bytes {
  return concat(hostField(contact.host), checkId(contact.binding), unsigned(contact.index, 4), unsigned(suite, 1));
}

/** The pre-shared key of a typed code, 32 bytes; `secret` is its 14 characters in upper case. */
export function typedPsk(secret: string, activation: Bytes): Bytes {
  const input = utf8(secret);
  const psk = hkdfSha256(input, checkId(activation), utf8("tessera typed"), 32);
  wipe(input);
  return psk;
}

/** What g_D signs in m3. */
export function bindInput(handshakeHash: Bytes): Bytes {
  return concat(utf8("bind"), handshakeHash);
}

/** What g_D signs in m7; `nonce` is the 10 bytes of m6 or of code 2. */
export function commitInput(handshakeHash: Bytes, nonce: Bytes): Bytes {
  return concat(utf8("commit"), handshakeHash, nonce);
}

/** What a new PIN key signs; `nonce` is empty in a first contact, the evaluation's 16 bytes on an open channel. */
export function pinEnrolInput(handshakeHash: Bytes, nonce: Bytes): Bytes {
  return concat(utf8("pin-enrol"), handshakeHash, nonce);
}

/** What the PIN key signs to prove the PIN; `nonce` is the evaluation's 16 bytes. */
export function pinProofInput(handshakeHash: Bytes, nonce: Bytes): Bytes {
  return concat(utf8("pin-proof"), handshakeHash, nonce);
}

/** What was challenged: the whole hello frame as it was sent, and the prologue of its handshake. */
export interface Challenged {
  readonly hello: Bytes;
  readonly prologue: Bytes;
}

/** What g_D signs in answer to a stale challenge: a hello that somebody altered or made is none that it signs for. */
export function staleInput(binding: Bytes, index: number, nonce: Bytes, { prologue, hello }: Challenged): Bytes {
  return concat(utf8("stale"), checkId(binding), unsigned(index, 4), nonce, sha256(prologue, hello));
}
