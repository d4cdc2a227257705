/**
 * First contact for pages (section 4 of the specification), from a code to an active binding. It keeps the connection up
 * by itself: same keys, same rotation, a new device code each time. One tab holds an activation at a time.
 */
import { type Bytes, wipe } from "../protocol/bytes";
import { type Code2, cutCode2Label, openCode2 } from "../protocol/code";
import { ProtocolError } from "../protocol/errors";
import type { GatewayMessage } from "../protocol/messages";
import { bindingLock, OpenChannel } from "./channel";
import { parseCode2Typed, readCode2 } from "./codes";
import { commitBinding } from "./commit";
import { cut } from "./config";
import { tryAgain } from "./connect";
import { type ContactContext, contactLock, link, type Linked, preparePending, putAway, readPending, resolveCode } from "./contact-link";
import type { ConversationOwner } from "./conversation";
import { Emitter } from "./emitter";
import { browserEnvironment } from "./environment";
import { type EndReason, PhoneClientError } from "./errors";
import { isPassing, isPassingProblem, toPhoneError } from "./failures";
import { type ChannelStart, freshStart, startOf } from "./line";
import { requireChoosable } from "./pin";
import type { PendingRecord } from "./records";
import { type ResumeContext, type Resumed, resumeBinding } from "./resume";
import { idText, showBinding } from "./store";
import type { Binding, BiometricPolicy, Channel, ContactEvents, ContactStep, FirstContact, StartOptions } from "./types";

const OPENING_TRIES = 4;
const DEVICE_CODE_TRIES = 3;
/** How long a person who cancels waits at most for the gateway to have heard of it. */
const CANCEL_PATIENCE_MS = 2_000;

/** Begins a first contact, or takes one up again; resolves when the device code can be shown. */
export async function startFirstContact(options: StartOptions): Promise<FirstContact> {
  const environment = options.environment ?? browserEnvironment();
  const { store, host, code, lang } = options;
  const device = {
    ...options.device,
    name: cut(options.device.name.trim() || options.device.model.trim() || options.device.platform, 64),
    model: cut(options.device.model, 64),
    os: cut(options.device.os, 64),
    app: cut(options.device.app, 64),
  };
  const context: ContactContext = { store, environment, host, device, lang };
  try {
    const resolved = code.kind === "pending" ? null : await resolveCode(context, code);
    const activation = resolved === null && code.kind === "pending" ? code.activation : idText("act", resolved!.activation);
    const release = await environment.lock(contactLock(activation));
    if (release === null) throw new PhoneClientError("other-tab");
    try {
      const record = code.kind === "pending" ? await readPending(context, code) : await preparePending(context, resolved!);
      // A scanned code stays its giver's, who may begin with it again.
      if (code.kind === "typed") wipe(resolved?.psk);
      return await Contact.open(context, record, release);
    } catch (cause) {
      await putAway(store, activation, toPhoneError(cause)).catch(() => undefined);
      release();
      throw cause;
    }
  } catch (cause) {
    throw toPhoneError(cause);
  }
}

class Contact extends Emitter<ContactEvents> implements FirstContact {
  readonly #context: ContactContext;
  readonly #release: () => void;
  readonly #closing = new AbortController();
  readonly #stopNetwork: () => void;
  #linked: Linked;
  #step: ContactStep = "waiting";
  #nonce: Bytes | null = null;
  #triesLeft: number | null = null;
  #channel: OpenChannel | null = null;
  #committing = false;
  #choosing = false;
  #connected = false;
  #failure: PhoneClientError | null = null;
  /** The reconnection under way. */
  #work: Promise<void> = Promise.resolve();

