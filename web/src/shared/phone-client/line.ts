/**
 * One binding's connection, kept up: operations one after the other, keep-alive, and taking a lost connection up again by
 * another resume. The channel owns one, and its parts speak through it; what is said on it is their business.
 */
import type { GatewayMessage } from "../protocol/messages";
import { tryAgain, within } from "./connect";
import type { Conversation } from "./conversation";
import type { PhoneEnvironment } from "./environment";
import { PhoneClientError } from "./errors";
import { isPassing, toPhoneError } from "./failures";
import type { BindingRecord } from "./records";
import { type ResumeContext, type Resumed, resumeBinding } from "./resume";
import type { PhoneStore } from "./store";
import type { ChannelState } from "./types";

const PING_EVERY_MS = 25_000;
const PIN_TRIES = 5;

/** What a channel starts from: a resume's end, or first contact's. */
export interface ChannelStart {
  readonly conversation: Conversation;
  readonly record: BindingRecord;
  readonly clockOffset: number;
  readonly pin: ChannelState["pin"];
}

export function startOf(resumed: Resumed): ChannelStart {
  const { conversation, record, clockOffset, welcome } = resumed;
  const { digits, left, blocked_until } = welcome.pin;
  const blockedUntil = blocked_until === null ? null : blocked_until * 1000 - clockOffset;
  return { conversation, record, clockOffset, pin: { digits, left, blockedUntil } };
}

/** After a first contact: the PIN was chosen just now. */
export function freshStart(conversation: Conversation, record: BindingRecord, clockOffset: number): ChannelStart {
  return { conversation, record, clockOffset, pin: { digits: record.pinDigits, left: PIN_TRIES, blockedUntil: null } };
}

export interface LineOwner {
  /** A connection stands; its messages come after this. */
  onStart(start: ChannelStart): void;
  /** A message that answers no request. Throwing ends the line. */
  onMessage(message: GatewayMessage): void;
  onLost(waitMs: number | null): void;
  /** The connection stands again. */
  onBack(): void;
  onNetwork(): void;
  /** Once, at its end. */
  onFinish(error: PhoneClientError | null): void;
}

export class Line {
  readonly context: ResumeContext;
  readonly #owner: LineOwner;
  readonly #release: () => void;
  readonly #closing = new AbortController();
  readonly #stopNetwork: () => void;
  #stopPing: () => void = () => undefined;
  #start: ChannelStart;
  #connected = true;
  #turn: Promise<unknown> = Promise.resolve();
  /** A resume under way: the lock is kept until it has come to its end, whatever happens meanwhile. */
  #work: Promise<void> = Promise.resolve();

  /** `release` frees the binding's lock. `open` comes next. */
  constructor(context: ResumeContext, start: ChannelStart, held: { readonly owner: LineOwner; readonly release: () => void }) {
    this.context = context;
    this.#start = start;
    this.#owner = held.owner;
    this.#release = held.release;
    this.#stopNetwork = this.environment.onNetwork(() => {
      held.owner.onNetwork();
      if (!this.environment.online()) this.conversation.drop();
      else if (this.#connected) void this.ping().catch(() => undefined);
    });
  }

  /** Hands over what the first connection has said already. */
  open(): void {
    this.#adopt(this.#start);
  }

  get environment(): PhoneEnvironment {
    return this.context.environment;
  }

  get store(): PhoneStore {
    return this.context.store;
  }

  get bindingId(): string {
    return this.context.bindingId;
  }

  get conversation(): Conversation {
    return this.#start.conversation;
  }

  get record(): BindingRecord {
    return this.#start.record;
  }

  get connected(): boolean {
    return this.#connected;
  }

  get closed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** Gateway's Unix seconds as milliseconds of the phone's clock. */
  readonly toLocal = (seconds: number): number => seconds * 1000 - this.#start.clockOffset;

  /** Changes what the phone keeps of the binding, durably. */
  async keep(change: Partial<BindingRecord>): Promise<void> {
    const record = await this.store.updateBinding(this.bindingId, change);
    this.#start = { ...this.#start, record };
  }

  /** Round trip in milliseconds. */
  async ping(): Promise<number> {
    const started = this.environment.now();
    await this.conversation.request({ t: "ping" }, "pong");
    return this.environment.now() - started;
  }

  /** One operation after the other; none while the connection is lost. */
  inTurn<T>(operation: () => Promise<T>): Promise<T> {
    const run = async (): Promise<T> => {
      if (this.closed) throw new PhoneClientError("closed");
      if (!this.#connected) throw new PhoneClientError(this.environment.online() ? "connection-lost" : "offline");
      try {
        return await operation();
      } catch (cause) {
        throw toPhoneError(cause);
      }
    };
    const result = this.#turn.then(run);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  /** An operation that is begun anew on the next connection when this one is lost. `patience` says how many ms to wait for one. */
  async throughLosses<T>(operation: () => Promise<T>, patience: () => number): Promise<T> {
    if (!this.#connected && !this.environment.online()) throw new PhoneClientError("offline");
    for (;;) {
      if (!this.#connected && !this.closed) await within(this.environment, patience(), this.#work);
      try {
        return await this.inTurn(operation);
      } catch (cause) {
        if (!isPassing(cause)) throw cause;
      }
    }
  }

  /** Ends the line for good. */
  finish(error: PhoneClientError | null): void {
    if (this.closed) return;
    this.#closing.abort();
    this.#connected = false;
    this.#stopPing();
    this.#stopNetwork();
    this.conversation.close();
    void this.#work.finally(this.#release);
    this.#owner.onFinish(error);
  }

  #adopt(start: ChannelStart): void {
    this.#start = start;
    this.#connected = true;
    this.#owner.onStart(start);
    start.conversation.handTo({
      onMessage: (message) => {
        this.#owner.onMessage(message);
      },
      onEnd: (error) => {
        this.#onEnd(start.conversation, error);
      },
    });
    this.#keepAlive();
  }

  #onEnd(conversation: Conversation, error: PhoneClientError | null): void {
    if (conversation !== this.conversation || this.closed || !this.#connected) return;
    this.#connected = false;
    this.#stopPing();
    if (error !== null && !isPassing(error)) this.finish(error);
    else this.#work = this.#reconnect();
  }

  async #reconnect(): Promise<void> {
    const attempt = async (): Promise<void> => {
      const resumed = await resumeBinding(this.context);
      if (this.closed) {
        resumed.conversation.close();
        throw new PhoneClientError("closed");
      }
      this.#adopt(startOf(resumed));
    };
    const onWait = (waitMs: number | null): void => {
      this.#owner.onLost(waitMs);
    };
    try {
      onWait(this.environment.online() ? 0 : null);
      await tryAgain({ environment: this.environment, attempt, onWait, signal: this.#closing.signal });
      this.#owner.onBack();
    } catch (cause) {
      this.finish(toPhoneError(cause));
    }
  }

  #keepAlive(): void {
    this.#stopPing();
    this.#stopPing = this.environment.after(PING_EVERY_MS, () => {
      void this.ping().then(
        () => {
          this.#keepAlive();
        },
        () => undefined,
      );
    });
  }
}
