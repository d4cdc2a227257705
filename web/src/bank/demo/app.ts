/**
 * The demo bank's one page: log in, accounts, devices. It uses the gateway as any bank's page would: by the elements of
 * /embed/tessera.js, with tokens that its own back end hands it. Here are the session, the way between the views, and the views
 * with those elements; what only draws stands in files of its own.
 */
import { LitElement, html, nothing, type TemplateResult } from "lit";
import { LangController, type Lang } from "../../shared/i18n/index.js";
import { icons } from "../../shared/ui/icons.js";
import { shared } from "../../shared/ui/styles.js";
import { accounts } from "./accounts.js";
import { Adding } from "./adding.js";
import { BankApi, BankError, type Notice, type SessionView, type Started, type Transfer } from "./api.js";
import { asking, type Asking } from "./asking.js";
import { idleSoon, saidLast, trouble, troubleIs, troubleOf, type Said, type Trouble } from "./banners.js";
import { contactForm, transferForm, transferList, type Form } from "./forms.js";
import { languages, menu } from "./header.js";
import { IdleClock } from "./idle.js";
import { login } from "./login.js";
import { lost } from "./lost.js";
import { messages, type Words } from "./messages.js";
import { Orders } from "./orders.js";
import { addPage, devicesPage, inboxPage } from "./pages.js";
import { hasPhone } from "./phones.js";
import { styles } from "./styles.js";
import { forgetUnderway } from "./underway.js";
import { viewOf, type View } from "./views.js";

const NOTICES_EVERY_MS = 4_000;
const BANK = "Banque des Halles";

/** Ends of an activation that no reloading mends. */
const FINAL = new Set(["unauthenticated", "not-found", "activation-ended"]);

export class DemoBank extends LitElement {
  static override readonly styles = [...shared, styles];
  static override readonly properties = {
    _session: { state: true },
    _view: { state: true },
    _problem: { state: true },
    _started: { state: true },
    _token: { state: true },
    _notices: { state: true },
    _isPhoneless: { state: true },
    _asking: { state: true },
    _transfers: { state: true },
    _wrong: { state: true },
    _isBusy: { state: true },
    _said: { state: true },
    _idleLeft: { state: true },
    _twoStep: { state: true },
    _classical: { state: true },
  };

  declare _session: SessionView | null;
  declare _view: View;
  declare _problem: Trouble | null;
  declare _started: Started | null;
  declare _token: string;
  declare _notices: readonly Notice[];
  /** Known to have no phone. */
  declare _isPhoneless: boolean;
  /** What the customer's phone is being asked, or null. */
  declare _asking: Asking | null;
  declare _transfers: readonly Transfer[];
  /** The field of a form that the bank refused. */
  declare _wrong: string | null;
  declare _isBusy: boolean;
  /** What was done last, for a moment. */
  declare _said: Said | null;
  /** Seconds until the session ends by itself, in its last minute. */
  declare _idleLeft: number | null;
  declare _twoStep: boolean;
  declare _classical: boolean;

