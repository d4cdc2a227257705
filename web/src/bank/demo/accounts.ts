/** The page with a customer's accounts. */
import { html, type TemplateResult } from "lit";
import { formatMoney, type Lang } from "../../shared/i18n/index.js";
import type { Account, Customer } from "./api.js";
import type { Words } from "./messages.js";

export function accounts(words: Words, lang: Lang, customer: Customer): TemplateResult {
  return html`<h1 tabindex="-1">${words.hello(customer.name)}</h1>
    <ul class="accounts">
      ${customer.accounts.map((account) => accountCard(words, lang, account))}
    </ul>`;
}

function accountCard(words: Words, lang: Lang, account: Account): TemplateResult {
  return html`<li class="card stack">
    <h2>${words[account.kind]}</h2>
    <p class="soft code small">${account.iban}</p>
    <p><span class="sr">${words.balance}</span><span class="amount">${formatMoney(lang, account.balance, account.currency)}</span></p>
  </li>`;
}
