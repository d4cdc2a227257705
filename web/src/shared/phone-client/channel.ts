/**
 * The open channel of an active binding, for pages: state, PIN, name, removal, keep-alive, and taking a lost connection
 * up again by another resume. One tab holds a binding's channel at a time: the ratchet must not be run by two.
 */
import type { GatewayMessage } from "../protocol/messages";
import { tryAgain } from "./connect";
import type { Conversation } from "./conversation";
import { Emitter } from "./emitter";
import { browserEnvironment, type PhoneEnvironment } from "./environment";
import { PhoneClientError } from "./errors";
import { isPassing, toPhoneError } from "./failures";
import { makeDeviceSecret } from "./keystore";
import { enrolment, evaluatePin, type PinContext, provePin, requireChoosable, requireDigits } from "./pin";
import type { BindingRecord } from "./records";
import { type ResumeContext, type Resumed, resumeBinding } from "./resume";
import { idBytes, type PhoneStore } from "./store";
import type { Channel, ChannelEvents, ChannelState, OpenOptions } from "./types";

const PING_EVERY_MS = 25_000;
const PIN_TRIES = 5;
const OPENING_TRIES = 4;

/** The lock that a binding's one channel holds. */
export function bindingLock(bindingId: string): string {
  return `tessera ${bindingId}`;
}

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

/** Opens the channel of a binding. Raises PhoneClientError; passing failures are tried a few times first. */
export async function openChannel(options: OpenOptions): Promise<Channel> {
  const environment = options.environment ?? browserEnvironment();
  const { store, bindingId, host, lang, app } = options;
  const context: ResumeContext = { store, environment, bindingId, host, lang, app };
  const release = await environment.lock(bindingLock(bindingId));
  if (release === null) throw new PhoneClientError("other-tab");
  try {
    let resumed: Resumed | null = null;
    const attempt = async (): Promise<void> => {
      resumed = await resumeBinding(context);
    };
    const { signal } = new AbortController();
    await tryAgain({ environment, attempt, onWait: () => undefined, signal, tries: OPENING_TRIES });
    return new OpenChannel(context, startOf(resumed!), release);
  } catch (cause) {
    release();
    throw toPhoneError(cause);
  }
}

export class OpenChannel extends Emitter<ChannelEvents> implements Channel {
  readonly bindingId: string;
  readonly #context: ResumeContext;
  readonly #store: PhoneStore;
  readonly #environment: PhoneEnvironment;
  readonly #release: () => void;
  readonly #closing = new AbortController();
  readonly #stopNetwork: () => void;
  #stopPing: () => void = () => undefined;
  #conversation: Conversation;
  #record: BindingRecord;
  #clockOffset: number;
  #state: ChannelState;
  #connected = true;
  #turn: Promise<unknown> = Promise.resolve();
  /** A resume under way: the lock is kept until it has come to its end, whatever happens meanwhile. */
  #work: Promise<void> = Promise.resolve();

  constructor(context: ResumeContext, start: ChannelStart, release: () => void) {
    super();
    this.bindingId = context.bindingId;
    this.#context = context;
    this.#store = context.store;
    this.#environment = context.environment;
    this.#release = release;
    this.#record = start.record;
    this.#clockOffset = start.clockOffset;
    this.#conversation = start.conversation;
    this.#state = this.#describe(start);
    this.#stopNetwork = this.#environment.onNetwork(() => {
      if (!this.#environment.online()) this.#conversation.drop();
      else if (this.#connected) void this.ping().catch(() => undefined);
    });
    this.#adopt(start);
  }

  get state(): ChannelState {
    return this.#state;
  }

  get connected(): boolean {
    return this.#connected;
  }

  /** Round trip in milliseconds. */
  async ping(): Promise<number> {
    const started = this.#environment.now();
    await this.#conversation.request({ t: "ping" }, "pong");
    return this.#environment.now() - started;
  }

