/**
 * <tessera-activation activation="act_…" token="ptk_…" gateway="https://…" lang="fr">: takes a customer from the code on the
 * screen to a bound phone. Events (bubbling, composed): tessera-step {step}, tessera-active {binding}, tessera-ended {reason},
 * tessera-restart, tessera-error {code}. Parts: frame, steps, symbol, button, field. Slot: next, what the page offers once done.
 */
import { LitElement, html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { ApiError, explain, isEnded, type Activation, type ActivationState, type Attempt, type EndState } from "../../shared/api/index.js";
import { formatCountdown, groupText, langOf, type Lang } from "../../shared/i18n/index.js";
import { icons } from "../../shared/ui/icons.js";
import { shared } from "../../shared/ui/styles.js";
import { symbolOf } from "../symbol.js";
import { deviceCard } from "./device.js";
import { isFocusFree } from "./focus.js";
import { messages, type Words } from "./messages.js";
import { ActivationSession, type SessionHost } from "./session.js";
import { statusOf } from "./status.js";
import { stepsOf } from "./steps.js";
import { styles } from "./styles.js";

const DIGITS = 8;
/** Wrong device codes that an activation bears. */
const TRIES = 3;
/** Problems that show, in place of the step, that the activation is gone: trying again finds nothing else. */
const GONE = new Set(["activation-ended", "not-found"]);
const RING = 2 * Math.PI * 8;

export class TesseraActivation extends LitElement implements SessionHost {
  static override readonly styles = [...shared, styles];
  static override readonly properties = {
    activation: { type: String },
    token: { type: String },
    gateway: { type: String },
    lang: { type: String, reflect: true },
    _digits: { state: true },
    _error: { state: true },
  };

  declare activation: string;
  declare token: string;
  /** The gateway's origin; empty when the page has the same. */
  declare gateway: string;
  declare _digits: string;
  /** What to say of the last failure, in whichever language the page has by then; null where nothing failed. */
  declare _error: ((lang: Lang) => string) | null;

  readonly #session = new ActivationSession(this);
  #drawn: { readonly svg: string; readonly lang: Lang; readonly image: SVGElement | null } | null = null;
  #focusNext = false;
  /** The step's beginning is for the live region to say, since the focus does not go to a heading that says it. */
  #isUntold = false;
  #isRestarted = false;

  constructor() {
    super();
    this.activation = this.token = this.gateway = this._digits = "";
    this._error = null;
  }

  override willUpdate(changed: PropertyValues<this>): void {
    const identity = changed.has("activation") || changed.has("token") || changed.has("gateway");
    if (identity && this.activation !== "" && this.token !== "") {
      this._digits = "";
      this._error = null;
      this.#session.start(this.gateway, this.activation, this.token);
    }
  }

  override updated(): void {
    if (!this.#focusNext) return;
    this.#focusNext = false;
    this.renderRoot.querySelector<HTMLElement>("[data-focus]")?.focus();
  }

  onStep(state: ActivationState, activation: Activation): void {
    this._digits = "";
    this._error = null;
    this.#focusNext = (state !== "waiting" || this.#isRestarted) && isFocusFree(this, this.renderRoot);
    this.#isUntold = !this.#focusNext || state === "present";
    this.#isRestarted = false;
    this.#tell("tessera-step", { step: state });
    if (state === "active") this.#tell("tessera-active", { binding: activation.binding });
    if (isEnded(state)) this.#tell("tessera-ended", { reason: activation.ended_reason ?? state });
  }

  onDigitsUseless(): void {
    this._digits = "";
    this._error = null;
    this.#focusNext ||= isFocusFree(this, this.renderRoot);
  }

  onFailure(error: unknown, attempt: Attempt): void {
    this._error = (lang) => {
      const { title, nextStep } = explain(error, lang, attempt);
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
    const { activation, failure } = this.#session;
    return html`<section class="frame" part="frame" lang=${lang}>
      ${activation !== null && !isEnded(activation.state) ? this.#steps(words, activation) : nothing}
      <div role="status">${this.#status(words)}</div>
      ${failure !== null ? this.#failed(words, lang) : activation === null ? nothing : this.#step(words, lang, activation)}
    </section>`;
  }

  #status(words: Words): TemplateResult | typeof nothing {
    const { activation, failure, stream, isCodeless, phoneAway, newDigits, busy } = this.#session;
    const state = activation?.state ?? null;
    const status = statusOf({ state, hasFailed: failure !== null, isLost: stream === "lost", isCodeless, phoneAway, newDigits, busy, isUntold: this.#isUntold });
    if (status === null) return nothing;
    if (activation === null) return this.#loading(words);
    if (status === "confirming") return html`<p class="sr">${words.confirming}</p>`;
    if (status === "lost" || status === "codeless" || status === "away" || status === "newDigits") return this.#notice(words[status]);
    return html`<p class="sr">${this.#beginning(words, activation)}</p>`;
  }

  #beginning(words: Words, { state, two_step }: Activation): string {
    if (state === "waiting") return words.scanTitle;
    if (state === "present") return words.announcePresent;
    if (state === "active") return words.activeTitle;
    if (!two_step) return words.pinTitle;
    return this.#session.isTyped ? words.code2TitleTyped : words.code2Title;
  }

  #step(words: Words, lang: Lang, activation: Activation): TemplateResult {
    const { state } = activation;
    if (state === "waiting") return this.#waiting(words, lang, activation);
    if (state === "present") return this.#present(words, activation);
    if (state === "confirmed") return activation.two_step ? this.#second(words, lang, activation) : this.#pin(words);
    if (state === "active") return this.#active(words, activation);
    return this.#ended(words, state);
  }

  #steps(words: Words, activation: Activation): TemplateResult {
    const { names, at } = stepsOf(activation);
    return html`<ol class="steps" part="steps" aria-label=${words.steps}>
      ${names.map(
        (name, index) =>
          html`<li class=${index < at ? "done" : ""} aria-current=${index === at ? "step" : nothing}>${words[name]}</li>`,
      )}
    </ol>`;
  }

  #loading(words: Words): TemplateResult {
    return html`<div class="centre"><span class="spinner"></span><p>${words.loading}</p></div>`;
  }

  #notice(text: string): TemplateResult {
    return html`<p class="notice warn">${icons.warn()}<span>${text}</span></p>`;
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

  #symbol(words: Words, lang: Lang): TemplateResult {
    const { code, form } = this.#session;
    return html`<div class="symbol" part="symbol">
      <div class="paper" data-symbol=${code?.form ?? nothing} data-kind=${code?.kind ?? nothing} data-rotation=${code?.rotation ?? nothing}>
        ${code === null ? html`<span class="spinner" role="img" aria-label=${words.loading}></span>` : this.#image(code.svg, code.alt[lang], lang)}
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
    </div>`;
  }

  #image(svg: string, alternative: string, lang: Lang): SVGElement | null {
    if (this.#drawn?.svg !== svg || this.#drawn.lang !== lang) this.#drawn = { svg, lang, image: symbolOf(svg, alternative) };
    return this.#drawn.image;
  }

  #waiting(words: Words, lang: Lang, activation: Activation): TemplateResult {
    const { code } = this.#session;
    const left = formatCountdown(this.#session.timeLeft(activation));
    return html`<div class="split">
      <div class="stack">${this.#symbol(words, lang)}${this.#meter(words.timeLeft(left))}</div>
      <div class="stack">
        <h2 tabindex="-1" data-focus>${words.scanTitle}</h2>
        <ol class="how">
          <li><span>${words[`scan1_${this.#session.form}`]}</span></li>
          <li><span>${words.scan2}</span></li>
          ${activation.two_step ? html`<li><span>${words.scanSecond}</span></li>` : nothing}
          <li><span>${words.scan3}</span></li>
        </ol>
        <p class="soft small">${words.codeFresh}</p>
        <details>
          <summary>${icons.keyboard(20)} ${words.otherWays}</summary>
          <div class="stack">
            <p>${words.typedTitle}</p>
            <p class="typed" data-typed>${code?.typed ?? "…"}</p>
            <p class="soft small">${words.typedHelp}</p>
            <p class="soft small">${words.typedSecond}</p>
            <p>${words.sameDeviceHelp}</p>
            <a class="button secondary" part="button" href=${code?.link ?? nothing} target="_blank" rel="noopener" data-link>${icons.phone(20)} ${words.sameDevice}</a>
          </div>
        </details>
      </div>
    </div>`;
  }

  #meter(text: string): TemplateResult {
    const { turnsAt, turnLasts } = this.#session;
    const share = turnsAt === null ? 0 : Math.min(1, Math.max(0, (turnsAt - performance.now()) / turnLasts));
    return html`<p class="meter symbol">
      <span class="row">
        ${turnsAt === null
          ? nothing
          : html`<svg class="ring" viewBox="0 0 20 20" aria-hidden="true">
              <circle cx="10" cy="10" r="8"></circle>
              <circle cx="10" cy="10" r="8" stroke-dasharray=${RING} stroke-dashoffset=${RING * (1 - share)}></circle>
            </svg>`}
        <span>${text}</span>
      </span>
    </p>`;
  }

  #present(words: Words, activation: Activation): TemplateResult {
    const { busy, wrongLeft } = this.#session;
    const { tries_left: left } = activation;
    const error = wrongLeft === null ? (this._error?.(langOf(this)) ?? "") : words.codeWrong(wrongLeft);
    return html`<form class="stack" @submit=${this.#onSubmit} novalidate>
      <h2>${words.presentTitle}</h2>
      ${activation.device === null ? nothing : deviceCard(words, activation.device)}
      <p>${words.presentLead}</p>
      <div class="field">
        <label for="digits">${words.codeLabel}</label>
        <input
          id="digits"
          class="digits"
          part="field"
          data-focus
          inputmode="numeric"
          autocomplete="one-time-code"
          maxlength="16"
          placeholder="0000 0000"
          aria-describedby="hint problem tries"
          aria-invalid=${error === "" ? "false" : "true"}
          .value=${groupText(this._digits, [4, 4])}
          @input=${this.#onInput}
        />
        <p id="problem" class="error" role="alert">${error}</p>
        ${wrongLeft === null && left < TRIES ? html`<p id="tries" class="small">${words.triesLeft(left)}</p>` : nothing}
        <p id="hint" class="soft small">${words.codeHint}</p>
      </div>
      <div class="row"><button class="big" part="button" aria-disabled=${busy ? "true" : nothing}>${busy ? words.confirming : words.confirm}</button></div>
    </form>`;
  }

  /** The way that the first code took leads, as far as this page knows it; the other stands below. */
  #second(words: Words, lang: Lang, activation: Activation): TemplateResult {
    const { isTyped, code } = this.#session;
    const symbol = html`<div class="stack">${this.#symbol(words, lang)}</div>`;
    const typed = html`<p class="typed" data-typed>${code?.typed ?? "…"}</p>`;
    const left = this.#meter(words.timeLeft(formatCountdown(this.#session.timeLeft(activation))));
    const next = html`<p class="notice">${icons.lock()}<span>${words.code2Next} ${words.pinLead}</span></p>`;
    const title = html`<h2 tabindex="-1" data-focus>${isTyped ? words.code2TitleTyped : words.code2Title}</h2>`;
    if (isTyped) {
      return html`<div class="stack">
        ${title}
        <p>${words.code2LeadTyped}</p>
        ${typed} ${left}
        <details>
          <summary>${icons.camera(20)} ${words.code2Scan}</summary>
          <div class="stack"><p>${words.code2Lead}</p>${symbol}</div>
        </details>
        ${next}
      </div>`;
    }
    return html`<div class="split">
      <div class="stack">${symbol}${left}</div>
      <div class="stack">
        ${title}
        <p>${words.code2Lead}</p>
        <details>
          <summary>${icons.keyboard(20)} ${words.otherWays}</summary>
          <div class="stack"><p>${words.code2Typed}</p>${typed}</div>
        </details>
        ${next}
      </div>
    </div>`;
  }

  #pin(words: Words): TemplateResult {
    return html`<div class="centre">
      <span class="bubble">${icons.lock(40)}</span>
      <h2 tabindex="-1" data-focus>${words.pinTitle}</h2>
      <p>${words.pinLead}</p>
    </div>`;
  }

  #active(words: Words, { device }: Activation): TemplateResult {
    return html`<div class="centre">
      <span class="bubble ok">${icons.check(44)}</span>
      <h2 tabindex="-1" data-focus>${words.activeTitle}</h2>
      ${device === null ? nothing : html`<p><strong>${device.name === "" ? device.model : device.name}</strong></p>`}
      <p>${words.activeLead}</p>
      <slot name="next"></slot>
    </div>`;
  }

  #ended(words: Words, state: EndState): TemplateResult {
    return html`<div class="centre" role="alert">
      <span class="bubble bad">${icons.warn(40)}</span>
      <h2 tabindex="-1" data-focus>${words[`endTitle_${state}`]}</h2>
      <p>${words[`endNext_${state}`]}</p>
      <button part="button" @click=${this.#onRestart}>${icons.refresh(20)} ${words.restart}</button>
    </div>`;
  }

  readonly #onInput = (event: Event): void => {
    const field = event.target as HTMLInputElement;
    this._digits = field.value.replace(/\D/g, "").slice(0, DIGITS);
    this._error = null;
    this.#session.wrongLeft = null;
    field.value = groupText(this._digits, [4, 4]);
  };

  readonly #onSubmit = (event: Event): void => {
    event.preventDefault();
    if (this.#session.busy) return;
    this.#isUntold = false;
    if (this._digits.length !== DIGITS) {
      this.#session.wrongLeft = null;
      this._error = (lang) => messages[lang].codeShort;
      this.#focusNext = true;
      return;
    }
    this._error = null;
    void this.#session.confirm(this._digits);
  };

  readonly #onRetry = (): void => {
    this._error = null;
    this.#session.retry();
  };

  readonly #onRestart = (): void => {
    this.#isRestarted = true;
    this.#tell("tessera-restart", {});
  };
}
