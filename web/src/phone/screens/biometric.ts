/** Setting up fingerprint or face for a bank: the PIN first, then the device asks. The PIN goes to the phone client and is kept nowhere. */
import { css, html, nothing, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { PhoneClientError } from "../../shared/phone-client/index.js";
import { shared } from "../../shared/ui/styles.js";
import { notice } from "../parts/notice.js";
import type { PinPad } from "../parts/pin-pad.js";
import "../parts/pin-pad.js";
import { pinBlock } from "../pin-block.js";
import { biometric as words } from "../text/bank.js";
import { common } from "../text/common.js";
import { pin as pinWords } from "../text/contact.js";
import { sayPinFailure } from "../text/pin-failure.js";
import { ScreenElement } from "./base.js";

@customElement("ts-biometric")
export class BiometricScreen extends ScreenElement {
  static override styles = [
    ...shared,
    css`
      section {
        justify-items: center;
        text-align: center;
      }
      .notice {
        justify-self: stretch;
        text-align: start;
      }
      ts-pin-pad {
        width: 100%;
      }
    `,
  ];

  @property() bindingid = "";
  @state() private busy = false;
  @state() private done = false;
  @state() private failure: unknown = null;
  @query("ts-pin-pad") private readonly pad!: PinPad | null;

  override render(): TemplateResult {
    const text = words[this.speech];
    const { state: channel } = this.model.links.view(this.bindingid);
    if (this.done) {
      return html`<section class="stack">
        ${notice({ kind: "ok", title: text.done })}
        <button type="button" class="big wide" @click=${this.onDone}>${common[this.speech].done}</button>
      </section>`;
    }
    const digits = channel?.pin.digits ?? 6;
    const block = pinBlock(this.failure, channel?.pin, Date.now());
    const failure = block ?? this.failure;
    return html`<section class="stack">
      <h1 tabindex="-1">${text.pinTitle}</h1>
      <p class="soft">${text.needsPin}</p>
      ${failure === null ? nothing : notice({ kind: "bad", title: sayPinFailure(failure, this.speech) })}
      ${block === null
        ? html`<ts-pin-pad .digits=${digits} .disabled=${this.busy} .label=${`${text.pinTitle}. ${pinWords[this.speech].field(digits)}`} @ts-pin=${this.onPin}></ts-pin-pad>`
        : html`<button type="button" class="big wide" @click=${this.onDone}>${common[this.speech].back}</button>`}
      <p class="soft" role="status">${this.busy ? text.working : nothing}</p>
    </section>`;
  }

  private readonly onPin = (event: CustomEvent<{ pin: string }>): void => {
    void this.enrol(event.detail.pin);
  };

  private async enrol(pin: string): Promise<void> {
    this.busy = true;
    this.failure = null;
    try {
      const { channel } = this.model.links.view(this.bindingid);
      if (channel === null) throw new PhoneClientError("offline");
      await channel.enrolBiometric(pin);
      this.done = true;
    } catch (error) {
      this.failure = error;
    } finally {
      this.busy = false;
    }
    await this.updateComplete;
    this.pad?.focus();
  }

  private readonly onDone = (): void => {
    this.model.back();
  };
}
