/**
 * <tessera-messages token="ptk_…" gateway="https://…" lang="fr">: what the bank wrote to the customer, newest first; opening one
 * marks it read; live by the event stream. Events (bubbling, composed): tessera-unread {count}, tessera-error {code}. Parts: frame,
 * message, button.
 */
import { LitElement, html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { repeat } from "lit/directives/repeat.js";
import { ApiError, EventStream, GatewayClient, explain, type InboxMessage } from "../../shared/api/index.js";
import { formatDate, formatDateTime, langOf, type Lang } from "../../shared/i18n/index.js";
import { icons } from "../../shared/ui/icons.js";
import { shared } from "../../shared/ui/styles.js";
import { messages, type Words } from "./messages.js";
import { styles } from "./styles.js";
import { textIn } from "./text.js";

export class TesseraMessages extends LitElement {
  static override readonly styles = [...shared, styles];
  static override readonly properties = {
    token: { type: String },
    gateway: { type: String },
    lang: { type: String, reflect: true },
    _items: { state: true },
    _failure: { state: true },
    _busy: { state: true },
  };

  declare token: string;
  /** The gateway's origin; empty when the page has the same. */
  declare gateway: string;
  declare _items: readonly InboxMessage[] | null;
  declare _failure: unknown;
  declare _busy: boolean;

  #client: GatewayClient | null = null;
  #events: EventStream | null = null;
  #cursor: string | null = null;
  #unread = 0;

  constructor() {
    super();
    this.token = this.gateway = "";
    this._items = this._failure = null;
    this._busy = false;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    // Taken out and put in again, as frameworks do when they move it.
    if (this.#client !== null) this.#start();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#events?.close();
  }

  override willUpdate(changed: PropertyValues<this>): void {
    if ((changed.has("token") || changed.has("gateway")) && this.token !== "") this.#start();
  }

  #start(): void {
    this.#events?.close();
    const client = new GatewayClient({ base: this.gateway, token: this.token });
    this.#client = client;
    this.#events = new EventStream({
      open: (last, signal) => client.openEvents(last, signal),
      onEvent: (type) => {
        if (type.startsWith("message.") || type === "stream.reset") void this.#read();
      },
      onState: (state) => {
        if (state === "open") void this.#read();
      },
      onRefused: (error) => {
        this.#fail(error);
      },
    });
    this.#events.start();
    void this.#read();
  }

  /** Reads the newest page; older ones that were fetched stay below it. */
  async #read(): Promise<void> {
    try {
      const page = await this.#client?.inbox(null);
      if (page === undefined) return;
      const last = page.items.at(-1);
      const older = last === undefined ? [] : (this._items ?? []).filter(({ created_at }) => created_at < last.created_at);
      if (older.length === 0) this.#cursor = page.next_cursor;
      this._items = [...page.items, ...older];
      this._failure = null;
      this.#count(page.unread ?? 0);
    } catch (error) {
      if (this._items === null || !(error instanceof ApiError && error.transient)) this.#fail(error);
    }
  }

  async #more(): Promise<void> {
    if (this.#client === null || this._busy || this.#cursor === null) return;
    this._busy = true;
    try {
      const page = await this.#client.inbox(this.#cursor);
      this.#cursor = page.next_cursor;
      this._items = [...(this._items ?? []), ...page.items];
    } catch (error) {
      this.#fail(error);
    }
    this._busy = false;
  }

  async #open(message: InboxMessage): Promise<void> {
    if (message.read_at !== null || this.#client === null) return;
    try {
      const read = await this.#client.markRead(message.id);
      this._items = (this._items ?? []).map((each) => (each.id === read.id ? read : each));
      this.#count(Math.max(0, this.#unread - 1));
    } catch {
      // It stays unread, and is marked when it is opened again.
    }
  }

  #count(unread: number): void {
    this.#unread = unread;
    this.dispatchEvent(new CustomEvent("tessera-unread", { detail: { count: unread }, bubbles: true, composed: true }));
    this.requestUpdate();
  }

  #fail(error: unknown): void {
    this._failure = error;
    const code = error instanceof ApiError ? error.code : "internal";
    this.dispatchEvent(new CustomEvent("tessera-error", { detail: { code }, bubbles: true, composed: true }));
  }

  override render(): TemplateResult {
    const lang = langOf(this);
    const words = messages[lang];
    return html`<section part="frame" class="stack" lang=${lang} aria-label=${words.title}>
      <p role="status" class="soft small">${this.#unread > 0 ? words.unread(this.#unread) : ""}</p>
      ${this._failure === null ? nothing : this.#failed(words, lang)} ${this.#content(words, lang)}
    </section>`;
  }

  #content(words: Words, lang: Lang): TemplateResult | typeof nothing {
    if (this._items === null) {
      if (this._failure !== null) return nothing;
      return html`<div class="centre" role="status"><span class="spinner"></span><p>${words.loading}</p></div>`;
    }
    if (this._items.length === 0) {
      return html`<div class="card centre"><h3>${words.empty}</h3><p class="soft">${words.emptyLead}</p></div>`;
    }
    return html`<ul class="list">
        ${repeat(this._items, ({ id }) => id, (message) => this.#message(words, lang, message))}
      </ul>
      ${this.#cursor === null ? nothing : html`<button class="secondary" part="button" ?disabled=${this._busy} @click=${() => void this.#more()}>${words.more}</button>`}`;
  }

  #message(words: Words, lang: Lang, message: InboxMessage): TemplateResult {
    const isUnread = message.read_at === null;
    const { text, lang: written } = textIn(message, lang);
    return html`<li>
      <details class="card ${isUnread ? "unread" : ""}" part="message" data-message=${message.id} lang=${written} @toggle=${(event: Event) => {
        if ((event.target as HTMLDetailsElement).open) void this.#open(message);
      }}>
        <summary>
          <h3 dir="auto">${text.title}</h3>
          ${isUnread ? html`<span class="badge ok">${words.isUnread}</span>` : nothing}
          <span class="soft small">${formatDateTime(lang, message.created_at)}</span>
        </summary>
        <p class="body" dir="auto">${text.body}</p>
        ${message.expires_at === null ? nothing : html`<p class="soft small">${words.until(formatDate(lang, message.expires_at))}</p>`}
      </details>
    </li>`;
  }

  #failed(words: Words, lang: Lang): TemplateResult {
    const { title, nextStep } = explain(this._failure, lang);
    return html`<div class="notice bad" role="alert">
      ${icons.warn()}
      <div>
        <strong>${title}</strong><span>${nextStep}</span>
        <button class="secondary" part="button" @click=${this.#onRetry}>${words.retry}</button>
      </div>
    </div>`;
  }

  readonly #onRetry = (): void => {
    this._failure = null;
    this.#events?.start();
    void this.#read();
  };
}
