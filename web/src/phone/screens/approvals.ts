/** What this phone's customer was asked before, newest first: the words that were signed, and what became of them. */
import { html, type TemplateResult } from "lit";
import { customElement } from "lit/decorators.js";
import { formatDateTime } from "../../shared/i18n/index.js";
import type { ApprovalEnd, Channel, Page, PastApproval } from "../../shared/phone-client/index.js";
import { shared } from "../../shared/ui/styles.js";
import "../parts/statement.js";
import { statement as statementWords } from "../text/ask.js";
import { desk, past } from "../text/bank.js";
import { kindOf, summaryOf } from "../text/said-statement.js";
import { listStyles } from "./list-styles.js";
import { ListScreen } from "./listed.js";

const TONES: Readonly<Record<ApprovalEnd, "ok" | "warn" | "bad" | "">> = { approved: "ok", refused: "warn", reported: "bad", expired: "", cancelled: "", failed: "bad" };

@customElement("ts-approvals")
export class ApprovalsScreen extends ListScreen<PastApproval> {
  static override styles = [...shared, listStyles];

  protected override get words(): { title: string; empty: string; more: string } {
    return { title: desk[this.speech].approvals, ...past[this.speech] };
  }

  protected override fetchPage(channel: Channel, before?: string): Promise<Page<PastApproval>> {
    return channel.approvals(before);
  }

  protected override markOf(channel: Channel): string {
    return channel.asks.map(({ id }) => id).join(" ");
  }

  protected override row({ statement, state, at, here }: PastApproval): TemplateResult {
    const text = past[this.speech];
    return html`<details class="card" data-state=${state}>
      <summary>
        <span class="line">
          <strong>${statement === null ? statementWords[this.speech].unreadable : kindOf(statement, this.speech)}</strong>
          <span class="badge ${TONES[state]}">${text[state]}</span>
        </span>
        <span class="text" dir="auto">${statement === null ? "" : summaryOf(statement, this.speech)}</span>
        <span class="soft small">${formatDateTime(this.speech, at)}</span>
      </summary>
      <div class="body">
        <ts-statement .statement=${statement}></ts-statement>
        <p class="soft small">${here ? text.here : text.elsewhere}</p>
      </div>
    </details>`;
  }
}
