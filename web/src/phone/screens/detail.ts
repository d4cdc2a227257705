/** One bank on this phone: how it stands, its name, its PIN, removing it. Everything but erasing needs the bank's answer. */
import { css, html, nothing, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { formatAgo, formatDateTime, formatTime } from "../../shared/i18n/index.js";
import { PhoneClientError, type Binding } from "../../shared/phone-client/index.js";
import { icons } from "../../shared/ui/icons.js";
import { shared } from "../../shared/ui/styles.js";
import { type ShownName, bindingState } from "../binding-state.js";
import type { ConfirmDialog } from "../parts/confirm-dialog.js";
import "../parts/confirm-dialog.js";
import "../parts/biometric-setting.js";
import { notice } from "../parts/notice.js";
import "../parts/push-setting.js";
import { common, home } from "../text/common.js";
import { detail, pin } from "../text/contact.js";
import { explainFailure } from "../text/errors.js";
import { ScreenElement } from "./base.js";

/** What erasing on this phone alone leaves behind, by how the bank sees the phone. */
const ERASING: Readonly<Record<ShownName, "removeHere" | "removeSuspended" | "forgetText" | "forgetUnfinished">> = {
  active: "removeHere",
  suspended: "removeSuspended",
  removed: "forgetText",
  unknown: "forgetText",
  retired: "forgetText",
  committing: "forgetUnfinished",
};

@customElement("ts-detail")
export class DetailScreen extends ScreenElement {
  static override styles = [
    ...shared,
    css`
      dl {
        display: grid;
        gap: var(--ts-space-3);
      }
      dt {
        color: var(--ts-text-soft);
        font-size: var(--ts-text-s);
      }
      dd {
        overflow-wrap: anywhere;
      }
      form .line {
        display: grid;
        grid-template-columns: 1fr auto;
        gap: var(--ts-space-2);
      }
    `,
  ];

  @property() bindingid = "";
  @state() private busy = false;
  @state() private failure: unknown = null;
  @state() private renamed = false;
  @query("#remove") private readonly removeDialog!: ConfirmDialog;
  @query("#erase") private readonly eraseDialog!: ConfirmDialog;
  @query("input") private readonly input!: HTMLInputElement;

  override connectedCallback(): void {
    super.connectedCallback();
    const binding = this.binding();
    if (binding === undefined) return;
    this.model.watch(binding);
    this.model.links.askBlocked(binding.id);
  }

  override render(): TemplateResult {
    const binding = this.binding();
    if (binding === undefined) return html``;
    const text = detail[this.speech];
    const link = this.model.links.view(binding.id);
    const { state } = bindingState(binding, link);
    const usable = state === "active" && link.channel !== null && link.status === "online";
    const blockedUntil = link.state?.pin.blockedUntil ?? null;
    return html`<div class="stack">
      <h1 tabindex="-1">${binding.tenant}</h1>
      ${this.standing(binding, state)}
      ${blockedUntil !== null && blockedUntil > Date.now()
        ? notice({ kind: "warn", title: pin[this.speech].blockedUntil(formatTime(this.speech, blockedUntil)) })
        : nothing}
      ${this.failure === null ? nothing : this.failed()}
      <div class="card">${this.facts(binding)}</div>
      ${state === "active" ? this.rename(binding, usable) : nothing}
      ${state === "active"
        ? html`<button type="button" class="big wide secondary" ?disabled=${!usable || this.busy} @click=${this.onChangePin}>
            ${icons.lock(22)} ${text.changePin}
          </button>
          <ts-biometric-setting .model=${this.model} bindingid=${binding.id}></ts-biometric-setting>
          <ts-push-setting .model=${this.model} bindingid=${binding.id}></ts-push-setting>`
        : nothing}
      ${state === "active" || state === "suspended"
        ? html`<button type="button" class="quiet danger" ?disabled=${this.busy} @click=${this.onRemove}>${icons.bin(22)} ${text.remove}</button>`
        : html`<button type="button" class="big wide danger" ?disabled=${this.busy} @click=${this.onForget}>${text.forget}</button>`}
      <ts-confirm id="remove" .heading=${text.removeTitle(binding.tenant)} .text=${text.removeText} .yes=${text.removeYes} .no=${common[this.speech].cancel}></ts-confirm>
      <ts-confirm id="erase" .heading=${text.removeTitle(binding.tenant)} .text=${text[ERASING[state]]} .yes=${text.removeHereYes} .no=${common[this.speech].cancel}></ts-confirm>
    </div>`;
  }

  private standing(binding: Binding, state: string): TemplateResult | typeof nothing {
    const text = detail[this.speech];
    if (state === "suspended") return notice({ kind: "warn", title: home[this.speech].suspended, text: text.suspendedText });
    if (state === "unknown") return notice({ kind: "bad", title: text.unknownTitle, text: text.unknownText });
    if (state === "retired") {
      const failure = explainFailure(this.model.links.view(binding.id).error, this.speech);
      return notice({ kind: "bad", title: failure.title, text: failure.text });
    }
    if (state === "removed") return notice({ kind: "bad", title: home[this.speech].removed, text: text.removedText });
    if (state === "committing") {
      const error = this.model.links.view(binding.id).error;
      const lost = error instanceof PhoneClientError && error.code === "not-committed";
      const failure = explainFailure(error, this.speech);
      return lost
        ? notice({ kind: "bad", title: failure.title, text: failure.text })
        : notice({ kind: "info", title: home[this.speech].committing, text: text.committingText });
    }
    return nothing;
  }

  private facts(binding: Binding): TemplateResult {
    const text = detail[this.speech];
    const shown = bindingState(binding, this.model.links.view(binding.id));
    return html`<dl>
      <div><dt>${text.state}</dt><dd><span class="badge ${shown.tone}">${home[this.speech][shown.state]}</span></dd></div>
      <div><dt>${text.customer}</dt><dd>${binding.label}</dd></div>
      <div><dt>${text.added}</dt><dd>${formatDateTime(this.speech, binding.addedAt)}</dd></div>
      <div><dt>${text.lastSeen}</dt><dd>${binding.lastSeenAt === null ? text.never : formatAgo(this.speech, binding.lastSeenAt, Date.now())}</dd></div>
    </dl>`;
  }

  private rename(binding: Binding, usable: boolean): TemplateResult {
    const text = detail[this.speech];
    return html`<form class="field" @submit=${this.onRename}>
      <label for="name">${text.name}</label>
      <div class="line">
        <input id="name" maxlength="64" required autocomplete="off" .value=${binding.name} ?disabled=${!usable || this.busy} />
        <button class="secondary" ?disabled=${!usable || this.busy}>${text.save}</button>
      </div>
      <p class="small soft" role="status">${this.renamed ? text.renamed : nothing}</p>
    </form>`;
  }

  private failed(): TemplateResult {
    const failure = explainFailure(this.failure, this.speech);
    return notice({ kind: "bad", title: failure.title, text: failure.text });
  }

  private binding(): Binding | undefined {
    return this.model.bindings.find((item) => item.id === this.bindingid);
  }

  private async attempt(work: () => Promise<void>): Promise<void> {
    this.busy = true;
    this.failure = null;
    this.renamed = false;
    try {
      await work();
    } catch (error) {
      this.failure = error;
    } finally {
      this.busy = false;
    }
  }

  private readonly onRename = (event: Event): void => {
    event.preventDefault();
    const name = this.input.value.trim();
    void this.attempt(async () => {
      const { channel } = this.model.links.view(this.bindingid);
      if (channel === null) throw new PhoneClientError("offline");
      await channel.rename(name);
      await this.model.refresh();
      this.renamed = true;
    });
  };

  private readonly onChangePin = (): void => {
    this.model.go({ name: "change-pin", id: this.bindingid });
  };

  private readonly onRemove = (): void => {
    const binding = this.binding();
    if (binding === undefined) return;
    void this.attempt(async () => {
      const { channel } = this.model.links.view(this.bindingid);
      if (channel === null) {
        if (await this.eraseDialog.ask()) await this.erase(binding);
        return;
      }
      if (!(await this.removeDialog.ask())) return;
      await channel.remove();
      await this.erase(binding);
    });
  };

  private readonly onForget = (): void => {
    const binding = this.binding();
    if (binding === undefined) return;
    void this.attempt(async () => {
      if (await this.eraseDialog.ask()) await this.erase(binding);
    });
  };

  private async erase(binding: Binding): Promise<void> {
    this.model.toStart();
    await this.model.forget(binding);
  }
}
