/**
 * The demo bank's one page: log in, accounts, devices. It uses the gateway as any bank's page would: by the elements of
 * /embed/tessera.js, with tokens that its own back end hands it.
 */
import { LitElement, html, nothing, type TemplateResult } from "lit";
import { LANGS, LangController, formatDateTime, formatMoney, locale, type Lang } from "../../shared/i18n/index.js";
import { icons } from "../../shared/ui/icons.js";
import { shared } from "../../shared/ui/styles.js";
import { BankApi, BankError, type Account, type Notice, type SessionView, type Started } from "./api.js";
import { messages, type Words } from "./messages.js";
import { styles } from "./styles.js";

type View = "accounts" | "devices" | "add";
const VIEWS: Readonly<Record<string, View>> = { "#/accounts": "accounts", "#/devices": "devices", "#/devices/add": "add" };
const NOTICES_EVERY_MS = 4_000;
const UNDERWAY = "demo.activation";

/** Returns the activation that this tab was in when it was reloaded, or null. */
function underway(): Started | null {
  const kept = sessionStorage.getItem(UNDERWAY);
  return kept === null ? null : (JSON.parse(kept) as Started);
}

export class DemoBank extends LitElement {
  static override readonly styles = [...shared, styles];
  static override readonly properties = {
    _session: { state: true },
    _view: { state: true },
    _problem: { state: true },
    _started: { state: true },
    _token: { state: true },
    _notices: { state: true },
    _twoStep: { state: true },
    _classical: { state: true },
  };

  declare _session: SessionView | null;
  declare _view: View;
  declare _problem: "wrong" | "failed" | "expired" | null;
  declare _started: Started | null;
  declare _token: string;
  declare _notices: readonly Notice[];
  declare _twoStep: boolean;
  declare _classical: boolean;

