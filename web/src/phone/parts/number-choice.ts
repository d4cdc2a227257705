/** The two digits of the bank's page: one of three, or typed. Says `ts-number` {number}, null while it is not complete. */
import { LitElement, css, html, type TemplateResult } from "lit";
import { customElement, property } from "lit/decorators.js";
import { LangController } from "../../shared/i18n/index.js";
import { shared } from "../../shared/ui/styles.js";
import { ask as words } from "../text/ask.js";

/** Reads what was typed: 10 to 99, else null. */
export function readNumber(typed: string): number | null {
  return /^[1-9]\d$/.test(typed) ? Number(typed) : null;
}

@customElement("ts-number-choice")
export class NumberChoice extends LitElement {
  static override styles = [
    ...shared,
    css`
      .numbers {
        display: grid;
        grid-template-columns: repeat(3, 1fr);
        gap: var(--ts-space-3);
      }
      .numbers button {
        min-height: 64px;
        padding: var(--ts-space-2);
        border: 2px solid var(--ts-line-strong);
        border-radius: var(--ts-radius);
        font-size: var(--ts-text-2xl);
        font-variant-numeric: tabular-nums;
      }
      .numbers [aria-pressed="true"] {
        border-color: var(--ts-accent);
        background: var(--ts-accent);
        color: var(--ts-on-accent);
      }
      @media (hover: hover) {
        .numbers [aria-pressed="true"]:hover:where(:not(:disabled)) {
          background: var(--ts-accent-strong);
          color: var(--ts-on-accent);
        }
      }
      @media (forced-colors: active) {
        .numbers [aria-pressed="true"] {
          border-color: Highlight;
        }
      }
      input {
        min-height: 64px;
        max-width: 9rem;
        font-size: var(--ts-text-2xl);
        font-variant-numeric: tabular-nums;
        letter-spacing: 0.1em;
        text-align: center;
      }
    `,
  ];

  @property({ attribute: false }) numbers: readonly number[] = [];
  @property({ attribute: false }) number: number | null = null;
  /** Typed instead of chosen. */
  @property({ type: Boolean }) typed = false;
  private readonly i18n = new LangController(this);

  override render(): TemplateResult {
    const text = words[this.i18n.lang];
    if (this.typed) {
      return html`<div class="field">
        <label for="number">${text.type}</label>
        <input id="number" inputmode="numeric" autocomplete="off" maxlength="2" pattern="[1-9][0-9]" aria-describedby="hint" @input=${this.onInput} />
        <p id="hint" class="soft small">${text.typeHint}</p>
      </div>`;
    }
    return html`<div class="field" role="group" aria-labelledby="choose" aria-describedby="hint">
      <h2 id="choose">${text.choose}</h2>
      <div class="numbers">${this.numbers.map((each) => this.button(each))}</div>
      <p id="hint" class="soft small">${text.chooseHint}</p>
    </div>`;
  }

  private button(number: number): TemplateResult {
    return html`<button
      type="button"
      class="secondary"
      aria-pressed=${number === this.number ? "true" : "false"}
      @click=${() => {
        this.tell(number);
      }}
    >
      ${number}
    </button>`;
  }

  private readonly onInput = (event: Event): void => {
    const input = event.target as HTMLInputElement;
    input.value = input.value.replace(/\D/g, "").slice(0, 2);
    this.tell(readNumber(input.value));
  };

  private tell(number: number | null): void {
    this.dispatchEvent(new CustomEvent("ts-number", { detail: { number } }));
  }
}
