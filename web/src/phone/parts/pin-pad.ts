/**
 * A numeric pad of our own over a real password field: touch uses the pad, keyboards and screen readers use the field. Says
 * `ts-pin` {pin} once all digits are there, then empties itself. Keeps no digit longer than that.
 */
import { LitElement, css, html, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { LangController } from "../../shared/i18n/index.js";
import { icons } from "../../shared/ui/icons.js";
import { shared } from "../../shared/ui/styles.js";
import { pin as words } from "../text/contact.js";

const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "", "0", "erase"] as const;

@customElement("ts-pin-pad")
export class PinPad extends LitElement {
  static override styles = [
    ...shared,
    css`
      .field {
        position: relative;
        justify-items: center;
        padding-block: var(--ts-space-4);
      }
      .dots {
        display: flex;
        gap: var(--ts-space-4);
        padding: var(--ts-space-3) var(--ts-space-4);
        border-radius: var(--ts-radius-s);
      }
      .dots span {
        width: 16px;
        height: 16px;
        border: 2px solid var(--ts-line-strong);
        border-radius: 50%;
      }
      .dots .full {
        border-color: var(--ts-accent);
        background: var(--ts-accent);
      }
      @media (forced-colors: active) {
        .dots .full {
          background: CanvasText;
        }
      }
      input {
        position: absolute;
        inset: 0;
        height: 100%;
        border: 0;
        opacity: 0;
      }
      input:focus-visible + .dots {
        outline: 3px solid var(--ts-focus);
        outline-offset: 2px;
      }
      .pad {
        display: grid;
        grid-template-columns: repeat(3, minmax(64px, 96px));
        justify-content: center;
        gap: var(--ts-space-3);
      }
      .pad button {
        min-height: 60px;
        border-radius: var(--ts-radius);
        border-color: var(--ts-line);
        background: var(--ts-surface);
        color: var(--ts-text);
        font-size: var(--ts-text-xl);
        font-variant-numeric: tabular-nums;
      }
      .pad button:active:where(:not([aria-disabled="true"])) {
        background: var(--ts-accent-soft);
      }
      .pad .erase {
        border-color: transparent;
        background: transparent;
        color: var(--ts-text-soft);
      }
      @media (max-height: 640px) {
        .pad button {
          min-height: 48px;
        }
        .field {
          padding-block: var(--ts-space-2);
        }
      }
    `,
  ];

  @property({ type: Number }) digits = 6;
  @property() label = "";
  /** Takes no digits; keeps the focus all the same, which a disabled field would lose. */
  @property({ type: Boolean }) disabled = false;
  @state() private value = "";
  @query("input") private readonly input!: HTMLInputElement;

  private readonly i18n = new LangController(this);

  override focus(): void {
    this.input.focus();
  }

  protected override firstUpdated(): void {
    this.input.focus({ preventScroll: true });
  }

  override render(): TemplateResult {
    const text = words[this.i18n.lang];
    const dots = Array.from({ length: this.digits }, (_, at) => html`<span class=${at < this.value.length ? "full" : ""}></span>`);
    return html`
      <div class="field">
        <input
          type="password"
          inputmode="none"
          autocomplete="off"
          aria-label=${this.label === "" ? text.field(this.digits) : this.label}
          .value=${this.value}
          ?readonly=${this.disabled}
          aria-disabled=${this.disabled ? "true" : "false"}
          maxlength=${this.digits}
          @input=${this.onInput}
        />
        <div class="dots" aria-hidden="true">${dots}</div>
        <span class="sr" role="status">${text.entered(this.value.length, this.digits)}</span>
      </div>
      <div class="pad">${KEYS.map((key) => this.key(key))}</div>
    `;
  }

  private key(key: (typeof KEYS)[number]): TemplateResult {
    const text = words[this.i18n.lang];
    if (key === "") return html`<span></span>`;
    if (key === "erase") {
      return html`<button type="button" class="erase" aria-label=${text.erase} aria-disabled=${this.disabled ? "true" : "false"} @click=${this.onErase}>
        ${icons.erase(28)}
      </button>`;
    }
    return html`<button
      type="button"
      aria-disabled=${this.disabled ? "true" : "false"}
      @click=${() => {
        this.take(this.value + key);
      }}
    >
      ${key}
    </button>`;
  }

  private readonly onInput = (): void => {
    this.take(this.input.value);
    this.input.value = this.value;
  };

  private readonly onErase = (): void => {
    if (this.disabled) return;
    this.value = this.value.slice(0, -1);
  };

  private take(raw: string): void {
    if (this.disabled) return;
    this.value = raw.replace(/\D/g, "").slice(0, this.digits);
    if (this.value.length < this.digits) return;
    // At once: whoever types fast is already at the first digit of the next field.
    const pin = this.value;
    this.value = "";
    this.dispatchEvent(new CustomEvent("ts-pin", { detail: { pin } }));
  }
}