  readonly #language = new LangController(this);
  readonly #api = new BankApi();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor() {
    super();
    this._session = this._problem = this._started = null;
    this._view = "accounts";
    this._token = "";
    this._notices = [];
    this._twoStep = this._classical = false;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    globalThis.addEventListener("hashchange", this.#onRoute);
    this.#timer = setInterval(() => void this.#readNotices(), NOTICES_EVERY_MS);
    void this.#guard(async () => {
      this._session = await this.#api.session();
      this.#onRoute();
    });
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    globalThis.removeEventListener("hashchange", this.#onRoute);
    clearInterval(this.#timer);
  }

  async #guard(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const status = error instanceof BankError ? error.status : 0;
      this._problem = status === 401 || status === 403 ? "expired" : "failed";
      if (this._problem === "expired") this._session = await this.#api.session().catch(() => null);
    }
  }

  readonly #onRoute = (): void => {
    this._view = VIEWS[location.hash] ?? "accounts";
    this._problem = null;
    const customer = this._session?.customer ?? null;
    if (customer === null) return;
    if (this._view === "devices") {
      void this.#renewToken();
      void this.#readNotices();
    }
    if (this._view !== "add") this.#leave();
    else if (this._started === null) {
      this._started = underway();
      if (this._started === null) void this.#start();
    }
  };

  async #renewToken(): Promise<void> {
    await this.#guard(async () => {
      this._token = await this.#api.pageToken();
    });
  }

  async #start(): Promise<void> {
    this.#leave();
    await this.#guard(async () => {
      const suite = this._classical ? "classical" : "hybrid";
      this._started = await this.#api.startActivation({ two_step: this._twoStep, suite });
      sessionStorage.setItem(UNDERWAY, JSON.stringify(this._started));
    });
  }

  #leave(): void {
    this._started = null;
    sessionStorage.removeItem(UNDERWAY);
  }

  async #readNotices(): Promise<void> {
    if (this._view !== "devices" || (this._session?.customer ?? null) === null || document.visibilityState === "hidden") return;
    try {
      this._notices = await this.#api.notices();
    } catch {
      // the next turn of the clock tries again
    }
  }

  override render(): TemplateResult {
    const { lang } = this.#language;
    const words = messages[lang];
    return html`
      <header>
        <a class="skip button" href="#content" @click=${this.#onSkip}>${words.skip}</a>
        <div class="bar">
          <div class="brand">${icons.bank(30)} Banque des Halles</div>
          ${(this._session?.customer ?? null) === null ? nothing : this.#menu(words)} ${this.#languages(words, lang)}
        </div>
      </header>
      <main id="content" tabindex="-1">
        ${this._problem === null || this._problem === "wrong"
          ? nothing
          : html`<p class="notice bad" role="alert">${icons.warn()}<span>${words[this._problem]}</span></p>`}
        ${this.#page(words, lang)}
      </main>
      <footer>${words.demo}</footer>
    `;
  }

  #page(words: Words, lang: Lang): TemplateResult {
    if (this._session === null) return html`<span class="spinner" role="status"></span>`;
    if (this._session.customer === null) return this.#login(words, this._session);
    if (this._view === "devices") return this.#devices(words, lang);
    if (this._view === "add") return this.#add(words, lang);
    const { name, accounts } = this._session.customer;
    return html`<h1>${words.hello(name)}</h1>
      <ul class="accounts">
        ${accounts.map((account) => this.#account(words, lang, account))}
      </ul>`;
  }

  #menu(words: Words): TemplateResult {
    const item = (view: View, hash: string, text: string): TemplateResult => {
      const here = this._view === view || (view === "devices" && this._view === "add");
      return html`<li><a href=${hash} aria-current=${here ? "page" : nothing}>${text}</a></li>`;
    };
    return html`<nav aria-label=${words.nav}>
        <ul>
          ${item("accounts", "#/accounts", words.accounts)} ${item("devices", "#/devices", words.devices)}
        </ul>
      </nav>
      <button class="quiet" @click=${this.#onLogout}>${words.logout}</button>`;
  }

  #languages(words: Words, current: Lang): TemplateResult {
    return html`<div class="languages" role="group" aria-label=${words.language}>
      ${LANGS.map(
        (lang) =>
          html`<button class="quiet" lang=${lang} aria-pressed=${lang === current} @click=${() => {
            locale.set(lang);
          }}>${lang}</button>`,
      )}
    </div>`;
  }

  #login(words: Words, session: Extract<SessionView, { customer: null }>): TemplateResult {
    return html`<form class="card stack login" @submit=${this.#onLogin}>
      <h1>${words.loginTitle}</h1>
      <p class="soft">${words.loginLead}</p>
      <fieldset class="choices">
        <legend>${words.customer}</legend>
        ${session.choices.map(
          (choice, index) =>
            html`<label><input type="radio" name="user" value=${choice.user} ?checked=${index === 0} /> ${choice.name}</label>`,
        )}
      </fieldset>
      <div class="field">
        <label for="password">${words.password}</label>
        <input id="password" name="password" type="password" autocomplete="off" required aria-describedby="password-hint" />
        ${this._problem === "wrong" ? html`<p class="error" role="alert">${words.wrong}</p>` : nothing}
        <p id="password-hint" class="soft small">${words.passwordHint(session.password)}</p>
      </div>
      <button class="big wide">${words.login}</button>
    </form>`;
  }

  #account(words: Words, lang: Lang, account: Account): TemplateResult {
    return html`<li class="card stack">
      <h2>${words[account.kind]}</h2>
      <p class="soft code small">${account.iban}</p>
      <p><span class="sr">${words.balance}</span><span class="amount">${formatMoney(lang, account.balance, account.currency)}</span></p>
    </li>`;
  }

  #devices(words: Words, lang: Lang): TemplateResult {
    return html`<div class="heading">
        <div>
          <h1>${words.devices}</h1>
          <p class="soft">${words.devicesLead}</p>
        </div>
        <a class="button" href="#/devices/add">${icons.add()} ${words.add}</a>
      </div>
      <tessera-devices lang=${lang} token=${this._token} @tessera-error=${this.#onDevicesError}></tessera-devices>
      <section class="card stack">
        <h2>${words.noticesTitle}</h2>
        ${this._notices.length === 0 ? html`<p class="soft">${words.noticesNone}</p>` : this.#noticeList(words, lang)}
      </section>
      <details class="card stack">
        <summary>${words.testers}</summary>
        <label class="check"><input type="checkbox" .checked=${this._twoStep} @change=${(event: Event) => {
          this._twoStep = (event.target as HTMLInputElement).checked;
        }} /> ${words.twoStep}</label>
        <label class="check"><input type="checkbox" .checked=${this._classical} @change=${(event: Event) => {
          this._classical = (event.target as HTMLInputElement).checked;
        }} /> ${words.classical}</label>
        <p>${words.phoneHint} <a href="/phone/" target="_blank" rel="noopener">${words.phoneApp}</a></p>
      </details>`;
  }

  /** Lists the notices that mean something to a person; the bank is told of more. */
  #noticeList(words: Words, lang: Lang): TemplateResult {
    const told = this._notices.flatMap((notice) => {
      const say = (words as Readonly<Record<string, unknown>>)[notice.type];
      const name = notice.data["name"];
      const device = typeof name === "string" && name !== "" ? name : words.aPhone;
      return typeof say === "function" ? [{ notice, text: (say as (device: string) => string)(device) }] : [];
    });
    return html`<ul class="notices">
      ${told.map(
        ({ notice, text }) =>
          html`<li><span>${text}</span><time class="soft small" datetime=${notice.timestamp}>${formatDateTime(lang, notice.timestamp)}</time></li>`,
      )}
    </ul>`;
  }

  #add(words: Words, lang: Lang): TemplateResult {
    return html`<a class="button secondary above" href="#/devices">${icons.back()} ${words.back}</a>
      <h1>${words.addTitle}</h1>
      ${this._started === null
        ? html`<span class="spinner" role="status"></span>`
        : html`<tessera-activation
            lang=${lang}
            activation=${this._started.activation.id}
            token=${this._started.page_token}
            @tessera-restart=${this.#onRestart}
            @tessera-active=${this.#onOver}
            @tessera-ended=${this.#onOver}
            @tessera-error=${this.#onOver}
          ></tessera-activation>`}`;
  }

  readonly #onRestart = (): void => {
    void this.#start();
  };

  readonly #onOver = (): void => {
    sessionStorage.removeItem(UNDERWAY);
  };

  /** The token's quarter of an hour is over: the bank hands the page another one, as long as its session lasts. */
  readonly #onDevicesError = (event: CustomEvent<{ readonly code: string }>): void => {
    if (event.detail.code === "unauthenticated") void this.#renewToken();
  };

  readonly #onSkip = (event: Event): void => {
    event.preventDefault();
    this.renderRoot.querySelector<HTMLElement>("#content")?.focus();
  };

  readonly #onLogin = (event: Event): void => {
    event.preventDefault();
    const form = new FormData(event.target as HTMLFormElement);
    const text = (name: string): string => {
      const value = form.get(name);
      return typeof value === "string" ? value : "";
    };
    this._problem = null;
    void (async () => {
      try {
        this._session = await this.#api.login(text("user"), text("password"));
        this.#onRoute();
      } catch (error) {
        this._problem = error instanceof BankError && error.status === 401 ? "wrong" : "failed";
      }
    })();
  };

  readonly #onLogout = (): void => {
    void this.#guard(async () => {
      await this.#api.logout();
      location.hash = "";
      this.#leave();
      this._notices = [];
      this._session = await this.#api.session();
    });
  };
}
