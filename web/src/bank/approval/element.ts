/**
 * <tessera-approval approval="apr_…" token="ptk_…" gateway="https://…" lang="fr">: waits with the customer for the answer of the
 * phone, and takes the digits of one without a network. Events (bubbling, composed): tessera-approved {approval, binding},
 * tessera-ended {approval, state}, tessera-restart, tessera-error {code}. Parts: frame, number, symbol, button, field.
 */
import { LitElement, html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { ApiError, explain, type Approval, type ApprovalState } from "../../shared/api/index.js";
import { formatAmount, formatCountdown, groupText, langOf, type Lang } from "../../shared/i18n/index.js";
import { icons } from "../../shared/ui/icons.js";
import { shared } from "../../shared/ui/styles.js";
import { isFocusFree } from "../activation/focus.js";
import { styles as common } from "../activation/styles.js";
import { symbolOf } from "../symbol.js";
import { messages, type Words } from "./messages.js";
import { ApprovalSession, type Failing, type SessionHost } from "./session.js";
import { styles } from "./styles.js";

const DIGITS = 8;
const GROUPS = [2, 3, 3];
/** Problems that show, in place of the request, that it is gone: trying again finds nothing else. */
const GONE = new Set(["approval-ended", "not-found"]);

export class TesseraApproval extends LitElement implements SessionHost {
  static override readonly styles = [...shared, common, styles];
  static override readonly properties = {
    approval: { type: String },
    token: { type: String },
    gateway: { type: String },
    lang: { type: String, reflect: true },
    _digits: { state: true },
    _error: { state: true },
  };

  declare approval: string;
  declare token: string;
  /** The gateway's origin; empty when the page has the same. */
  declare gateway: string;
  declare _digits: string;
  /** What to say of the last failure, in whichever language the page has by then; null where nothing failed. */
  declare _error: ((lang: Lang) => string) | null;

  readonly #session = new ApprovalSession(this);
  #drawn: { readonly svg: string; readonly lang: Lang; readonly image: SVGElement | null } | null = null;
  #focusNext = false;
  /** It was approved while the person typed elsewhere: the live region says so, since no heading takes the focus. */
  #isUntold = false;

  constructor() {
    super();
    this.approval = this.token = this.gateway = this._digits = "";
    this._error = null;
  }

  override willUpdate(changed: PropertyValues<this>): void {
    const identity = changed.has("approval") || changed.has("token") || changed.has("gateway");
    if (identity && this.approval !== "" && this.token !== "") {
      this._digits = "";
      this._error = null;
      this.#session.start(this.gateway, this.approval, this.token);
    }
  }

  override updated(): void {
    if (!this.#focusNext) return;
    this.#focusNext = false;
    this.renderRoot.querySelector<HTMLElement>("[data-focus]")?.focus();
  }

  onState(state: ApprovalState, approval: Approval): void {
    this._error = null;
    this.#focusNext = isFocusFree(this, this.renderRoot);
    this.#isUntold = !this.#focusNext && state === "approved";
    if (state === "pending") return;
    this._digits = "";
    if (state === "approved") this.#tell("tessera-approved", { approval: approval.id, binding: approval.binding });
    else this.#tell("tessera-ended", { approval: approval.id, state });
  }

  onDigitsUseless(): void {
    this._digits = "";
    this._error = null;
    this.#focusNext = true;
  }

  onFailure(error: unknown, what: Failing): void {
    const isRefused = error instanceof ApiError && error.code === "conflict" && (what === "code" || what === "digits");
    this._error = (lang) => {
      if (isRefused) return messages[lang][`refused_${what}`];
      const { title, nextStep } = explain(error, lang, what === "view" ? "view" : "act");
      return `${title}. ${nextStep}`;
    };
    this.#tell("tessera-error", { code: error instanceof ApiError ? error.code : "internal" });
  }

  #tell(type: string, detail: object): void {
    this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true }));
  }

  override render(): TemplateResult {
    const lang = langOf(this);
    const words = messages[lang];
    return html`<section class="frame" part="frame" lang=${lang}>
      <div role="status">${this.#status(words)}</div>
      ${this.#content(words, lang)}
    </section>`;
  }

  #status(words: Words): TemplateResult | typeof nothing {
    const { approval, failure, stream, busy, isOver } = this.#session;
    if (failure !== null) return nothing;
    if (isOver) return this.#isUntold ? html`<p class="sr">${words.endTitle_approved}</p>` : nothing;
    if (approval === null) return html`<div class="centre"><span class="spinner"></span><p>${words.loading}</p></div>`;
    if (stream === "lost") return html`<p class="notice warn">${icons.warn()}<span>${words.lost}</span></p>`;
    const number = approval.number === null ? "" : ` ${words.numberSpoken(String(approval.number))}`;
    return html`<p class="sr">${busy ? words.confirming : words.waiting + number}</p>`;
  }

  #content(words: Words, lang: Lang): TemplateResult | typeof nothing {
    const { approval, failure, isOffline } = this.#session;
    if (failure !== null) return this.#failed(words, lang);
    if (approval === null) return nothing;
    if (approval.state !== "pending") return this.#ended(words, approval.state);
    return isOffline ? this.#offline(words, lang, approval) : this.#waiting(words, lang, approval);
  }

  #failed(words: Words, lang: Lang): TemplateResult {
    const { failure } = this.#session;
    const isGone = failure instanceof ApiError && GONE.has(failure.code);
    return html`<div class="centre" role="alert">
      <span class="bubble bad">${icons.warn(40)}</span>
      <p>${this._error?.(lang)}</p>
      <button part="button" @click=${isGone ? this.#onRestart : this.#onRetry}>${icons.refresh(20)} ${isGone ? words.restart : words.retry}</button>
    </div>`;
  }

  #waiting(words: Words, lang: Lang, approval: Approval): TemplateResult {
    const { busy } = this.#session;
    return html`<div class="centre">
      <span class="bubble">${icons.phone(40)}</span>
      <h2 tabindex="-1" data-focus>${words.title}</h2>
      <p>${words[`lead_${approval.type}`]}</p>
      ${this.#number(words, approval)} ${this.#asked(lang, approval)} ${this.#left(words, approval)}
      <p class="error" role="alert">${this._error?.(lang)}</p>
      <p class="soft small">${words.notThere}</p>
      <div class="row">
        ${approval.offline ? html`<button class="secondary" part="button" @click=${this.#onOffline} data-offline>${icons.offline(20)} ${words.offlineAsk}</button>` : nothing}
        <button class="quiet" part="button" aria-disabled=${busy ? "true" : nothing} @click=${this.#onCancel} data-cancel>${words.cancel}</button>
      </div>
    </div>`;
  }

  #number(words: Words, { number, number_match: match }: Approval): TemplateResult | typeof nothing {
    if (number === null || match === "none") return nothing;
    const digits = String(number);
    return html`<p>${words[`number_${match}`]}</p>
      <p class="number" part="number" data-number=${digits} role="img" aria-label=${words.numberSpoken(digits)}>${digits}</p>`;
  }

  #asked(lang: Lang, { type, fields }: Approval): TemplateResult | typeof nothing {
    const text = (name: string): string => fields[name] ?? "";
    if (type === "payment") {
      return html`<p class="asked"><strong>${formatAmount(lang, text("amount"), text("currency"))}</strong><span dir="auto">${text("payee")}</span></p>`;
    }
    if (type === "contact") return html`<p class="asked"><strong dir="auto">${text("value")}</strong></p>`;
    if (type === "free") return html`<p class="asked"><strong dir="auto">${text("title")}</strong></p>`;
    return nothing;
  }

  #left(words: Words, approval: Approval): TemplateResult {
    return html`<p class="meter" data-left>${words.timeLeft(formatCountdown(this.#session.timeLeft(approval)))}</p>`;
  }

  #offline(words: Words, lang: Lang, approval: Approval): TemplateResult {
    const { form, code, busy, wrongLeft } = this.#session;
    const error = wrongLeft === null ? (this._error?.(lang) ?? "") : words.digitsWrong(wrongLeft);
    return html`<div class="split">
      <div class="stack">
        <div class="symbol" part="symbol">
          <div class="paper" data-symbol=${code?.form ?? nothing}>
            ${code === null ? this.#noCode(words) : this.#image(code.svg, code.alt[lang], lang)}
          </div>
          <fieldset class="forms" aria-label=${words.formLabel}>
            ${(["colour", "qr"] as const).map(
              (kind) =>
                html`<label
                  ><input type="radio" name="form" .value=${kind} .checked=${form === kind} @change=${() => {
                    this.#session.setForm(kind);
                  }} />${words[kind]}</label
                >`,
            )}
          </fieldset>
          ${this.#left(words, approval)}
        </div>
      </div>
      <form class="stack" @submit=${this.#onSubmit} novalidate>
        <h2 tabindex="-1" data-focus>${words.offlineTitle}</h2>
        <p>${words.offlineLead}</p>
        ${this.#phones(words)}
        <div class="field">
          <label for="digits">${words.digitsLabel}</label>
          <input
            id="digits"
            class="digits"
            part="field"
            inputmode="numeric"
            autocomplete="one-time-code"
            maxlength="16"
            placeholder="00 000 000"
            aria-describedby="hint problem"
            aria-invalid=${error === "" ? "false" : "true"}
            .value=${groupText(this._digits, GROUPS)}
            @input=${this.#onInput}
          />
          <p id="problem" class="error" role="alert">${error}</p>
          <p id="hint" class="soft small">${words.digitsHint}</p>
        </div>
        <div class="row">
          <button class="big" part="button" aria-disabled=${busy ? "true" : nothing}>${busy ? words.confirming : words.confirm}</button>
          ${approval.online ? html`<button type="button" class="quiet" part="button" @click=${this.#onOnline}>${words.onlineAgain}</button>` : nothing}
          <button type="button" class="quiet" part="button" @click=${this.#onCancel} data-cancel>${words.cancel}</button>
        </div>
      </form>
    </div>`;
  }

  #noCode(words: Words): TemplateResult {
    if (!this.#session.isCodeless) return html`<span class="spinner" role="img" aria-label=${words.loading}></span>`;
    return html`<button class="secondary" part="button" @click=${this.#onOffline}>${icons.refresh(20)} ${words.retry}</button>`;
  }

  #phones(words: Words): TemplateResult | typeof nothing {
    const { code } = this.#session;
    if (code === null || code.bindings.length < 2) return code === null ? nothing : html`<p class="soft">${words.offlineFor} <strong dir="auto">${code.name}</strong></p>`;
    return html`<div class="field">
      <label for="phone">${words.offlineFor}</label>
      <select id="phone" part="field" @change=${this.#onPhone}>
        ${code.bindings.map(({ id, name }) => html`<option value=${id} ?selected=${id === code.binding}>${name}</option>`)}
      </select>
    </div>`;
  }

  #image(svg: string, alternative: string, lang: Lang): SVGElement | null {
    if (this.#drawn?.svg !== svg || this.#drawn.lang !== lang) this.#drawn = { svg, lang, image: symbolOf(svg, alternative) };
    return this.#drawn.image;
  }

  #ended(words: Words, state: Exclude<ApprovalState, "pending">): TemplateResult {
    const isGood = state === "approved";
    return html`<div class="centre" role=${isGood ? nothing : "alert"} data-end=${state}>
      <span class="bubble ${isGood ? "ok" : "bad"}">${isGood ? icons.check(44) : icons.warn(40)}</span>
      <h2 tabindex="-1" data-focus>${words[`endTitle_${state}`]}</h2>
      <p>${words[`endNext_${state}`]}</p>
      ${isGood
        ? html`<slot name="next"></slot>`
        : html`<button part="button" @click=${this.#onRestart}>${icons.refresh(20)} ${words.restart}</button>`}
    </div>`;
  }

  readonly #onInput = (event: Event): void => {
    const field = event.target as HTMLInputElement;
    this._digits = field.value.replace(/\D/g, "").slice(0, DIGITS);
    this._error = null;
    this.#session.wrongLeft = null;
    field.value = groupText(this._digits, GROUPS);
  };

  readonly #onSubmit = (event: Event): void => {
    event.preventDefault();
    if (this.#session.busy) return;
    this.#session.wrongLeft = null;
    if (this._digits.length !== DIGITS) {
      this._error = (lang) => messages[lang].digitsShort;
      this.renderRoot.querySelector<HTMLElement>("#digits")?.focus();
      return;
    }
    this._error = null;
    void this.#session.answer(this._digits);
  };

  readonly #onOffline = (): void => {
    this._error = null;
    this.#focusNext = true;
    void this.#session.showCode();
  };

  readonly #onOnline = (): void => {
    this._error = null;
    this.#focusNext = true;
    this.#session.isOffline = false;
    this.requestUpdate();
  };

  readonly #onPhone = (event: Event): void => {
    this._error = null;
    void this.#session.showCode((event.target as HTMLSelectElement).value);
  };

  readonly #onCancel = (): void => {
    void this.#session.cancel();
  };

  readonly #onRetry = (): void => {
    this._error = null;
    this.#session.retry();
  };

  readonly #onRestart = (): void => {
    this.#tell("tessera-restart", {});
  };
}
