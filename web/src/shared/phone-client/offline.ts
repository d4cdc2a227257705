/**
 * Answers without a network: a code that the bank's page shows is opened by a key of the ratchet that this phone still
 * holds, and answered by eight digits. Nothing here speaks to anybody. The counter is stored before the digits come back,
 * so that no two answers share one.
 */
import { type Bytes, copyBytes, equalBytes, utf8, wipe } from "../protocol/bytes";
import { ProtocolError } from "../protocol/errors";
import { offlineAnswer, offlineHint, offlineKeys, type OfflineKeys, openOffline as openSealed, parseOffline } from "../protocol/offline";
import { offlineVerifier } from "../protocol/pin";
import { parseScanned } from "./codes";
import { PhoneClientError } from "./errors";
import { toPhoneError } from "./failures";
import { requireDigits } from "./pin";
import type { BindingRecord, Sealed } from "./records";
import { ratchetPlace } from "./resume";
import { showStatement } from "./statements";
import { idBytes, type PhoneStore } from "./store";
import type { AnswerOfflineOptions, OfflineAsk, OpenOfflineOptions } from "./types";

/** The ratchet index that opened a code: its key makes the answer too. */
const openedBy = new WeakMap<OfflineAsk, number>();

/** What the phone holds of the ratchet: n, and n + 1 while nobody knows which one is in force. */
function heldKeys({ ratchet }: BindingRecord): ReadonlyMap<number, Sealed> {
  const { index, psk, next } = ratchet;
  return new Map(next === null ? [[index, psk]] : [[index, psk], [index + 1, next]]);
}

/** The offline keys of an index, while the phone holds its ratchet key. The caller wipes them. */
async function keysOf(store: PhoneStore, record: BindingRecord, index: number): Promise<OfflineKeys | null> {
  const sealed = heldKeys(record).get(index);
  if (sealed === undefined) return null;
  const psk = await store.unseal(sealed, ratchetPlace(record.id, index));
  try {
    return offlineKeys(psk, idBytes(record.id));
  } finally {
    wipe(psk);
  }
}

type Code = ReturnType<typeof parseOffline>;

function readCode(scanned: Uint8Array | string, host: string): Code {
  const parsed = parseScanned(typeof scanned === "string" ? utf8(scanned) : copyBytes(scanned), host);
  if (parsed.kind !== "offline") throw new PhoneClientError("code-invalid");
  try {
    return parseOffline(parsed.payload);
  } catch (cause) {
    throw new PhoneClientError("code-invalid", {}, { cause });
  }
}

/** The statement in a code and the index that opened it; null when this binding's keys open none of its slots. */
async function openBy(store: PhoneStore, record: BindingRecord, code: Code): Promise<{ index: number; raw: Bytes } | null> {
  const binding = idBytes(record.id);
  for (const { index } of code.slots) {
    const keys = await keysOf(store, record, index);
    if (keys === null) continue;
    try {
      return { index, raw: await openSealed(code, { binding, index, sealKey: keys.sealKey }) };
    } catch (cause) {
      if (!(cause instanceof ProtocolError)) throw cause;
    } finally {
      wipe(keys.sealKey, keys.answerKey);
    }
  }
  return null;
}

/**
 * Opens an offline code for the binding that it is for. Raises `code-invalid`, `code-foreign-host`, `offline-foreign`,
 * `offline-stale`, `approval-unreadable`.
 */
export async function openOffline({ store, payload, host }: OpenOfflineOptions): Promise<OfflineAsk> {
  const code = readCode(payload, host);
  const records = await store.activeBindings(host);
  const meant = records.filter(({ id }) => equalBytes(offlineHint(idBytes(id)), code.hint));
  if (meant.length === 0) throw new PhoneClientError("offline-foreign");
  for (const record of meant) {
    const opened = await openBy(store, record, code);
    if (opened === null) continue;
    const statement = showStatement(opened.raw, (seconds) => seconds * 1000);
    if (statement === null) throw new PhoneClientError("approval-unreadable");
    const { id: bindingId, name, tenant, pinDigits } = record;
    const ask: OfflineAsk = { bindingId, name, tenant, pinDigits, statement };
    openedBy.set(ask, opened.index);
    return ask;
  }
  throw new PhoneClientError("offline-stale");
}

/**
 * Makes the eight digits of an approval. Whether the PIN is right, the bank alone finds out. Raises `pin-format`,
 * `offline-stale` when the ratchet has moved since, `offline-unsettled`, `binding-missing`.
 */
export async function answerOffline({ store, ask, pin }: AnswerOfflineOptions): Promise<string> {
  const record = await store.readBinding(ask.bindingId);
  if (record === undefined) throw new PhoneClientError("binding-missing");
  requireDigits(pin, record.pinDigits);
  if (record.nextDeviceSecret !== null) throw new PhoneClientError("offline-unsettled");
  const index = openedBy.get(ask);
  const keys = index === undefined ? null : await keysOf(store, record, index);
  if (keys === null) throw new PhoneClientError("offline-stale");
  try {
    const verifier = await offlineVerifier(record.deviceSecret, idBytes(record.id), pin);
    const counter = await store.takeOfflineCounter(record.id);
    return offlineAnswer({ answerKey: keys.answerKey, counter, statement: ask.statement.raw, verifier });
  } catch (cause) {
    throw toPhoneError(cause);
  } finally {
    wipe(keys.sealKey, keys.answerKey);
  }
}
