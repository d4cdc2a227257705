/** The first screen: the banks this phone is bound to, an activation that was interrupted, the way to add one. */
import { css, html, nothing, type TemplateResult } from "lit";
import { customElement, query, state } from "lit/decorators.js";
import { formatAgo, formatTime } from "../../shared/i18n/index.js";
import type { Binding, PendingContact } from "../../shared/phone-client/index.js";
import { icons } from "../../shared/ui/icons.js";
import { shared } from "../../shared/ui/styles.js";
import { bindingState } from "../binding-state.js";
import type { ConfirmDialog } from "../parts/confirm-dialog.js";
import "../parts/confirm-dialog.js";
import { bindPicture, pictureStyles } from "../parts/pictures.js";
import { home } from "../text/common.js";
import { ScreenElement } from "./base.js";

@customElement("ts-home")
export class HomeScreen extends ScreenElement {
  static override styles = [
    ...shared,
    pictureStyles,
    css`
      .empty {
        justify-items: center;
        text-align: center;
        padding-block: var(--ts-space-4);
      }
      .empty .wide {
        margin-top: var(--ts-space-2);
      }
      .item {
        display: grid;
        grid-template-columns: auto 1fr auto;
        gap: var(--ts-space-1) var(--ts-space-4);
        align-items: center;
        width: 100%;
        padding: var(--ts-space-4);
        border: 1px solid var(--ts-line);
        border-radius: var(--ts-radius);
        background: var(--ts-surface);
        color: var(--ts-text);
        font-weight: 400;
        text-align: start;
        justify-content: stretch;
      }
      @media (hover: hover) {
        .item:hover {
          background: var(--ts-surface);
          border-color: var(--ts-accent);
        }
      }
      .item .mark {
        display: grid;
        place-items: center;
        width: 44px;
        height: 44px;
        border-radius: 12px;
        background: var(--ts-accent-soft);
        color: var(--ts-accent);
      }
      .item .text {
        display: grid;
        min-width: 0;
      }
      .item strong,
      .item .label {
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      .item .meta {
        display: flex;
        flex-wrap: wrap;
        gap: var(--ts-space-2);
        align-items: center;
        grid-column: 2 / -1;
      }
      .how {
        counter-reset: how;
        gap: var(--ts-space-3);
        text-align: start;
        width: 100%;
      }
      .how li {
        counter-increment: how;
        display: grid;
        grid-template-columns: 2rem 1fr;
        gap: var(--ts-space-3);
        align-items: center;
      }
      .how li::before {
        content: counter(how);
        display: grid;
        place-items: center;
        width: 2rem;
        height: 2rem;
        border-radius: 50%;
        background: var(--ts-accent-soft);
        color: var(--ts-accent);
        font-weight: 650;
      }
      .notice .row {
        gap: var(--ts-space-1);
        margin-top: var(--ts-space-2);
      }
      .ways {
        display: grid;
        gap: var(--ts-space-1);
        justify-items: center;
        text-align: center;
        text-wrap: balance;
      }
      .ways .row {
        justify-content: center;
        gap: var(--ts-space-1);
      }
    `,
  ];

  @state() private asked: PendingContact | null = null;
  @query("ts-confirm") private readonly dialog!: ConfirmDialog;

  override render(): TemplateResult {
    const text = home[this.speech];
    const { bindings, pending } = this.model;
    return html`<div class="stack">
      ${pending.map((item) => this.interrupted(item))}
      ${bindings.length === 0
        ? this.empty()
        : html`
            <h1 tabindex="-1">${text.title}</h1>
            <ul class="stack">
              ${bindings.map((binding) => html`<li>${this.item(binding)}</li>`)}
            </ul>
            <button type="button" class="big wide" @click=${this.onScan}>${icons.add()} ${text.add}</button>
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

  private readonly onScan = (): void => {
    this.model.go({ name: "scan", second: false });
  };
  private readonly onType = (): void => {
    this.model.go({ name: "typed", second: false });
  };
  private readonly onPaste = (): void => {
    this.model.go({ name: "paste" });
  };
}
