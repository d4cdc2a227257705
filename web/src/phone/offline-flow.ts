/**
 * A request that was scanned and is answered without a network: opening it, its PIN, the eight digits. Nothing leaves the phone, and
 * the digits are forgotten with the screen. No DOM.
 *
 *   opening → review → pin → making → digits (⇄ pin)        any → failed
 */
import { PhoneClientError, type OfflineAsk } from "../shared/phone-client/index.js";

export type OfflineStep = "opening" | "review" | "pin" | "making" | "digits" | "failed";

export interface OfflineOptions {
  readonly open: () => Promise<OfflineAsk>;
  readonly answer: (ask: OfflineAsk, pin: string) => Promise<string>;
}

export class OfflineFlow {
  step: OfflineStep = "opening";
  ask: OfflineAsk | null = null;
  digits: string | null = null;
  failure: unknown = null;

  readonly #options: OfflineOptions;
  readonly #listeners = new Set<() => void>();
  #closed = false;

  constructor(options: OfflineOptions) {
    this.#options = options;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async start(): Promise<void> {
    try {
      this.#set({ step: "review", ask: await this.#options.open() });
    } catch (error) {
      this.#set({ step: "failed", failure: error });
    }
  }

  /** To the PIN; from the digits, because the bank's page did not take them. */
  askPin(): void {
    if (this.step === "review" || this.step === "digits") this.#set({ step: "pin", digits: null, failure: null });
  }

  async answer(pin: string): Promise<void> {
    if (this.step !== "pin" || this.ask === null) return;
    this.#set({ step: "making", failure: null });
    try {
      this.#set({ step: "digits", digits: await this.#options.answer(this.ask, pin) });
    } catch (error) {
      const isFormat = error instanceof PhoneClientError && error.code === "pin-format";
      this.#set({ step: isFormat ? "pin" : "failed", failure: error });
    }
  }

  close(): void {
    this.#closed = true;
    this.digits = null;
    this.ask = null;
  }

  #set(change: Partial<Pick<OfflineFlow, "step" | "ask" | "digits" | "failure">>): void {
    if (this.#closed) return;
    Object.assign(this, change);
    for (const listener of this.#listeners) listener();
  }
}
