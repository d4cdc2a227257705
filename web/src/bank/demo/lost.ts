/** The page of an address that no page has. */
import { html, type TemplateResult } from "lit";
import type { Words } from "./messages.js";

export function lost(words: Words): TemplateResult {
  return html`<section class="card stack invitation">
    <h1 tabindex="-1">${words.lost}</h1>
    <p>${words.lostLead}</p>
    <a class="button" href="#/accounts">${words.toAccounts}</a>
  </section>`;
}
