/**
 * A typed client of the gateway's REST API, for pages that hold a page token. Every failure is an `ApiError`. It never stores
 * the token and never puts it in a URL.
 */
import { ApiError } from "./problem.js";
import { ServerClock } from "./server-clock.js";
import type { Activation, Approval, Binding, CodeForm, CodeView, InboxMessage, InboxPage, OfflineCode, Page } from "./types.js";

export interface ClientOptions {
  /** The gateway's origin, without a trailing slash; empty for the page's own. */
  readonly base: string;
  readonly token: string;
  readonly fetch?: typeof globalThis.fetch;
  readonly timeoutMs?: number;
}

interface Call {
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
  /** Sent as Idempotency-Key, so that a repeated request is done once. */
  readonly once?: boolean;
}

export class GatewayClient {
  readonly base: string;
  readonly #token: string;
  readonly #fetch: typeof globalThis.fetch;
  readonly #timeoutMs: number;
  readonly #clock = new ServerClock();

  constructor(options: ClientOptions) {
    this.base = options.base.replace(/\/+$/, "");
    this.#token = options.token;
    this.#fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
    this.#timeoutMs = options.timeoutMs ?? 15_000;
  }

  /** The gateway's time, in milliseconds of the Unix epoch, as far as its answers have told it. */
  now(): number {
    return this.#clock.now();
  }

  activation(id: string, signal?: AbortSignal): Promise<Activation> {
    return this.#call("GET", `/api/v1/activations/${encodeURIComponent(id)}`, { signal });
  }

  code(id: string, form: CodeForm, signal?: AbortSignal): Promise<CodeView> {
    return this.#call("GET", `/api/v1/activations/${encodeURIComponent(id)}/code?form=${form}`, { signal });
  }

  confirm(id: string, code: string): Promise<Activation> {
    return this.#call("POST", `/api/v1/activations/${encodeURIComponent(id)}/confirm`, { body: { code } });
  }

  /** Returns every binding of the token's user, following the list's cursor. */
  async bindings(signal?: AbortSignal): Promise<readonly Binding[]> {
    const all: Binding[] = [];
    let cursor: string | null = null;
    do {
      const query: string = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
      const page: Page<Binding> = await this.#call("GET", `/api/v1/bindings?limit=100${query}`, { signal });
      all.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor !== null);
    return all;
  }

  approval(id: string, signal?: AbortSignal): Promise<Approval> {
    return this.#call("GET", `/api/v1/approvals/${encodeURIComponent(id)}`, { signal });
  }

  cancelApproval(id: string): Promise<Approval> {
    return this.#call("POST", `/api/v1/approvals/${encodeURIComponent(id)}/cancel`, { body: {} });
  }

  offlineCode(id: string, form: CodeForm, binding: string | null, signal?: AbortSignal): Promise<OfflineCode> {
    const body = binding === null ? { form } : { form, binding };
    return this.#call("POST", `/api/v1/approvals/${encodeURIComponent(id)}/offline-code`, { body, signal });
  }

  offlineAnswer(id: string, code: string): Promise<Approval> {
    return this.#call("POST", `/api/v1/approvals/${encodeURIComponent(id)}/offline-answer`, { body: { code } });
  }

  /** Returns a page of the bank's messages, newest first. */
  inbox(cursor: string | null, signal?: AbortSignal): Promise<InboxPage> {
    const query = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    return this.#call("GET", `/api/v1/messages?limit=20${query}`, { signal });
  }

  markRead(id: string): Promise<InboxMessage> {
    return this.#call("POST", `/api/v1/messages/${encodeURIComponent(id)}/read`, { body: {} });
  }

  rename(id: string, name: string): Promise<Binding> {
    return this.#call("PATCH", `/api/v1/bindings/${encodeURIComponent(id)}`, { body: { name } });
  }

  suspend(id: string): Promise<Binding> {
    return this.#call("POST", `/api/v1/bindings/${encodeURIComponent(id)}/suspend`, { body: {}, once: true });
  }

