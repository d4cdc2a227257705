/** What stands above every page of a customer: trouble, the session's end ahead, what was done last. */
import { html, nothing, type TemplateResult } from "lit";
import { formatCountdown, formatWait, type Lang } from "../../shared/i18n/index.js";
import { icons } from "../../shared/ui/icons.js";
import { BankError } from "./api.js";
import type { Words } from "./messages.js";

export interface Trouble {
  /** "wrong" is said at the field of the password, the others above the page. */
  readonly kind: "wrong" | "failed" | "expired" | "idle" | "over" | "needsPhone" | "phoneCannot" | "tooOften";
  /** How long to wait, where that is known, else 0. */
  readonly seconds: number;
}

export type Said = "done_transfer" | "done_contact" | "done_desk" | "reported";

export function troubleIs(kind: Trouble["kind"], seconds = 0): Trouble {
  return { kind, seconds };
}

/** Returns what to tell the customer of any thrown value. */
export function troubleOf(error: unknown): Trouble {
  const { status, code, retryAfter } = error instanceof BankError ? error : new BankError(0);
  if (status === 401 || status === 403) return troubleIs("expired");
  if (status === 429) return troubleIs("tooOften", retryAfter ?? 30);
  if (code === "no-phone") return troubleIs("needsPhone");
  if (code === "phone-cannot") return troubleIs("phoneCannot");
  return troubleIs(status === 409 ? "over" : "failed");
}

/** `onAgain`: null where nothing is waited for. */
export function trouble(words: Words, lang: Lang, { kind, seconds }: Trouble, onAgain: (() => void) | null): TemplateResult {
  return html`<div class="notice bad" role="alert" data-trouble=${kind}>
    ${icons.warn()}
    <div>
      <span>${kind === "tooOften" ? words.tooOften(formatWait(lang, seconds)) : words[kind]}</span>
      ${onAgain === null ? nothing : html`<button class="secondary" @click=${onAgain}>${icons.refresh(20)} ${words.retry}</button>`}
    </div>
  </div>`;
}

/** The seconds are for the eye: a screen reader is told once that the end is near, not at each of them. */
export function idleSoon(words: Words, left: number, onStay: () => void): TemplateResult {
  return html`<div class="notice warn" data-idle>
    ${icons.warn()}
    <div>
      <span role="alert">${words.idleSoon}</span>
      <span class="code" aria-hidden="true">${formatCountdown(left * 1000)}</span>
      <button class="secondary" @click=${onStay}>${words.stay}</button>
    </div>
  </div>`;
}

export function saidLast(words: Words, said: Said | null): TemplateResult {
  const isBad = said === "reported";
  const text = said === null ? nothing : html`<p class="notice ${isBad ? "warn" : "ok"}" data-said=${said}>${isBad ? icons.warn() : icons.okay()}<span>${words[said]}</span></p>`;
  return html`<div role="status">${text}</div>`;
}
