/** What the gateway told the bank by webhook, as far as it means something to a person; the bank is told of more. */
import { html, type TemplateResult } from "lit";
import { formatDateTime, type Lang } from "../../shared/i18n/index.js";
import type { Notice } from "./api.js";
import type { Words } from "./messages.js";

export function noticesCard(words: Words, lang: Lang, notices: readonly Notice[]): TemplateResult {
  return html`<section class="card stack">
    <h2>${words.noticesTitle}</h2>
    ${notices.length === 0 ? html`<p class="soft">${words.noticesNone}</p>` : noticeList(words, lang, notices)}
  </section>`;
}

function noticeList(words: Words, lang: Lang, notices: readonly Notice[]): TemplateResult {
  const told = notices.flatMap((notice) => {
    const say = (words as Readonly<Record<string, unknown>>)[notice.type];
    const name = notice.data["name"];
    const device = typeof name === "string" && name !== "" ? name : words.aPhone;
    return typeof say === "function" ? [{ notice, text: (say as (device: string) => string)(device) }] : [];
  });
  return html`<ul class="notices">
    ${told.map(
      ({ notice, text }) =>
        html`<li><span>${text}</span><time class="soft small" datetime=${notice.timestamp}>${formatDateTime(lang, notice.timestamp)}</time></li>`,
    )}
  </ul>`;
}
