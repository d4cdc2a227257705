/** A request that was scanned: what it is, the PIN, the eight digits for the bank's page. Draws an OfflineFlow; uses no network. */
import { html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, query } from "lit/decorators.js";
import { formatAnswer, formatTime } from "../../shared/i18n/index.js";
import type { OfflineAsk } from "../../shared/phone-client/index.js";
import { icons } from "../../shared/ui/icons.js";
import { shared } from "../../shared/ui/styles.js";
import type { OfflineFlow, OfflineStep } from "../offline-flow.js";
import { notice } from "../parts/notice.js";
import "../parts/pin-pad.js";
import type { ReadToEnd } from "../parts/read-to-end.js";
import "../parts/read-to-end.js";
import "../parts/statement.js";
import { ScrollGate } from "../scroll-gate.js";
import { ask as askWords } from "../text/ask.js";
import { offline as words } from "../text/bank.js";
import { common } from "../text/common.js";
import { pin as pinWords } from "../text/contact.js";
import { explainFailure } from "../text/errors.js";
import { summaryOf } from "../text/said-statement.js";
import { askStyles } from "./ask-styles.js";
import { ScreenElement } from "./base.js";

@customElement("ts-offline")
export class OfflineScreen extends ScreenElement {
  static override styles = [...shared, askStyles];

  @query("ts-read-to-end") private readonly reader!: ReadToEnd | null;
  private readonly gate = new ScrollGate();
  private shownStep: OfflineStep | null = null;

  private get flow(): OfflineFlow | null {
    return this.model.offline;
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
    if (flow === null) return html``;
    if (flow.step === "failed") return this.failed(flow);
    if (flow.ask === null || flow.step === "making") return this.busy(flow.ask === null ? words[this.speech].opening : words[this.speech].making);
    if (flow.step === "review") return this.review(flow.ask);
    return flow.step === "pin" ? this.pin(flow, flow.ask) : this.digits(flow, flow.ask);
  }

  private busy(title: string): TemplateResult {
    return html`<section class="stack middle" role="status">
      <span class="spinner large"></span>
      <h1 tabindex="-1">${title}</h1>
    </section>`;
  }

  private review({ statement }: OfflineAsk): TemplateResult {
    const text = words[this.speech];
    this.gate.watch(statement.id);
    return html`<section class="stack">
      <h1 tabindex="-1" dir="auto">${statement.type === "login" ? text.login(statement.bank) : text.title(statement.bank)}</h1>
      <p class="soft small">${text.valid(formatTime(this.speech, statement.expires))}</p>
      <ts-read-to-end ?read=${this.gate.isOpen} @ts-read=${this.onRead}><ts-statement .statement=${statement}></ts-statement></ts-read-to-end>
      <div class="answers">
        ${this.gate.isOpen
          ? html`<button type="button" class="big wide" @click=${this.onPinWanted}>${icons.lock(22)} ${text.pin}</button>`
          : html`<button type="button" class="big wide" @click=${this.onReadOn}>${askWords[this.speech].readOn}</button>`}
        <button type="button" class="big wide secondary" @click=${this.onDone}>${text.leave}</button>
      </div>
      <p class="soft small">${text.dont}</p>
    </section>`;
  }

  private pin(flow: OfflineFlow, { statement, pinDigits }: OfflineAsk): TemplateResult {
    const text = words[this.speech];
    const failure = flow.failure === null ? null : explainFailure(flow.failure, this.speech);
    return html`<section class="stack middle">
      <h1 tabindex="-1">${text.pinTitle}</h1>
      <p class="summary" dir="auto">${summaryOf(statement, this.speech)}</p>
      ${failure === null ? nothing : notice({ kind: "bad", title: failure.title, text: failure.text })}
      <ts-pin-pad .digits=${pinDigits} .label=${`${text.pinTitle}. ${pinWords[this.speech].field(pinDigits)}`} @ts-pin=${this.onPin}></ts-pin-pad>
      <button type="button" class="quiet" @click=${this.onDone}>${text.leave}</button>
    </section>`;
  }

  private digits({ digits }: OfflineFlow, { statement }: OfflineAsk): TemplateResult {
    const text = words[this.speech];
    const shown = formatAnswer(digits ?? "");
    return html`<section class="stack middle">
      <h1 tabindex="-1">${text.digitsTitle}</h1>
      <div class="digits code" aria-hidden="true" data-answer=${digits ?? ""}>${shown}</div>
      <p class="sr" role="status">${text.digitsLabel((digits ?? "").split("").join(" "))}</p>
      <p class="summary" dir="auto">${summaryOf(statement, this.speech)}</p>
      <p>${text.digitsText}</p>
      <p class="warning">${icons.lock(20)}<span>${text.digitsWarn}</span></p>
      <button type="button" class="big wide" @click=${this.onDone}>${common[this.speech].done}</button>
      <p class="soft small">${text.wrong} <button type="button" class="quiet" @click=${this.onAgain}>${text.again}</button></p>
    </section>`;
  }

  private failed(flow: OfflineFlow): TemplateResult {
    const said = explainFailure(flow.failure, this.speech);
    return html`<section class="stack middle">
      <span class="sign">${icons.warn(40)}</span>
      <h1 tabindex="-1">${words[this.speech].failed}</h1>
      <p><strong>${said.title}</strong></p>
      <p>${said.text}</p>
      <button type="button" class="big wide" @click=${this.onRescan}>${common[this.speech].scanAgain}</button>
      <button type="button" class="big wide secondary" @click=${this.onDone}>${common[this.speech].toStart}</button>
    </section>`;
  }

  private readonly onRead = (): void => {
    this.gate.reach(Date.now());
    this.requestUpdate();
  };
  private readonly onReadOn = (): void => {
    this.gate.press(Date.now());
    this.reader?.readOn();
  };
  private readonly onPinWanted = (): void => {
    if (this.gate.press(Date.now())) this.flow?.askPin();
  };
  private readonly onAgain = (): void => {
    this.flow?.askPin();
  };
  private readonly onPin = (event: CustomEvent<{ pin: string }>): void => {
    void this.flow?.answer(event.detail.pin);
  };
  private readonly onRescan = (): void => {
    this.model.swap({ name: "scan", want: "offline" });
  };
  private readonly onDone = (): void => {
    this.model.toStart();
  };
}
