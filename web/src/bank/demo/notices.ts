/** What the gateway told the bank by webhook, as far as it means something to a person; the bank is told of more. */
import { html, type TemplateResult } from "lit";
import { formatMoment, type Lang } from "../../shared/i18n/index.js";
import type { Notice } from "./api.js";
import type { Words } from "./messages.js";

export interface Told {
  readonly notice: Notice;
  readonly text: string;
}

export function noticesCard(words: Words, lang: Lang, notices: readonly Notice[]): TemplateResult {
  return html`<section class="card stack">
    <h2>${words.noticesTitle}</h2>
    ${notices.length === 0 ? html`<p class="soft">${words.noticesNone}</p>` : noticeList(lang, tell(words, notices))}
  </section>`;
}

/**
 * Returns what people read of the notices, the newest first: webhooks may come late and out of order. A phone that comes again to
 * its activation is told of as at first, by the same event, and has used no other code.
 */
export function tell(words: Words, notices: readonly Notice[]): readonly Told[] {
  const came = new Set<unknown>();
  const told = notices
    .map((notice, place) => ({ notice, place }))
    .sort((a, b) => Date.parse(a.notice.timestamp) - Date.parse(b.notice.timestamp) || b.place - a.place)
    .flatMap(({ notice }) => {
      const { type, data } = notice;
      const isReturn = type === "activation.present" && came.has(data["activation"]);
      if (type.startsWith("activation.")) came.add(data["activation"]);
      const say = (words as Readonly<Record<string, unknown>>)[isReturn ? "activation.return" : type];
      const name = data["name"];
      const device = typeof name === "string" && name !== "" ? name : words.aPhone;
      return typeof say === "function" ? [{ notice, text: (say as (device: string) => string)(device) }] : [];
    });
  return told.reverse();
}

function noticeList(lang: Lang, told: readonly Told[]): TemplateResult {
  return html`<ul class="notices">
    ${told.map(
      ({ notice, text }) =>
        html`<li><span>${text}</span><time class="soft small" datetime=${notice.timestamp}>${formatMoment(lang, notice.timestamp)}</time></li>`,
    )}
  </ul>`;
}
