/** The page with a customer's accounts. */
import { html, nothing, type TemplateResult } from "lit";
import { formatMoney, type Lang } from "../../shared/i18n/index.js";
import { icons } from "../../shared/ui/icons.js";
import type { Account, Customer } from "./api.js";
import type { Words } from "./messages.js";

/** `isPhoneless`: known to have no phone, and invited to add one. */
export function accounts(words: Words, lang: Lang, customer: Customer, { isPhoneless }: { readonly isPhoneless: boolean }): TemplateResult {
  return html`<h1 tabindex="-1">${words.hello(customer.name)}</h1>
    <ul class="accounts">
      ${customer.accounts.map((account) => accountCard(words, lang, account))}
    </ul>
    ${isPhoneless ? invitation(words) : nothing}`;
}

function invitation(words: Words): TemplateResult {
  return html`<section class="card stack invitation">
    <h2>${words.noPhone}</h2>
    <p>${words.noPhoneLead}</p>
    <a class="button" href="#/devices/add">${icons.add()} ${words.add}</a>
  </section>`;
}

function accountCard(words: Words, lang: Lang, account: Account): TemplateResult {
  return html`<li class="card stack">
    <h2>${words[account.kind]}</h2>
    <p class="soft code small">${account.iban}</p>
    <p><span class="sr">${words.balance}</span><span class="amount">${formatMoney(lang, account.balance, account.currency)}</span></p>
  </li>`;
}
