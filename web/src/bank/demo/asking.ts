/** What the demo bank asks the customer's phone, while the page waits: which request, what for, and what follows. */
import { html, type TemplateResult } from "lit";
import type { Lang } from "../../shared/i18n/index.js";
import { icons } from "../../shared/ui/icons.js";
import type { Asked } from "./api.js";
import type { Words } from "./messages.js";

export type Purpose = "login" | "transfer" | "contact" | "device";

export interface Asking {
  readonly purpose: Purpose;
  readonly asked: Asked;
}

export interface AskingHost {
  onApproved(): void;
  onEnded(): void;
  /** The customer turns away from a request, which may wait still. */
  onBack(): void;
  onRestart(): void;
}

export function asking(words: Words, lang: Lang, { purpose, asked }: Asking, host: AskingHost): TemplateResult {
  return html`<button class="secondary above" @click=${() => {
      host.onBack();
    }}>${icons.back()} ${words.backHere}</button>
    <h1 tabindex="-1">${words[`ask_${purpose}`]}</h1>
    <tessera-approval
      lang=${lang}
      approval=${asked.approval.id}
      token=${asked.page_token}
      @tessera-approved=${() => {
        host.onApproved();
      }}
      @tessera-ended=${() => {
        host.onEnded();
      }}
      @tessera-restart=${() => {
        host.onRestart();
      }}
    ></tessera-approval>`;
}
