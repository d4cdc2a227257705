/**
 * The connection of a first contact (section 4 of the specification, m1 to m4): keys and code out of the store or fresh
 * into it, the handshake, and `bind`. It may be run again and again with the same keys and rotation until the
 * activation ends: that is how a lost connection, or a reloaded page, is taken up.
 */
import { wipe } from "../protocol/bytes";
import type { ParsedCode, TypedCode } from "../protocol/code";
import { beginFirstContact, type Started } from "../protocol/handshake";
import { bindInput } from "../protocol/keys";
import type { FirstAnswer, GatewayMessageOf, Lang } from "../protocol/messages";
import { type ContactCode, findTyped } from "./config";
import { sendHello } from "./connect";
import { Conversation } from "./conversation";
import type { PhoneEnvironment } from "./environment";
import { PhoneClientError, type PhoneErrorCode } from "./errors";
import { frameError, isPassingProblem } from "./failures";
import { agreementKey, makePhoneKeys, signByPhone } from "./keystore";
import type { PendingRecord } from "./records";
import { idBytes, idText, type PhoneStore } from "./store";
import type { DeviceFacts, PendingContact } from "./types";

export interface ContactContext {
  readonly store: PhoneStore;
  readonly environment: PhoneEnvironment;
  readonly host: string;
  readonly device: DeviceFacts;
  readonly lang: Lang;
}

export interface Linked {
  readonly conversation: Conversation;
  readonly answer: FirstAnswer;
  readonly reply: GatewayMessageOf<"pending" | "confirmed" | "ended">;
  readonly record: PendingRecord;
  readonly deviceCode: string;
  /** The gateway's clock less the phone's, in milliseconds. */
  readonly clockOffset: number;
}

type ContactSuite = 1 | 2;

function codePlace(activation: string): string {
  return `code ${activation}`;
}

/** The lock that a first contact holds against other tabs. */
export function contactLock(activation: string): string {
  return `tessera ${activation}`;
}

/** What a code of any form says, S as the phone keeps it for a typed one. The caller wipes the `psk` of a typed one. */
export async function resolveCode(context: ContactContext, code: ParsedCode | TypedCode): Promise<ContactCode> {
  return code.kind === "typed" ? findTyped(context, code) : code;
}

/** The stored first contact of an activation: what was begun, or keys made now. */
export async function preparePending(context: ContactContext, code: ContactCode): Promise<PendingRecord> {
  const { store, host, environment } = context;
  const activation = idText("act", code.activation);
  const begun = await store.readPending(activation);
  // Once the gateway has answered, this phone comes again with the rotation that it came with.
  if (begun?.answered === true) return begun;
  const { gatewayStatic, rotation, expiry } = code;
  const record: PendingRecord = {
    ...(begun ?? (await makePhoneKeys())),
    activation,
    host,
    gatewayStatic,
    psk: await store.seal(code.psk, codePlace(activation)),
    rotation,
    expiry,
    answered: false,
    tenant: null,
    label: null,
    expiresAt: expiry * 1000,
    begunAt: begun?.begunAt ?? environment.now(),
  };
  await store.writePending(record);
  return record;
}

/** What a reloaded page takes up again. Raises `expired` when nothing is kept of it. */
export async function readPending(context: ContactContext, pending: PendingContact): Promise<PendingRecord> {
  const record = await context.store.readPending(pending.activation);
  if (record?.host !== context.host) throw new PhoneClientError("expired");
  return record;
}

/** Error frames that say that an activation which was answered before is over; nobody signed them. */
const SAID_OVER = new Set<PhoneErrorCode>(["ended", "expired", "code-expired", "unknown", "retired"]);

/**
 * What stays of an activation after an error: nothing, when the gateway said its end over the channel. After an error frame
 * the keys stay until their time is over, and are not offered any more.
 */
export async function putAway(store: PhoneStore, activation: string, error: PhoneClientError): Promise<void> {
  const isSigned = error.code === "ended" && error.details.reason !== undefined;
  if (isSigned) await store.deletePending(activation);
  else if (SAID_OVER.has(error.code)) await store.setPendingAside(activation);
}

/** Handshake and `bind`. Raises PhoneClientError; the socket is closed then. */
export async function link(context: ContactContext, record: PendingRecord): Promise<Linked> {
  const { environment } = context;
  const opened = await shakeHands(context, record);
  const { session } = opened.established;
  const answer = opened.established.answer;
  const clockOffset = answer.time * 1000 - environment.now();
  const conversation = new Conversation(opened.socket, session, environment);
  try {
    const kept: PendingRecord = {
      ...record,
      answered: true,
      isSetAside: false,
      tenant: answer.tenant,
      label: answer.label,
      expiresAt: answer.expires * 1000 - clockOffset,
    };
    await context.store.writePending(kept);
    const signature = await signByPhone(record, bindInput(session.handshakeHash));
    const device = { ...context.device, lang: context.lang };
    const bind = { t: "bind", key: record.signing.publicKey, signature, device } as const;
    const reply = await conversation.request(bind, "pending", "confirmed", "ended");
    const digits = await session.deviceCode();
    const deviceCode = `${digits.slice(0, 4)} ${digits.slice(4)}`;
    return { conversation, answer, reply, record: kept, deviceCode, clockOffset };
  } catch (cause) {
    conversation.close();
    // As the frame of that name says it before the handshake: the next try may be taken.
    throw isPassingProblem(cause) ? new PhoneClientError("busy", {}, { cause }) : cause;
  }
}

type Opened = { readonly socket: Awaited<ReturnType<typeof sendHello>>["socket"] } & {
  readonly established: Awaited<ReturnType<Started<FirstAnswer>["finish"]>>;
};

/** The hybrid suite; the classical one when the gateway's policy says so. */
async function shakeHands(context: ContactContext, record: PendingRecord): Promise<Opened> {
  const opened = (await attempt(context, record, 1)) ?? (await attempt(context, record, 2));
  if (opened === null) throw new PhoneClientError("suite");
  return opened;
}

async function attempt(context: ContactContext, record: PendingRecord, suite: ContactSuite): Promise<Opened | null> {
  const { environment, host, device, lang, store } = context;
  const psk = await store.unseal(record.psk, codePlace(record.activation));
  const activation = idBytes(record.activation);
  const { rotation, expiry, gatewayStatic } = record;
  const facts = { app: device.app, platform: device.platform, lang };
  const phoneKey = agreementKey(record);
  const input = { suite, host, activation, rotation, expiry, psk, gatewayStatic, phoneKey, facts };
  const started = await beginFirstContact(input);
  wipe(psk);
  const { socket, frame } = await sendHello(environment, host, started.hello);
  try {
    if (frame.kind === "error" && frame.error === "suite") {
      socket.close();
      return null;
    }
    if (frame.kind === "error") throw frameError(frame.error, environment.now() >= record.expiresAt);
    if (frame.kind === "stale") throw new PhoneClientError("protocol");
    return { socket, established: await started.finish(frame.message) };
  } catch (cause) {
    socket.close();
    throw cause;
  }
}
