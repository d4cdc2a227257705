/**
 * Choosing a PIN: weak ones and the present one are refused with the reason, the second typing must match. Says `ts-pin-chosen` {pin}. Keeps the
 * first typing only until the second is there.
 */
import { LitElement, css, html, nothing, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { LangController } from "../../shared/i18n/index.js";
import { shared } from "../../shared/ui/styles.js";
import { refusePin, type PinRemark } from "../pin-choice.js";
import { pin as words } from "../text/contact.js";
import { explainFailure } from "../text/errors.js";
import { notice } from "./notice.js";
import type { PinPad } from "./pin-pad.js";
import "./pin-pad.js";

@customElement("ts-pin-setup")
export class PinSetup extends LitElement {
  static override styles = [
    ...shared,
    css`
      .stack {
        justify-items: center;
        text-align: center;
      }
      .notice {
        justify-self: stretch;
        text-align: start;
      }
      .saving {
        padding-block: var(--ts-space-6);
      }
      ts-pin-pad {
        width: 100%;
      }
    `,
  ];

  @property({ type: Number }) digits = 6;
  @property({ type: Boolean }) busy = false;
  @property({ attribute: false }) failure: unknown = null;
  @property() heading = "";
  /** Whether it is the PIN in force, for a PIN that is changed. Asked, so that this part never holds that one. */
  @property({ attribute: false }) isPresent: (pin: string) => boolean = () => false;
  @state() private first: string | null = null;
  @state() private remark: "mismatch" | PinRemark | null = null;
  @query("ts-pin-pad") private readonly pad!: PinPad | null;
  private readonly i18n = new LangController(this);

  override render(): TemplateResult {
    const text = words[this.i18n.lang];
    if (this.busy) {
      return html`<div class="stack saving" role="status"><span class="spinner"></span><h1>${text.saving}</h1></div>`;
    }
    const again = this.first !== null;
    const failure = this.failure === null || this.failure === undefined ? null : explainFailure(this.failure, this.i18n.lang);
    return html`<section class="stack">
      <h1>${again ? text.again : this.heading === "" ? text.choose : this.heading}</h1>
      <p class="soft">${again ? text.againHint : text.hint}</p>
      ${this.remark === null ? nothing : notice({ kind: "bad", title: text[this.remark] })}
      ${failure === null || this.remark !== null || again ? nothing : notice({ kind: "bad", title: failure.title, text: failure.text })}
      <ts-pin-pad .digits=${this.digits} .label=${`${again ? text.again : text.choose}. ${text.field(this.digits)}`} @ts-pin=${this.onPin}></ts-pin-pad>
    </section>`;
  }

  private readonly onPin = (event: CustomEvent<{ pin: string }>): void => {
    const { pin } = event.detail;
    if (this.first === null) {
      this.remark = refusePin(pin, this.isPresent);
      this.first = this.remark === null ? pin : null;
    } else {
      const same = this.first === pin;
      this.first = null;
      this.remark = same ? null : "mismatch";
      if (same) this.dispatchEvent(new CustomEvent("ts-pin-chosen", { detail: { pin } }));
    }
    this.pad?.focus();
  };
}
