/**
 * Amounts and account numbers as people read them, out of the text that the bank sent. Never through a floating-point number: what
 * is shown is what is signed, digit by digit. Called by every page that shows a payment.
 */
import { regionOf } from "./format.js";
import type { Lang } from "./locale.js";

const DECIMAL = /^(\d+)(?:\.(\d+))?$/;
const IBAN = /^[A-Z]{2}\d{2}[A-Z0-9]{11,30}$/;

/**
 * Formats a decimal text ("1250.5", "EUR") in the customer's region, all its digits kept; zeros are added up to what the currency
 * has. Text that is no plain decimal is returned as it stands, with its currency.
 */
export function formatAmount(lang: Lang, amount: string, currency: string): string {
  const [, whole, given = ""] = DECIMAL.exec(amount) ?? [];
  if (whole === undefined) return `${amount} ${currency}`;
  const options = { style: "currency", currency, numberingSystem: "latn" } as const;
  const region = regionOf(lang);
  const usual = new Intl.NumberFormat(region, options).resolvedOptions().maximumFractionDigits ?? 2;
  const digits = Math.max(usual, given.length);
  const format = new Intl.NumberFormat(region, { ...options, minimumFractionDigits: digits, maximumFractionDigits: digits });
  // The whole part as a BigInt is exact; its fraction is zeros, in whose place the text's own digits are put.
  return format
    .formatToParts(BigInt(whole))
    .map(({ type, value }) => (type === "fraction" ? given.padEnd(digits, "0") : value))
    .join("");
}

/** Groups an IBAN by four for reading; any other account number stays as the bank wrote it. */
export function formatAccount(account: string): string {
  return IBAN.test(account) ? (account.match(/.{1,4}/g) ?? []).join(" ") : account;
}

/** Groups the eight digits of an answer: "12 345 678". The spaces do not break. */
export function formatAnswer(digits: string): string {
  return `${digits.slice(0, 2)}\u00a0${digits.slice(2, 5)}\u00a0${digits.slice(5)}`;
}
