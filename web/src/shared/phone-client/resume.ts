/**
 * A later contact (section 5 of the specification), from the stored ratchet key to `welcome`. The caller holds the
 * binding's lock, so that no other tab runs the ratchet. Order matters: the next key is stored before `ready` is sent,
 * and the old one erased only after `welcome`; so a lost answer at any step locks nobody out. Another S that `welcome`
 * tells is stored in the same write as the index that runs under it.
 */
import { type Bytes, wipe } from "../protocol/bytes";
import { staleAnswerFrame } from "../protocol/frames";
import { beginResume } from "../protocol/handshake";
import { staleInput } from "../protocol/keys";
import type { GatewayMessageOf, Lang } from "../protocol/messages";
import { compressPoint } from "../protocol/primitives";
import type { Session } from "../protocol/session";
import { type Answered, nextFrame, sendHello } from "./connect";
import { Conversation } from "./conversation";
import type { FrameSocket, PhoneEnvironment } from "./environment";
import { PhoneClientError } from "./errors";
import { frameError } from "./failures";
import { agreementKey, signByPhone } from "./keystore";
import type { BindingRecord } from "./records";
import { idBytes, type PhoneStore } from "./store";

export interface ResumeContext {
  readonly store: PhoneStore;
  readonly environment: PhoneEnvironment;
  readonly bindingId: string;
  readonly host: string;
  readonly app: string;
  readonly lang: Lang;
}

export interface Resumed {
  readonly conversation: Conversation;
  readonly record: BindingRecord;
  readonly welcome: GatewayMessageOf<"welcome">;
  /** The gateway's clock less the phone's, in milliseconds. */
  readonly clockOffset: number;
}

type ResumeSuite = 3 | 4;

interface Opened {
  readonly socket: FrameSocket;
  readonly session: Session;
  readonly clockOffset: number;
}

/** The place of a ratchet key in the store's sealing. */
export function ratchetPlace(bindingId: string, index: number): string {
  return `bpsk ${bindingId} ${index}`;
}

/** Runs one resume. Raises PhoneClientError; `not-committed` when an unfinished binding is unknown to the gateway. */
export async function resumeBinding(context: ResumeContext): Promise<Resumed> {
  const record = await context.store.readBinding(context.bindingId);
  if (record?.host !== context.host) throw new PhoneClientError("binding-missing");
  const { hybridDueAt } = record;
  const suite = hybridDueAt !== null && hybridDueAt <= context.environment.now() ? 4 : 3;
  const opened = await openSession(context, record, suite);
  return climb(context, record, opened);
}

/** Handshake, with the other suite once when the gateway's policy wants that. */
async function openSession(context: ResumeContext, record: BindingRecord, suite: ResumeSuite): Promise<Opened> {
  const first = await attempt(context, record, suite);
  if (first !== "suite") return first;
  const second = await attempt(context, record, suite === 3 ? 4 : 3);
  if (second === "suite") throw new PhoneClientError("suite");
  return second;
}

async function attempt(context: ResumeContext, record: BindingRecord, suite: ResumeSuite): Promise<Opened | "suite"> {
  const { environment, store } = context;
  const { index } = record.ratchet;
  const binding = idBytes(record.id);
  const psk = await store.unseal(record.ratchet.psk, ratchetPlace(record.id, index));
  const facts = { app: context.app, platform: record.platform, lang: context.lang };
  const { host, gatewayStatic } = record;
  const phoneKey = agreementKey(record);
  const started = await beginResume({ suite, host, binding, index, psk, gatewayStatic, phoneKey, facts });
  wipe(psk);
  let answered = await sendHello(environment, host, started.hello);
  try {
    if (answered.frame.kind === "stale") {
      const claim = staleInput(binding, index, answered.frame.nonce, started);
      answered = await answerStale(context, record, answered, claim);
    }
    const { frame, socket } = answered;
    if (frame.kind === "stale") throw new PhoneClientError("protocol");
    if (frame.kind === "error") {
      if (frame.error === "suite") {
        socket.close();
        return "suite";
      }
      // There is no code to scan again: this contact did not verify, and the next may.
      if (frame.error === "refused") throw new PhoneClientError("problem", { problem: frame.error });
      const unfinished = frame.error === "unknown" && record.state === "committing";
      throw unfinished ? new PhoneClientError("not-committed") : frameError(frame.error, false);
    }
    const { answer, session } = await started.finish(frame.message);
    return { socket, session, clockOffset: answer.time * 1000 - environment.now() };
  } catch (cause) {
    answered.socket.close();
    throw cause;
  }
}

/** The gateway does not hold our index: sign its challenge of our hello, and hear what it says of two holders of one key. */
async function answerStale(
  context: ResumeContext,
  record: BindingRecord,
  answered: Answered,
  claim: Bytes,
): Promise<Answered> {
  answered.socket.send(staleAnswerFrame(await signByPhone(record, claim)));
  const frame = await nextFrame(context.environment, answered.socket);
  if (frame.kind !== "error") throw new PhoneClientError("protocol");
  return { socket: answered.socket, frame };
}

/** A problem at `ready` says that another contact of ours came in between: the next try reads the ratchet anew. */
function passing(cause: unknown): never {
  const moved = cause instanceof PhoneClientError && cause.code === "problem";
  throw moved ? new PhoneClientError("connection-lost", {}, { cause }) : cause;
}

/** The ratchet's step: store the next key, `ready`, `welcome`, erase the old one. */
async function climb(context: ResumeContext, record: BindingRecord, opened: Opened): Promise<Resumed> {
  const { store, environment } = context;
  const { session, clockOffset } = opened;
  const index = record.ratchet.index + 1;
  const conversation = new Conversation(opened.socket, session, environment);
  try {
    const secret = await session.export("ratchet");
    const next = await store.seal(secret, ratchetPlace(record.id, index));
    wipe(secret);
    await store.updateBinding(record.id, { ratchet: { ...record.ratchet, next } });
    const welcome = await conversation.request({ t: "ready" }, "welcome").catch(passing);
    if (welcome.next !== index) throw new PhoneClientError("protocol");
    // What is no point would lock this phone out: it is refused here, before anything is stored.
    const moved = welcome.gateway_key === undefined ? {} : { gatewayStatic: compressPoint(welcome.gateway_key) };
    const settled = await store.settleBinding(record.id, {
      state: "active",
      tenant: welcome.tenant,
      label: welcome.label,
      pinDigits: welcome.pin.digits,
      lastSeenAt: environment.now(),
      hybridDueAt: welcome.hybrid_due * 1000 - clockOffset,
      ratchet: { index, psk: next, next: null },
      ...moved,
    });
    return { conversation, record: settled, welcome, clockOffset };
  } catch (cause) {
    conversation.close();
    throw cause;
  }
}
