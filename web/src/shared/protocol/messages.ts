/**
 * Every JSON message of the wire specification (sections 4, 5 and 12), as types. What the gateway says is decoded strictly:
 * exactly the members named, each within its limits. What the phone says is built by typed functions from bytes. A
 * decoded message says nothing about whether it is due: the phone client decides that.
 */
import { type Bytes, toBase64Url, utf8 } from "./bytes";
import { ProtocolError } from "./errors";
import { MAX_FRAME_BYTES } from "./frames";
import {
  base64,
  base64UpTo,
  boolean,
  type Check,
  integer,
  list,
  nullable,
  object,
  objectWith,
  oneOf,
  parseJson,
  plainText,
  text,
} from "./validate";

export type Platform = "web" | "android" | "ios" | "cli";
export type Lang = "fr" | "en";
/** What shows that it is the customer who answers. */
export type Factor = "possession" | "pin" | "biometric";
export type Decision = "approve" | "refuse" | "report";

/** A transport message is a frame: its JSON is shorter by the cipher's tag. */
export const MAX_JSON_BYTES = MAX_FRAME_BYTES - 16;

const seconds = integer(0, Number.MAX_SAFE_INTEGER);
const count = integer(0, 255);
const digits = integer(4, 12);
const index = integer(0, 0xffffffff);
const name = text(64, 1);
const id = base64(16);
const statement = base64UpTo(8_192);
const credential = base64UpTo(1_023);
const approvalEnd = oneOf("approved", "refused", "reported", "expired", "cancelled", "failed");
const biometricPolicy = oneOf("off", "optional", "required");
/** Items of one page, at most. */
const MOST_ITEMS = 10;

const FIRST_ANSWER = object({
  binding: base64(16),
  tenant: text(64),
  label: text(128),
  pin: object({ digits }),
  biometric: biometricPolicy,
  two_step: boolean,
  time: seconds,
  expires: seconds,
});
const RESUME_ANSWER = object({ time: seconds });

const tag = <T extends string>(value: T): Check<T> => oneOf(value);

const GATEWAY_MESSAGES = {
  pending: object({ t: tag("pending"), tries: count }),
  "wrong-code": object({ t: tag("wrong-code"), left: count }),
  ended: object({ t: tag("ended"), reason: oneOf("device-code", "expired", "cancelled", "contested") }),
  confirmed: objectWith({ t: tag("confirmed") }, { nonce: base64(10) }),
  "pin-evaluated": objectWith(
    { t: tag("pin-evaluated"), element: base64(33), left: count },
    { nonce: base64(16) },
  ),
  "pin-blocked": object({ t: tag("pin-blocked"), until: nullable(seconds) }),
  active: object({ t: tag("active"), added: seconds }),
  welcome: objectWith(
    {
      t: tag("welcome"),
      next: index,
      state: tag("active"),
      tenant: text(64),
      label: text(128),
      hybrid_due: seconds,
      pin: object({ digits, left: count, blocked_until: nullable(seconds) }),
    },
    { gateway_key: base64(65) },
  ),
  pong: object({ t: tag("pong"), time: seconds }),
  "pin-proved": object({ t: tag("pin-proved") }),
  "pin-wrong": object({ t: tag("pin-wrong"), left: count, until: nullable(seconds) }),
  "pin-change-ready": object({ t: tag("pin-change-ready") }),
  "pin-enrolled": object({ t: tag("pin-enrolled") }),
  renamed: object({ t: tag("renamed"), name }),
  removed: object({ t: tag("removed") }),
  state: object({ t: tag("state"), state: oneOf("active", "suspended", "removed") }),
  ask: object({
    t: tag("ask"),
    id,
    statement,
    factors: list(oneOf("possession", "pin", "biometric"), 3, 1),
    number: oneOf("none", "choose", "type"),
    numbers: list(integer(10, 99), 3),
    time: seconds,
  }),
  settled: object({ t: tag("settled"), id, state: approvalEnd }),
  answered: object({ t: tag("answered"), id, state: approvalEnd }),
  "answer-wrong": object({
    t: tag("answer-wrong"),
    id,
    left: count,
    until: nullable(seconds),
    bank: boolean,
    last: boolean,
  }),
  "approval-page": object({
    t: tag("approval-page"),
    items: list(object({ id, statement, state: approvalEnd, at: seconds, here: boolean }), MOST_ITEMS),
    more: boolean,
  }),
  "inbox-page": object({
    t: tag("inbox-page"),
    items: list(
      object({ id, title: text(128), body: plainText(2_048), at: seconds, expires: nullable(seconds), read: boolean }),
      MOST_ITEMS,
    ),
    more: boolean,
    unread: index,
  }),
  unread: object({ t: tag("unread"), count: index }),
  "push-key": object({ t: tag("push-key"), key: base64(65), subscribed: boolean }),
  "push-subscribed": object({ t: tag("push-subscribed"), subscribed: boolean }),
  "biometric-challenge": object({ t: tag("biometric-challenge"), challenge: base64(32), user: id }),
  "biometric-state": object({ t: tag("biometric-state"), policy: biometricPolicy, credential: nullable(credential) }),
  "offline-counted": object({ t: tag("offline-counted"), value: seconds }),
  problem: object({ t: tag("problem"), code: text(64) }),
} as const;

