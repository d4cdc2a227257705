/** Changing the PIN of a binding: the present one, then the new one twice. Both go to the phone client and are kept nowhere. */
import { css, html, nothing, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { formatTime, type Lang } from "../../shared/i18n/index.js";
import { PhoneClientError } from "../../shared/phone-client/index.js";
import { shared } from "../../shared/ui/styles.js";
import { notice } from "../parts/notice.js";
import "../parts/pin-pad.js";
import "../parts/pin-setup.js";
import { common } from "../text/common.js";
import { pin as words } from "../text/contact.js";
import { explainFailure } from "../text/errors.js";
import { ScreenElement } from "./base.js";

/** Says what is wrong with a PIN that was proved, with the tries left or the time it opens again. */
export function sayPinFailure(error: unknown, lang: Lang): string {
  const text = words[lang];
  if (error instanceof PhoneClientError) {
    const { left, until } = error.details;
    const blocked = error.code === "pin-blocked" || (error.code === "pin-wrong" && left === 0);
    if (blocked && typeof until === "number") {
      return text.blockedUntil(formatTime(lang, until));
    }
    if (blocked) return text.blocked;
    if (error.code === "pin-wrong" && left !== undefined) return text.wrong(left);
  }
  const failure = explainFailure(error, lang);
  return `${failure.title}. ${failure.text}`;
}

@customElement("ts-change-pin")
export class ChangePinScreen extends ScreenElement {
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
  @state() private old: string | null = null;
  @state() private busy = false;
  @state() private done = false;
  @state() private failure: unknown = null;

  override render(): TemplateResult {
    const text = words[this.speech];
    const link = this.model.links.view(this.bindingid);
    const digits = link.state?.pin.digits ?? this.model.bindings.find((item) => item.id === this.bindingid)?.pinDigits ?? 6;
    if (this.done) {
      return html`<section class="stack">
        ${notice({ kind: "ok", title: text.changed })}
        <button type="button" class="big wide" @click=${this.onDone}>${common[this.speech].done}</button>
      </section>`;
    }
    if (this.old !== null || this.busy) {
      return html`<ts-pin-setup .digits=${digits} .busy=${this.busy} .heading=${text.chooseNew} @ts-pin-chosen=${this.onNew}></ts-pin-setup>`;
    }
    return html`<section class="stack">
      <h1 tabindex="-1">${text.current}</h1>
      ${this.failure === null ? nothing : notice({ kind: "bad", title: sayPinFailure(this.failure, this.speech) })}
      <ts-pin-pad .digits=${digits} .label=${`${text.current}. ${text.field(digits)}`} @ts-pin=${this.onOld}></ts-pin-pad>
    </section>`;
  }

  private readonly onOld = (event: CustomEvent<{ pin: string }>): void => {
    this.failure = null;
    this.old = event.detail.pin;
  };

  private readonly onNew = (event: CustomEvent<{ pin: string }>): void => {
    void this.change(event.detail.pin);
  };

  private async change(pin: string): Promise<void> {
    const old = this.old ?? "";
    this.old = null;
    this.busy = true;
    try {
      const { channel } = this.model.links.view(this.bindingid);
      if (channel === null) throw new PhoneClientError("offline");
      await channel.changePin(old, pin);
      this.done = true;
    } catch (error) {
      this.failure = error;
    } finally {
      this.busy = false;
    }
  }

  private readonly onDone = (): void => {
    this.model.back();
  };
}
