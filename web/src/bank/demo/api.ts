/** The demo bank's own JSON calls (gateway/demo/README.md). The browser holds its session cookie and no API key. */
import type { Lang } from "../../shared/i18n/index.js";

export interface Account {
  readonly kind: "current" | "savings";
  readonly iban: string;
  readonly balance: number;
  readonly currency: string;
}

export interface Customer {
  readonly user: string;
  readonly name: string;
  readonly accounts: readonly Account[];
  readonly contact: { readonly email: string; readonly phone: string };
}

export interface Choice {
  readonly user: string;
  readonly name: string;
}

export type SessionView =
  | { readonly customer: null; readonly choices: readonly Choice[]; readonly password: string }
  | { readonly customer: Customer; readonly csrf: string; readonly idle_s: number; readonly reported?: boolean };

/** A request that waits for the customer's phone. */
export interface Asked {
  readonly approval: { readonly id: string };
  readonly page_token: string;
}

export interface Transfer {
  readonly id: string;
  readonly state: "pending" | "approved" | "refused" | "reported" | "failed" | "expired" | "cancelled";
  /** Unix seconds. */
  readonly at: number;
  readonly payee: string;
  readonly account: string;
  readonly amount: string;
  readonly currency: string;
}

export interface Notice {
  readonly id: string;
  readonly type: string;
  readonly timestamp: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface Started {
  readonly activation: { readonly id: string };
  readonly page_token: string;
}

export class BankError extends Error {
  /** 0 when no answer came. */
  readonly status: number;
  /** Why, as gateway/demo/README.md says, or null. */
  readonly code: string | null;
  /** The form's field that is to be mended, or null. */
  readonly field: string | null;
  /** Seconds to wait before another try, or null. */
  readonly retryAfter: number | null;

  constructor(status: number, why: Readonly<Record<string, unknown>> = {}) {
    super(`status ${status}`);
    this.status = status;
    const { code, field, retry_after: retryAfter } = why;
    this.code = typeof code === "string" ? code : null;
    this.field = typeof field === "string" ? field : null;
    this.retryAfter = typeof retryAfter === "number" ? retryAfter : null;
  }

  /** Whether the same call may succeed later with nothing changed. */
  get isTransient(): boolean {
    return this.status === 0 || this.status >= 500;
  }
}

export class BankApi {
  #csrf = "";
  /** Keys of calls whose answer never came, by call: what is sent again unchanged is done once. */
  readonly #unanswered = new Map<string, string>();

  async session(): Promise<SessionView> {
    return this.#keep(await this.#call<SessionView>("GET", "session"));
  }

  /** Logs in by the password, or begins to by the phone of a customer who has one. */
  async login(user: string, password: string, lang: Lang): Promise<SessionView | Asked> {
    const answer = await this.#call<SessionView | Asked>("POST", "login", { user, password, lang });
    return "approval" in answer ? answer : this.#keep(answer);
  }

  /** Goes on with a login that the phone has approved. */
  async finishLogin(): Promise<SessionView> {
    return this.#keep(await this.#call<SessionView>("POST", "login/finish", {}));
  }

  transfer(fields: Readonly<Record<string, string>>): Promise<Asked> {
    return this.#call("POST", "transfers", fields);
  }

  async transfers(): Promise<readonly Transfer[]> {
    return (await this.#call<{ readonly items: readonly Transfer[] }>("GET", "transfers")).items;
  }

  changeContact(fields: Readonly<Record<string, string>>): Promise<Asked> {
    return this.#call("POST", "contact", fields);
  }

  furtherPhone(mode: "add" | "move", lang: Lang): Promise<Asked> {
    return this.#call("POST", "further-phone", { mode, lang });
  }

  async settle(order: string): Promise<void> {
    await this.#call("POST", `orders/${encodeURIComponent(order)}/settle`, {});
  }

  async sendMessage(fields: Readonly<Record<string, string>>, lang: Lang): Promise<void> {
    await this.#call("POST", "messages", { ...fields, lang });
  }

  async logout(): Promise<void> {
    await this.#call("POST", "logout", {});
  }

  startActivation(wish: { readonly two_step: boolean; readonly suite: "hybrid" | "classical"; readonly approval?: string }): Promise<Started> {
    return this.#call("POST", "activations", wish);
  }

  async pageToken(): Promise<string> {
    return (await this.#call<{ readonly page_token: string }>("POST", "page-token", {})).page_token;
  }

  async notices(): Promise<readonly Notice[]> {
    return (await this.#call<{ readonly items: readonly Notice[] }>("GET", "notices")).items;
  }

  #keep(view: SessionView): SessionView {
    if (view.customer !== null) this.#csrf = view.csrf;
    return view;
  }

  async #call<T>(method: string, path: string, body?: object): Promise<T> {
    const headers: Record<string, string> = { Accept: "application/json" };
    const init: RequestInit = { method, headers, cache: "no-store" };
    const call = `${path} ${JSON.stringify(body)}`;
    const key = this.#unanswered.get(call) ?? crypto.randomUUID();
    if (body !== undefined) {
      headers["Content-Type"] = "application/json";
      headers["X-CSRF-Token"] = this.#csrf;
      headers["Idempotency-Key"] = key;
      init.body = JSON.stringify(body);
    }
    let response: Response;
    try {
      response = await fetch(`/demo/api/${path}`, init);
    } catch {
      this.#unanswered.set(call, key);
      throw new BankError(0);
    }
    this.#unanswered.delete(call);
    if (!response.ok) throw new BankError(response.status, await whyOf(response));
    return (await response.json()) as T;
  }
}

async function whyOf(response: Response): Promise<Readonly<Record<string, unknown>>> {
  try {
    const body: unknown = await response.json();
    return typeof body === "object" && body !== null ? (body as Readonly<Record<string, unknown>>) : {};
  } catch {
    return {}; // a proxy's error page
  }
}
