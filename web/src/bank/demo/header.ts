/** What stands above every page of the demo bank: the menu of a customer who is logged in, and the languages. */
import { html, nothing, type TemplateResult } from "lit";
import { LANGS, locale, type Lang } from "../../shared/i18n/index.js";
import type { Words } from "./messages.js";
import type { View } from "./views.js";

export function menu(words: Words, now: View, onLogout: () => void): TemplateResult {
  const item = (view: View, hash: string, text: string): TemplateResult => {
    const here = now === view || (view === "devices" && (now === "add" || now === "move"));
    return html`<li><a href=${hash} aria-current=${here ? "page" : nothing}>${text}</a></li>`;
  };
  return html`<nav aria-label=${words.nav}>
      <ul>
        ${item("accounts", "#/accounts", words.accounts)} ${item("transfer", "#/transfer", words.transfer)}
        ${item("messages", "#/messages", words.inbox)} ${item("devices", "#/devices", words.devices)}
        <li><button class="quiet" @click=${onLogout}>${words.logout}</button></li>
      </ul>
    </nav>`;
}

export function languages(words: Words, current: Lang): TemplateResult {
  return html`<div class="languages" role="group" aria-label=${words.language}>
    ${LANGS.map(
      (lang) =>
        html`<button class="quiet" lang=${lang} aria-pressed=${lang === current} @click=${() => {
          locale.set(lang);
        }}>${lang}</button>`,
    )}
  </div>`;
}
