/** The first screen: the banks this phone is bound to, an activation that was interrupted, the way to add one. */
import { html, nothing, type TemplateResult } from "lit";
import { customElement, query, state } from "lit/decorators.js";
import { formatAgo, formatTime } from "../../shared/i18n/index.js";
import { supportsBiometric, type Binding, type PendingContact } from "../../shared/phone-client/index.js";
import { icons } from "../../shared/ui/icons.js";
import { shared } from "../../shared/ui/styles.js";
import { bindingState } from "../binding-state.js";
import type { ConfirmDialog } from "../parts/confirm-dialog.js";
import "../parts/confirm-dialog.js";
import { bindPicture, pictureStyles } from "../parts/pictures.js";
import { notice } from "../parts/notice.js";
import { desk } from "../text/bank.js";
import { home } from "../text/common.js";
import { ScreenElement } from "./base.js";
import { homeStyles } from "./home-styles.js";

@customElement("ts-home")
export class HomeScreen extends ScreenElement {
  static override styles = [...shared, pictureStyles, homeStyles];

  @state() private canBiometric = false;
  @state() private asked: PendingContact | null = null;
  @query("ts-confirm") private readonly dialog!: ConfirmDialog;

  override connectedCallback(): void {
    super.connectedCallback();
    void supportsBiometric().then((can) => {
      this.canBiometric = can;
    });
  }

  override render(): TemplateResult {
    const text = home[this.speech];
    const { bindings, pending } = this.model;
    return html`<div class="stack">
      ${this.aside()} ${pending.map((item) => this.interrupted(item))} ${bindings.map((binding) => this.due(binding))}
      ${bindings.length === 0
        ? this.empty()
        : html`
            <h1 tabindex="-1">${text.title}</h1>
            <ul class="stack">
              ${bindings.map((binding) => html`<li class="bank">${this.item(binding)}${this.desk(binding)}</li>`)}
            </ul>
            <button type="button" class="big wide" @click=${this.onOffline}>${icons.camera()} ${desk[this.speech].offline}</button>
            <button type="button" class="big wide secondary" @click=${this.onScan}>${icons.add()} ${text.add}</button>
          `}
      <div class="ways">
        <p class="soft small">${text.otherWays}</p>
        <div class="row">
          <button type="button" class="quiet" @click=${this.onType}>${icons.keyboard(22)} ${text.typeCode}</button>
          <button type="button" class="quiet" @click=${this.onPaste}>${icons.link(22)} ${text.pasteLink}</button>
        </div>
      </div>
      <ts-confirm
        .heading=${text.discardTitle(this.asked?.tenant ?? text.pendingUnknown)}
        .text=${text.discardText}
        .yes=${text.discard}
        .no=${text.keep}
      ></ts-confirm>
    </div>`;
  }

  private empty(): TemplateResult {
    const text = home[this.speech];
    return html`<section class="stack empty">
      ${bindPicture()}
      <h1 tabindex="-1">${text.emptyTitle}</h1>
      <ol class="stack how">
        <li>${text.how1}</li>
        <li>${text.how2}</li>
        <li>${text.how3}</li>
      </ol>
      <button type="button" class="big wide" @click=${this.onScan}>${icons.camera()} ${text.scan}</button>
    </section>`;
  }

  private interrupted(item: PendingContact): TemplateResult {
    const text = home[this.speech];
    return html`<div class="notice warn" role="status">
      ${icons.info(22)}
      <div>
        <strong>${text.pendingTitle(item.tenant ?? text.pendingUnknown)}</strong>
        ${item.label === null ? nothing : html`<span>${item.label}</span>`}
        ${item.begunAt === null ? nothing : html`<span class="soft small">${text.begunAt(formatTime(this.speech, item.begunAt))}</span>`}
        <div class="row">
          <button
            type="button"
            @click=${() => {
              this.model.startContact(item);
            }}
          >
            ${text.resume}
          </button>
          <button
            type="button"
            class="quiet danger"
            @click=${() => {
              void this.discard(item);
            }}
          >
            ${text.discard}
          </button>
        </div>
      </div>
    </div>`;
  }

  /** Asks first: the same code cannot bind this phone once its keys are gone. */
  private async discard(item: PendingContact): Promise<void> {
    this.asked = item;
    await this.updateComplete;
    if (!(await this.dialog.ask())) return;
    void this.model.discard(item);
    this.focusHeading();
  }

  private item(binding: Binding): TemplateResult {
    const text = home[this.speech];
    const link = this.model.links.view(binding.id);
    const state = bindingState(binding, link);
    const seen = binding.lastSeenAt === null ? text.neverSeen : text.lastSeen(formatAgo(this.speech, binding.lastSeenAt, Date.now()));
    const connection = link.status === "connecting" ? text.connecting : link.status === "online" && state.state === "active" ? text.online : seen;
    return html`<button
      type="button"
      class="item"
      @click=${() => {
        this.model.go({ name: "detail", id: binding.id });
      }}
    >
      <span class="mark">${icons.bank()}</span>
      <span class="text"><strong>${binding.tenant}</strong><span class="label soft">${binding.label}</span></span>
      ${icons.next(20)}
      <span class="meta"><span class="badge ${state.tone}">${text[state.state]}</span><span class="soft small">${connection}</span></span>
    </button>`;
  }

  /** Messages and past requests, which the bank hands out by the channel. */
  private desk({ id }: Binding): TemplateResult | typeof nothing {
    const { channel } = this.model.links.view(id);
    if (channel === null) return nothing;
    const text = desk[this.speech];
    const unread = channel.inboxUnread;
    return html`<div class="desk">
      <button
        type="button"
        class="quiet"
        @click=${() => {
          this.model.go({ name: "messages", id });
        }}
      >
        ${icons.mail(22)} ${text.messages}
        ${unread === 0 ? nothing : html`<span class="count" aria-hidden="true">${unread}</span><span class="sr">${text.unread(unread)}</span>`}
      </button>
      <button
        type="button"
        class="quiet"
        @click=${() => {
          this.model.go({ name: "approvals", id });
        }}
      >
        ${icons.clock(22)} ${text.approvals}
      </button>
    </div>`;
  }

  /** Requests that were put aside. */
  private aside(): TemplateResult | typeof nothing {
    const { waiting } = this.model.asks;
    if (waiting === 0) return nothing;
    const text = desk[this.speech];
    return notice({ kind: "warn", title: text.asideTitle(waiting), action: html`<button type="button" @click=${this.onAside}>${text.asideOpen}</button>` });
  }

  /** A bank that requires fingerprint or face, and does not have it yet. */
  private due({ id, tenant }: Binding): TemplateResult | typeof nothing {
    const biometric = this.model.links.view(id).channel?.biometric;
    if (biometric?.policy !== "required" || biometric.enrolled || !this.canBiometric) return nothing;
    const text = desk[this.speech];
    const action = html`<button
      type="button"
      @click=${() => {
        this.model.go({ name: "biometric", id });
      }}
    >
      ${text.setUp}
    </button>`;
    return notice({ kind: "warn", title: text.biometricDue(tenant), action });
  }

  private readonly onAside = (): void => {
    this.model.asks.resume();
  };
  private readonly onOffline = (): void => {
    this.model.go({ name: "scan", want: "offline" });
  };
  private readonly onScan = (): void => {
    this.model.go({ name: "scan", want: "first" });
  };
  private readonly onType = (): void => {
    this.model.go({ name: "typed", second: false });
  };
  private readonly onPaste = (): void => {
    this.model.go({ name: "paste" });
  };
}
