/**
 * What <tessera-approval> knows and does, without drawing: reads the request, follows its events, fetches the code for a phone
 * without a network, posts the digits. A Lit controller; it redraws its host when something changes.
 */
import type { ReactiveController, ReactiveControllerHost } from "lit";
import {
  ApiError,
  EventStream,
  GatewayClient,
  type Approval,
  type ApprovalState,
  type CodeForm,
  type OfflineCode,
  type StreamState,
} from "../../shared/api/index.js";

export interface SessionHost extends ReactiveControllerHost {
  /** Called when the request was read first, and when it is over. */
  onState(state: ApprovalState, approval: Approval): void;
  /** The digits that were typed were wrong. */
  onDigitsUseless(): void;
  /** `what` could not be done: reading the request, drawing its code, taking its digits, or ending it. */
  onFailure(error: unknown, what: Failing): void;
}

export type Failing = "view" | "code" | "digits" | "cancel";

export class ApprovalSession implements ReactiveController {
  approval: Approval | null = null;
  code: OfflineCode | null = null;
  form: CodeForm = "colour";
  stream: StreamState = "closed";
  /** The person has asked for the code. */
  isOffline = false;
  /** The code could not be drawn, and can be asked for again. */
  isCodeless = false;
  wrongLeft: number | null = null;
  busy = false;
  failure: unknown = null;

  readonly #host: SessionHost;
  #client: GatewayClient | null = null;
  #id = "";
  #binding: string | null = null;
  #followed: readonly [base: string, id: string, token: string] | null = null;
  #events: EventStream | null = null;
  #tick: ReturnType<typeof setInterval> | undefined;
  #fetching: AbortController | null = null;

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

  /** Follows one request; what was followed before is let go. */
  start(base: string, id: string, token: string): void {
    this.stop();
    this.approval = this.code = this.failure = this.wrongLeft = this.#binding = null;
    this.busy = this.isOffline = this.isCodeless = false;
    this.#id = id;
    this.#followed = [base, id, token];
    const client = new GatewayClient({ base, token });
    this.#client = client;
    this.#events = new EventStream({
      open: (last, signal) => client.openEvents(last, signal),
      onEvent: (type) => {
        if (type !== "approval.created") void this.#read();
      },
      onState: (state) => {
        const isBack = this.stream === "lost" && state === "open";
        this.stream = state;
        if (isBack) void this.#read();
        this.#host.requestUpdate();
      },
      onRefused: (error) => {
        if (!this.isOver) this.#fail(error);
      },
    });
    this.#events.start();
    this.#tick = setInterval(() => {
      // The gateway ends it within seconds of its time; who looks at a clock that stands at zero asks.
      if (this.approval !== null && !this.isOver && this.timeLeft(this.approval) <= 0) void this.#read();
      this.#host.requestUpdate();
    }, 500);
    void this.#read();
  }

  stop(): void {
    this.#events?.close();
    this.#events = null;
    clearInterval(this.#tick);
    this.#fetching?.abort();
  }

  get isOver(): boolean {
    return this.approval !== null && this.approval.state !== "pending";
  }

  /** Milliseconds until the request expires, by the gateway's clock; never more than its whole life. */
  timeLeft({ created_at, expires_at }: Approval): number {
    const end = Date.parse(expires_at);
    return Math.min(end - (this.#client?.now() ?? Date.now()), end - Date.parse(created_at));
  }

  /** Reads anew, after a failure that the person was told of. */
  retry(): void {
    this.failure = null;
    this.#events?.start();
    void this.#read();
  }

  /** Draws the code for a phone without a network: for the phone that is named, or the gateway's choice. */
  async showCode(binding: string | null = this.#binding): Promise<void> {
    this.isOffline = true;
    this.isCodeless = false;
    this.#binding = binding;
    this.code = null;
    this.#fetching?.abort();
    const fetching = new AbortController();
    this.#fetching = fetching;
    this.#host.requestUpdate();
    try {
      this.code = (await this.#client?.offlineCode(this.#id, this.form, binding, fetching.signal)) ?? null;
      this.#binding = this.code?.binding ?? null;
    } catch (error) {
      if (fetching.signal.aborted) return;
      // Where the phone answers by digits alone there is nothing to go back to: the code can be asked for again.
      this.isOffline = this.approval?.online === false;
      this.isCodeless = this.isOffline;
      if (error instanceof ApiError && error.code === "approval-ended") await this.#read();
      else this.#host.onFailure(error, "code");
    }
    this.#host.requestUpdate();
  }

  setForm(form: CodeForm): void {
    if (this.form === form) return;
    this.form = form;
    void this.showCode();
  }

  async answer(digits: string): Promise<void> {
    await this.#act("digits", (client) => client.offlineAnswer(this.#id, digits));
  }

  async cancel(): Promise<void> {
    await this.#act("cancel", (client) => client.cancelApproval(this.#id));
  }

  async #act(what: "digits" | "cancel", work: (client: GatewayClient) => Promise<Approval>): Promise<void> {
    if (this.#client === null || this.busy) return;
    const id = this.#id;
    this.busy = true;
    this.#host.requestUpdate();
    try {
      const approval = await work(this.#client);
      if (id === this.#id) this.#take(approval);
    } catch (error) {
      if (id !== this.#id) return;
      const left = error instanceof ApiError && error.code === "offline-answer-wrong" ? error.number("left") : null;
      if (left !== null) {
        this.wrongLeft = left;
        this.#host.onDigitsUseless();
      } else if (error instanceof ApiError && error.code === "approval-ended") {
        await this.#read();
      } else {
        this.#host.onFailure(error, what);
      }
    }
    if (id === this.#id) this.busy = false;
    this.#host.requestUpdate();
  }

  async #read(): Promise<void> {
    const id = this.#id;
    try {
      const approval = await this.#client?.approval(id);
      if (approval !== undefined && id === this.#id) this.#take(approval);
    } catch (error) {
      if (error instanceof ApiError && error.transient && this.approval !== null) return;
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.failure = error;
    this.#host.onFailure(error, "view");
    this.#host.requestUpdate();
  }

  #take(approval: Approval): void {
    const before = this.approval;
    if (before !== null && this.isOver) return;
    this.approval = approval;
    this.failure = null;
    if (approval.state !== before?.state) this.#host.onState(approval.state, approval);
    if (this.isOver) {
      this.code = null;
      this.stop();
    } else if (before === null && !approval.online) void this.showCode();
    this.#host.requestUpdate();
  }

  readonly #onOffline = (): void => {
    this.#events?.drop();
  };

  readonly #onVisible = (): void => {
    if (document.visibilityState === "hidden" || this.#events === null) return;
    this.#events.nudge();
    void this.#read();
  };
}
