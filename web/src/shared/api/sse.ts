/**
 * Server-sent events over fetch (WHATWG HTML section 9.2), because EventSource cannot send an Authorization header.
 * `SseParser` turns text into messages; `EventStream` keeps a stream open: it resumes with Last-Event-ID, backs off with
 * jitter, and gives up a silent connection whose heartbeats stopped. Used by both elements.
 */
import { ApiError } from "./problem.js";

export interface SseMessage {
  readonly id: string | null;
  readonly event: string;
  readonly data: string;
}

const MAX_PENDING = 1_000_000;

export class SseParser {
  #buffer = "";
  #first = true;
  #event = "";
  #data: string[] = [];
  lastEventId: string | null = null;
  retryMs: number | null = null;

  /** Takes the next piece of text, which may end anywhere; returns the messages that it completes. */
  push(chunk: string): SseMessage[] {
    let text = this.#buffer + chunk;
    if (this.#first && text.length > 0) {
      this.#first = false;
      if (text.startsWith("\uFEFF")) text = text.slice(1);
    }
    const messages: SseMessage[] = [];
    let start = 0;
    for (let at = 0; at < text.length; at++) {
      const character = text[at];
      if (character !== "\n" && character !== "\r") continue;
      // A CR at the very end may be half of a CRLF: wait for the rest.
      if (character === "\r" && at + 1 === text.length) break;
      const line = text.slice(start, at);
      if (character === "\r" && text[at + 1] === "\n") at += 1;
      start = at + 1;
      const message = this.#line(line);
      if (message !== null) messages.push(message);
    }
    this.#buffer = text.slice(start);
    if (this.#buffer.length > MAX_PENDING) throw new ApiError("internal", 0);
    return messages;
  }

  #line(line: string): SseMessage | null {
    if (line === "") return this.#dispatch();
    if (line.startsWith(":")) return null;
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (field === "event") this.#event = value;
    else if (field === "data") this.#data.push(value);
    else if (field === "id" && !value.includes("\0")) this.lastEventId = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.retryMs = Number(value);
    return null;
  }

  #dispatch(): SseMessage | null {
    const message = { id: this.lastEventId, event: this.#event === "" ? "message" : this.#event, data: this.#data.join("\n") };
    const empty = this.#data.length === 0;
    this.#event = "";
    this.#data = [];
    return empty ? null : message;
  }
}

export type StreamState = "connecting" | "open" | "lost" | "closed";

export interface StreamOptions {
  /** Opens the stream; throws ApiError when the server refuses. */
  readonly open: (lastEventId: string | null, signal: AbortSignal) => Promise<Response>;
  readonly onEvent: (type: string, data: Readonly<Record<string, unknown>>) => void;
  readonly onState?: (state: StreamState) => void;
  /** Called once when trying again is of no use (401, 403, 404, 410). */
  readonly onRefused?: (error: ApiError) => void;
  /** A connection that says nothing for this long is dead. The gateway sends a comment every 15 s. */
  readonly silenceMs?: number;
  readonly random?: () => number;
  readonly firstDelayMs?: number;
  readonly maxDelayMs?: number;
}

/** Returns how long to wait before try number `attempt` (0 the first): doubling, at most `max`, with ±25 % jitter. */
export function backoffMs(attempt: number, first: number, max: number, random: number): number {
  return Math.min(max, first * 2 ** Math.min(attempt, 16)) * (0.75 + random * 0.5);
}

export class EventStream {
  readonly #options: StreamOptions;
  #abort: AbortController | null = null;
  #wake: (() => void) | null = null;
  #attempt = 0;
  #lastEventId: string | null = null;
  #retryMs: number | null = null;
  #state: StreamState = "closed";
  #running = false;

  constructor(options: StreamOptions) {
    this.#options = options;
  }

  get state(): StreamState {
    return this.#state;
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    void this.#run();
  }

  close(): void {
    this.#running = false;
    this.#abort?.abort();
    this.#wake?.();
    this.#set("closed");
  }

  /** Tries again at once, when the network or the page comes back. */
  nudge(): void {
    this.#wake?.();
  }

  /** The network is gone: a connection that hangs on would say nothing more, and is not waited for. */
  drop(): void {
    this.#abort?.abort();
  }

  #set(state: StreamState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#options.onState?.(state);
  }

  async #run(): Promise<void> {
    while (this.#running) {
      if (this.#attempt === 0) this.#set("connecting");
      let retryAfter: number | null = null;
      try {
        await this.#connect();
      } catch (error) {
        if (!this.#still()) return;
        if (error instanceof ApiError) {
          if ([401, 403, 404, 410].includes(error.status)) {
            this.#running = false;
            this.#set("closed");
            this.#options.onRefused?.(error);
            return;
          }
          retryAfter = error.retryAfter === null ? null : error.retryAfter * 1000;
        }
      }
      if (!this.#still()) return;
      this.#set("lost");
      await this.#pause(retryAfter);
    }
  }

  // The flag changes while we await; a call keeps the compiler from assuming otherwise.
  #still(): boolean {
    return this.#running;
  }

  async #connect(): Promise<void> {
    const abort = new AbortController();
    this.#abort = abort;
    let timer = this.#watch(abort);
    try {
      const response = await this.#options.open(this.#lastEventId, abort.signal);
      if (response.body === null) return;
      const reader = response.body.getReader();
      const decoder = new TextDecoder();
      const parser = new SseParser();
      parser.lastEventId = this.#lastEventId;
      for (;;) {
        clearTimeout(timer);
        timer = this.#watch(abort);
        const { done, value } = await reader.read();
        if (done) return;
        this.#attempt = 0;
        this.#set("open");
        for (const message of parser.push(decoder.decode(value, { stream: true }))) this.#deliver(message);
        this.#lastEventId = parser.lastEventId;
        this.#retryMs = parser.retryMs;
      }
    } finally {
      clearTimeout(timer);
      abort.abort();
    }
  }

  #watch(abort: AbortController): ReturnType<typeof setTimeout> {
    return setTimeout(() => {
      abort.abort();
    }, this.#options.silenceMs ?? 40_000);
  }

  #deliver(message: SseMessage): void {
    let data: unknown;
    try {
      data = JSON.parse(message.data);
    } catch {
      return; // an event that isn't JSON is not one of ours
    }
    if (typeof data !== "object" || data === null || Array.isArray(data)) return;
    this.#options.onEvent(message.event, data as Record<string, unknown>);
  }

  async #pause(retryAfterMs: number | null): Promise<void> {
    const first = this.#retryMs ?? this.#options.firstDelayMs ?? 1_000;
    const random = (this.#options.random ?? Math.random)();
    const wait = retryAfterMs ?? backoffMs(this.#attempt, first, this.#options.maxDelayMs ?? 20_000, random);
    this.#attempt += 1;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, wait);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = null;
  }
}
