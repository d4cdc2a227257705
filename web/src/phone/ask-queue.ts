/**
 * What waits to be answered on this phone, from all its open channels: one request in front, the others behind it in the order of
 * their ends. A request that was put aside stays, and comes back when asked for. No DOM.
 */
import type { ApprovalEnd, Ask, Channel } from "../shared/phone-client/index.js";
import { AskFlow, keyOf } from "./ask-flow.js";

/** How a binding stands, as far as its requests go. */
export interface AskSource {
  readonly bindingId: string;
  readonly tenant: string;
  readonly channel: Channel | null;
  /** Why no answer of this phone is taken any more; null while one may be. */
  readonly over: unknown;
}

export class AskQueue {
  readonly #flows = new Map<string, AskFlow>();
  readonly #aside = new Set<string>();
  readonly #listeners = new Set<() => void>();
  readonly #channel: (bindingId: string) => Channel | null;
  #front: AskFlow | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(channel: (bindingId: string) => Channel | null) {
    this.#channel = channel;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The request that is shown. */
  get front(): AskFlow | null {
    return this.#front;
  }

  /** How many more wait, besides the one in front. */
  get waiting(): number {
    return this.#open().filter((flow) => flow !== this.#front).length;
  }

  /** Takes up what the channels tell now. */
  update(sources: readonly AskSource[]): void {
    for (const source of sources) {
      for (const ask of source.channel?.asks ?? []) this.#add(ask, source.tenant);
      if (source.over !== null) this.#abandon(source);
      else if (source.channel?.connected === true) this.#pulse();
    }
    this.#advance();
  }

  settle(bindingId: string, id: string, state: ApprovalEnd): void {
    this.#flows.get(keyOf({ bindingId, id }))?.settle(state);
  }

  /** Leaves the one in front: for good once it is over, else until it is asked for. */
  leave(): void {
    const flow = this.#front;
    if (flow === null) return;
    this.#front = null;
    if (flow.end === null) this.#aside.add(flow.key);
    else this.#flows.delete(flow.key);
    this.#advance();
  }

  /** Shows what was put aside. */
  resume(): void {
    this.#aside.clear();
    this.#advance();
  }

  #open(): AskFlow[] {
    return [...this.#flows.values()].filter((flow) => flow.end === null).sort((left, right) => left.ask.expiresAt - right.ask.expiresAt);
  }

  #add(ask: Ask, tenant: string): void {
    const key = keyOf(ask);
    if (this.#flows.has(key)) return;
    const flow = new AskFlow({ ask, tenant, channel: () => this.#channel(ask.bindingId) });
    this.#flows.set(key, flow);
    flow.subscribe(() => {
      this.#advance();
    });
  }

  #abandon({ bindingId, over }: AskSource): void {
    for (const flow of this.#open()) if (flow.ask.bindingId === bindingId) flow.abandon(over);
  }

  readonly #pulse = (): void => {
    for (const flow of this.#open()) void flow.pulse();
  };

  /** Brings the next one in front, and lets go of what ended unseen. */
  #advance(): void {
    for (const [key, flow] of this.#flows) {
      if (flow.end === null || flow === this.#front) continue;
      this.#flows.delete(key);
      this.#aside.delete(key);
    }
    const open = this.#open();
    this.#front ??= open.find((flow) => !this.#aside.has(flow.key)) ?? null;
    clearTimeout(this.#timer);
    const next = open[0]?.ask.expiresAt;
    if (next !== undefined) this.#timer = setTimeout(this.#pulse, Math.max(250, next - Date.now() + 50));
    for (const listener of this.#listeners) listener();
  }
}
