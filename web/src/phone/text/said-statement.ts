/** What a statement says, as rows to be read: every field that is signed, in one order, nothing left out. Pure. */
import { formatAccount, formatAmount, type Lang } from "../../shared/i18n/index.js";
import type { Statement } from "../../shared/phone-client/index.js";
import { ask, statement as words } from "./ask.js";

export interface Row {
  readonly name: string;
  /** Text of the bank or of the customer, never markup. Empty: `none` is said in its place. */
  readonly value: string;
  readonly none?: string;
  /** The one thing to look at first. */
  readonly isMain?: boolean;
}


function fieldsOf(said: Statement, lang: Lang): readonly Row[] {
  const text = words[lang];
  switch (said.type) {
    case "login":
    case "device":
      return [
        { name: text.browser, value: said.fields.browser, none: text.noPlace },
        { name: text.place, value: said.fields.place, none: text.noPlace },
      ];
    case "payment":
      return [
        { name: text.amount, value: formatAmount(lang, said.fields.amount, said.fields.currency), isMain: true },
        { name: text.currency, value: said.fields.currency },
        { name: text.payee, value: said.fields.payee, isMain: true },
        { name: text.account, value: formatAccount(said.fields.account) },
        { name: text.purpose, value: said.fields.purpose, none: text.noPurpose },
      ];
    case "contact":
      return [
        { name: text[said.fields.kind], value: said.fields.value, isMain: true },
        { name: text.previous, value: said.fields.previous, none: text.noPrevious },
      ];
    case "free":
      return [
        { name: text.title, value: said.fields.title, isMain: true },
        { name: text.text, value: said.fields.text },
      ];
  }
}

/** All rows: who asks, whom, what. */
export function rowsOf(said: Statement, lang: Lang): readonly Row[] {
  const text = words[lang];
  return [{ name: text.bank, value: said.bank }, { name: text.user, value: said.user }, ...fieldsOf(said, lang)];
}

/** What kind of request it is, in a word or two. */
export function kindOf(said: Statement, lang: Lang): string {
  const text = words[lang];
  if (said.type === "device") return said.fields.mode === "add" ? text.deviceAdd : text.deviceMove;
  return text[said.type];
}

/** What is asked, as a question. */
export function questionOf(said: Statement, lang: Lang): string {
  const text = ask[lang];
  if (said.type === "device") return said.fields.mode === "add" ? text.device(said.bank) : text.move(said.bank);
  return text[said.type](said.bank);
}

/** The one line by which a request is found again in a list, and checked beside the PIN. */
export function summaryOf(said: Statement, lang: Lang): string {
  const rows = fieldsOf(said, lang).filter(({ value, isMain }) => value !== "" && isMain === true);
  const shown = rows.length > 0 ? rows : fieldsOf(said, lang).filter(({ value }) => value !== "");
  return shown.map(({ value }) => value).join(" · ");
}