  private constructor(context: ContactContext, linked: Linked, release: () => void) {
    super();
    this.#context = context;
    this.#linked = linked;
    this.#release = release;
    this.#stopNetwork = context.environment.onNetwork(() => {
      if (!context.environment.online()) this.#linked.conversation.drop();
    });
    this.#adopt(linked);
  }

  static async open(context: ContactContext, record: PendingRecord, release: () => void): Promise<Contact> {
    const { environment } = context;
    let linked: Linked | null = null;
    const attempt = async (): Promise<void> => {
      linked = await link(context, record);
      if (linked.reply.t !== "ended") return;
      linked.conversation.close();
      throw new PhoneClientError("ended", { reason: linked.reply.reason });
    };
    const { signal } = new AbortController();
    await tryAgain({ environment, attempt, onWait: () => undefined, signal, tries: OPENING_TRIES });
    return new Contact(context, linked!, release);
  }

  get activation(): string {
    return this.#linked.record.activation;
  }

  get tenant(): string {
    return this.#linked.answer.tenant;
  }

  get label(): string {
    return this.#linked.answer.label;
  }

  get twoStep(): boolean {
    return this.#linked.answer.two_step;
  }

  get pinDigits(): number {
    return this.#linked.answer.pin.digits;
  }

  get biometric(): BiometricPolicy {
    return this.#linked.answer.biometric;
  }

  get deviceCode(): string {
    return this.#linked.deviceCode;
  }

  get expires(): number {
    return this.#linked.record.expiresAt;
  }

  get triesLeft(): number | null {
    return this.#triesLeft;
  }

  get step(): ContactStep {
    return this.#step;
  }

  get channel(): Channel | null {
    return this.#channel;
  }

  async code2(code: Uint8Array | Code2 | string): Promise<void> {
    this.#check();
    if (this.#step === "waiting") throw new PhoneClientError("not-confirmed");
    if (typeof code === "string") {
      this.#takeNonce(parseCode2Typed(code));
      return;
    }
    const parsed = code instanceof Uint8Array ? readCode2(code, this.#context.host) : code;
    const { conversation, answer } = this.#linked;
    const key = await conversation.session.export("code2");
    try {
      const opened = await openCode2(key, parsed, answer.binding);
      if (opened.label !== cutCode2Label(answer.label)) throw new PhoneClientError("code2-wrong");
      this.#takeNonce(opened.nonce);
    } catch (cause) {
      if (cause instanceof ProtocolError) throw new PhoneClientError("code2-wrong", {}, { cause });
      throw toPhoneError(cause);
    } finally {
      wipe(key);
    }
  }

  async choosePin(pin: string): Promise<Binding> {
    requireChoosable(pin, this.pinDigits);
    this.#check();
    if (this.#choosing) throw new PhoneClientError("closed");
    this.#choosing = true;
    try {
      for (;;) {
        await this.#work;
        this.#check();
        if (this.#nonce === null) throw new PhoneClientError(this.#step === "waiting" ? "not-confirmed" : "code2-missing");
        const binding = await this.#commitOnce(pin, this.#nonce);
        if (binding !== null) return binding;
      }
    } catch (cause) {
      throw toPhoneError(cause);
    } finally {
      this.#choosing = false;
    }
  }

  close(): void {
    this.#finish(new PhoneClientError("closed"));
  }

  async cancel(): Promise<void> {
    if (this.#connected && !this.#committing && this.#failure === null && this.#step !== "active") await this.#tellCancel();
    this.close();
    await this.#work.catch(() => undefined);
    if (this.#step !== "active") await this.#context.store.deletePending(this.activation);
  }

  /** Ends the activation on the desktop too. The phone forgets it all the same when the gateway does not hear. */
  async #tellCancel(): Promise<void> {
    let stop = (): void => undefined;
    const patience = new Promise<void>((resolve) => {
      stop = this.#context.environment.after(CANCEL_PATIENCE_MS, resolve);
    });
    const told = this.#linked.conversation.request({ t: "cancel" }, "ended").catch(() => undefined);
    await Promise.race([told, patience]);
    stop();
  }

  /** One try to commit; null when the connection was lost and another try makes sense. */
  async #commitOnce(pin: string, nonce: Bytes): Promise<Binding | null> {
    const linked = this.#linked;
    const onStored = (): void => {
      this.#committing = true;
    };
    try {
      const record = await commitBinding(this.#context, linked, { pin, nonce, onStored });
      const release = await this.#context.environment.lock(bindingLock(record.id));
      const start = freshStart(linked.conversation, record, linked.clockOffset);
      return this.#activate(start, release);
    } catch (cause) {
      const error = toPhoneError(cause);
      if (error.code === "problem" && this.#committing && this.twoStep && !isPassingProblem(error)) {
        // The nonce may belong to a code 2 that is no longer the right one.
        this.#committing = false;
        this.#forgetNonce();
        throw new PhoneClientError("code2-wrong", {}, { cause: error });
      }
      if (!isPassing(error)) throw error;
      return this.#committing ? await this.#settle() : null;
    } finally {
      if (this.#step !== "active") this.#committing = false;
    }
  }

  /** The answer to `commit` is lost: a resume with index 0 says whether the binding stands. */
  async #settle(): Promise<Binding | null> {
    const { environment, store, host, device, lang } = this.#context;
    const bindingId = idText("bnd", this.#linked.answer.binding);
    const context: ResumeContext = { environment, store, bindingId, host, app: device.app, lang };
    const release = await environment.lock(bindingLock(bindingId));
    if (release === null) throw new PhoneClientError("other-tab");
    let resumed: Resumed | null = null;
    const attempt = async (): Promise<void> => {
      resumed = await resumeBinding(context);
    };
    try {
      await tryAgain({ environment, attempt, onWait: this.#tellWait, signal: this.#closing.signal });
      return this.#activate(startOf(resumed!), release);
    } catch (cause) {
      release();
      const error = toPhoneError(cause);
      if (error.code !== "not-committed") throw error;
      this.#committing = false;
      this.#work = this.#reconnect();
      return null;
    }
  }

  #activate(start: ChannelStart, release: (() => void) | null): Binding {
    const { environment, store, host, device, lang } = this.#context;
    const context: ResumeContext = { environment, store, bindingId: start.record.id, host, app: device.app, lang };
    this.#step = "active";
    this.#channel = new OpenChannel(context, start, release ?? ((): void => undefined));
    this.#forgetNonce();
    this.#stopNetwork();
    this.#closing.abort();
    this.#release();
    return showBinding(start.record);
  }

  #takeNonce(nonce: Bytes): void {
    this.#forgetNonce();
    this.#nonce = nonce;
    this.#step = "pin";
  }

  #forgetNonce(): void {
    wipe(this.#nonce);
    this.#nonce = null;
    if (this.#step === "pin") this.#step = "code2";
  }

  #check(): void {
    if (this.#failure !== null) throw this.#failure;
    if (this.#step === "active") throw new PhoneClientError("closed");
  }

  #adopt(linked: Linked): void {
    this.#linked = linked;
    this.#connected = true;
    const owner: ConversationOwner = {
      onMessage: (message) => {
        this.#onMessage(message);
      },
      onEnd: (error) => {
        this.#onEnd(linked, error);
      },
    };
    linked.conversation.handTo(owner);
    if (linked.reply.t === "pending") {
      this.#forgetNonce();
      this.#step = "waiting";
      this.#triesLeft = linked.reply.tries < DEVICE_CODE_TRIES ? linked.reply.tries : null;
    } else {
      this.#onMessage(linked.reply);
    }
  }

  #onMessage(message: GatewayMessage): void {
    switch (message.t) {
      case "wrong-code":
        this.#triesLeft = message.left;
        this.emit("wrong-code", { left: message.left });
        return;
      case "confirmed":
        this.#onConfirmed(message.nonce ?? null);
        return;
      case "ended":
        this.#end(message.reason, new PhoneClientError("ended", { reason: message.reason }));
        return;
      default:
        throw new PhoneClientError("protocol");
    }
  }

  #onConfirmed(nonce: Bytes | null): void {
    if (nonce === null && this.#nonce === null) this.#step = "code2";
    else if (nonce !== null) this.#takeNonce(nonce);
    const step = this.#nonce === null ? "code2" : "pin";
    this.emit("confirmed", { step });
  }

  #onEnd(linked: Linked, error: PhoneClientError | null): void {
    if (linked !== this.#linked || !this.#connected || this.#closing.signal.aborted) return;
    this.#connected = false;
    if (error !== null && !isPassing(error)) {
      this.#end("unknown", error);
      return;
    }
    this.#tellWait(this.#context.environment.online() ? 0 : null);
    if (!this.#committing) this.#work = this.#reconnect();
  }

  readonly #tellWait = (waitMs: number | null): void => {
    this.emit("disconnected", { waitMs });
  };

  async #reconnect(): Promise<void> {
    const { environment } = this.#context;
    const { record } = this.#linked;
    const attempt = async (): Promise<void> => {
      if (environment.now() >= record.expiresAt) throw new PhoneClientError("code-expired");
      const linked = await link(this.#context, record);
      if (this.#closing.signal.aborted) {
        linked.conversation.close();
        throw new PhoneClientError("closed");
      }
      this.#adopt(linked);
    };
    try {
      await tryAgain({ environment, attempt, onWait: this.#tellWait, signal: this.#closing.signal });
      if (this.#failure === null) this.emit("reconnected", { deviceCode: this.deviceCode, step: this.#step });
    } catch (cause) {
      const error = toPhoneError(cause);
      this.#end(error.code === "code-expired" || error.code === "expired" ? "expired" : "unknown", error);
    }
  }

  #end(reason: EndReason, error: PhoneClientError): void {
    if (this.#closing.signal.aborted) return;
    this.#finish(error);
    void putAway(this.#context.store, this.activation, error).catch(() => undefined);
    this.emit("ended", { reason, error });
  }

  #finish(error: PhoneClientError): void {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    this.#failure = error;
    this.#step = "ended";
    this.#forgetNonce();
    this.#stopNetwork();
    this.#linked.conversation.close();
    void this.#work.finally(this.#release);
  }
}
