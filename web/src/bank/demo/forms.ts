/** The demo bank's forms: a transfer, contact data, what the bank's desk writes. What is wrong is said at its field. */
import { html, nothing, type TemplateResult } from "lit";
import { formatAccount, formatAmount, formatMoment, type Lang } from "../../shared/i18n/index.js";
import type { Customer, Transfer } from "./api.js";
import type { Words } from "./messages.js";

export const CURRENCIES = ["EUR", "CHF", "GBP", "USD"] as const;

export interface Form {
  /** The field that the bank refused, or null. */
  readonly wrong: string | null;
  readonly isBusy: boolean;
  /** What was typed before, to be mended or sent again. */
  readonly typed: Readonly<Record<string, string>>;
  readonly onSend: (fields: Readonly<Record<string, string>>) => void;
}

function submitting(onSend: Form["onSend"]): (event: Event) => void {
  return (event) => {
    event.preventDefault();
    const fields: Record<string, string> = {};
    for (const [name, value] of new FormData(event.target as HTMLFormElement)) if (typeof value === "string") fields[name] = value;
    onSend(fields);
  };
}

interface Field {
  readonly name: "payee" | "account" | "amount" | "purpose" | "value" | "title" | "body";
  readonly label: string;
  readonly max: number;
  readonly isLong?: boolean;
  readonly isOptional?: boolean;
  readonly mode?: string;
}

function field(words: Words, form: Form, { name, label, max, isLong, isOptional, mode }: Field): TemplateResult {
  const isWrong = form.wrong === name || (name === "amount" && form.wrong === "balance");
  const id = `f-${name}`;
  const value = form.typed[name] ?? "";
  const control = isLong === true
    ? html`<textarea id=${id} name=${name} rows="3" maxlength=${max} ?required=${isOptional !== true} .value=${value} aria-describedby="${id}-wrong" aria-invalid=${isWrong}></textarea>`
    : html`<input id=${id} name=${name} maxlength=${max} inputmode=${mode ?? nothing} autocomplete="off" ?required=${isOptional !== true} .value=${value} aria-describedby="${id}-wrong" aria-invalid=${isWrong} />`;
  const reason = form.wrong === "balance" ? words.wrong_balance : words[`wrong_${name}`];
  return html`<div class="field">
    <label for=${id}>${label}</label>
    ${control}
    <p id="${id}-wrong" class="error" role="alert">${isWrong ? reason : ""}</p>
  </div>`;
}

export function transferForm(words: Words, form: Form): TemplateResult {
  return html`<form class="card stack" @submit=${submitting(form.onSend)} novalidate data-form="transfer">
    ${field(words, form, { name: "payee", label: words.payee, max: 140 })}
    ${field(words, form, { name: "account", label: words.account, max: 42 })}
    <div class="pair">
      ${field(words, form, { name: "amount", label: words.amount, max: 13, mode: "decimal" })}
      <div class="field">
        <label for="f-currency">${words.currency}</label>
        <select id="f-currency" name="currency">
          ${CURRENCIES.map((currency) => html`<option ?selected=${currency === form.typed["currency"]}>${currency}</option>`)}
        </select>
      </div>
    </div>
    ${field(words, form, { name: "purpose", label: words.purpose, max: 1_000, isLong: true, isOptional: true })}
    <button class="big" ?disabled=${form.isBusy}>${words.pay}</button>
  </form>`;
}

export function transferList(words: Words, lang: Lang, transfers: readonly Transfer[]): TemplateResult {
  return html`<section class="card stack">
    <h2>${words.transfers}</h2>
    ${transfers.length === 0
      ? html`<p class="soft">${words.noTransfers}</p>`
      : html`<ul class="transfers">
          ${transfers.map(
            (each) => html`<li data-transfer=${each.state}>
              <span><strong>${formatAmount(lang, each.amount, each.currency)}</strong> <span dir="auto">${each.payee}</span></span>
              <span class="badge ${each.state === "approved" ? "ok" : each.state === "pending" ? "warn" : "bad"}">${words[`state_${each.state}`]}</span>
              <span class="soft small code">${formatAccount(each.account)}</span>
              <time class="soft small">${formatMoment(lang, each.at * 1000)}</time>
            </li>`,
          )}
        </ul>`}
  </section>`;
}

export function contactForm(words: Words, customer: Customer, form: Form): TemplateResult {
  return html`<form class="card stack" @submit=${submitting(form.onSend)} novalidate data-form="contact">
    <h2>${words.contact}</h2>
    <dl class="facts">
      <div><dt>${words.email}</dt><dd>${customer.contact.email}</dd></div>
      <div><dt>${words.phoneNumber}</dt><dd>${customer.contact.phone}</dd></div>
    </dl>
    <div class="pair">
      <div class="field">
        <label for="f-kind">${words.change}</label>
        <select id="f-kind" name="kind">
          <option value="email">${words.email}</option>
          <option value="phone" ?selected=${form.typed["kind"] === "phone"}>${words.phoneNumber}</option>
        </select>
      </div>
      ${field(words, form, { name: "value", label: words.newValue, max: 256 })}
    </div>
    <button ?disabled=${form.isBusy}>${words.save}</button>
  </form>`;
}

export function deskForm(words: Words, form: Form): TemplateResult {
  return html`<details class="card stack">
    <summary>${words.desk}</summary>
    <form class="stack" @submit=${submitting(form.onSend)} novalidate data-form="desk">
      <p class="soft">${words.deskLead}</p>
      ${field(words, form, { name: "title", label: words.messageTitle, max: 128 })}
      ${field(words, form, { name: "body", label: words.messageBody, max: 2_000, isLong: true })}
      <button ?disabled=${form.isBusy}>${words.send}</button>
    </form>
  </details>`;
}
