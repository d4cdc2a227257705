/** An activation under way: confirm, device code, second code, PIN, success, or why it ended. Draws a ContactFlow and calls it. */
import { html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { formatCountdown } from "../../shared/i18n/index.js";
import type { FirstContact } from "../../shared/phone-client/index.js";
import { icons } from "../../shared/ui/icons.js";
import { shared } from "../../shared/ui/styles.js";
import type { ContactFlow, FlowStep } from "../contact-flow.js";
import type { ConfirmDialog } from "../parts/confirm-dialog.js";
import "../parts/confirm-dialog.js";
import { notice } from "../parts/notice.js";
import { boundPicture, pictureStyles } from "../parts/pictures.js";
import "../parts/pin-setup.js";
import "../parts/push-setting.js";
import { biometric } from "../text/bank.js";
import { common } from "../text/common.js";
import { contact } from "../text/contact.js";
import { explainFailure } from "../text/errors.js";
import { ScreenElement } from "./base.js";
import { contactStyles } from "./contact-styles.js";

@customElement("ts-contact")
export class ContactScreen extends ScreenElement {
  static override styles = [...shared, pictureStyles, contactStyles];

  @property({ attribute: false }) flow: ContactFlow | null = null;
  @state() private now = Date.now();
  @query("ts-confirm") private readonly dialog!: ConfirmDialog;
  @query("#name") private readonly nameField!: HTMLInputElement | null;
  private ticker: ReturnType<typeof setInterval> | null = null;
  private shownStep: FlowStep | null = null;

  override connectedCallback(): void {
    super.connectedCallback();
    this.ticker = setInterval(() => {
      this.now = Date.now();
    }, 1000);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    if (this.ticker !== null) clearInterval(this.ticker);
  }

  protected override updated(changed: PropertyValues<this>): void {
    super.updated(changed);
    const step = this.flow?.step ?? null;
    if (step === this.shownStep) return;
    this.shownStep = step;
    if (step !== "pin") this.focusHeading();
    window.scrollTo(0, 0);
  }

  override render(): TemplateResult {
    const { flow } = this;
    const text = contact[this.speech];
    if (flow === null) return html``;
    const underway = flow.step === "code" || flow.step === "code2" || flow.step === "pin";
    return html`<div class="stack">
      ${flow.lost ? html`<div class="notice warn" role="status">${icons.offline(22)}<span>${text.reconnecting}</span></div>` : nothing}
      ${this.step(flow)}
      ${underway ? html`<button type="button" class="quiet danger" @click=${this.onCancel}>${text.cancel}</button>` : nothing}
      <ts-confirm .heading=${text.cancelTitle} .text=${text.cancelText} .yes=${text.cancel} .no=${text.keepOn}></ts-confirm>
    </div>`;
  }

  private step(flow: ContactFlow): TemplateResult {
    const made = flow.contact;
    if (flow.step === "failed") return this.failed(flow);
    if (flow.step === "active") return this.bound(flow);
    if (flow.step === "connecting" || made === null) return this.connecting();
    if (flow.step === "confirm") return this.confirm(flow, made);
    if (flow.step === "code") return this.code(flow, made);
    if (flow.step === "code2") return this.second(flow, made);
    return html`${this.progress(made, made.twoStep ? 3 : 2)}
      <ts-pin-setup
        .digits=${made.pinDigits}
        .busy=${flow.busy}
        .failure=${flow.error}
        @ts-pin-chosen=${this.onPin}
      ></ts-pin-setup>`;
  }

  private connecting(): TemplateResult {
    const text = contact[this.speech];
    return html`<section class="stack middle" role="status">
      <span class="spinner large"></span>
      <h1 tabindex="-1">${text.connecting}</h1>
      <p class="soft">${text.connectingText}</p>
    </section>`;
  }

  private confirm(flow: ContactFlow, made: FirstContact): TemplateResult {
    const text = contact[this.speech];
    return html`<section class="stack">
      <h1 tabindex="-1">${text.confirmTitle}</h1>
      <dl class="card who">
        <div><dt>${text.bank}</dt><dd>${made.tenant}</dd></div>
        <div><dt>${text.customer}</dt><dd>${made.label}</dd></div>
      </dl>
      <div class="card stack">
        <h2>${text.whatHappens}</h2>
        <ol class="steps">
          <li>${text.what1}</li>
          <li>${text.what2}</li>
          ${made.twoStep ? html`<li>${flow.isByHand ? text.what2bByHand : text.what2b}</li>` : nothing}
          <li>${text.what3(made.pinDigits)}</li>
        </ol>
      </div>
      ${this.name()}
      ${notice({ kind: "warn", title: text.notMe })}
      <button type="button" class="big wide" @click=${this.onAgree}>${text.yes}</button>
      <button type="button" class="big wide secondary" @click=${this.onRefuse}>${text.no}</button>
    </section>`;
  }

  /** Folded: the name is a good one mostly, and nobody has to choose it. */
  private name(): TemplateResult {
    const text = contact[this.speech];
    const { phoneName } = this.model;
    return html`<details class="card name">
      <summary>${text.thisName}<strong>${phoneName}</strong></summary>
      <div class="field">
        <input id="name" maxlength="64" autocomplete="off" aria-label=${text.thisName} aria-describedby="name-help" .defaultValue=${phoneName} />
        <p id="name-help" class="small soft">${text.nameHelp}</p>
      </div>
    </details>`;
  }

  private code(flow: ContactFlow, made: FirstContact): TemplateResult {
    const text = contact[this.speech];
    const [first, last] = made.deviceCode.split(" ");
    return html`<section class="stack middle">
      ${this.progress(made, 1)}
      <h1 tabindex="-1">${text.codeTitle}</h1>
      <p class="soft">${text.codeText}</p>
      <div class="digits code" aria-hidden="true" data-code=${made.deviceCode}><span>${first}</span><span>${last}</span></div>
      <p class="sr">${text.codeLabel(made.deviceCode.split("").join(" "))}</p>
      <p class="live" role="status"><span class="pulse"></span>${text.waiting}</p>
      <p class="soft small" role="timer">${text.timeLeft(formatCountdown(made.expires - this.now))}</p>
      ${flow.changed ? notice({ kind: "warn", title: text.newCode }) : nothing}
      ${flow.left === null ? nothing : notice({ kind: "bad", title: text.wrongCode(flow.left) })}
      <p class="warning">${icons.lock(20)}<span>${text.codeWarn}</span></p>
    </section>`;
  }

  private second(flow: ContactFlow, made: FirstContact): TemplateResult {
    const text = contact[this.speech];
    const failure = flow.error === null ? null : explainFailure(flow.error, this.speech);
    return html`<section class="stack">
      ${this.progress(made, 2)}
      <h1 tabindex="-1">${text.code2Title}</h1>
      <p>${flow.isByHand ? text.code2TextByHand : text.code2Text}</p>
      ${failure === null ? nothing : notice({ kind: "bad", title: failure.title, text: failure.text })}
      ${flow.isByHand
        ? html`<button type="button" class="big wide" ?disabled=${flow.busy} @click=${this.onType}>${icons.keyboard()} ${text.code2TypeFirst}</button>
            <button type="button" class="big wide secondary" ?disabled=${flow.busy} @click=${this.onScan}>${icons.camera()} ${text.code2ScanInstead}</button>`
        : html`<button type="button" class="big wide" ?disabled=${flow.busy} @click=${this.onScan}>${icons.camera()} ${text.code2Scan}</button>
            <button type="button" class="big wide secondary" ?disabled=${flow.busy} @click=${this.onType}>${icons.keyboard()} ${text.code2Type}</button>`}
    </section>`;
  }

  private bound(flow: ContactFlow): TemplateResult {
    const text = contact[this.speech];
    return html`<section class="stack middle">
      ${boundPicture()}
      <h1 tabindex="-1">${text.successTitle}</h1>
      <p>${text.successText(flow.binding?.tenant ?? "")}</p>
      <p class="soft">${text.successKeep}</p>
      ${flow.enrolled ? notice({ kind: "ok", title: biometric[this.speech].done }) : nothing}
      ${flow.offer === null ? this.rest(flow) : this.offer(flow)}
    </section>`;
  }

  /** What is left to do on a bound phone, which may wait. */
  private rest(flow: ContactFlow): TemplateResult {
    return html`
      ${flow.binding === null ? nothing : html`<ts-push-setting class="wide" .model=${this.model} bindingid=${flow.binding.id}></ts-push-setting>`}
      <button type="button" class="big wide" @click=${this.onDone}>${common[this.speech].done}</button>
    `;
  }

  private offer(flow: ContactFlow): TemplateResult {
    const text = biometric[this.speech];
    const failure = flow.error === null ? null : explainFailure(flow.error, this.speech);
    return html`
      <h2>${text.offerTitle}</h2>
      <p>${flow.offer === "required" ? text.offerRequired : text.why}</p>
      ${failure === null ? nothing : notice({ kind: "bad", title: failure.title, text: failure.text })}
      <button type="button" class="big wide" aria-disabled=${flow.busy ? "true" : "false"} @click=${this.onEnrol}>${icons.finger()} ${flow.busy ? text.working : text.offerYes}</button>
      ${flow.canSkipOffer ? html`<button type="button" class="big wide secondary" @click=${this.onSkip}>${text.offerNo}</button>` : nothing}
    `;
  }

  private failed(flow: ContactFlow): TemplateResult {
    const words = common[this.speech];
    const failure = explainFailure(flow.error, this.speech);
    const again = failure.next === "retry" || failure.next === "go-online";
    const rescan = failure.next === "scan-again" || failure.next === "type-again";
    return html`<section class="stack middle">
      <span class="sign">${icons.warn(40)}</span>
      <h1 tabindex="-1">${failure.title}</h1>
      <p>${failure.text}</p>
      ${again ? html`<button type="button" class="big wide" @click=${this.onAgain}>${words.tryAgain}</button>` : nothing}
      ${rescan ? html`<button type="button" class="big wide" @click=${this.onRescan}>${words.scanAgain}</button>` : nothing}
      <button type="button" class="big wide ${again || rescan ? "secondary" : ""}" @click=${this.onDone}>${words.toStart}</button>
    </section>`;
  }

  private progress(made: FirstContact, at: number): TemplateResult {
    const of = made.twoStep ? 3 : 2;
    const parts = Array.from({ length: of }, (_, index) => html`<i class=${index < at ? "on" : ""}></i>`);
    return html`<div class="progress">
      <span class="small soft">${made.tenant} · ${contact[this.speech].step(at, of)}</span><span class="bar" aria-hidden="true">${parts}</span>
    </div>`;
  }

  private readonly onAgree = (): void => {
    if (this.nameField !== null) this.model.namePhone(this.nameField.value);
    this.flow?.agree();
  };
  private readonly onRefuse = (): void => {
    void this.model.cancelContact();
  };
  private readonly onPin = (event: CustomEvent<{ pin: string }>): void => {
    void this.flow?.choosePin(event.detail.pin);
  };
  private readonly onEnrol = (): void => {
    void this.flow?.enrolBiometric();
  };
  private readonly onSkip = (): void => {
    this.flow?.skipOffer();
  };
  private readonly onScan = (): void => {
    this.model.go({ name: "scan", want: "second" });
  };
  private readonly onType = (): void => {
    this.model.go({ name: "typed", second: true });
  };
  private readonly onAgain = (): void => {
    void this.flow?.start();
  };
  private readonly onRescan = (): void => {
    void this.model.leaveContact();
    this.model.swap({ name: "scan", want: "first" });
  };
  private readonly onDone = (): void => {
    this.model.toStart();
  };
  private readonly onCancel = (): void => {
    void this.dialog.ask().then((yes) => (yes ? this.model.cancelContact() : undefined));
  };
}
