/** The bank's messages on an open channel: pages of them, reading, and how many are unread. */
import { fromBase64Url, toBase64Url } from "../protocol/bytes";
import type { Line } from "./line";
import type { InboxMessage, Page } from "./types";

export class Inbox {
  readonly #line: Line;
  readonly #told: (count: number) => void;
  unread = 0;

  /** `told` hears of each change of `unread`. */
  constructor(line: Line, told: (count: number) => void) {
    this.#line = line;
    this.#told = told;
  }

  onUnread(count: number): void {
    if (count === this.unread) return;
    this.unread = count;
    this.#told(count);
  }

  /** See `Channel.inbox`. */
  async page(before?: string): Promise<Page<InboxMessage> & { readonly unread: number }> {
    return this.#line.inTurn(async () => {
      const { conversation, toLocal } = this.#line;
      const from = before === undefined ? {} : { before: fromBase64Url(before) };
      const { items, more, unread } = await conversation.request({ t: "inbox", ...from }, "inbox-page");
      this.onUnread(unread);
      const shown = items.map(({ id, title, body, at, expires, read }) => ({
        id: toBase64Url(id),
        title,
        body,
        at: toLocal(at),
        expires: expires === null ? null : toLocal(expires),
        read,
      }));
      return { items: shown, more, unread };
    });
  }

  /** See `Channel.markRead`. */
  async markRead(id: string): Promise<number> {
    return this.#line.inTurn(async () => {
      const { count } = await this.#line.conversation.request({ t: "inbox-read", id: fromBase64Url(id) }, "unread");
      this.onUnread(count);
      return count;
    });
  }
}