  resume(id: string): Promise<Binding> {
    return this.#call("POST", `/api/v1/bindings/${encodeURIComponent(id)}/resume`, { body: {}, once: true });
  }

  async remove(id: string): Promise<void> {
    await this.#call("DELETE", `/api/v1/bindings/${encodeURIComponent(id)}`, {});
  }

  /** The request behind `EventStream`: an open response whose body is the event stream. */
  async openEvents(lastEventId: string | null, signal: AbortSignal): Promise<Response> {
    const headers: Record<string, string> = { Accept: "text/event-stream", Authorization: `Bearer ${this.#token}` };
    if (lastEventId !== null) headers["Last-Event-ID"] = lastEventId;
    const response = await this.#send(`${this.base}/api/v1/events`, { headers, signal, cache: "no-store", credentials: "omit" });
    if (!response.ok) throw await problemOf(response);
    return response;
  }

  async #call<T>(method: string, path: string, call: Call): Promise<T> {
    const headers: Record<string, string> = { Accept: "application/json", Authorization: `Bearer ${this.#token}` };
    if (call.body !== undefined) headers["Content-Type"] = "application/json";
    if (call.once === true) headers["Idempotency-Key"] = crypto.randomUUID();
    const timeout = AbortSignal.timeout(this.#timeoutMs);
    const signal = call.signal === undefined ? timeout : firstOf(timeout, call.signal);
    const init: RequestInit = { method, headers, signal, cache: "no-store", credentials: "omit" };
    if (call.body !== undefined) init.body = JSON.stringify(call.body);
    const response = await this.#send(this.base + path, init);
    if (!response.ok) throw await problemOf(response);
    if (response.status === 204) return undefined as T;
    try {
      return (await response.json()) as T;
    } catch {
      throw new ApiError("internal", response.status);
    }
  }

  async #send(url: string, init: RequestInit): Promise<Response> {
    try {
      const response = await this.#fetch(url, init);
      this.#clock.hear(response.headers.get("Date"));
      return response;
    } catch (error) {
      const name = error instanceof Error ? error.name : "";
      if (name === "AbortError") throw error;
      throw new ApiError(name === "TimeoutError" ? "timeout" : "offline", 0);
    }
  }
}

/** Returns a signal that aborts with the first of the two. `AbortSignal.any` is younger than the oldest browsers we build for. */
function firstOf(timeout: AbortSignal, wish: AbortSignal): AbortSignal {
  const joint = new AbortController();
  for (const signal of [timeout, wish]) {
    const pass = (): void => {
      joint.abort(signal.reason);
    };
    if (signal.aborted) pass();
    else signal.addEventListener("abort", pass, { once: true, signal: joint.signal });
  }
  return joint.signal;
}

function retryAfterOf(response: Response): number | null {
  const seconds = Number(response.headers.get("Retry-After") ?? "");
  return Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds, 3600) : null;
}

/** Returns the ApiError that a failed response stands for, whatever its body is. */
export async function problemOf(response: Response): Promise<ApiError> {
  let details: Record<string, unknown> = {};
  try {
    const body: unknown = await response.json();
    if (typeof body === "object" && body !== null && !Array.isArray(body)) details = body as Record<string, unknown>;
  } catch {
    // A proxy's error page is no problem document; the status alone must do.
  }
  const code = details["code"];
  return new ApiError(typeof code === "string" ? code : codeByStatus(response.status), response.status, details, retryAfterOf(response));
}

function codeByStatus(status: number): string {
  if (status === 401) return "unauthenticated";
  if (status === 403) return "forbidden";
  if (status === 404) return "not-found";
  if (status === 409) return "conflict";
  if (status === 410) return "activation-ended";
  if (status === 429) return "rate-limited";
  return status >= 502 && status <= 504 ? "unavailable" : status >= 500 ? "internal" : "invalid-request";
}
