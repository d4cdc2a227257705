/** What the two lists of a bank share: the channel they come by, loading, more, and what stands in the place of an empty one. */
import { html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { property } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import { PhoneClientError, type Channel, type Page } from "../../shared/phone-client/index.js";
import { PagedList } from "../paged-list.js";
import { notice } from "../parts/notice.js";
import { common } from "../text/common.js";
import { explainFailure } from "../text/errors.js";
import { ScreenElement } from "./base.js";

export abstract class ListScreen<Item extends { readonly id: string }> extends ScreenElement {
  @property() bindingid = "";
  protected readonly list = new PagedList<Item>(
    (before) => this.fetchPage(this.channel(), before),
    () => {
      this.requestUpdate();
    },
  );
  private mark: string | null = null;

  protected abstract fetchPage(channel: Channel, before?: string): Promise<Page<Item>>;
  /** Another one means that the list has changed at the bank; null says nothing. */
  protected abstract markOf(channel: Channel): string | null;
  protected abstract row(item: Item): TemplateResult;
  protected abstract readonly words: { readonly title: string; readonly empty: string; readonly more: string };

  protected channel(): Channel {
    const { channel } = this.model.links.view(this.bindingid);
    if (channel === null) throw new PhoneClientError("offline");
    return channel;
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    super.willUpdate(changed);
    const { channel, status } = this.model.links.view(this.bindingid);
    if (channel === null || status !== "online") return;
    const mark = this.markOf(channel);
    const isNew = mark !== null && mark !== this.mark;
    this.mark = mark;
    if ((isNew || !this.list.isReady) && this.list.failure === null) queueMicrotask(() => void this.list.reload());
  }

  override render(): TemplateResult {
    const { list, words } = this;
    const text = common[this.speech];
    const isOnline = this.model.links.view(this.bindingid).status === "online";
    const tenant = this.model.bindings.find(({ id }) => id === this.bindingid)?.tenant ?? "";
    return html`<div class="stack">
      <div>
        <h1 tabindex="-1">${words.title}</h1>
        <p class="soft" dir="auto">${tenant}</p>
      </div>
      ${list.failure === null ? nothing : this.failed(list.failure)}
      ${list.isReady && list.items.length === 0 ? html`<p class="soft">${words.empty}</p>` : nothing}
      <ul class="stack">${repeat(list.items, ({ id }) => id, (item) => html`<li>${this.row(item)}</li>`)}</ul>
      ${list.loading || (!list.isReady && list.failure === null)
        ? html`<div class="row" role="status"><span class="spinner"></span>${isOnline ? text.loading : text.offline}</div>`
        : nothing}
      ${list.more && !list.loading ? html`<button type="button" class="big wide secondary" @click=${this.onMore}>${words.more}</button>` : nothing}
    </div>`;
  }

  private failed(error: unknown): TemplateResult {
    const said = explainFailure(error, this.speech);
    const action = html`<button type="button" class="secondary" @click=${this.onReload}>${common[this.speech].tryAgain}</button>`;
    return notice({ kind: "bad", title: said.title, text: said.text, action });
  }

  private readonly onMore = (): void => {
    void this.list.next();
  };
  private readonly onReload = (): void => {
    void this.list.reload();
  };
}