  /** Drops the connection once it is idle; the resume that follows is told how the PIN stands. */
  async renew(): Promise<void> {
    await this.#inTurn(() => {
      this.#conversation.drop();
      return Promise.resolve();
    });
  }

  async provePin(pin: string): Promise<void> {
    requireDigits(pin, this.#state.pin.digits);
    await this.#inTurn(() => this.#prove(pin));
  }

  async changePin(oldPin: string, newPin: string): Promise<void> {
    requireDigits(oldPin, this.#state.pin.digits);
    requireChoosable(newPin, this.#state.pin.digits);
    await this.#inTurn(async () => {
      await this.#prove(oldPin);
      const { conversation } = this.#pinContext();
      await conversation.request({ t: "pin-change" }, "pin-change-ready");
      const nextDeviceSecret = await makeDeviceSecret();
      const evaluation = await evaluatePin(this.#pinContext(), newPin, nextDeviceSecret);
      if (evaluation.nonce === null) throw new PhoneClientError("protocol");
      // Kept beside the old one first: if the answer is lost, either may be the right one.
      await this.#keep({ nextDeviceSecret });
      await conversation.request({ t: "pin-enrol", ...enrolment(conversation, evaluation) }, "pin-enrolled");
      await this.#keep({ deviceSecret: nextDeviceSecret, nextDeviceSecret: null });
    });
  }

  async rename(name: string): Promise<string> {
    const trimmed = name.trim();
    if (trimmed === "" || Array.from(trimmed).length > 64 || /[\p{Cc}\p{Surrogate}]/u.test(trimmed)) {
      throw new PhoneClientError("name-invalid");
    }
    return this.#inTurn(async () => {
      const renamed = await this.#conversation.request({ t: "rename", name: trimmed }, "renamed");
      await this.#keep({ name: renamed.name });
      this.#change({ name: renamed.name });
      return renamed.name;
    });
  }

  /** Ends the binding at the gateway, then erases it here. */
  async remove(): Promise<void> {
    await this.#inTurn(async () => {
      await this.#conversation.request({ t: "remove" }, "removed");
      await this.#store.forget(this.bindingId);
      this.#change({ state: "removed" });
      this.#finish(null);
    });
  }

  close(): void {
    this.#finish(null);
  }

  /** Proves the PIN with the device secret in force; with both, while a change of PIN has no known end. */
  async #prove(pin: string): Promise<void> {
    const { deviceSecret, nextDeviceSecret } = this.#record;
    try {
      if (nextDeviceSecret === null) {
        await provePin(this.#pinContext(), pin, deviceSecret);
      } else {
        await this.#proveEither(pin, deviceSecret, nextDeviceSecret);
      }
      this.#change({ pin: { ...this.#state.pin, left: PIN_TRIES, blockedUntil: null } });
    } catch (cause) {
      const error = toPhoneError(cause);
      if (error.code === "pin-wrong" || error.code === "pin-blocked") {
        const { left = 0, until: blockedUntil = null } = error.details;
        this.#change({ pin: { ...this.#state.pin, left, blockedUntil } });
      }
      throw error;
    }
  }

  async #proveEither(pin: string, old: CryptoKey, next: CryptoKey): Promise<void> {
    let right = next;
    try {
      await provePin(this.#pinContext(), pin, next);
    } catch (cause) {
      if (!(cause instanceof PhoneClientError) || cause.code !== "pin-wrong") throw cause;
      right = old;
      await provePin(this.#pinContext(), pin, old);
    }
    await this.#keep({ deviceSecret: right, nextDeviceSecret: null });
  }

  #pinContext(): PinContext {
    const offset = this.#clockOffset;
    return {
      conversation: this.#conversation,
      binding: idBytes(this.bindingId),
      toLocal: (seconds) => seconds * 1000 - offset,
    };
  }

  async #keep(change: Partial<BindingRecord>): Promise<void> {
    this.#record = await this.#store.updateBinding(this.bindingId, change);
  }

  /** One operation after the other; none while the connection is lost. */
  #inTurn<T>(operation: () => Promise<T>): Promise<T> {
    const run = async (): Promise<T> => {
      if (this.#closing.signal.aborted) throw new PhoneClientError("closed");
      if (!this.#connected) throw new PhoneClientError(this.#environment.online() ? "connection-lost" : "offline");
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

  #adopt(start: ChannelStart): void {
    this.#conversation = start.conversation;
    this.#record = start.record;
    this.#clockOffset = start.clockOffset;
    this.#state = this.#describe(start);
    this.#connected = true;
    start.conversation.handTo({
      onMessage: (message) => {
        this.#onMessage(message);
      },
      onEnd: (error) => {
        this.#onEnd(start.conversation, error);
      },
    });
    this.#keepAlive();
  }

  #describe(start: ChannelStart): ChannelState {
    const { tenant, label, name } = start.record;
    return { state: "active", tenant, label, name, pin: start.pin };
  }

  #onMessage(message: GatewayMessage): void {
    if (message.t !== "state") throw new PhoneClientError("protocol");
    if (message.state === this.#state.state) return;
    this.#change({ state: message.state });
    void this.#keep({ state: message.state }).catch(() => undefined);
    if (message.state !== "active") this.#finish(new PhoneClientError(message.state));
  }

  #onEnd(conversation: Conversation, error: PhoneClientError | null): void {
    if (conversation !== this.#conversation || this.#closing.signal.aborted || !this.#connected) return;
    this.#connected = false;
    this.#stopPing();
    if (error !== null && !isPassing(error)) this.#finish(error);
    else this.#work = this.#reconnect();
  }

  async #reconnect(): Promise<void> {
    const attempt = async (): Promise<void> => {
      const resumed = await resumeBinding(this.#context);
      if (this.#closing.signal.aborted) {
        resumed.conversation.close();
        throw new PhoneClientError("closed");
      }
      this.#adopt(startOf(resumed));
    };
    const onWait = (waitMs: number | null): void => {
      this.emit("disconnected", { waitMs });
    };
    try {
      onWait(this.#environment.online() ? 0 : null);
      await tryAgain({ environment: this.#environment, attempt, onWait, signal: this.#closing.signal });
      this.emit("reconnected", this.#state);
    } catch (cause) {
      this.#finish(toPhoneError(cause));
    }
  }

  #keepAlive(): void {
    this.#stopPing();
    this.#stopPing = this.#environment.after(PING_EVERY_MS, () => {
      void this.ping().then(
        () => {
          this.#keepAlive();
        },
        () => undefined,
      );
    });
  }

  #change(change: Partial<ChannelState>): void {
    this.#state = { ...this.#state, ...change };
    this.emit("state", this.#state);
  }

  #finish(error: PhoneClientError | null): void {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    this.#connected = false;
    this.#stopPing();
    this.#stopNetwork();
    this.#conversation.close();
    void this.#work.finally(this.#release);
    this.emit("closed", { error });
  }
}
