/**
 * <tessera-devices token="ptk_…" gateway="https://…" lang="fr">: the customer's phones; rename, suspend, resume and remove, each
 * with a confirmation; live by the event stream. Events (bubbling, composed): tessera-step {step, binding} after each change,
 * tessera-error {code}. Parts: frame, device, button, field, dialog.
 */
import { LitElement, html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { ApiError, EventStream, GatewayClient, explain, isHeld, type Binding } from "../../shared/api/index.js";
import { formatAgo, formatDate, langOf, type Lang } from "../../shared/i18n/index.js";
import { icons } from "../../shared/ui/icons.js";
import { shared } from "../../shared/ui/styles.js";
import { messages, type Words } from "./messages.js";
import { styles } from "./styles.js";

type Act = "suspend" | "resume" | "remove";
const MAX_NAME = 64;

export class TesseraDevices extends LitElement {
  static override readonly properties = {
    token: { type: String },
    gateway: { type: String },
    lang: { type: String, reflect: true },
    _items: { state: true },
    _editing: { state: true },
    _nameless: { state: true },
    _asking: { state: true },
    _failure: { state: true },
    _refusal: { state: true },
    _said: { state: true },
    _busy: { state: true },
  };

  static override readonly styles = [...shared, styles];

  declare token: string;
  /** The gateway's origin; empty when the page has the same. */
  declare gateway: string;
  declare _items: readonly Binding[] | null;
  declare _editing: string | null;
  /** The name was saved empty; until something is typed. */
  declare _nameless: boolean;
  declare _asking: { readonly act: Act; readonly binding: Binding } | null;
  /** Why the list cannot be read, until it can. */
  declare _failure: unknown;
  /** Why the last change was not made, until the next one or until it is dismissed. */
  declare _refusal: unknown;
  declare _said: string;
  declare _busy: boolean;

  #client: GatewayClient | null = null;
  #events: EventStream | null = null;
  #return: HTMLElement | null = null;

  constructor() {
    super();
    this.token = this.gateway = this._said = "";
    this._items = this._editing = this._asking = this._failure = this._refusal = null;
    this._busy = this._nameless = false;
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

  override updated(changed: PropertyValues): void {
    if (!changed.has("_asking")) return;
    const dialog = this.renderRoot.querySelector("dialog");
    if (this._asking !== null) dialog?.showModal();
    else if (changed.get("_asking") !== undefined) this.#return?.focus();
  }

  /** Puts the focus, whose place is gone, on that row's name or button; with the row gone too, on the whole list. */
  async #focusRow(id: string, what: "h3" | "[data-rename]"): Promise<void> {
    await this.updateComplete;
    const row = this.renderRoot.querySelector(`[data-binding="${CSS.escape(id)}"]`);
    (row?.querySelector<HTMLElement>(what) ?? this.renderRoot.querySelector("section"))?.focus();
  }

  #start(): void {
    this.#events?.close();
    const client = new GatewayClient({ base: this.gateway, token: this.token });
    this.#client = client;
    this.#events = new EventStream({
      open: (last, signal) => client.openEvents(last, signal),
      onEvent: () => void this.#read(),
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

  async #read(): Promise<void> {
    try {
      const all = (await this.#client?.bindings()) ?? [];
      this._items = all.filter((binding) => binding.state !== "removed");
      this._failure = null;
    } catch (error) {
      if (this._items === null || !(error instanceof ApiError && error.transient)) this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this._failure = error;
    this.#tellError(error);
  }

  #tellError(error: unknown): void {
    this.#tell("tessera-error", { code: error instanceof ApiError ? error.code : "internal" });
  }

  #tell(type: string, detail: object): void {
    this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true }));
  }

  async #change(step: Act | "rename", binding: Binding, call: (client: GatewayClient) => Promise<unknown>, name: string): Promise<void> {
    if (this.#client === null || this._busy) return;
    this._busy = true;
    this._refusal = null;
    try {
      await call(this.#client);
      this._said = messages[langOf(this)][`done_${step}`](name);
      this.#tell("tessera-step", { step, binding: binding.id });
      await this.#read();
    } catch (error) {
      this._refusal = error;
      this.#tellError(error);
      void this.#read();
    }
    this._busy = false;
  }

  override render(): TemplateResult {
    const lang = langOf(this);
    const words = messages[lang];
    return html`<section part="frame" class="stack" tabindex="-1" lang=${lang} aria-label=${words.title}>
      <div aria-live="polite" class="sr">${this._said}</div>
      ${this._failure === null ? nothing : this.#failed(words, lang)} ${this._refusal === null ? nothing : this.#refused(words, lang)}
      ${this.#content(words, lang)} ${this.#dialog(words)}
    </section>`;
  }

  #content(words: Words, lang: Lang): TemplateResult {
    if (this._items === null) {
      if (this._failure !== null) return html``;
      return html`<div class="centre" role="status"><span class="spinner"></span><p>${words.loading}</p></div>`;
    }
    if (this._items.length === 0) {
      return html`<div class="card centre">
        <span class="picture">${icons.phone(40)}</span>
        <h3>${words.empty}</h3>
        <p class="soft">${words.emptyLead}</p>
      </div>`;
    }
    return html`<ul class="list">
      ${this._items.map((binding) => this.#device(words, lang, binding))}
    </ul>`;
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

  #refused(words: Words, lang: Lang): TemplateResult {
    const { title, nextStep } = explain(this._refusal, lang, "act");
    return html`<div class="notice bad" role="alert" data-refusal>
      ${icons.warn()}
      <div>
        <strong>${words.notDone} ${title}</strong><span>${nextStep}</span>
        <button class="secondary" part="button" @click=${this.#onDismiss}>${words.dismiss}</button>
      </div>
    </div>`;
  }

  #device(words: Words, lang: Lang, binding: Binding): TemplateResult {
    const active = binding.state === "active";
    const seen = binding.last_seen_at === null ? words.never : formatAgo(lang, binding.last_seen_at, this.#client?.now() ?? Date.now());
    return html`<li class="card device" part="device" data-binding=${binding.id}>
      <span class="picture">${icons.phone(30)}</span>
      <div class="stack">
        ${this._editing === binding.id ? this.#nameForm(words, binding) : this.#name(words, binding, active)}
        <dl class="facts">
          <div><dt>${words.model}</dt><dd>${binding.model}${binding.os === "" ? "" : `, ${binding.os}`}</dd></div>
          <div><dt>${words.added}</dt><dd>${formatDate(lang, binding.added_at)}</dd></div>
          <div>
            <dt><span aria-hidden="true">${words.seenShort}</span><span class="sr">${words.seen}</span></dt>
            <dd>${seen}</dd>
          </div>
        </dl>
        ${isHeld(binding) ? this.#held(words, binding) : nothing}
      </div>
      <div class="row tools">
        ${active ? this.#tool("suspend", binding, html`${icons.pause(20)} ${words.suspend}`) : nothing}
        ${active || isHeld(binding) ? nothing : this.#tool("resume", binding, html`${icons.play(20)} ${words.resume}`)}
        ${this.#tool("remove", binding, html`${icons.bin(20)} ${words.remove}`)}
      </div>
    </li>`;
  }

  #held(words: Words, binding: Binding): TemplateResult {
    const text = binding.suspended_by === "clone" ? words.heldByClone : words.heldByBank;
    return html`<p class="notice warn" data-held=${binding.suspended_by ?? "bank"}>${icons.warn()}<span>${text}</span></p>`;
  }

  #name(words: Words, binding: Binding, active: boolean): TemplateResult {
    return html`<div class="name">
      <h3 tabindex="-1">${binding.name}</h3>
      <button class="quiet" part="button" data-rename aria-label=${words.rename(binding.name)} title=${words.rename(binding.name)} @click=${() => {
        this._editing = binding.id;
        this._nameless = false;
        void this.updateComplete.then(() => this.renderRoot.querySelector<HTMLInputElement>("#name")?.select());
      }}>${icons.edit(18)}</button>
      <span class="badge ${active ? "ok" : "warn"}">${active ? words.active : words.suspended}</span>
      ${binding.pin.blocked ? html`<span class="badge bad">${words.pinBlocked}</span>` : nothing}
    </div>`;
  }

  #nameForm(words: Words, binding: Binding): TemplateResult {
    return html`<form class="edit" @submit=${(event: Event) => {
      this.#onRename(event, binding);
    }} @keydown=${this.#onEscape} novalidate>
      <input
        id="name"
        part="field"
        aria-required="true"
        maxlength=${MAX_NAME}
        aria-label=${words.nameLabel}
        aria-describedby="nameless"
        aria-invalid=${this._nameless ? "true" : "false"}
        .value=${binding.name}
        @input=${this.#onName}
      />
      <button part="button" ?disabled=${this._busy}>${words.save}</button>
      <button type="button" class="secondary" part="button" @click=${this.#onCancelEdit}>${words.cancel}</button>
      <p id="nameless" class="error" role="alert">${this._nameless ? words.nameEmpty : ""}</p>
    </form>`;
  }

  #tool(act: Act, binding: Binding, content: TemplateResult): TemplateResult {
    return html`<button class="quiet ${act === "remove" ? "danger" : ""}" part="button" data-act=${act} ?disabled=${this._busy} @click=${(event: Event) => {
      this.#return = event.currentTarget as HTMLElement;
      this._asking = { act, binding };
    }}>${content}</button>`;
  }

  #dialog(words: Words): TemplateResult | typeof nothing {
    if (this._asking === null) return nothing;
    const { act, binding } = this._asking;
    return html`<dialog part="dialog" aria-labelledby="question" aria-describedby="consequence" @close=${this.#onClose}>
      <div class="stack">
        <h2 id="question">${words[`${act}Title`](binding.name)}</h2>
        <p id="consequence">${words[`${act}Text`]}</p>
        <div class="actions">
          <button class="secondary" part="button" autofocus @click=${this.#onClose}>${words.cancel}</button>
          <button class=${act === "remove" ? "danger" : ""} part="button" data-confirm @click=${this.#onConfirm}>${words[act]}</button>
        </div>
      </div>
    </dialog>`;
  }

  readonly #onClose = (): void => {
    this._asking = null;
  };

  readonly #onConfirm = (): void => {
    const asked = this._asking;
    this._asking = null;
    if (asked === null) return;
    const { act, binding } = asked;
    this.#return = null;
    void this.#focusRow(binding.id, "h3");
    void this.#change(act, binding, (client) => client[act](binding.id), binding.name).then(async () => {
      await this.updateComplete;
      const isGone = this._items?.every((item) => item.id !== binding.id) ?? false;
      if (isGone) await this.#focusRow(binding.id, "h3");
    });
  };

  #onRename(event: Event, binding: Binding): void {
    event.preventDefault();
    const field = this.renderRoot.querySelector<HTMLInputElement>("#name");
    const name = field?.value.trim() ?? "";
    if (name === "") {
      this._nameless = true;
      field?.focus();
      return;
    }
    this.#stopEditing();
    if (name === binding.name) return;
    void this.#change("rename", binding, (client) => client.rename(binding.id, name), name);
  }

  #stopEditing(): void {
    const edited = this._editing;
    this._editing = null;
    this._nameless = false;
    if (edited !== null) void this.#focusRow(edited, "[data-rename]");
  }

  readonly #onName = (): void => {
    this._nameless = false;
  };

  readonly #onCancelEdit = (): void => {
    this.#stopEditing();
  };

  readonly #onEscape = (event: KeyboardEvent): void => {
    if (event.key === "Escape") this.#stopEditing();
  };

  readonly #onDismiss = (): void => {
    this._refusal = null;
    this.renderRoot.querySelector("section")?.focus();
  };

  readonly #onRetry = (): void => {
    this._failure = null;
    this.#events?.start();
    void this.#read();
  };
}
