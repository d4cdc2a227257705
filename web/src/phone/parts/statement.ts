/** What is asked, row by row, as it is signed: text only, each value on its own side of the writing direction. */
import { LitElement, css, html, nothing, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import { LangController } from "../../shared/i18n/index.js";
import type { Statement } from "../../shared/phone-client/index.js";
import { shared } from "../../shared/ui/styles.js";
import { statement as words } from "../text/ask.js";
import { rowsOf, type Row } from "../text/said-statement.js";

@customElement("ts-statement")
export class StatementView extends LitElement {
  static override styles = [
    ...shared,
    css`
      dl {
        display: grid;
        gap: var(--ts-space-2);
      }
      dt {
        color: var(--ts-text-soft);
        font-size: var(--ts-text-s);
      }
      dd {
        unicode-bidi: isolate;
        white-space: pre-wrap;
        overflow-wrap: anywhere;
        text-align: start;
      }
      .main dd {
        font-size: var(--ts-text-l);
        font-weight: 650;
      }
      .none {
        color: var(--ts-text-soft);
      }
      .meaning {
        margin-top: var(--ts-space-4);
      }
    `,
  ];

  @property({ attribute: false }) statement: Statement | null = null;
  private readonly i18n = new LangController(this);

  override render(): TemplateResult {
    const said = this.statement;
    const text = words[this.i18n.lang];
    if (said === null) return html`<p>${text.unreadable}</p>`;
    return html`
      <dl>${rowsOf(said, this.i18n.lang).map((row) => this.row(row))}</dl>
      ${said.type === "device" ? html`<p class="meaning">${said.fields.mode === "add" ? text.deviceAddText : text.deviceMoveText}</p>` : nothing}
    `;
  }

  private row({ name, value, none = "", isMain = false }: Row): TemplateResult {
    // The value stands alone in its element: white space of this file would be shown as the bank's.
    return html`<div class=${isMain ? "main" : ""}>
      <dt>${name}</dt>
      ${value === "" ? html`<dd class="none">${none}</dd>` : html`<dd dir="auto">${value}</dd>`}
    </div>`;
  }
}
