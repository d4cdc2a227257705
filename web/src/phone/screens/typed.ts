/** Typing a code by hand: grouped while typing, forgiving, its check character verified the moment it is complete. */
import { css, html, nothing, type TemplateResult } from "lit";
import { customElement, property, query, state } from "lit/decorators.js";
import { PhoneClientError, parseCode2Typed, parseTyped } from "../../shared/phone-client/index.js";
import { icons } from "../../shared/ui/icons.js";
import { shared } from "../../shared/ui/styles.js";
import { ACTIVATION_SHAPE, CODE2_SHAPE, groupCode, takeTyping, type TypedShape } from "../typed-entry.js";
import { typed } from "../text/scan.js";
import { ScreenElement } from "./base.js";

type Verdict = "partial" | "good" | "wrong";

@customElement("ts-typed")
export class TypedScreen extends ScreenElement {
  static override styles = [
    ...shared,
    css`
      input {
        min-height: 60px;
        font-family: var(--ts-font-code);
        font-size: clamp(0.98rem, 4.6vw, 1.25rem);
        letter-spacing: 0.02em;
        text-transform: uppercase;
        text-align: center;
      }
      .verdict {
        display: flex;
        gap: var(--ts-space-2);
        align-items: center;
        min-height: 1.5rem;
      }
      .good {
        color: var(--ts-ok);
        font-weight: 600;
      }
    `,
  ];

  @property({ type: Boolean }) second = false;
  @state() private code = "";
  @state() private bad: string | null = null;
  @query("input") private readonly input!: HTMLInputElement;

  private get shape(): TypedShape {
    return this.second ? CODE2_SHAPE : ACTIVATION_SHAPE;
  }

  private get verdict(): Verdict {
    if (this.code.length < this.shape.length) return "partial";
    try {
      if (this.second) parseCode2Typed(this.code);
      else parseTyped(this.code);
      return "good";
    } catch (error) {
      if (error instanceof PhoneClientError) return "wrong";
      throw error;
    }
  }

  protected override firstUpdated(): void {
    this.input.focus();
  }

  override render(): TemplateResult {
    const text = typed[this.speech];
    const verdict = this.verdict;
    return html`<form class="stack" @submit=${this.onSubmit} novalidate>
      <h1 tabindex="-1">${this.second ? text.title2 : text.title}</h1>
      <div class="field">
        <label for="code">${this.second ? text.label2 : text.label}</label>
        <input
          id="code"
          type="text"
          autocomplete="off"
          autocapitalize="characters"
          autocorrect="off"
          spellcheck="false"
          enterkeyhint="go"
          aria-describedby="help verdict"
          aria-invalid=${verdict === "wrong" ? "true" : "false"}
          placeholder=${groupCode("·".repeat(this.shape.length), this.shape)}
          @input=${this.onInput}
        />
        <p id="verdict" class="verdict" role="status">${this.say(verdict)}</p>
        <p id="help" class="soft small">${this.second ? text.help2 : text.help}</p>
      </div>
      <button class="big wide" ?disabled=${verdict !== "good"}>${text.use}</button>
      <button type="button" class="quiet" @click=${this.onScan}>${icons.camera(22)} ${text.scanInstead}</button>
    </form>`;
  }

  private say(verdict: Verdict): TemplateResult | string | typeof nothing {
    const text = typed[this.speech];
    if (this.bad !== null) return html`<span class="error">${text.badLetter(this.bad)}</span>`;
    if (verdict === "wrong") return html`<span class="error">${text.wrong}</span>`;
    if (verdict === "good") return html`<span class="good">${icons.check(20)}</span><span class="good">${text.good}</span>`;
    return this.code === "" ? nothing : html`<span class="soft">${text.missing(this.shape.length - this.code.length)}</span>`;
  }

  private readonly onInput = (): void => {
    const { input } = this;
    const typing = takeTyping(input.value, input.selectionStart ?? input.value.length, this.shape);
    input.value = typing.text;
    input.setSelectionRange(typing.caret, typing.caret);
    this.code = typing.code;
    this.bad = typing.bad;
  };

  private readonly onSubmit = (event: Event): void => {
    event.preventDefault();
    if (this.verdict !== "good") return;
    if (this.second) {
      void this.model.flow?.code2(this.code);
      this.model.back();
    } else {
      this.model.startContact(parseTyped(this.code));
    }
  };

  private readonly onScan = (): void => {
    this.model.swap({ name: "scan", want: this.second ? "second" : "first" });
  };
}
