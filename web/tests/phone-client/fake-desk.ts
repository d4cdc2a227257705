/**
 * What the scripted gateway's bank asks and tells on an open channel: requests, messages, wake-ups, the credential, the
 * count of offline answers. It checks every signature of an answer over the statement that it sent itself.
 */
import { p256 } from "@noble/curves/nist.js";

import * as approval from "../../src/shared/protocol/approval";
import { type Bytes, concat, equalBytes, fromBase64Url, fromUtf8, toBase64Url, utf8 } from "../../src/shared/protocol/bytes";
import { randomBytes, sha256 } from "../../src/shared/protocol/primitives";
import type { ApprovalEnd, Decision, Factor } from "../../src/shared/phone-client";

export type Json = Record<string, unknown>;

export interface FakeRequest {
  readonly id: Bytes;
  readonly statement: Bytes;
  readonly factors: readonly Factor[];
  readonly number: "none" | "choose" | "type";
  readonly numbers: readonly number[];
  readonly rightNumber: number | null;
  left: number;
  state: ApprovalEnd | "pending";
  /** Answers that were counted. */
  answers: number;
}

/** Who answers, on which connection. */
export interface Answering {
  readonly bindingId: Bytes;
  readonly signingKey: Bytes;
  readonly pinKey: Bytes;
  readonly handshakeHash: Bytes;
  /** Of the evaluation that waits for a proof; taken by the answer. */
  takeNonce(): Bytes | null;
  takeProof(): boolean;
}

/** How many of the answers that a phone tells of may still be typed. */
const STANDING = 5;
const END_OF: Record<Decision, ApprovalEnd> = { approve: "approved", refuse: "refused", report: "reported" };
export const PAYMENT = { type: "payment", fields: { account: "FR76 3000", amount: "1250.00", currency: "EUR", payee: "Ateliers Moreau", purpose: "Facture 7\nMerci" } };
export const LOGIN = { type: "login", fields: { browser: "Firefox on Linux", place: "Lyon" } };

/** RFC 8785 of what a statement holds. */
export function canonical(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`).join(",")}}`;
}

export function makeStatement(what: object, times: { id: Bytes; created: number; expires: number }): Bytes {
  const { id, created, expires } = times;
  return utf8(canonical({ v: 1, id: toBase64Url(id), bank: "Bank", user: "u1", created, expires, nonce: toBase64Url(randomBytes(16)), ...what }));
}

export class FakeDesk {
  readonly requests: FakeRequest[] = [];
  readonly messages: { id: Bytes; title: string; body: string; read: boolean }[] = [];
  readonly pushKey = p256.getPublicKey(p256.utils.randomSecretKey(), false);
  subscription: Json | null = null;
  policy = "optional";
  credential: { id: Bytes; key: Bytes } | null = null;
  challenge: Bytes | null = null;
  counted: number | null = null;
  /** What a wrong answer of this phone is told beside what is left. */
  block = { until: null as number | null, bank: false, last: false };

  /** Whether all phones hear of an end before the one that answered does. */
  tellsAllFirst = false;
  /** Another request, which ends just before an answer is answered. */
  aside: FakeRequest | null = null;

  constructor(readonly time: number) {}

  /** A new request. */
  make(what: object, options: Partial<Pick<FakeRequest, "factors" | "number" | "numbers" | "rightNumber" | "left">> & { lifeS?: number } = {}): FakeRequest {
    const { lifeS = 60, factors = ["pin", "biometric"], number = "none", numbers = [], rightNumber = null, left = 5 } = options;
    const id = randomBytes(16);
    const statement = makeStatement(what, { id, created: this.time, expires: this.time + lifeS });
    const request: FakeRequest = { id, statement, factors, number, numbers, rightNumber, left, state: "pending", answers: 0 };
    this.requests.push(request);
    return request;
  }

  askOf(request: FakeRequest): Json {
    const { id, statement, factors, number, numbers } = request;
    return { t: "ask", id: toBase64Url(id), statement: toBase64Url(statement), factors, number, numbers, time: this.time };
  }