export type FirstAnswer = ReturnType<typeof FIRST_ANSWER>;
export type ResumeAnswer = ReturnType<typeof RESUME_ANSWER>;
export type GatewayTag = keyof typeof GATEWAY_MESSAGES;
/** The message of a tag, as decoded. */
export type GatewayMessageOf<T extends GatewayTag> = ReturnType<(typeof GATEWAY_MESSAGES)[T]>;
export type GatewayMessage = { [T in GatewayTag]: GatewayMessageOf<T> }[GatewayTag];

const TAGS = new Set<string>(Object.keys(GATEWAY_MESSAGES));

function parseSized(bytes: Uint8Array): unknown {
  if (bytes.length > MAX_JSON_BYTES) throw new ProtocolError("malformed", "message too long");
  return parseJson(bytes);
}

/** Decodes what the gateway sent in a transport message. Raises `malformed`. */
export function decodeGatewayMessage(bytes: Uint8Array): GatewayMessage {
  const value = parseSized(bytes);
  const found = typeof value === "object" && value !== null && "t" in value ? value.t : undefined;
  if (typeof found !== "string" || !TAGS.has(found)) throw new ProtocolError("malformed", "unknown message");
  return GATEWAY_MESSAGES[found as GatewayTag](value, found);
}

/** Decodes the payload of a first contact's m2. Raises `malformed`. */
export function decodeFirstAnswer(bytes: Uint8Array): FirstAnswer {
  return FIRST_ANSWER(parseSized(bytes), "m2");
}

/** Decodes the payload of a later contact's m2. Raises `malformed`. */
export function decodeResumeAnswer(bytes: Uint8Array): ResumeAnswer {
  return RESUME_ANSWER(parseSized(bytes), "m2");
}

/** The payload of m1. It can be replayed: nothing privileged belongs here. */
export interface Facts {
  readonly app: string;
  readonly platform: Platform;
  readonly lang: Lang;
}

export interface DeviceMessage extends Facts {
  readonly name: string;
  readonly model: string;
  readonly os: string;
}

/** What the phone says in transport messages, with bytes as bytes. */
export type PhoneMessage =
  | { readonly t: "bind"; readonly key: Bytes; readonly signature: Bytes; readonly device: DeviceMessage }
  | { readonly t: "cancel" }
  | { readonly t: "pin-evaluate"; readonly blinded: Bytes }
  | {
      readonly t: "commit";
      readonly nonce: Bytes;
      readonly signature: Bytes;
      readonly pin_key: Bytes;
      readonly pin_signature: Bytes;
      readonly pin_verifier: Bytes;
    }
  | { readonly t: "ready" }
  | { readonly t: "ping" }
  | { readonly t: "pin-prove"; readonly signature: Bytes }
  | { readonly t: "pin-change" }
  | { readonly t: "pin-enrol"; readonly pin_key: Bytes; readonly pin_signature: Bytes; readonly pin_verifier: Bytes }
  | { readonly t: "rename"; readonly name: string }
  | { readonly t: "remove" }
  | AnswerMessage
  | { readonly t: "approvals"; readonly before?: Bytes }
  | { readonly t: "inbox"; readonly before?: Bytes }
  | { readonly t: "inbox-read"; readonly id: Bytes }
  | { readonly t: "push-subscribe"; readonly endpoint: string; readonly p256dh: Bytes; readonly auth: Bytes }
  | { readonly t: "push-unsubscribe" }
  | { readonly t: "biometric-begin" }
  | { readonly t: "biometric-enrol"; readonly client_data: Bytes; readonly attestation_object: Bytes }
  | { readonly t: "biometric-remove" }
  | { readonly t: "offline-counter"; readonly value: number };

/** A WebAuthn assertion over `biometricChallenge`. */
export interface Assertion {
  readonly credential: Bytes;
  readonly client_data: Bytes;
  readonly authenticator_data: Bytes;
  readonly signature: Bytes;
}

/** What the customer decided: `pin_signature` goes with factor "pin", `assertion` with "biometric". */
export interface AnswerMessage {
  readonly t: "answer";
  readonly id: Bytes;
  readonly decision: Decision;
  readonly factor: Factor;
  readonly number: number | null;
  readonly signature: Bytes;
  readonly pin_signature?: Bytes;
  readonly assertion?: Assertion;
}

function checkFacts(facts: Facts): { app: string; platform: Platform; lang: Lang } {
  return { app: text(64)(facts.app, "app"), platform: facts.platform, lang: facts.lang };
}

/** The JSON of m1's payload. Raises `malformed` when a member does not fit. */
export function encodeFacts(facts: Facts): Bytes {
  return utf8(JSON.stringify({ v: 1, ...checkFacts(facts) }));
}

function checkDevice(device: DeviceMessage): Record<string, string> {
  return {
    name: name(device.name, "name"),
    model: text(64)(device.model, "model"),
    os: text(64)(device.os, "os"),
    ...checkFacts(device),
  };
}

/** The JSON of a transport message. Raises `malformed` when a text does not fit. */
export function encodePhoneMessage(message: PhoneMessage): Bytes {
  switch (message.t) {
    case "bind": {
      const { t, key, signature, device } = message;
      return json({ t, key, signature, attestation: { type: "none" }, device: checkDevice(device) });
    }
    case "rename":
      return json({ t: message.t, name: name(message.name, "name") });
    default:
      return json(message);
  }
}

function json(message: object): Bytes {
  return utf8(JSON.stringify(message, (_, value: unknown) => (value instanceof Uint8Array ? toBase64Url(value) : value)));
}
