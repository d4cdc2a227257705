/** A notice: what happened and what to do next, with the icon of its kind. Template functions, no state. */
import { html, nothing, type TemplateResult } from "lit";
import { icons } from "../../shared/ui/icons.js";

export type NoticeKind = "info" | "ok" | "warn" | "bad";

const ICONS = { info: icons.info, ok: icons.okay, warn: icons.warn, bad: icons.warn } as const;

export interface NoticeOptions {
  readonly kind: NoticeKind;
  readonly title: string;
  readonly text?: string;
  readonly action?: TemplateResult | typeof nothing;
}

export function notice({ kind, title, text, action = nothing }: NoticeOptions): TemplateResult {
  return html`<div class="notice ${kind}" role=${kind === "bad" ? "alert" : "status"}>
    ${ICONS[kind](22)}
    <div>
      <strong>${title}</strong>
      ${text === undefined ? nothing : html`<span>${text}</span>`} ${action}
    </div>
  </div>`;
}