  /** What a phone is told when its channel opens. */
  opening(): Json[] {
    const told: Json[] = [this.#unread(), { t: "push-key", key: toBase64Url(this.pushKey), subscribed: this.subscription !== null }, this.#biometricState()];
    return [...told, ...this.requests.filter(({ state }) => state === "pending").map((request) => this.askOf(request))];
  }

  /** What all phones are told before an answer is answered. */
  beforeAnswer(message: Json): Json[] {
    if (message["t"] !== "answer") return [];
    const told: Json[] = [];
    if (this.aside !== null) {
      this.aside.state = "cancelled";
      told.push({ t: "settled", id: toBase64Url(this.aside.id), state: "cancelled" });
    }
    const request = this.requests.find(({ id }) => toBase64Url(id) === message["id"]);
    if (this.tellsAllFirst && request !== undefined && request.state !== "pending") told.push({ t: "settled", id: message["id"], state: request.state });
    return told;
  }

  /** The answer to a message of the parts; null when it is none. */
  answer(message: Json, who: Answering): Json | null {
    switch (message["t"]) {
      case "answer":
        return this.#decide(message, who);
      case "approvals":
        return this.#past(message);
      case "inbox":
        return this.#inbox(message);
      case "inbox-read":
        for (const entry of this.messages) entry.read ||= toBase64Url(entry.id) === message["id"];
        return this.#unread();
      case "push-subscribe":
        this.subscription = message;
        return { t: "push-subscribed", subscribed: true };
      case "push-unsubscribe":
        this.subscription = null;
        return { t: "push-subscribed", subscribed: false };
      case "biometric-begin":
        if (!who.takeProof()) return { t: "problem", code: "out-of-turn" };
        this.challenge = randomBytes(32);
        return { t: "biometric-challenge", challenge: toBase64Url(this.challenge), user: toBase64Url(randomBytes(16)) };
      case "biometric-enrol":
        return this.#enrol(message);
      case "biometric-remove":
        this.credential = null;
        return this.#biometricState();
      case "offline-counter":
        this.counted = Math.max(this.counted ?? 0, Number(message["value"]));
        return { t: "offline-counted", value: Math.max(0, this.counted - STANDING) };
      default:
        return null;
    }
  }

  #decide(message: Json, who: Answering): Json {
    const request = this.requests.find(({ id }) => toBase64Url(id) === message["id"]);
    if (request === undefined) return { t: "problem", code: "not-found" };
    const nonce = who.takeNonce();
    const decision = message["decision"] as Decision;
    if (request.state === "pending") {
      try {
        this.#check(message, request, { who, nonce });
      } catch {
        request.left -= 1;
        if (request.left === 0) request.state = "failed";
        return { t: "answer-wrong", id: message["id"], left: request.left, ...this.block };
      }
      request.state = END_OF[decision];
      request.answers += 1;
    }
    const isOwn = request.answers > 0 && request.state === END_OF[decision];
    return { t: isOwn ? "answered" : "settled", id: message["id"], state: request.state };
  }

  #check(message: Json, request: FakeRequest, { who, nonce }: { who: Answering; nonce: Bytes | null }): void {
    const decision = message["decision"] as Decision;
    const factor = message["factor"] as Factor;
    const number = message["number"] as number | null;
    const { bindingId: binding, handshakeHash } = who;
    const input = approval.answerInput({ decision, factor, number, binding, handshakeHash, statement: request.statement });
    verify(who.signingKey, input, message["signature"]);
    if (decision !== "approve") return;
    if (!request.factors.includes(factor) || number !== request.rightNumber) throw new Error("not allowed");
    if (factor === "pin") verify(who.pinKey, approval.approvalPinInput(handshakeHash, nonce!, input), message["pin_signature"]);
    if (factor === "biometric") this.#checkAssertion(message["assertion"] as Json, approval.biometricChallenge(input));
  }

  #checkAssertion(assertion: Json, challenge: Bytes): void {
    const { id, key } = this.credential!;
    const clientData = fromBase64Url(String(assertion["client_data"]));
    const told = JSON.parse(fromUtf8(clientData)) as Json;
    const right = told["type"] === "webauthn.get" && told["challenge"] === toBase64Url(challenge);
    if (!right || !equalBytes(fromBase64Url(String(assertion["credential"])), id)) throw new Error("assertion");
    const signed = concat(fromBase64Url(String(assertion["authenticator_data"])), sha256(clientData));
    if (!p256.verify(fromBase64Url(String(assertion["signature"])), signed, key, { format: "der", lowS: false })) throw new Error("assertion");
  }

  #enrol(message: Json): Json {
    const told = JSON.parse(fromUtf8(fromBase64Url(String(message["client_data"])))) as Json;
    if (told["challenge"] !== toBase64Url(this.challenge!)) return { t: "problem", code: "biometric-refused" };
    // The authenticator's last 77 bytes are its COSE key, and the 16 before them its id.
    const made = fromBase64Url(String(message["attestation_object"]));
    const key = concat(new Uint8Array([4]), made.subarray(-67, -35), made.subarray(-32));
    this.credential = { id: made.slice(-93, -77), key };
    return this.#biometricState();
  }

  #past(message: Json): Json {
    const settled = this.requests.filter(({ state }) => state !== "pending").reverse();
    const { page, more } = cutPage(settled, message["before"]);
    const items = page.map(({ id, statement, state, answers }) => ({ id: toBase64Url(id), statement: toBase64Url(statement), state, at: this.time, here: answers > 0 }));
    return { t: "approval-page", items, more };
  }

  #inbox(message: Json): Json {
    const { page, more } = cutPage([...this.messages].reverse(), message["before"]);
    const items = page.map(({ id, ...rest }) => ({ id: toBase64Url(id), ...rest, at: this.time, expires: null }));
    return { t: "inbox-page", items, more, unread: this.#unread()["count"] };
  }

  #unread(): Json {
    return { t: "unread", count: this.messages.filter(({ read }) => !read).length };
  }

  #biometricState(): Json {
    return { t: "biometric-state", policy: this.policy, credential: this.credential === null ? null : toBase64Url(this.credential.id) };
  }
}

const PAGE = 2;

function cutPage<Item extends { id: Bytes }>(items: readonly Item[], before: unknown): { page: readonly Item[]; more: boolean } {
  const from = before === undefined ? 0 : items.findIndex(({ id }) => toBase64Url(id) === before) + 1;
  return { page: items.slice(from, from + PAGE), more: items.length > from + PAGE };
}

export function verify(key: Bytes, input: Bytes, signature: unknown): void {
  if (!p256.verify(fromBase64Url(String(signature)), input, key, { lowS: false })) throw new Error("signature");
}
