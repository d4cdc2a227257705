/**
 * One request of the bank as the phone's screen sees it: reading, proving who one is, sending, its end. Answers by the channel of its
 * binding, whichever that is at the moment, and waits for one when there is none. No DOM.
 *
 *   review ⇄ pin → sending ⇄ waiting (no connection) → ended
 */
import { PhoneClientError, type AnswerWish, type ApprovalEnd, type Ask, type Channel, type Decision } from "../shared/phone-client/index.js";

export type AskStep = "review" | "pin" | "sending" | "waiting" | "ended";

/** How it ended; `here`: by an answer of this phone. "unknown": it was sent, and the bank did not say what became of it. */
export interface AskEnd {
  readonly state: ApprovalEnd | "unknown";
  readonly here: boolean;
}

export interface AskFlowOptions {
  readonly ask: Ask;
  /** The bank's name on this phone, for what this app cannot read. */
  readonly tenant: string;
  readonly channel: () => Channel | null;
  readonly now?: () => number;
}

/** Nothing was decided about it: the same wish goes once there is a connection. */
const WAITING = ["offline", "connection-lost", "closed"];
/** The request stands, and the person can do it again or another way. */
const REPEATABLE = ["answer-wrong", "answer-incomplete", "pin-format", "pin-wrong", "pin-blocked", "biometric-cancelled", "biometric-unsupported", "biometric-missing", "busy", "problem"];

/** What the person has to put right on the first page, not in the PIN pad. */
const FOR_REVIEW = ["answer-incomplete", "biometric-cancelled", "biometric-unsupported", "biometric-missing"];

export class AskFlow {
  readonly ask: Ask;
  readonly tenant: string;
  step: AskStep = "review";
  decision: Decision | null = null;
  /** The digits of the bank's page, once chosen or typed. */
  number: number | null = null;
  end: AskEnd | null = null;
  /** What went wrong with the last try, or why it could not be ended otherwise. */
  failure: unknown = null;

  readonly #options: AskFlowOptions;
  readonly #listeners = new Set<() => void>();
  /** Kept while it is on its way, with the PIN in it, and let go with its end. */
  #wish: AnswerWish | null = null;
  #busy = false;

  constructor(options: AskFlowOptions) {
    this.#options = options;
    this.ask = options.ask;
    this.tenant = options.tenant;
  }

  get key(): string {
    return keyOf(this.ask);
  }

  get canBiometric(): boolean {
    const given = this.failure instanceof PhoneClientError && ["biometric-unsupported", "biometric-missing"].includes(this.failure.code);
    return this.ask.factors.includes("biometric") && !given;
  }

  get canPin(): boolean {
    return this.ask.factors.includes("pin");
  }

  get needsNumber(): boolean {
    return this.ask.number !== "none" && this.number === null;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  choose(number: number | null): void {
    this.#set({ number });
  }

  /** To the PIN pad, and back from it. */
  askPin(): void {
    if (this.step === "review" && !this.needsNumber) this.#set({ step: "pin", failure: null });
  }

  review(): void {
    if (this.step === "pin") this.#set({ step: "review", failure: null });
  }

  async approve(factor: Pick<AnswerWish, "pin" | "biometric"> = {}): Promise<void> {
    if (this.needsNumber) return;
    await this.#decide({ decision: "approve", ...factor, ...(this.number === null ? {} : { number: this.number }) });
  }

  async refuse(): Promise<void> {
    await this.#decide({ decision: "refuse" });
  }

  async report(): Promise<void> {
    await this.#decide({ decision: "report" });
  }

  /** The gateway says that it is over, or its time is. What was answered here is told by the answer itself. */
  settle(state: ApprovalEnd): void {
    const late = this.end?.state === "unknown";
    if (this.#busy || (this.end !== null && !late)) return;
    this.#finish({ state, here: late && state !== "expired" });
  }

  /** Its bank takes no answer from this phone any more. */
  abandon(failure: unknown): void {
    if (this.end === null && !this.#busy) this.#finish({ state: "unknown", here: false }, failure);
  }

  /** There is a connection again: sends what waits. Without one, its time may be over. */
  async pulse(): Promise<void> {
    const now = this.#options.now ?? Date.now;
    if (this.end !== null || this.#busy) return;
    if (this.ask.expiresAt <= now()) this.settle("expired");
    else if (this.step === "waiting" && this.#wish !== null && this.#options.channel()?.connected === true) await this.#send(this.#wish);
  }

  async #decide(wish: AnswerWish): Promise<void> {
    if (this.#busy || this.step === "waiting" || this.end !== null) return;
    this.#wish = wish;
    await this.#send(wish);
  }

  async #send(wish: AnswerWish): Promise<void> {
    const back = wish.pin === undefined ? "review" : "pin";
    this.#busy = true;
    this.#set({ step: "sending", decision: wish.decision, failure: null });
    try {
      const channel = this.#options.channel();
      if (channel === null) throw new PhoneClientError("offline");
      const state = await channel.answer(this.ask.id, wish);
      this.#finish({ state, here: true });
    } catch (error) {
      this.#refused(error, back);
    } finally {
      this.#busy = false;
    }
  }

  #refused(error: unknown, back: "review" | "pin"): void {
    const code = error instanceof PhoneClientError ? error.code : null;
    const details = error instanceof PhoneClientError ? error.details : {};
    if (code === "approval-ended") this.#finish({ state: details.state ?? "expired", here: false });
    else if (code === "answer-wrong" && details.left === 0) this.#finish({ state: "failed", here: true }, error);
    else if (code === "timeout") this.#finish({ state: "unknown", here: true }, error);
    else if (code !== null && WAITING.includes(code)) this.#set({ step: "waiting" });
    else if (code !== null && REPEATABLE.includes(code)) {
      this.#wish = null;
      const step = FOR_REVIEW.includes(code) ? "review" : back;
      // A wrong answer of a request with a number may have been the number.
      const number = code === "answer-wrong" ? null : this.number;
      this.#set({ step: number === null && this.ask.number !== "none" ? "review" : step, number, failure: error, decision: null });
    } else this.#finish({ state: "unknown", here: false }, error);
  }

  #finish(end: AskEnd, failure: unknown = null): void {
    this.#wish = null;
    this.#set({ step: "ended", end, failure });
  }

  #set(change: Partial<Pick<AskFlow, "step" | "decision" | "number" | "end" | "failure">>): void {
    Object.assign(this, change);
    for (const listener of this.#listeners) listener();
  }
}

/** One request goes to all of a customer's bindings, of which this phone may hold two. */
export function keyOf(ask: Pick<Ask, "id" | "bindingId">): string {
  return `${ask.bindingId} ${ask.id}`;
}
