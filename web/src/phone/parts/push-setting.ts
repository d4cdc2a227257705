/** Notifications of one bank, on or off, and why they cannot be had where they cannot. On a bank's page and after binding. */
import { html, nothing, type TemplateResult } from "lit";
import { customElement, property, state } from "lit/decorators.js";
import { PhoneClientError, type Channel } from "../../shared/phone-client/index.js";
import { icons } from "../../shared/ui/icons.js";
import { shared } from "../../shared/ui/styles.js";
import { browserPushWorld, pushState, turnPushOff, turnPushOn, type PushState } from "../push.js";
import { ScreenElement } from "../screens/base.js";
import { push as words } from "../text/bank.js";
import { explainFailure } from "../text/errors.js";
import { notice } from "./notice.js";

@customElement("ts-push-setting")
export class PushSetting extends ScreenElement {
  static override styles = shared;

  @property() bindingid = "";
  @state() private busy = false;
  @state() private failure: unknown = null;

  override render(): TemplateResult {
    const text = words[this.speech];
    const { channel } = this.model.links.view(this.bindingid);
    const state = pushState(channel?.push ?? null, browserPushWorld());
    const failure = this.failure === null ? null : explainFailure(this.failure, this.speech);
    return html`<section class="card stack" aria-labelledby="push" data-state=${state}>
      <h2 id="push">${text.title}</h2>
      <p role="status">${this.say(state)}</p>
      ${failure === null ? nothing : notice({ kind: "bad", title: failure.title, text: failure.text })}
      ${state === "on" || state === "off" ? this.button(state) : nothing}
    </section>`;
  }

  protected override firstUpdated(): void {
    // a part of a screen: the heading that takes the focus is the screen's
  }

  private say(state: PushState): string {
    const text = words[this.speech];
    if (state === "off") return `${text.off}. ${text.why} ${Notification.permission === "default" ? text.prompt : ""}`;
    return text[state];
  }

  private button(state: "on" | "off"): TemplateResult {
    const text = words[this.speech];
    return html`<button type="button" class="wide secondary" aria-disabled=${this.busy ? "true" : "false"} @click=${state === "on" ? this.onOff : this.onOn}>
      ${icons.bell(22)} ${this.busy ? text.busy : state === "on" ? text.turnOff : text.turnOn}
    </button>`;
  }

  private readonly onOn = (): void => {
    void this.attempt(turnPushOn);
  };
  private readonly onOff = (): void => {
    void this.attempt(turnPushOff);
  };

  private async attempt(work: (channel: Channel) => Promise<unknown>): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    this.failure = null;
    try {
      const { channel } = this.model.links.view(this.bindingid);
      if (channel === null) throw new PhoneClientError("offline");
      await work(channel);
    } catch (error) {
      // What the browser itself refuses: no notification service, or none reached.
      this.failure = error instanceof DOMException ? new PhoneClientError("push-invalid", {}, { cause: error }) : error;
    } finally {
      this.busy = false;
    }
  }
}
