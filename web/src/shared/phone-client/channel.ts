/**
 * The open channel of an active binding, for pages: its state, and one door to its parts (PIN, requests, messages,
 * wake-ups, biometrics), each of which has a file. One tab holds a binding's channel at a time: the ratchet must not be
 * run by two.
 */
import type { GatewayMessage } from "../protocol/messages";
import { Approvals } from "./approvals";
import { Biometrics } from "./biometrics";
import { ChannelPin } from "./channel-pin";
import { tryAgain } from "./connect";
import { Emitter } from "./emitter";
import { browserEnvironment } from "./environment";
import { PhoneClientError } from "./errors";
import { toPhoneError } from "./failures";
import { Inbox } from "./inbox";
import { type ChannelStart, Line, type LineOwner, startOf } from "./line";
import { Push } from "./push";
import { type ResumeContext, type Resumed, resumeBinding } from "./resume";
import type { AnswerWish, ApprovalEnd, Ask, Channel, ChannelEvents, ChannelState, InboxMessage, OpenOptions, Page, PastApproval, PushTarget } from "./types";

const OPENING_TRIES = 4;

/** The lock that a binding's one channel holds. */
export function bindingLock(bindingId: string): string {
  return `tessera ${bindingId}`;
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
  readonly #line: Line;
  readonly #pin: ChannelPin;
  readonly #approvals: Approvals;
  readonly #inbox: Inbox;
  readonly #push: Push;
  readonly #biometrics: Biometrics;
  #state: ChannelState;

  constructor(context: ResumeContext, start: ChannelStart, release: () => void) {
    super();
    this.bindingId = context.bindingId;
    this.#state = describe(start);
    this.#line = new Line(context, start, { owner: this.#owner(), release });
    this.#pin = new ChannelPin(this.#line, start.pin, (pin) => {
      this.#change({ pin });
    });
    this.#inbox = new Inbox(this.#line, (count) => {
      this.emit("unread", { count });
    });
    this.#push = new Push(this.#line, () => {
      this.emit("push", {});
    });
    this.#biometrics = new Biometrics(this.#line, this.#pin, () => {
      this.emit("biometric", {});
    });
    this.#approvals = new Approvals(this.#line, {
      pin: this.#pin,
      credential: () => this.#biometrics.credential,
      tell: (name, event) => {
        this.emit(name, event);
      },
    });
    this.#line.open();
  }

  get state(): ChannelState {
    return this.#state;
  }

  get connected(): boolean {
    return this.#line.connected;
  }

  get asks(): readonly Ask[] {
    return this.#approvals.list;
  }

  get inboxUnread(): number {
    return this.#inbox.unread;
  }

  get push(): Channel["push"] {
    return this.#push.state;
  }

  get biometric(): Channel["biometric"] {
    return this.#biometrics.state;
  }

  /** Round trip in milliseconds. */
  async ping(): Promise<number> {
    return this.#line.ping();
  }

  /** Drops the connection once it is idle; the resume that follows is told how the PIN stands. */
  async renew(): Promise<void> {
    await this.#line.inTurn(() => {
      this.#line.conversation.drop();
      return Promise.resolve();
    });
  }

  async provePin(pin: string): Promise<void> {
    this.#pin.check(pin);
    await this.#line.inTurn(() => this.#pin.prove(pin));
  }

  async changePin(oldPin: string, newPin: string): Promise<void> {
    this.#pin.check(oldPin);
    this.#pin.checkChoice(newPin);
    await this.#line.inTurn(() => this.#pin.change(oldPin, newPin));
  }

  async rename(name: string): Promise<string> {
    const trimmed = name.trim();
    if (trimmed === "" || Array.from(trimmed).length > 64 || /[\p{Cc}\p{Surrogate}]/u.test(trimmed)) {
      throw new PhoneClientError("name-invalid");
    }
    return this.#line.inTurn(async () => {
      const renamed = await this.#line.conversation.request({ t: "rename", name: trimmed }, "renamed");
      await this.#line.keep({ name: renamed.name });
      this.#change({ name: renamed.name });
      return renamed.name;
    });
  }

  /** Ends the binding at the gateway, then erases it here. */
  async remove(): Promise<void> {
    await this.#line.inTurn(async () => {
      await this.#line.conversation.request({ t: "remove" }, "removed");
      await this.#line.store.forget(this.bindingId);
      this.#change({ state: "removed" });
      this.#line.finish(null);
    });
  }

  async answer(id: string, wish: AnswerWish): Promise<ApprovalEnd> {
    return this.#approvals.answer(id, wish);
  }

  async approvals(before?: string): Promise<Page<PastApproval>> {
    return this.#approvals.past(before);
  }

  async inbox(before?: string): Promise<Page<InboxMessage> & { readonly unread: number }> {
    return this.#inbox.page(before);
  }

  async markRead(id: string): Promise<number> {
    return this.#inbox.markRead(id);
  }

  async subscribePush(subscription: PushTarget): Promise<void> {
    await this.#push.subscribe(subscription);
  }

  async unsubscribePush(): Promise<void> {
    await this.#push.unsubscribe();
  }

  async enrolBiometric(pin: string): Promise<void> {
    await this.#biometrics.enrol(pin);
  }

  async removeBiometric(): Promise<void> {
    await this.#biometrics.remove();
  }

  close(): void {
    this.#line.finish(null);
  }

  #owner(): LineOwner {
    return {
      onStart: (start) => {
        this.#onStart(start);
      },
      onMessage: (message) => {
        this.#onMessage(message);
      },
      onLost: (waitMs) => {
        this.#approvals.onLost();
        this.emit("disconnected", { waitMs });
      },
      onBack: () => {
        this.emit("reconnected", this.#state);
      },
      onNetwork: () => {
        this.#approvals.prune();
      },
      onFinish: (error) => {
        this.#approvals.close();
        this.emit("closed", { error });
      },
    };
  }

  #onStart(start: ChannelStart): void {
    this.#state = describe(start);
    this.#pin.state = start.pin;
    this.#approvals.onStart();
    if (start.record.offlineAnswers > 0) void this.#tellCounter().catch(() => undefined);
  }

  /** Lets the gateway's count of offline answers catch up with those that nobody typed. */
  async #tellCounter(): Promise<void> {
    await this.#line.inTurn(async () => {
      const { conversation, record } = this.#line;
      await conversation.request({ t: "offline-counter", value: record.offlineAnswers }, "offline-counted");
    });
  }

  #onMessage(message: GatewayMessage): void {
    switch (message.t) {
      case "state":
        this.#onState(message.state);
        return;
      case "ask":
        this.#approvals.onAsk(message);
        return;
      case "settled":
      case "answered":
        this.#approvals.onSettled(message);
        return;
      case "answer-wrong":
        // The request's end was heard first, and told.
        return;
      case "unread":
        this.#inbox.onUnread(message.count);
        return;
      case "push-key":
        this.#push.onKey(message);
        return;
      case "biometric-state":
        this.#biometrics.onState(message);
        return;
      default:
        throw new PhoneClientError("protocol");
    }
  }

  #onState(state: ChannelState["state"]): void {
    if (state === this.#state.state) return;
    this.#change({ state });
    void this.#line.keep({ state }).catch(() => undefined);
    if (state !== "active") this.#line.finish(new PhoneClientError(state));
  }

  #change(change: Partial<ChannelState>): void {
    this.#state = { ...this.#state, ...change };
    this.emit("state", this.#state);
  }
}

function describe(start: ChannelStart): ChannelState {
  const { tenant, label, name } = start.record;
  return { state: "active", tenant, label, name, pin: start.pin };
}
