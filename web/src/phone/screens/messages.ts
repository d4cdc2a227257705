/** The bank's messages: plain text, the unread ones marked; opening one marks it read. */
import { html, nothing, type TemplateResult } from "lit";
import { customElement } from "lit/decorators.js";
import { formatDateTime } from "../../shared/i18n/index.js";
import type { Channel, InboxMessage, Page } from "../../shared/phone-client/index.js";
import { shared } from "../../shared/ui/styles.js";
import { desk, inbox } from "../text/bank.js";
import { listStyles } from "./list-styles.js";
import { ListScreen } from "./listed.js";

@customElement("ts-messages")
export class MessagesScreen extends ListScreen<InboxMessage> {
  static override styles = [...shared, listStyles];

  protected override get words(): { title: string; empty: string; more: string } {
    return { title: desk[this.speech].messages, ...inbox[this.speech] };
  }

  /** What the customer has opened: a page that was asked for a moment before does not know it yet. */
  private readonly opened = new Set<string>();

  protected override async fetchPage(channel: Channel, before?: string): Promise<Page<InboxMessage>> {
    const page = await channel.inbox(before);
    const items = page.items.map((item) => (this.opened.has(item.id) ? { ...item, read: true } : item));
    return { ...page, items };
  }

  protected override markOf(channel: Channel): string | null {
    return channel.inboxUnread > this.unread() ? String(channel.inboxUnread) : null;
  }

  protected override row(item: InboxMessage): TemplateResult {
    const text = inbox[this.speech];
    return html`<details
      class="card ${item.read ? "" : "unread"}"
      @toggle=${(event: Event) => {
        if ((event.target as HTMLDetailsElement).open && !item.read) void this.markRead(item.id);
      }}
    >
      <summary>
        <span class="line">
          <span class="text" dir="auto">${item.title}</span>
          ${item.read ? nothing : html`<span class="badge ok">${text.isNew}</span>`}
        </span>
        <span class="soft small">${formatDateTime(this.speech, item.at)}</span>
      </summary>
      <div class="body">
        <p class="text said" dir="auto">${item.body}</p>
        ${item.expires === null ? nothing : html`<p class="soft small">${text.until(formatDateTime(this.speech, item.expires))}</p>`}
      </div>
    </details>`;
  }

  private unread(): number {
    return this.list.items.filter(({ read }) => !read).length;
  }

  private async markRead(id: string): Promise<void> {
    this.opened.add(id);
    this.list.change(id, (item) => ({ ...item, read: true }));
    // Unread again when the bank could not be told: the next opening tells it.
    await Promise.resolve()
      .then(() => this.channel().markRead(id))
      .catch(() => {
        this.opened.delete(id);
        this.list.change(id, (item) => ({ ...item, read: false }));
      });
  }
}
