/** The phone app's root element: header, banners and the screen in front. Screens get the model and know one another only by name. */
import { LitElement, css, html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, state } from "lit/decorators.js";
import { keyed } from "lit/directives/keyed.js";
import { LangController, locale } from "../shared/i18n/index.js";
import { icons, logo } from "../shared/ui/icons.js";
import { shared } from "../shared/ui/styles.js";
import { PhoneModel } from "./model.js";
import { notice } from "./parts/notice.js";
import { common, home } from "./text/common.js";
import { explainFailure } from "./text/errors.js";
import { applyUpdate, onUpdate, updateReady } from "./updates.js";
import { onWake } from "./wake.js";
import "./screens/approvals.js";
import "./screens/ask.js";
import "./screens/biometric.js";
import "./screens/change-pin.js";
import "./screens/contact.js";
import "./screens/detail.js";
import "./screens/home.js";
import "./screens/messages.js";
import "./screens/offline.js";
import "./screens/paste.js";
import "./screens/scan.js";
import "./screens/typed.js";

/** What has the focus, through all shadow roots. */
function deepFocus(): HTMLElement | null {
  let at = document.activeElement;
  while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
  return at instanceof HTMLElement && at !== document.body ? at : null;
}

@customElement("tessera-phone")
export class PhoneApp extends LitElement {
  static override styles = [
    ...shared,
    css`
      :host {
        display: grid;
        grid-template-rows: auto 1fr;
        min-height: 100vh;
        min-height: 100dvh;
        max-width: 32rem;
        margin-inline: auto;
        padding: 0 max(var(--ts-space-4), env(safe-area-inset-right)) env(safe-area-inset-bottom) max(var(--ts-space-4), env(safe-area-inset-left));
      }
      header {
        display: flex;
        align-items: center;
        gap: var(--ts-space-2);
        min-height: 60px;
        padding-top: env(safe-area-inset-top);
      }
      header .name {
        display: flex;
        align-items: center;
        gap: var(--ts-space-2);
        font-size: var(--ts-text-l);
        font-weight: 650;
      }
      header .switch {
        margin-inline-start: auto;
      }
      header .back {
        padding-inline: var(--ts-space-2) var(--ts-space-3);
        margin-inline-start: calc(-1 * var(--ts-space-2));
      }
      main {
        display: grid;
        align-content: start;
        gap: var(--ts-space-4);
        padding-block: var(--ts-space-2) var(--ts-space-5);
      }
      /* A region that is there before it speaks; empty it takes no gap. */
      .done:empty {
        position: absolute;
      }
      main > .screen {
        display: block;
      }
    `,
  ];

  private readonly model = new PhoneModel();
  private readonly i18n = new LangController(this);
  @state() private online = navigator.onLine;
  @state() private newer = updateReady();
  private beneath: { readonly focused: HTMLElement | null; readonly top: number } | null = null;

  constructor() {
    super();
    this.model.subscribe(() => {
      this.requestUpdate();
    });
    onUpdate(() => {
      this.newer = true;
    });
    for (const name of ["online", "offline"]) {
      window.addEventListener(name, () => {
        this.online = navigator.onLine;
      });
    }
    onWake(() => {
      this.model.links.wake();
    });
    void this.model.boot();
  }

  /** What lay beneath a request comes back where it was: the place on the page, and the focus. */
  protected override willUpdate(changed: PropertyValues<this>): void {
    super.willUpdate(changed);
    if (this.model.isCovered && this.beneath === null) {
      this.beneath = { focused: deepFocus(), top: window.scrollY };
      (navigator as { vibrate?: (ms: number) => boolean }).vibrate?.(40); // Safari has none
    }
  }

  protected override updated(changed: PropertyValues<this>): void {
    super.updated(changed);
    if (this.model.isCovered || this.beneath === null) return;
    const { focused, top } = this.beneath;
    this.beneath = null;
    window.scrollTo(0, top);
    focused?.focus({ preventScroll: true });
  }

