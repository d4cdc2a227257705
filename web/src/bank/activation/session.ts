/**
 * What <tessera-activation> knows and does, without drawing: reads the activation, follows its events, keeps the code on the
 * screen fresh, posts the device code. A Lit controller; it redraws its host when something changes.
 */
import type { ReactiveController, ReactiveControllerHost } from "lit";
import {
  ApiError,
  EventStream,
  GatewayClient,
  isEnded,
  type Activation,
  type ActivationState,
  type Attempt,
  type CodeForm,
  type CodeView,
  type DeviceFacts,
  type StreamState,
} from "../../shared/api/index.js";

export interface SessionHost extends ReactiveControllerHost {
  /** Called after each step, for the host's events. */
  onStep(state: ActivationState, activation: Activation): void;
  /** What was typed is of no use any more: it was wrong, or the phone shows other digits now. */
  onDigitsUseless(): void;
  onFailure(error: unknown, attempt: Attempt): void;
}

const AFTER_TURN_MS = 120;
const RETRY_MS = 2_000;

export class ActivationSession implements ReactiveController {
  activation: Activation | null = null;
  code: CodeView | null = null;
  /** When the code on the screen turns, in milliseconds of performance.now(), or null. */
  turnsAt: number | null = null;
  turnLasts = 1;
  form: CodeForm = "colour";
  /** No code that is in force could be fetched; it is asked for again by itself. */
  isCodeless = false;
  stream: StreamState = "closed";
  phoneAway = false;
  wrongLeft: number | null = null;
  /** The phone came again while its digits were being typed here, and shows others now. */
  newDigits = false;
  busy = false;
  /** The phone typed its code: nothing else makes two steps of one. False when two were ordered, since then no one can tell. */
  isTyped = false;
  failure: unknown = null;

  readonly #host: SessionHost;
  #client: GatewayClient | null = null;
  #id = "";
  #followed: readonly [base: string, id: string, token: string] | null = null;
  #events: EventStream | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #tick: ReturnType<typeof setInterval> | undefined;
  #fetching: AbortController | null = null;
  #presences = 0;

  constructor(host: SessionHost) {
    this.#host = host;
    host.addController(this);
  }

