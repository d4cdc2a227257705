/** Ends a session after a time without activity (PSD2 RTS article 4(3)(d)): the server's word counts, this clock warns before. */

const EVENTS = ["pointerdown", "keydown"] as const;
const WARN_MS = 60_000;
/** How often activity is told to the server, at most. */
const TELL_MS = 30_000;

export interface IdleHost {
  /** The customer did something: the session is to be prolonged. */
  onActivity(): void;
  /** So many seconds are left (null: enough), or none any more (0). */
  onIdle(left: number | null): void;
}

/** What other windows of the same session are told by. */
export type IdleChannel = Pick<BroadcastChannel, "postMessage" | "onmessage">;

export class IdleClock {
  readonly #host: IdleHost;
  readonly #now: () => number;
  readonly #channel: IdleChannel | null;
  #ends = 0;
  #life = 0;
  #told = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** `channel`: the customer may be busy in another window, whose activity counts here too. */
  constructor(host: IdleHost, now: () => number = () => performance.now(), channel: IdleChannel | null = null) {
    this.#host = host;
    this.#now = now;
    this.#channel = channel;
    if (channel !== null) {
      channel.onmessage = ({ data }: MessageEvent<unknown>) => {
        if (this.#timer !== undefined && typeof data === "number") this.#prolong(data);
      };
    }
  }

  /** The server has opened or prolonged the session for so many seconds. */
  start(seconds: number): void {
    this.#prolong(seconds);
    this.#channel?.postMessage(seconds);
    if (this.#timer !== undefined) return;
    for (const type of EVENTS) globalThis.addEventListener(type, this.#onEvent, { passive: true, capture: true });
    this.#timer = setInterval(() => {
      this.tick();
    }, 1_000);
  }

  #prolong(seconds: number): void {
    this.#life = seconds * 1000;
    this.#ends = this.#now() + this.#life;
    this.#told = this.#now();
    this.#host.onIdle(null);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    for (const type of EVENTS) globalThis.removeEventListener(type, this.#onEvent, { capture: true });
  }

  tick(): void {
    const left = this.#ends - this.#now();
    if (left <= 0) {
      this.stop();
      this.#host.onIdle(0);
    } else this.#host.onIdle(left <= WARN_MS ? Math.ceil(left / 1000) : null);
  }

  active(): void {
    const now = this.#now();
    const isPressing = this.#ends - now <= WARN_MS;
    if (now - this.#told < TELL_MS && !isPressing) return;
    this.#told = now;
    this.#host.onActivity();
  }

  readonly #onEvent = (): void => {
    this.active();
  };
}
