/**
 * The requests of an open channel: those that wait for an answer, answering them through lost connections, and those of
 * the past. A request leaves the list when the gateway says so, when its answer stands, or when its time is over.
 */
import { fromBase64Url, toBase64Url } from "../protocol/bytes";
import type { GatewayMessageOf } from "../protocol/messages";
import { type AnswerContext, checkAnswer, type CheckedAnswer, sendAnswer } from "./answer";
import type { ChannelPin } from "./channel-pin";
import { PhoneClientError } from "./errors";
import { isPassing, toPhoneError } from "./failures";
import type { Line } from "./line";
import { showStatement } from "./statements";
import type { AnswerWish, ApprovalEnd, Ask, ChannelEvents, Decision, Page, PastApproval } from "./types";

/** The longest life of a request: how long one stays that this app cannot read. */
const LONGEST_LIFE_MS = 600_000;
/** How long after a request's end its answer may still wait for a connection. */
const GRACE_MS = 15_000;
const SHORTEST_WAIT_MS = 250;
const ENDS_KEPT = 64;

const END_OF: Readonly<Record<Decision, ApprovalEnd>> = { approve: "approved", refuse: "refused", report: "reported" };

type Tell = <Name extends "asks" | "asked" | "settled">(name: Name, event: ChannelEvents[Name]) => void;

/** What the channel's other parts give to an answer. */
export interface ApprovalParts {
  readonly pin: ChannelPin;
  readonly credential: () => AnswerContext["credential"];
  readonly tell: Tell;
}

export class Approvals {
  readonly #line: Line;
  readonly #parts: ApprovalParts;
  readonly #asks = new Map<string, Ask>();
  /** How the latest ones ended, for those who come late. */
  readonly #ends = new Map<string, ApprovalEnd>();
  /** Being answered: their end is the gateway's to say. Aborting takes the device's dialogue away. */
  readonly #answering = new Map<string, AbortController>();
  /** Known from an earlier connection, and not asked again on this one yet. */
  #unconfirmed = new Set<string>();
  #stopTimer: () => void = () => undefined;

  constructor(line: Line, parts: ApprovalParts) {
    this.#line = line;
    this.#parts = parts;
  }