  hostConnected(): void {
    document.addEventListener("visibilitychange", this.#onVisible);
    globalThis.addEventListener("online", this.#onVisible);
    globalThis.addEventListener("offline", this.#onOffline);
    // Taken out and put in again, as frameworks do when they move it.
    if (this.#followed !== null) this.start(...this.#followed);
  }

  hostDisconnected(): void {
    document.removeEventListener("visibilitychange", this.#onVisible);
    globalThis.removeEventListener("online", this.#onVisible);
    globalThis.removeEventListener("offline", this.#onOffline);
    this.stop();
  }

  /** Follows one activation; what was followed before is let go. */
  start(base: string, id: string, token: string): void {
    this.stop();
    this.activation = this.code = this.failure = this.wrongLeft = null;
    this.phoneAway = this.busy = this.newDigits = this.isTyped = this.isCodeless = false;
    this.#presences = 0;
    this.#id = id;
    this.#followed = [base, id, token];
    const client = new GatewayClient({ base, token });
    this.#client = client;
    this.#events = new EventStream({
      open: (last, signal) => client.openEvents(last, signal),
      onEvent: (type, data) => {
        this.#apply(type, data);
      },
      onState: (state) => {
        const back = this.stream === "lost" && state === "open";
        this.stream = state;
        if (back) void this.#read();
        this.#host.requestUpdate();
      },
      onRefused: (error) => {
        if (this.activation === null || !this.#over()) this.#fail(error);
      },
    });
    this.#events.start();
    this.#tick = setInterval(() => {
      this.#host.requestUpdate();
    }, 500);
    void this.#read();
  }

  stop(): void {
    this.#events?.close();
    this.#events = null;
    this.#fetching?.abort();
    clearTimeout(this.#timer);
    clearInterval(this.#tick);
  }

  setForm(form: CodeForm): void {
    if (form === this.form) return;
    this.form = form;
    void this.#turn();
  }

  /** Posts the eight digits; a wrong code shows in `wrongLeft`. When no answer came they stay typed, for another try. */
  async confirm(code: string): Promise<void> {
    if (this.#client === null || this.busy) return;
    this.busy = true;
    this.wrongLeft = null;
    this.newDigits = false;
    this.#host.requestUpdate();
    try {
      this.#take(await this.#client.confirm(this.#id, code));
    } catch (error) {
      const left = error instanceof ApiError && error.code === "device-code-wrong" ? error.number("left") : null;
      if (left !== null && left > 0) {
        this.wrongLeft = left;
        this.#host.onDigitsUseless();
      } else if (error instanceof ApiError && error.status < 500 && error.status !== 0 && error.status !== 429) await this.#read();
      else this.#host.onFailure(error, "act");
    }
    this.busy = false;
    this.#host.requestUpdate();
  }

  /** Reads everything again, after a failure that the person was told of. */
  retry(): void {
    this.failure = null;
    this.#events?.start();
    void this.#read();
  }

  /** Milliseconds until the activation expires, by the gateway's clock; never more than its whole life. */
  timeLeft({ created_at, expires_at }: Activation): number {
    const end = Date.parse(expires_at);
    return Math.min(end - (this.#client?.now() ?? Date.now()), end - Date.parse(created_at));
  }

  #over(): boolean {
    const state = this.activation?.state;
    return state !== undefined && (isEnded(state) || state === "active");
  }

  async #read(): Promise<void> {
    try {
      const activation = await this.#client?.activation(this.#id);
      if (activation !== undefined) this.#take(activation);
    } catch (error) {
      if (error instanceof ApiError && error.transient && this.activation !== null) return;
      this.#fail(error);
    }
  }

  /** Learns whether the phone that came typed its code, which makes two steps of one; the event does not say. */
  async #readSteps(): Promise<void> {
    const id = this.#id;
    try {
      const read = await this.#client?.activation(id);
      const now = this.activation;
      if (now !== null && read?.two_step === true && id === this.#id && !this.#over()) this.#take({ ...now, two_step: true });
    } catch {
      // the confirmation says it too
    }
  }

  #fail(error: unknown): void {
    this.failure = error;
    this.#host.onFailure(error, "view");
    this.#host.requestUpdate();
  }

  #take(activation: Activation): void {
    const before = this.activation;
    this.activation = activation;
    this.failure = null;
    if (before?.two_step === false && activation.two_step) this.isTyped = true;
    if (activation.state !== before?.state) this.#host.onStep(activation.state, activation);
    // A typed code makes two steps of one: then the second code is wanted, though the state is the same.
    if (activation.state !== before?.state || activation.two_step !== before.two_step) {
      void this.#turn();
      if (this.#over()) {
        this.#events?.close();
        clearInterval(this.#tick);
      }
    }
    this.#host.requestUpdate();
  }

  #apply(type: string, data: Readonly<Record<string, unknown>>): void {
    if (type === "stream.reset") void this.#read();
    const now = this.activation;
    // A new page hears everything from the start: the first of these is no return, even when it is late.
    const isReturn = type === "activation.present" && (this.#presences++ > 0 || this.phoneAway);
    if (now === null || this.#over()) return;
    if (type === "activation.away") this.phoneAway = true;
    if (type === "activation.present") {
      this.phoneAway = false;
      this.wrongLeft = null;
      if (isReturn && now.state === "present") {
        this.newDigits = true;
        this.#host.onDigitsUseless();
      }
      const left = data["tries_left"];
      this.#take({
        ...now,
        state: now.state === "confirmed" ? "confirmed" : "present",
        device: deviceOf(data) ?? now.device,
        tries_left: typeof left === "number" ? left : now.tries_left,
      });
      if (!now.two_step) void this.#readSteps();
      // Each contact has a second code of its own: the one on the screen is of no use to the phone that came anew.
      if (now.state === "confirmed" && now.two_step) {
        this.code = null;
        void this.#turn();
      }
    }
    if (type === "activation.code-wrong" && typeof data["left"] === "number") {
      this.#take({ ...now, tries_left: data["left"] });
    }
    if (type === "activation.confirmed") {
      this.phoneAway = false;
      this.#take({ ...now, state: "confirmed", two_step: data["two_step"] === true });
    }
    if (type === "activation.active" || type === "activation.ended") void this.#read();
    this.#host.requestUpdate();
  }

  /** Fetches the code that belongs on the screen now, and plans the next turn. */
  async #turn(): Promise<void> {
    clearTimeout(this.#timer);
    this.#fetching?.abort();
    const { activation } = this;
    const wanted = activation?.state === "waiting" || (activation?.state === "confirmed" && activation.two_step);
    if (!wanted || this.#client === null) {
      this.code = null;
      this.isCodeless = false;
      return;
    }
    if (document.visibilityState === "hidden" && this.code !== null) return;
    const fetching = new AbortController();
    this.#fetching = fetching;
    let wait = RETRY_MS;
    try {
      const code = await this.#client.code(this.#id, this.form, fetching.signal);
      this.code = code;
      this.isCodeless = false;
      this.turnsAt = code.next_in_ms === null ? null : performance.now() + code.next_in_ms;
      this.turnLasts = Math.max(code.next_in_ms ?? 1, code.rotation === null ? 1 : this.turnLasts);
      wait = code.next_in_ms === null ? 0 : code.next_in_ms + AFTER_TURN_MS;
    } catch (error) {
      if (fetching.signal.aborted) return;
      if (error instanceof ApiError && !error.transient) {
        await this.#read();
        return;
      }
      // The one on the screen has turned, or is another one than is wanted now.
      if (this.turnsAt === null || performance.now() >= this.turnsAt) {
        this.code = null;
        this.isCodeless = true;
      }
    }
    if (wait > 0) this.#timer = setTimeout(() => void this.#turn(), wait);
    this.#host.requestUpdate();
  }

  readonly #onOffline = (): void => {
    this.#events?.drop();
  };

  readonly #onVisible = (): void => {
    if (document.visibilityState === "hidden" || this.#events === null) return;
    this.#events.nudge();
    if (!this.#over()) void this.#turn();
  };
}

function deviceOf(data: Readonly<Record<string, unknown>>): DeviceFacts | null {
  const nested = data["device"];
  const facts = (typeof nested === "object" && nested !== null ? nested : data) as Readonly<Record<string, unknown>>;
  const text = (key: string): string => (typeof facts[key] === "string" ? facts[key] : "");
  if (text("model") === "" && text("name") === "") return null;
  return {
    name: text("name"),
    model: text("model"),
    platform: text("platform"),
    os: text("os"),
    place: text("place") === "" ? null : text("place"),
  };
}
