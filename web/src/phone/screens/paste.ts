/** Taking a pasted activation link. The link's secret goes straight to the phone client and stays out of the address bar. */
import { css, html, nothing, type TemplateResult } from "lit";
import { customElement, query, state } from "lit/decorators.js";
import { PhoneClientError, parseFragment } from "../../shared/phone-client/index.js";
import { shared } from "../../shared/ui/styles.js";
import { readPastedLink } from "../pasted-link.js";
import { explainFailure } from "../text/errors.js";
import { paste } from "../text/scan.js";
import { ScreenElement } from "./base.js";

@customElement("ts-paste")
export class PasteScreen extends ScreenElement {
  static override styles = [
    ...shared,
    css`
      .origin {
        overflow-wrap: anywhere;
      }
      .line {
        display: grid;
        grid-template-columns: 1fr auto;
        gap: var(--ts-space-2);
      }
    `,
  ];

  @state() private failure: string | null = null;
  @query("input") private readonly input!: HTMLInputElement;

  protected override firstUpdated(): void {
    this.input.focus();
  }

  override render(): TemplateResult {
    const text = paste[this.speech];
    const readable = "clipboard" in navigator && "readText" in navigator.clipboard;
    return html`<form class="stack" @submit=${this.onSubmit} novalidate>
      <h1 tabindex="-1">${text.title}</h1>
      <div class="field">
        <label for="link">${text.label}</label>
        <div class="line">
          <input
            id="link"
            type="url"
            inputmode="url"
            autocomplete="off"
            spellcheck="false"
            enterkeyhint="go"
            aria-describedby="help failure"
            aria-invalid=${this.failure === null ? "false" : "true"}
          />
          ${readable ? html`<button type="button" class="secondary" @click=${this.onPaste}>${text.fromClipboard}</button>` : nothing}
        </div>
        <p id="failure" role="alert" class="error">${this.failure ?? nothing}</p>
        <p id="help" class="soft small">${text.help} <span class="code origin">${location.origin}/a#…</span></p>
      </div>
      <button class="big wide">${text.use}</button>
    </form>`;
  }

  private readonly onPaste = (): void => {
    void navigator.clipboard
      .readText()
      .then((text) => {
        this.input.value = text.trim();
        this.take();
      })
      .catch(() => {
        this.input.focus(); // refused: the person can still paste by hand
      });
  };

  private readonly onSubmit = (event: Event): void => {
    event.preventDefault();
    this.take();
  };

  private take(): void {
    try {
      const code = parseFragment(readPastedLink(this.input.value, location.origin), this.model.host);
      if (code.kind === "code2") throw new PhoneClientError("code-invalid");
      this.input.value = "";
      this.model.take(code, { byHand: true });
    } catch (error) {
      const invalid = error instanceof PhoneClientError && error.code === "code-invalid";
      const failure = explainFailure(error, this.speech);
      this.failure = invalid ? paste[this.speech].wrong : `${failure.title}. ${failure.text}`;
    }
  }
}