  readonly #language = new LangController(this);
  readonly #api = new BankApi();
  readonly #idle = new IdleClock(
    {
      onActivity: () => void this.#prolong(),
      onIdle: (left) => {
        if (left === 0) this.#endIdle();
        else this._idleLeft = left;
      },
    },
    undefined,
    new BroadcastChannel("demo.idle"),
  );
  #timer: ReturnType<typeof setInterval> | undefined;
  /** Counts the customers' visits: what was asked for in one is no answer for the next. */
  #visit = 0;
  #focusHeading = false;
  #focusWrong = false;
  /** What was typed into forms whose request is not done, by form. */
  readonly #typed = new Map<string, Readonly<Record<string, string>>>();

  constructor() {
    super();
    this._session = this._problem = this._started = this._asking = this._wrong = this._said = this._idleLeft = null;
    this._transfers = [];
    this._isBusy = false;
    this._view = "accounts";
    this._token = "";
    this._notices = [];
    this._twoStep = this._classical = this._isPhoneless = false;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    globalThis.addEventListener("hashchange", this.#onHash);
    this.#timer = setInterval(() => void this.#readNotices(), NOTICES_EVERY_MS);
    this.#open();
  }

  override updated(): void {
    const heading = this.renderRoot.querySelector("h1");
    if (heading === null) return;
    document.title = `${heading.textContent} – ${BANK}`;
    if (this.#focusHeading) heading.focus();
    else if (this.#focusWrong) this.renderRoot.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
    this.#focusHeading = this.#focusWrong = false;
  }

  #open(): void {
    this._problem = null;
    void this.#guard(async () => {
      this.#enter(await this.#api.session());
      this.#onRoute();
    });
  }

  /** Takes up a session; what belonged to another customer, or to none any more, is forgotten here and nowhere else. */
  #enter(session: SessionView | null): void {
    const before = this._session?.customer?.user;
    const user = session?.customer?.user;
    if (user === undefined || (before !== undefined && before !== user)) this.#forget();
    this._session = session;
    if (session?.customer === null || session === null) this.#idle.stop();
    else this.#idle.start(session.idle_s);
  }

  async #prolong(): Promise<void> {
    try {
      const session = await this.#api.session();
      if (session.customer === null) this.#endIdle();
      else this.#enter(session);
    } catch {
      // the next movement tries again; the server's own clock counts
    }
  }

  #endIdle(): void {
    this.#forget();
    this._idleLeft = null;
    void this.#guard(async () => {
      await this.#api.logout().catch(() => undefined);
      this.#focusHeading = true;
      this.#enter(await this.#api.session());
      this._problem = troubleIs("idle");
    });
  }

  #forget(): void {
    this.#visit++;
    this._token = "";
    this._notices = [];
    this._isPhoneless = false;
    this._asking = this._said = this._wrong = null;
    this._transfers = [];
    this.#typed.clear();
    this.#leave();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    globalThis.removeEventListener("hashchange", this.#onHash);
    clearInterval(this.#timer);
    this.#idle.stop();
  }

  async #guard(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this._problem = troubleOf(error);
      if (this._problem.kind === "over") {
        this._asking = null;
        this.#adding.leave();
      }
      if (this._problem.kind === "expired") {
        this.#forget();
        this.#enter(await this.#api.session().catch(() => null));
      }
    }
  }

  readonly #onHash = (): void => {
    this.#focusHeading = true;
    this.#onRoute();
    this.requestUpdate();
  };

  readonly #onRoute = (): void => {
    this._view = viewOf(location.hash);
    this._problem = this._wrong = this._said = null;
    const customer = this._session?.customer ?? null;
    if (customer === null) return;
    this._asking = null;
    if (this._view === "accounts" || this._view === "devices") void this.#readPhones();
    if (this._view === "transfer") void this.#readTransfers();
    if (this._view === "devices" || this._view === "messages") void this.#renewToken();
    if (this._view === "devices") void this.#readNotices();
    if (this._view !== "add" && this._view !== "move") this.#leave();
    else if (this._started === null) this.#adding.begin(customer.user);
  };

  async #renewToken(): Promise<void> {
    await this.#guard(async () => {
      const visit = this.#visit;
      const token = await this.#api.pageToken();
      if (visit === this.#visit) this._token = token;
    });
  }

  async #readPhones(): Promise<void> {
    const visit = this.#visit;
    try {
      const isPhoneless = !(await hasPhone(this.#api));
      if (visit === this.#visit) this._isPhoneless = isPhoneless;
    } catch {
      // the accounts are shown all the same, without an invitation
      if (visit === this.#visit) this._isPhoneless = false;
    }
  }

  async #readTransfers(): Promise<void> {
    await this.#guard(async () => {
      const visit = this.#visit;
      const transfers = await this.#api.transfers();
      if (visit === this.#visit) this._transfers = transfers;
    });
  }

  // What the phone is asked

  readonly #orders = new Orders(this.#api, {
    lang: () => this.#language.lang,
    guard: (work) => this.#guard(work),
    asking: () => this._asking,
    onAsk: (asked) => {
      this.#focusHeading = true;
      this._asking = asked;
    },
    onBusy: (isBusy) => {
      this._isBusy = isBusy;
      if (isBusy) this._wrong = this._problem = this._said = null;
    },
    onWrong: (field) => {
      this._wrong = field;
      this.#focusWrong = true;
    },
    onSaid: (said) => {
      this._said = said;
      this.#typed.delete("desk");
    },
    onLoggedIn: (session) => {
      this._asking = null;
      this.#enter(session);
      this.#focusHeading = true;
      this.#onRoute();
      this._said = session.customer !== null && session.reported === true ? "reported" : null;
    },
    onDevice: (approval) => this.#adding.grant(approval),
    onDone: async (purpose, session) => {
      this.#enter(session);
      this._asking = null;
      this.#typed.delete(purpose);
      this.#focusHeading = true;
      if (purpose === "transfer") await this.#readTransfers();
      this._said = purpose === "transfer" ? "done_transfer" : "done_contact";
    },
  });

  readonly #adding = new Adding(this.#api, {
    lang: () => this.#language.lang,
    guard: (work) => {
      this._problem = null;
      return this.#guard(work);
    },
    adding: () => {
      const user = this._session?.customer?.user;
      return user === undefined || (this._view !== "add" && this._view !== "move") ? null : { user, mode: this._view };
    },
    wish: () => ({ two_step: this._twoStep, suite: this._classical ? "classical" : "hybrid" }),
    onAsk: (asked) => {
      this.#orders.ask("device", asked);
    },
    onStarted: (started) => {
      this._asking = null;
      this._started = started;
    },
  });

  readonly #asker = {
    onApproved: (): void => {
      if (this._asking !== null) void this.#orders.goOn(this._asking);
    },
    onEnded: (): void => {
      if (this._asking !== null) void this.#orders.end(this._asking);
    },
    onBack: (): void => {
      const left = this._asking;
      if (left !== null) void this.#orders.leave(left).then(() => this.#orders.end(left));
      this.#asker.onRestart();
    },
    onRestart: (): void => {
      const purpose = this._asking?.purpose;
      this._asking = null;
      this.#focusHeading = true;
      if (purpose === "device") location.hash = "#/devices";
      if (purpose === "transfer") void this.#readTransfers();
    },
  };

  #form(purpose: "transfer" | "contact" | "desk"): Form {
    const onSend = (fields: Readonly<Record<string, string>>): void => {
      this.#typed.set(purpose, fields);
      void this.#orders.send(purpose, fields);
    };
    return { wrong: this._wrong, isBusy: this._isBusy, typed: this.#typed.get(purpose) ?? {}, onSend };
  }

  #leave(): void {
    this._started = null;
    this.#adding.leave();
  }

  async #readNotices(): Promise<void> {
    if (this._view !== "devices" || (this._session?.customer ?? null) === null || document.visibilityState === "hidden") return;
    const visit = this.#visit;
    try {
      const notices = await this.#api.notices();
      if (visit === this.#visit) this._notices = notices;
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
          <div class="brand">${icons.bank(30)} ${BANK}</div>
          ${languages(words, lang)} ${(this._session?.customer ?? null) === null ? nothing : menu(words, this._view, this.#onLogout)}
        </div>
      </header>
      <main id="content" tabindex="-1">
        ${this._problem === null || this._problem.kind === "wrong"
          ? nothing
          : trouble(words, lang, this._problem, this.#isStuck() ? this.#onAgain : null)}
        ${this._idleLeft === null ? nothing : idleSoon(words, this._idleLeft, () => void this.#prolong())}
        ${saidLast(words, this._said)}
        ${this.#page(words, lang)}
      </main>
      <footer>${words.demo}</footer>
    `;
  }

  /** Whether the page waits for something that failed to come, and that nothing else will fetch. */
  #isStuck(): boolean {
    if (this._session === null) return true;
    if (this._session.customer === null) return false;
    const isAdding = this._view === "add" || this._view === "move";
    return (isAdding && this._started === null && (this._asking === null || this.#adding.granted !== null)) || (this._view === "devices" && this._token === "");
  }

  #waiting(words: Words): TemplateResult | typeof nothing {
    return this._problem === null ? html`<span class="spinner" role="status" aria-label=${words.loading}></span>` : nothing;
  }

  #page(words: Words, lang: Lang): TemplateResult | typeof nothing {
    if (this._session === null) return this.#waiting(words);
    if (this._asking !== null) return asking(words, lang, this._asking, this.#asker);
    if (this._session.customer === null) {
      return login(words, { session: this._session, isWrong: this._problem?.kind === "wrong", isBusy: this._isBusy, onLogin: this.#onLogin });
    }
    const { customer } = this._session;
    if (this._view === "transfer") {
      return html`<h1 tabindex="-1">${words.transferTitle}</h1>
        ${transferForm(words, this.#form("transfer"))} ${transferList(words, lang, this._transfers)}`;
    }
    const waiting = this.#waiting(words);
    if (this._view === "messages") return inboxPage(words, lang, { token: this._token, waiting, desk: this.#form("desk"), onError: this.#onDevicesError });
    if (this._view === "devices") return this.#devices(words, lang);
    if (this._view === "add" || this._view === "move") {
      const isMove = this._view === "move";
      return addPage(words, lang, { isMove, started: this._started, waiting, onRestart: this.#onRestart, onOver: this.#onOver, onError: this.#onActivationError });
    }
    if (this._view === "lost") return lost(words);
    return html`${accounts(words, lang, customer, { isPhoneless: this._isPhoneless })} ${contactForm(words, customer, this.#form("contact"))}`;
  }

  #devices(words: Words, lang: Lang): TemplateResult {
    const tester = {
      isTwoStep: this._twoStep,
      isClassical: this._classical,
      onTwoStep: (wanted: boolean) => {
        this._twoStep = wanted;
      },
      onClassical: (wanted: boolean) => {
        this._classical = wanted;
      },
    };
    const { _token: token, _isPhoneless: isPhoneless, _notices: notices } = this;
    return devicesPage(words, lang, { token, waiting: this.#waiting(words), isPhoneless, notices, tester, onError: this.#onDevicesError });
  }

  readonly #onRestart = (): void => {
    void this.#adding.start();
  };

  readonly #onOver = (): void => {
    forgetUnderway();
  };

  readonly #onActivationError = (event: CustomEvent<{ readonly code: string }>): void => {
    if (FINAL.has(event.detail.code)) this.#onOver();
  };

  readonly #onAgain = (): void => {
    if (this._session === null) this.#open();
    else if (this.#adding.granted !== null) void this.#adding.start();
    else this.#onRoute();
  };

  /** The token's quarter of an hour is over: the bank hands the page another one, as long as its session lasts. */
  readonly #onDevicesError = (event: CustomEvent<{ readonly code: string }>): void => {
    if (event.detail.code === "unauthenticated") void this.#renewToken();
  };

  readonly #onSkip = (event: Event): void => {
    event.preventDefault();
    this.renderRoot.querySelector<HTMLElement>("#content")?.focus();
  };

  readonly #onLogin = (user: string, password: string): void => {
    this._problem = null;
    this._isBusy = true;
    void (async () => {
      try {
        const answer = await this.#api.login(user, password, this.#language.lang);
        if ("approval" in answer) {
          this.#orders.ask("login", answer);
        } else {
          this.#enter(answer);
          this.#focusHeading = true;
          this.#onRoute();
          this._said = answer.customer !== null && answer.reported === true ? "reported" : null;
        }
      } catch (error) {
        this._problem = error instanceof BankError && error.status === 401 ? troubleIs("wrong") : troubleOf(error);
      }
      this._isBusy = false;
    })();
  };

  readonly #onLogout = (): void => {
    void this.#guard(async () => {
      await this.#api.logout();
      location.hash = "";
      this.#forget();
      const session = await this.#api.session();
      this.#focusHeading = true;
      this.#enter(session);
    });
  };
}
