/** The demo bank's own JSON calls (gateway/demo/README.md). The browser holds its session cookie and no API key. */

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
}

export interface Choice {
  readonly user: string;
  readonly name: string;
}

export type SessionView =
  | { readonly customer: null; readonly choices: readonly Choice[]; readonly password: string }
  | { readonly customer: Customer; readonly csrf: string };

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
  readonly status: number;

  constructor(status: number) {
    super(`status ${status}`);
    this.status = status;
  }
}

export class BankApi {
  #csrf = "";

  async session(): Promise<SessionView> {
    return this.#keep(await this.#call<SessionView>("GET", "session"));
  }

  async login(user: string, password: string): Promise<SessionView> {
    return this.#keep(await this.#call<SessionView>("POST", "login", { user, password }));
  }

  async logout(): Promise<void> {
    await this.#call("POST", "logout", {});
  }

  startActivation(wish: { readonly two_step: boolean; readonly suite: "hybrid" | "classical" }): Promise<Started> {
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
    if (body !== undefined) {
      headers["Content-Type"] = "application/json";
      headers["X-CSRF-Token"] = this.#csrf;
      headers["Idempotency-Key"] = crypto.randomUUID();
      init.body = JSON.stringify(body);
    }
    let response: Response;
    try {
      response = await fetch(`/demo/api/${path}`, init);
    } catch {
      throw new BankError(0);
    }
    if (!response.ok) throw new BankError(response.status);
    return (await response.json()) as T;
  }
}
