/** What stands above every page of a customer: trouble, the session's end ahead, what was done last. */
import { html, nothing, type TemplateResult } from "lit";
import { icons } from "../../shared/ui/icons.js";
import type { Words } from "./messages.js";

export type Trouble = "failed" | "expired" | "idle" | "refusedLogin" | "needsPhone";
export type Said = "done_transfer" | "done_contact" | "done_desk" | "reported";

/** `onAgain`: null where nothing is waited for. */
export function trouble(words: Words, problem: Trouble, onAgain: (() => void) | null): TemplateResult {
  return html`<div class="notice bad" role="alert">
    ${icons.warn()}
    <div>
      <span>${words[problem]}</span>
      ${onAgain === null ? nothing : html`<button class="secondary" @click=${onAgain}>${icons.refresh(20)} ${words.retry}</button>`}
    </div>
  </div>`;
}

export function idleSoon(words: Words, left: number, onStay: () => void): TemplateResult {
  return html`<div class="notice warn" role="alert">
    ${icons.warn()}
    <div>
      <span>${words.idleSoon(left)}</span>
      <button class="secondary" @click=${onStay}>${words.stay}</button>
    </div>
  </div>`;
}

export function saidLast(words: Words, said: Said | null): TemplateResult {
  const isBad = said === "reported";
  const text = said === null ? nothing : html`<p class="notice ${isBad ? "warn" : "ok"}">${isBad ? icons.warn() : icons.okay()}<span>${words[said]}</span></p>`;
  return html`<div role="status">${text}</div>`;
}
