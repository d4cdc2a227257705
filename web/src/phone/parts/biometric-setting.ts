/** Fingerprint or face of one bank, on or off, and why it cannot be had where it cannot. On a bank's page. */
import { html, nothing, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { PhoneClientError, supportsBiometric, type Channel } from "../../shared/phone-client/index.js";
import { icons } from "../../shared/ui/icons.js";
import { shared } from "../../shared/ui/styles.js";
import { ScreenElement } from "../screens/base.js";
import { biometric as words } from "../text/bank.js";
import { explainFailure } from "../text/errors.js";
import { notice } from "./notice.js";

@customElement("ts-biometric-setting")
export class BiometricSetting extends ScreenElement {
  static override styles = shared;

  @property() bindingid = "";
  @state() private isSupported: boolean | null = null;
  @state() private busy = false;
  @state() private failure: unknown = null;

  override render(): TemplateResult | typeof nothing {
    const text = words[this.speech];
    const biometric = this.model.links.view(this.bindingid).channel?.biometric ?? null;
    if (biometric === null || (biometric.policy === "off" && !biometric.enrolled) || this.isSupported === null) return nothing;
    const failure = this.failure === null ? null : explainFailure(this.failure, this.speech);
    return html`<section class="card stack" aria-labelledby="biometric" data-state=${biometric.enrolled ? "on" : "off"}>
      <h2 id="biometric">${text.title}</h2>
      <p role="status">${this.say(biometric)}</p>
      ${failure === null ? nothing : notice({ kind: "bad", title: failure.title, text: failure.text })}
      ${this.buttons(biometric)}
    </section>`;
  }

  protected override firstUpdated(): void {
    // a part of a screen: the heading that takes the focus is the screen's
    void supportsBiometric().then((isSupported) => {
      this.isSupported = isSupported;
    });
  }

  private say({ enrolled, policy }: NonNullable<Channel["biometric"]>): string {
    const text = words[this.speech];
    if (enrolled) return policy === "required" ? `${text.on}. ${text.required}` : `${text.on}.`;
    if (this.isSupported !== true) return policy === "required" ? text.unsupportedRequired : text.unsupported;
    return `${text.off}. ${policy === "required" ? text.offerRequired : text.why}`;
  }

  private buttons({ enrolled, policy }: NonNullable<Channel["biometric"]>): TemplateResult | typeof nothing {
    const text = words[this.speech];
    const canEnrol = this.isSupported === true && policy !== "off";
    return html`
      ${canEnrol ? html`<button type="button" class="wide secondary" @click=${this.onOn}>${icons.finger(22)} ${enrolled ? text.anew : text.turnOn}</button>` : nothing}
      ${enrolled && policy !== "required"
        ? html`<button type="button" class="quiet" aria-disabled=${this.busy ? "true" : "false"} @click=${this.onOff}>${text.turnOff}</button>`
        : nothing}
    `;
  }

  private readonly onOn = (): void => {
    this.model.go({ name: "biometric", id: this.bindingid });
  };
  private readonly onOff = (): void => {
    void this.turnOff();
  };

  private async turnOff(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    this.failure = null;
    try {
      const { channel } = this.model.links.view(this.bindingid);
      if (channel === null) throw new PhoneClientError("offline");
      await channel.removeBiometric();
    } catch (error) {
      this.failure = error;
    } finally {
      this.busy = false;
    }
  }
}
