/** Changing the PIN of a binding: the present one, then the new one twice. Both go to the phone client and are kept nowhere. */
import { css, html, nothing, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { PhoneClientError, type Channel } from "../../shared/phone-client/index.js";
import { shared } from "../../shared/ui/styles.js";
import { notice } from "../parts/notice.js";
import type { PinPad } from "../parts/pin-pad.js";
import "../parts/pin-pad.js";
import "../parts/pin-setup.js";
import { isBlocked, pinBlock } from "../pin-block.js";
import { common } from "../text/common.js";
import { detail, pin as words } from "../text/contact.js";
import { sayPinFailure } from "../text/pin-failure.js";
import { ScreenElement } from "./base.js";

const LONGEST_TIMER_MS = 2 ** 31 - 1;

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
  @state() private busy: "old" | "new" | null = null;
  @state() private done = false;
  @state() private failure: unknown = null;
  @query("ts-pin-pad") private readonly pad!: PinPad | null;
  private opening: ReturnType<typeof setTimeout> | undefined;

  override connectedCallback(): void {
    super.connectedCallback();
    this.model.links.askBlocked(this.bindingid);
  }

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
    if (this.old !== null || this.busy === "new") {
      return html`<ts-pin-setup .digits=${digits} .busy=${this.busy === "new"} .heading=${text.chooseNew} .isPresent=${this.isPresent} @ts-pin-chosen=${this.onNew}></ts-pin-setup>`;
    }
    const block = this.block();
    if (block !== null) {
      return html`<section class="stack">
        <h1 tabindex="-1">${detail[this.speech].changePin}</h1>
        ${notice({ kind: "bad", title: sayPinFailure(block, this.speech) })}
        <button type="button" class="big wide" @click=${this.onDone}>${common[this.speech].back}</button>
      </section>`;
    }
    const isOver = this.failure instanceof PhoneClientError && isBlocked(this.failure);
    return html`<section class="stack">
      <h1 tabindex="-1">${text.current}</h1>
      ${this.failure === null || isOver ? nothing : notice({ kind: "bad", title: sayPinFailure(this.failure, this.speech) })}
      <ts-pin-pad .digits=${digits} .disabled=${this.busy !== null} .label=${`${text.current}. ${text.field(digits)}`} @ts-pin=${this.onOld}></ts-pin-pad>
      <p class="soft" role="status">${this.busy === null ? nothing : text.checking}</p>
    </section>`;
  }

  protected override updated(): void {
    clearTimeout(this.opening);
    const until = this.block()?.details.until ?? null;
    if (until === null) return;
    const wait = Math.min(until - Date.now() + 500, LONGEST_TIMER_MS);
    this.opening = setTimeout(() => {
      this.requestUpdate();
    }, wait);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearTimeout(this.opening);
  }

  private block(): PhoneClientError | null {
    return pinBlock(this.failure, this.model.links.view(this.bindingid).state?.pin, Date.now());
  }

  private readonly onOld = (event: CustomEvent<{ pin: string }>): void => {
    void this.prove(event.detail.pin);
  };

  private readonly isPresent = (pin: string): boolean => pin === this.old;

  private readonly onNew = (event: CustomEvent<{ pin: string }>): void => {
    void this.change(event.detail.pin);
  };

  /** Proves the present PIN before a new one is asked for: what is wrong with it is told at once. */
  private async prove(pin: string): Promise<void> {
    await this.attempt("old", async (channel) => {
      await channel.provePin(pin);
      this.old = pin;
    });
    // Wherever a key of the pad left it: the next digit typed is the first of another try.
    await this.updateComplete;
    if (this.pad === null) this.focusHeading();
    else this.pad.focus();
  }

  private async change(pin: string): Promise<void> {
    const old = this.old ?? "";
    this.old = null;
    await this.attempt("new", async (channel) => {
      await channel.changePin(old, pin);
      this.done = true;
    });
  }

  private async attempt(step: "old" | "new", work: (channel: Channel) => Promise<void>): Promise<void> {
    this.busy = step;
    this.failure = null;
    try {
      const { channel } = this.model.links.view(this.bindingid);
      if (channel === null) throw new PhoneClientError("offline");
      await work(channel);
    } catch (error) {
      this.failure = error;
    } finally {
      this.busy = null;
    }
  }

  private readonly onDone = (): void => {
    this.model.back();
  };
}
