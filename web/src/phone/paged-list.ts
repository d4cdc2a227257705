/** A list that comes page by page over a channel: what was fetched, whether there is more, what went wrong. No DOM. */
import type { Page } from "../shared/phone-client/index.js";

export class PagedList<Item extends { readonly id: string }> {
  items: readonly Item[] = [];
  more = false;
  loading = false;
  /** Whether the first page has come. */
  isReady = false;
  failure: unknown = null;

  readonly #fetch: (before?: string) => Promise<Page<Item>>;
  readonly #told: () => void;

  /** `told` hears of each change. */
  constructor(fetch: (before?: string) => Promise<Page<Item>>, told: () => void) {
    this.#fetch = fetch;
    this.#told = told;
  }

  /** The first page anew, in place of all that is there. */
  async reload(): Promise<void> {
    await this.#load((page) => page.items);
  }

  async next(): Promise<void> {
    const last = this.items.at(-1);
    if (last === undefined || !this.more) return;
    await this.#load((page) => {
      const known = new Set(this.items.map(({ id }) => id));
      return [...this.items, ...page.items.filter(({ id }) => !known.has(id))];
    }, last.id);
  }

  change(id: string, change: (item: Item) => Item): void {
    this.items = this.items.map((item) => (item.id === id ? change(item) : item));
    this.#told();
  }

  async #load(merge: (page: Page<Item>) => readonly Item[], before?: string): Promise<void> {
    if (this.loading) return;
    this.loading = true;
    this.failure = null;
    this.#told();
    try {
      const page = await this.#fetch(before);
      this.items = merge(page);
      this.more = page.more;
      this.isReady = true;
    } catch (error) {
      this.failure = error;
    } finally {
      this.loading = false;
      this.#told();
    }
  }
}
