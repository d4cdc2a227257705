/** A request of the bank: what it is, the number, the answer, its end. Draws an AskFlow and calls it; nothing is approved unread. */
import { html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { formatCountdown } from "../../shared/i18n/index.js";
import type { Statement } from "../../shared/phone-client/index.js";
import { icons } from "../../shared/ui/icons.js";
import { shared } from "../../shared/ui/styles.js";
import { blockNotes, sayEnd } from "../ask-end.js";
import type { AskFlow, AskStep } from "../ask-flow.js";
import { notice } from "../parts/notice.js";
import "../parts/number-choice.js";
import "../parts/pin-pad.js";
import type { ReadToEnd } from "../parts/read-to-end.js";
import "../parts/read-to-end.js";
import "../parts/statement.js";
import { pinBlock } from "../pin-block.js";
import { ScrollGate } from "../scroll-gate.js";
import { ask as words, ends } from "../text/ask.js";
import { common } from "../text/common.js";
import { pin as pinWords } from "../text/contact.js";
import { explainFailure } from "../text/errors.js";
import { sayPinFailure } from "../text/pin-failure.js";
import { questionOf, summaryOf } from "../text/said-statement.js";
import { askStyles } from "./ask-styles.js";
import { ScreenElement } from "./base.js";

/** When the time left is said aloud. */
const SAID_SECONDS = [30, 10];

@customElement("ts-ask")
export class AskScreen extends ScreenElement {
  static override styles = [...shared, askStyles];

  @property({ attribute: false }) flow!: AskFlow;
  @state() private now = Date.now();
  @state() private remark: string | null = null;
  @query("ts-read-to-end") private readonly reader!: ReadToEnd | null;
  private readonly gate = new ScrollGate();
  private ticker: ReturnType<typeof setInterval> | undefined;
  private shownStep: AskStep | null = null;

  override connectedCallback(): void {
    super.connectedCallback();
    this.ticker = setInterval(() => {
      this.now = Date.now();
    }, 1000);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearInterval(this.ticker);
  }

  protected override updated(changed: PropertyValues<this>): void {
    super.updated(changed);
    if (this.flow.step === this.shownStep) return;
    const returns = this.shownStep === "sending" && this.flow.step === "pin";
    this.shownStep = this.flow.step;
    if (this.flow.step !== "pin" || returns) this.focusHeading();
    window.scrollTo(0, 0);
  }

  override render(): TemplateResult {
    const { flow } = this;
    this.gate.watch(flow.key);
    const said = flow.ask.statement;
    if (flow.step === "ended") return this.ended();
    if (said === null) return this.tooOld();
    return html`<section class="stack">
      ${this.standing()}
      ${flow.step === "pin" ? this.pin(said) : flow.step === "review" ? this.review(said) : this.sending(said)}
    </section>`;
  }

  /** What stays above while it is answered: the time, what else waits, the connection. */
  private standing(): TemplateResult {
    const text = words[this.speech];
    const left = this.flow.ask.expiresAt - this.now;
    const seconds = Math.ceil(left / 1000);
    const said = SAID_SECONDS.find((mark) => seconds <= mark && seconds > mark - 5);
    const { waiting } = this.model.asks;
    const isSending = this.flow.step === "sending" || this.flow.step === "waiting";
    return html`<div class="standing">
        <span class="small soft" role="timer">${text.timeLeft(formatCountdown(left))}</span>
        ${waiting === 0 ? nothing : html`<span class="badge">${text.more(waiting)}</span>`}
        <span class="sr" role="status">${said === undefined ? nothing : text.secondsLeft(said)}</span>
      </div>
      ${this.isLost() && !isSending ? html`<div class="notice warn" role="status">${icons.offline(22)}<span>${text.reconnecting}</span></div>` : nothing}`;
  }

  private review(said: Statement): TemplateResult {
    const text = words[this.speech];
    const { flow } = this;
    return html`
      <h1 tabindex="-1" dir="auto">${questionOf(said, this.speech)}</h1>
      ${this.failed()}
      <ts-read-to-end ?read=${this.gate.isOpen} @ts-read=${this.onRead}><ts-statement .statement=${said}></ts-statement></ts-read-to-end>
      ${flow.ask.number === "none"
        ? nothing
        : html`<ts-number-choice .numbers=${flow.ask.numbers} .number=${flow.number} ?typed=${flow.ask.number === "type"} @ts-number=${this.onNumber}></ts-number-choice>`}
      <p class="error" role="alert">${this.remark ?? nothing}</p>
      <div class="answers">
        ${this.gate.isOpen ? this.approve() : html`<button type="button" class="big wide" @click=${this.onReadOn}>${text.readOn}</button>`}
        <button type="button" class="big wide secondary" @click=${this.onRefuse}>${icons.close(22)} ${text.refuse}</button>
        <button type="button" class="quiet danger" @click=${this.onReport}>${icons.warn(22)} ${text.report}</button>
        <button type="button" class="quiet" @click=${this.onLater}>${text.later}</button>
      </div>
    `;
  }

  private approve(): TemplateResult {
    const text = words[this.speech];
    const { flow } = this;
    const only = !(flow.canPin && flow.canBiometric);
    const biometric = html`<button type="button" class="big wide" @click=${this.onBiometric}>${icons.finger(22)} ${text.approveBiometric}</button>`;
    if (flow.canBiometric && only) return biometric;
    if (flow.canPin) {
      return html`${only ? nothing : biometric}
        <button type="button" class="big wide ${only ? "" : "secondary"}" @click=${this.onPinWanted}>${icons.lock(22)} ${text.approvePin}</button>`;
    }
    return html`<button type="button" class="big wide" @click=${this.onApprove}>${icons.check(22)} ${text.approve}</button>`;
  }

  private pin(said: Statement): TemplateResult {
    const text = words[this.speech];
    const { flow } = this;
    const { state: channel } = this.model.links.view(flow.ask.bindingId);
    const digits = channel?.pin.digits ?? this.model.bindings.find(({ id }) => id === flow.ask.bindingId)?.pinDigits ?? 6;
    const block = pinBlock(flow.failure, channel?.pin, this.now);
    return html`
      <h1 tabindex="-1">${text.pinTitle}</h1>
      <p class="summary" dir="auto">${summaryOf(said, this.speech)}</p>
      ${block === null ? this.failed() : notice({ kind: "bad", title: sayPinFailure(block, this.speech) })}
      ${block === null ? html`<ts-pin-pad .digits=${digits} .label=${`${text.pinTitle}. ${pinWords[this.speech].field(digits)}`} @ts-pin=${this.onPin}></ts-pin-pad>` : nothing}
      <div class="answers">
        ${flow.canBiometric ? html`<button type="button" class="big wide secondary" @click=${this.onBiometric}>${icons.finger(22)} ${text.useBiometric}</button>` : nothing}
        <button type="button" class="big wide secondary" @click=${this.onRefuse}>${icons.close(22)} ${text.refuse}</button>
        <button type="button" class="quiet" @click=${this.onReview}>${text.pinBack}</button>
      </div>
    `;
  }

  private sending(said: Statement): TemplateResult {
    const text = words[this.speech];
    const waits = this.flow.step === "waiting" || this.isLost();
    return html`<div class="stack middle">
      <span class="spinner large"></span>
      <h1 tabindex="-1">${text.sending}</h1>
      <p class="summary" dir="auto">${summaryOf(said, this.speech)}</p>
      <p role="status">${waits ? text.waiting : nothing}</p>
    </div>`;
  }

  private isLost(): boolean {
    return this.model.links.view(this.flow.ask.bindingId).status !== "online";
  }

  private failed(): TemplateResult | typeof nothing {
    const { failure } = this.flow;
    if (failure === null) return nothing;
    const said = explainFailure(failure, this.speech);
    const notes = blockNotes(failure, this.speech);
    const text = this.flow.step === "pin" && notes.length === 0 ? sayPinFailure(failure, this.speech) : [said.text, ...notes].join(" ");
    return notice({ kind: "bad", title: said.title, text });
  }

  private tooOld(): TemplateResult {
    const text = words[this.speech];
    return html`<section class="stack middle">
      <span class="sign">${icons.warn(40)}</span>
      <h1 tabindex="-1">${text.tooOldTitle}</h1>
      <p>${text.tooOldText(this.flow.tenant)}</p>
      <button type="button" class="big wide" @click=${this.onLater}>${common[this.speech].close}</button>
    </section>`;
  }

  private ended(): TemplateResult {
    const { flow } = this;
    if (flow.end === null) return html``;
    const end = sayEnd(flow.end, flow.failure, this.speech);
    const next = this.model.asks.waiting > 0;
    return html`<section class="stack middle end" data-end=${flow.end.state} data-here=${flow.end.here ? "yes" : "no"}>
      <span class="sign ${end.tone}">${end.tone === "ok" ? icons.okay(56) : icons.warn(56)}</span>
      <h1 tabindex="-1">${end.title}</h1>
      ${flow.ask.statement === null ? nothing : html`<p class="summary" dir="auto">${summaryOf(flow.ask.statement, this.speech)}</p>`}
      <p>${end.text}</p>
      ${end.notes.map((text) => html`<p class="note"><strong>${text}</strong></p>`)}
      <button type="button" class="big wide" @click=${this.onLater}>${next ? ends[this.speech].next : common[this.speech].done}</button>
    </section>`;
  }

  /** Whether approving may go on: read to the end, and with the number. Says what is missing. */
  private mayApprove(): boolean {
    if (!this.gate.press(Date.now())) return false;
    this.remark = this.flow.needsNumber ? words[this.speech].numberFirst : null;
    return this.remark === null;
  }

  private readonly onRead = (): void => {
    this.gate.reach(Date.now());
    this.requestUpdate();
  };
  private readonly onReadOn = (): void => {
    this.gate.press(Date.now());
    this.reader?.readOn();
  };
  private readonly onNumber = (event: CustomEvent<{ number: number | null }>): void => {
    this.remark = null;
    this.flow.choose(event.detail.number);
  };
  private readonly onPinWanted = (): void => {
    if (this.mayApprove()) this.flow.askPin();
  };
  private readonly onBiometric = (): void => {
    if (this.mayApprove()) void this.flow.approve({ biometric: true });
  };
  private readonly onApprove = (): void => {
    if (this.mayApprove()) void this.flow.approve();
  };
  private readonly onPin = (event: CustomEvent<{ pin: string }>): void => {
    if (this.mayApprove()) void this.flow.approve({ pin: event.detail.pin });
  };
  private readonly onRefuse = (): void => {
    void this.flow.refuse();
  };
  private readonly onReport = (): void => {
    void this.flow.report();
  };
  private readonly onReview = (): void => {
    this.flow.review();
  };
  private readonly onLater = (): void => {
    this.model.asks.leave();
  };
}
