/**
 * A window on what is asked, which scrolls inside when it is long. Says `ts-read` once its end was in sight: by touch, wheel or keys, by
 * `readOn`, or when a screen reader comes to the mark at its end.
 */
import { LitElement, css, html, type TemplateResult } from "lit";
import { customElement, property, query } from "lit/decorators.js";
import { LangController } from "../../shared/i18n/index.js";
import { shared } from "../../shared/ui/styles.js";
import { ask as words } from "../text/ask.js";

/** Less than a whole page, so that a line or two stay to go on from. */
const PAGE = 0.85;

@customElement("ts-read-to-end")
export class ReadToEnd extends LitElement {
  static override styles = [
    ...shared,
    css`
      .window {
        position: relative;
        overflow: auto;
        overscroll-behavior: contain;
        max-height: max(11rem, 62vh);
        max-height: max(11rem, 62dvh);
        padding: var(--ts-space-4);
        border: 1px solid var(--ts-line);
        border-radius: var(--ts-radius);
        background: var(--ts-surface);
      }
      .window.more {
        border-bottom: 3px dashed var(--ts-line-strong);
      }
      .end {
        padding-top: var(--ts-space-3);
        color: var(--ts-text-soft);
        font-size: var(--ts-text-s);
        text-align: center;
      }
      .end.quiet {
        height: 1px;
        padding: 0;
        overflow: hidden;
      }
    `,
  ];

  /** Whether its end was in sight; the screen keeps that, for it decides by it. */
  @property({ type: Boolean }) read = false;
  @query(".window") private readonly window!: HTMLElement;
  @query(".end") private readonly end!: HTMLElement;
  private readonly i18n = new LangController(this);
  private observer: IntersectionObserver | null = null;

  /** Shows the next page of it. */
  readOn(): void {
    this.window.scrollBy({ top: this.window.clientHeight * PAGE, behavior: "smooth" });
  }

  override render(): TemplateResult {
    const text = words[this.i18n.lang];
    return html`<div class="window ${this.read ? "" : "more"}" role="region" tabindex="0" aria-label=${text.content}>
      <slot></slot>
      <p class="end ${this.read ? "quiet" : ""}" tabindex=${this.read ? "-1" : "0"} @focus=${this.onEnd}>${text.end}</p>
    </div>`;
  }

  protected override firstUpdated(): void {
    this.watch();
  }

  override connectedCallback(): void {
    super.connectedCallback();
    if (this.hasUpdated) this.watch();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.observer?.disconnect();
  }

  private watch(): void {
    this.observer?.disconnect();
    // The mark's own window is the root: its end has to be reached inside, wherever the page stands.
    this.observer = new IntersectionObserver(
      (entries) => {
        if (entries.some((entry) => entry.isIntersecting)) this.onEnd();
      },
      { root: this.window, threshold: 0.5 },
    );
    this.observer.observe(this.end);
  }

  private readonly onEnd = (): void => {
    if (!this.read) this.dispatchEvent(new CustomEvent("ts-read"));
  };
}