  override render(): TemplateResult {
    const text = common[this.i18n.lang];
    const { front } = this.model.asks;
    const hasName = front !== null || this.model.screen.name === "home";
    return html`
      <header>
        ${hasName
          ? html`<span class="name">${logo(34)} ${text.appName}</span>`
          : html`<button type="button" class="quiet back" @click=${this.onBack}>${icons.back(22)} ${text.back}</button>`}
        <button type="button" class="quiet switch" lang=${this.i18n.lang === "fr" ? "en" : "fr"} @click=${this.onSwitch}>${text.switchTo}</button>
      </header>
      <main ?hidden=${front !== null}>
        <div class="done" role="status">${this.done()}</div>
        ${this.banners()} ${this.screen()}
      </main>
      ${front === null ? nothing : html`<main class="asked">${keyed(front.key, html`<ts-ask class="screen" .model=${this.model} .flow=${front}></ts-ask>`)}</main>`}
    `;
  }

  private done(): TemplateResult | typeof nothing {
    const { done } = this.model;
    if (done === null) return nothing;
    const text = home[this.i18n.lang];
    const bank = done.bank ?? text.pendingUnknown;
    return html`<div class="notice ok">${icons.okay(22)}<div>${done.what === "removed" ? text.removedDone(bank) : text.discardedDone(bank)}</div></div>`;
  }

  private banners(): TemplateResult {
    const text = common[this.i18n.lang];
    const { linkError } = this.model;
    const calm = this.model.screen.name === "home" || this.model.screen.name === "detail";
    return html`
      ${this.online ? nothing : html`<div class="notice warn" role="status">${icons.offline(22)}<span>${text.offline}</span></div>`}
      ${this.newer && calm
        ? notice({
            kind: "info",
            title: text.updateReady,
            action: html`<button type="button" class="secondary" @click=${applyUpdate}>${text.update}</button>`,
          })
        : nothing}
      ${linkError === null ? nothing : this.linkNotice(linkError)}
    `;
  }

  private linkNotice(error: unknown): TemplateResult {
    const text = common[this.i18n.lang];
    const failure = explainFailure(error, this.i18n.lang);
    return notice({
      kind: "bad",
      title: failure.title,
      text: failure.text,
      action: html`<button type="button" class="secondary" @click=${this.onDismiss}>${text.close}</button>`,
    });
  }

  private screen(): TemplateResult {
    const { model } = this;
    const { screen } = model;
    if (!model.ready) return html`<div class="row" role="status"><span class="spinner"></span>${common[this.i18n.lang].loading}</div>`;
    if (model.blocked !== null) {
      const failure = explainFailure(model.blocked, this.i18n.lang);
      return notice({ kind: "bad", title: failure.title, text: failure.text });
    }
    switch (screen.name) {
      case "home":
        return html`<ts-home class="screen" .model=${model}></ts-home>`;
      case "scan":
        return html`<ts-scan class="screen" .model=${model} want=${screen.want}></ts-scan>`;
      case "typed":
        return html`<ts-typed class="screen" .model=${model} ?second=${screen.second}></ts-typed>`;
      case "paste":
        return html`<ts-paste class="screen" .model=${model}></ts-paste>`;
      case "contact":
        return html`<ts-contact class="screen" .model=${model} .flow=${model.flow}></ts-contact>`;
      case "offline":
        return html`<ts-offline class="screen" .model=${model}></ts-offline>`;
      case "detail":
        return html`<ts-detail class="screen" .model=${model} bindingid=${screen.id}></ts-detail>`;
      case "change-pin":
        return html`<ts-change-pin class="screen" .model=${model} bindingid=${screen.id}></ts-change-pin>`;
      case "biometric":
        return html`<ts-biometric class="screen" .model=${model} bindingid=${screen.id}></ts-biometric>`;
      case "approvals":
        return html`<ts-approvals class="screen" .model=${model} bindingid=${screen.id}></ts-approvals>`;
      case "messages":
        return html`<ts-messages class="screen" .model=${model} bindingid=${screen.id}></ts-messages>`;
    }
  }

  private readonly onBack = (): void => {
    this.model.back();
  };

  private readonly onSwitch = (): void => {
    locale.set(this.i18n.lang === "fr" ? "en" : "fr");
  };

  private readonly onDismiss = (): void => {
    this.model.clearLinkError();
  };
}
