/**
 * One answer on one connection: which factor a wish takes, the exact bytes that the phone's key signs, and the PIN's or
 * the device's own proof beside them. All of it is bound to the connection's h, so a lost answer is made anew on the next.
 */
import { answerInput, approvalPinInput, biometricChallenge } from "../protocol/approval";
import { type Bytes, equalBytes, fromBase64Url } from "../protocol/bytes";
import type { GatewayMessageOf, PhoneMessage } from "../protocol/messages";
import type { ChannelPin } from "./channel-pin";
import type { Conversation } from "./conversation";
import type { PlatformCredentials } from "./credentials";
import { PhoneClientError } from "./errors";
import { signByPhone } from "./keystore";
import type { BindingRecord } from "./records";
import { idBytes } from "./store";
import type { AnswerWish, ApprovalEnd, Ask, Decision, Factor } from "./types";

type AnswerMessage = Extract<PhoneMessage, { t: "answer" }>;
type Proof = Pick<AnswerMessage, "pin_signature" | "assertion">;

/** What is answered, checked against what was asked. */
export interface CheckedAnswer {
  readonly id: Bytes;
  readonly statement: Bytes;
  readonly decision: Decision;
  readonly factor: Factor;
  readonly number: number | null;
  readonly pin: string | null;
}

/** Raises `approval-unreadable`, `answer-incomplete`. */
export function checkAnswer(ask: Ask, wish: AnswerWish): CheckedAnswer {
  if (ask.statement === null) throw new PhoneClientError("approval-unreadable");
  const base = { id: fromBase64Url(ask.id), statement: ask.statement.raw, decision: wish.decision };
  if (wish.decision !== "approve") return { ...base, factor: "possession", number: null, pin: null };
  const factor = wish.biometric === true ? "biometric" : wish.pin !== undefined ? "pin" : "possession";
  const { number = null } = wish;
  if (!ask.factors.includes(factor) || !isNumberOf(ask, number)) throw new PhoneClientError("answer-incomplete");
  return { ...base, factor, number: ask.number === "none" ? null : number, pin: factor === "pin" ? (wish.pin ?? null) : null };
}

function isNumberOf(ask: Ask, number: number | null): boolean {
  switch (ask.number) {
    case "none":
      return true;
    case "choose":
      return number !== null && ask.numbers.includes(number);
    case "type":
      return number !== null && Number.isInteger(number) && number >= 10 && number <= 99;
  }
}

export interface AnswerContext {
  readonly conversation: Conversation;
  readonly record: BindingRecord;
  readonly pin: ChannelPin;
  readonly credentials: PlatformCredentials;
  /** Id of the binding's credential; null when there is none. */
  readonly credential: Bytes | null;
  /** Takes the device's own dialogue away. */
  readonly signal: AbortSignal;
}

/** Signs and sends. Raises `answer-wrong`, and what PIN and credential raise. */
export async function sendAnswer(
  context: AnswerContext,
  answer: CheckedAnswer,
  toLocal: (seconds: number) => number,
): Promise<ApprovalEnd> {
  const { conversation, record } = context;
  const { id, decision, factor, number, statement } = answer;
  const { handshakeHash } = conversation.session;
  const signed = answerInput({ decision, factor, number, binding: idBytes(record.id), handshakeHash, statement });
  const proof = await prove(context, answer, signed);
  const signature = await signByPhone(record, signed);
  const message: AnswerMessage = { t: "answer", id, decision, factor, number, signature, ...proof.members };
  const reply = await conversation.requestWhere(message, ["answered", "settled", "answer-wrong"], answersTo(id));
  if (factor === "pin") {
    if (reply.t !== "answer-wrong" && reply.state === "approved") context.pin.restore();
    else context.pin.spend(proof.pinLeft);
  }
  if (reply.t !== "answer-wrong") return reply.state;
  const { left, until, bank, last } = reply;
  throw new PhoneClientError("answer-wrong", { left, until: until === null ? null : toLocal(until), bank, last });
}

type Reply = GatewayMessageOf<"answered" | "settled" | "answer-wrong">;

/**
 * The gateway may tell all phones of an end before it answers this one, and then that end will do; but that a request has
 * failed may be this very answer's doing, of which `answer-wrong` says more. If it was another phone's, it is said twice.
 */
function answersTo(id: Bytes): (reply: Reply) => boolean {
  let hasFailed = false;
  return (reply) => {
    if (!equalBytes(reply.id, id)) return false;
    const isNews = !hasFailed && reply.t === "settled" && reply.state === "failed";
    hasFailed ||= isNews;
    return !isNews;
  };
}

interface Proved {
  readonly members: Proof;
  /** Tries of the PIN that are left if it was wrong. */
  readonly pinLeft: number;
}

async function prove(context: AnswerContext, answer: CheckedAnswer, signed: Bytes): Promise<Proved> {
  if (answer.factor === "biometric") return { members: { assertion: await assert(context, signed) }, pinLeft: 0 };
  if (answer.pin === null) return { members: {}, pinLeft: 0 };
  const { key, nonce, left } = await context.pin.evaluate(answer.pin);
  if (nonce === null) throw new PhoneClientError("protocol");
  const pin_signature = key.sign(approvalPinInput(context.conversation.session.handshakeHash, nonce, signed));
  key.wipe();
  return { members: { pin_signature }, pinLeft: left };
}

async function assert(context: AnswerContext, signed: Bytes): Promise<NonNullable<Proof["assertion"]>> {
  const { credential, credentials, record, signal } = context;
  if (credential === null) throw new PhoneClientError("biometric-missing");
  const made = await credentials.get({ rpId: rpId(record.host), challenge: biometricChallenge(signed), credential, signal });
  const { clientData, authenticatorData, signature } = made;
  return { credential, client_data: clientData, authenticator_data: authenticatorData, signature };
}

/** The relying party of a binding: the host's name without its port. */
export function rpId(host: string): string {
  return host.replace(/:[0-9]+$/, "");
}