  /** The one that ends first in front. */
  get list(): readonly Ask[] {
    return [...this.#asks.values()].sort((left, right) => left.expiresAt - right.expiresAt);
  }

  /** A new connection: what waits is asked anew on it. */
  onStart(): void {
    this.#unconfirmed = new Set(this.#asks.keys());
    if (this.#unconfirmed.size > 0) void this.#reconcile().catch(() => undefined);
  }

  /** The device's dialogue serves the connection that it was opened for. */
  onLost(): void {
    for (const dialogue of this.#answering.values()) dialogue.abort();
  }

  onAsk(message: GatewayMessageOf<"ask">): void {
    const ask = this.#read(message);
    this.#unconfirmed.delete(ask.id);
    if (this.#ends.has(ask.id)) return;
    const known = this.#asks.has(ask.id);
    this.#asks.set(ask.id, ask);
    this.#schedule();
    if (known) return;
    this.#parts.tell("asks", {});
    this.#parts.tell("asked", { ask });
  }

  onSettled(message: GatewayMessageOf<"settled" | "answered">): void {
    this.#settle(toBase64Url(message.id), message.state);
  }

  /** Drops those whose time is over. */
  readonly prune = (): void => {
    const now = this.#line.environment.now();
    for (const { id, expiresAt } of this.list) {
      // Not noted as its end: a clock that was set wrong may be wrong about it, and the gateway asks again then.
      if (expiresAt <= now && !this.#answering.has(id)) this.#drop(id, "expired");
    }
    this.#schedule();
  };

  close(): void {
    this.#stopTimer();
    this.onLost();
  }

  /** See `Channel.answer`. */
  async answer(id: string, wish: AnswerWish): Promise<ApprovalEnd> {
    this.prune();
    const ask = this.#asks.get(id);
    if (ask === undefined) throw new PhoneClientError("approval-ended", { state: this.#ends.get(id) ?? "expired" });
    const answer = checkAnswer(ask, wish);
    if (answer.pin !== null) this.#parts.pin.check(answer.pin);
    if (this.#answering.has(id)) throw new PhoneClientError("closed");
    this.#answering.set(id, new AbortController());
    try {
      const patience = (): number => Math.max(0, ask.expiresAt - this.#line.environment.now()) + GRACE_MS;
      const state = await this.#line.throughLosses(() => this.#send(id, answer), patience);
      this.#settle(id, state);
      if (state !== END_OF[wish.decision]) throw new PhoneClientError("approval-ended", { state });
      return state;
    } catch (cause) {
      const error = toPhoneError(cause);
      if (error.code === "answer-wrong" && error.details.left === 0) this.#settle(id, "failed");
      throw error;
    } finally {
      this.#answering.delete(id);
      this.prune();
    }
  }

  /** See `Channel.approvals`. */
  async past(before?: string): Promise<Page<PastApproval>> {
    return this.#line.inTurn(() => this.#page(before));
  }

  async #page(before?: string): Promise<Page<PastApproval>> {
    const { conversation, toLocal } = this.#line;
    const from = before === undefined ? {} : { before: fromBase64Url(before) };
    const page = await conversation.request({ t: "approvals", ...from }, "approval-page");
    const items = page.items.map(({ id, statement, state, at, here }) => ({
      id: toBase64Url(id),
      statement: showStatement(statement, toLocal, id),
      state,
      at: toLocal(at),
      here,
    }));
    return { items, more: page.more };
  }

  /** One try on the present connection. A dialogue that was taken away tells what took it. */
  async #send(id: string, answer: CheckedAnswer): Promise<ApprovalEnd> {
    // A lost answer that had arrived: the past of this connection tells, and the PIN need not be tried again.
    const known = this.#ends.get(id);
    if (known !== undefined) return known;
    const line = this.#line;
    const dialogue = new AbortController();
    this.#answering.set(id, dialogue);
    const { conversation, record } = line;
    const { credentials } = line.environment;
    const { pin, credential } = this.#parts;
    const context = { conversation, record, pin, credentials, credential: credential(), signal: dialogue.signal };
    try {
      return await sendAnswer(context, answer, line.toLocal);
    } catch (cause) {
      const error = toPhoneError(cause);
      const taken = error.code === "biometric-cancelled" && dialogue.signal.aborted;
      const state = this.#ends.get(id);
      if (state !== undefined && (taken || isPassing(error))) return state;
      throw taken ? new PhoneClientError("connection-lost", {}, { cause }) : error;
    }
  }

  #read(message: GatewayMessageOf<"ask">): Ask {
    const { environment, bindingId } = this.#line;
    const { id, factors, number, numbers } = message;
    if ((number === "choose") !== numbers.length > 0) throw new PhoneClientError("protocol");
    // By the gateway's time of this message: the phone's clock may have been set since the contact began.
    const offset = message.time * 1000 - environment.now();
    const statement = showStatement(message.statement, (seconds) => seconds * 1000 - offset, id);
    const expiresAt = statement?.expires ?? environment.now() + LONGEST_LIFE_MS;
    return { id: toBase64Url(id), bindingId, statement, factors, number, numbers, expiresAt };
  }

  /** What is not asked again was settled meanwhile: the list of the past says how. It comes after all that waits. */
  async #reconcile(): Promise<void> {
    await this.#line.inTurn(async () => {
      const { items } = await this.#page();
      const states = new Map(items.map(({ id, state }) => [id, state]));
      for (const id of this.#unconfirmed) {
        const state = states.get(id) ?? (this.#answering.has(id) ? undefined : "expired");
        if (state !== undefined) this.#settle(id, state);
      }
    });
  }

  #settle(id: string, state: ApprovalEnd): void {
    this.#ends.set(id, state);
    for (const [oldest] of this.#ends) {
      if (this.#ends.size <= ENDS_KEPT) break;
      this.#ends.delete(oldest);
    }
    this.#drop(id, state);
  }

  #drop(id: string, state: ApprovalEnd): void {
    this.#unconfirmed.delete(id);
    if (!this.#asks.delete(id)) return;
    this.#answering.get(id)?.abort();
    this.#schedule();
    this.#parts.tell("asks", {});
    this.#parts.tell("settled", { id, state });
  }

  #schedule(): void {
    this.#stopTimer();
    const next = this.list.find(({ id }) => !this.#answering.has(id));
    if (next === undefined || this.#line.closed) return;
    const wait = Math.max(SHORTEST_WAIT_MS, next.expiresAt - this.#line.environment.now());
    this.#stopTimer = this.#line.environment.after(wait, this.prune);
  }
}
