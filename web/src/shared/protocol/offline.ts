/**
 * Approving without a network (section 11 of the specification), phone's side: the keys of a ratchet index, opening what
 * the bank's page shows, and the eight digits that go back. Keys, verifier and digits are secrets; the phone client keeps
 * the counter and stores it before it shows an answer.
 */
import { type Bytes, concat, copyBytes, readUnsigned, unsigned, utf8 } from "./bytes";
import { ProtocolError } from "./errors";
import { parseSuite, respond } from "./ocra";
import { hkdfSha256, sha256 } from "./primitives";

export const MAX_OFFLINE_STATEMENT_BYTES = 700;
const SUITE = parseSuite("OCRA-1:HOTP-SHA256-6:C-QH64-PSHA256");
const VERSION = 0x03;
const HEAD_BYTES = 18;
const SLOT_BYTES = 4 + 16 + 16;
const TAG_BYTES = 16;
const KEY_BYTES = 32;
const MAGIC = utf8("TSR1 offline");

/** The keys of a ratchet index. The caller wipes them. */
export interface OfflineKeys {
  readonly sealKey: Bytes;
  readonly answerKey: Bytes;
}

/** The content key of a code, sealed for a phone that is at `index`. */
export interface OfflineSlot {
  readonly index: number;
  readonly sealed: Bytes;
}

/** A code as read: `hint` (4 bytes) tells whose it is. */
export interface SealedStatement {
  readonly hint: Bytes;
  readonly slots: readonly OfflineSlot[];
  readonly iv: Bytes;
  readonly head: Bytes;
  readonly sealed: Bytes;
}

/** Derives the keys of a ratchet index from its bpsk: HKDF(bpsk, salt = binding id, info, 64). */
export function offlineKeys(psk: Bytes, binding: Bytes): OfflineKeys {
  const both = hkdfSha256(psk, binding, utf8("tessera offline"), 2 * KEY_BYTES);
  const keys = { sealKey: both.slice(0, KEY_BYTES), answerKey: both.slice(KEY_BYTES) };
  both.fill(0);
  return keys;
}

/** Four bytes by which a phone finds the binding that a code is for. */
export function offlineHint(binding: Bytes): Bytes {
  return sha256(MAGIC, binding).slice(0, 4);
}

/** Reads the payload of a code. Raises `malformed`. */
export function parseOffline(payload: Uint8Array): SealedStatement {
  const count = payload[HEAD_BYTES - 1] ?? 0;
  const body = HEAD_BYTES + count * SLOT_BYTES;
  const length = payload.length - body - TAG_BYTES;
  if (payload[0] !== VERSION || count < 1 || count > 2 || length < 1 || length > MAX_OFFLINE_STATEMENT_BYTES) {
    throw new ProtocolError("malformed", "not an offline code");
  }
  const slots = Array.from({ length: count }, (_, place) => {
    const slot = payload.subarray(HEAD_BYTES + place * SLOT_BYTES, HEAD_BYTES + (place + 1) * SLOT_BYTES);
    return { index: readUnsigned(slot.subarray(0, 4)), sealed: copyBytes(slot.subarray(4)) };
  });
  if (slots[0]!.index === slots[1]?.index) throw new ProtocolError("malformed", "not an offline code");
  return {
    hint: copyBytes(payload.subarray(1, 5)),
    slots,
    iv: copyBytes(payload.subarray(5, 17)),
    head: copyBytes(payload.subarray(0, body)),
    sealed: copyBytes(payload.subarray(body)),
  };
}

/** The statement of a code, by the key of an index that it has a slot for. Raises `decrypt`. */
export async function openOffline(
  code: SealedStatement,
  { binding, index, sealKey }: { readonly binding: Bytes; readonly index: number; readonly sealKey: Bytes },
): Promise<Bytes> {
  const slot = code.slots.find((each) => each.index === index);
  if (slot === undefined) throw new ProtocolError("decrypt", "the code is for another time of this phone");
  const contentKey = await decrypt(sealKey, { iv: code.iv, aad: concat(MAGIC, binding, unsigned(index, 4)), sealed: slot.sealed });
  try {
    return await decrypt(contentKey, { iv: code.iv, aad: code.head, sealed: code.sealed });
  } finally {
    contentKey.fill(0);
  }
}

async function decrypt(key: Bytes, { iv, aad, sealed }: { iv: Bytes; aad: Bytes; sealed: Bytes }): Promise<Bytes> {
  const imported = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["decrypt"]);
  try {
    return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv, additionalData: aad }, imported, sealed));
  } catch (cause) {
    throw new ProtocolError("decrypt", "the code is for another phone", { cause });
  }
}

export interface OfflineAnswerParts {
  readonly answerKey: Bytes;
  readonly counter: number;
  readonly statement: Bytes;
  readonly verifier: Bytes; // `offlineVerifier` of the PIN just typed
}

/** The eight digits: the counter modulo 100, and six of OCRA over the approved statement. */
export function offlineAnswer({ answerKey, counter, statement, verifier }: OfflineAnswerParts): string {
  const hash = sha256(new Uint8Array([0x01]), statement);
  const question = Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const digits = respond(SUITE, { question, counter, pinHash: verifier }, answerKey);
  return (counter % 100).toString().padStart(2, "0") + digits;
}
