/** What every screen of the phone app shares: the model, redrawing when it changes, the language, a heading that takes focus. */
import { LitElement } from "lit";
import { property } from "lit/decorators.js";
import { LangController, type Lang } from "../../shared/i18n/index.js";
import type { PhoneModel } from "../model.js";

export abstract class ScreenElement extends LitElement {
  @property({ attribute: false }) model!: PhoneModel;
  private readonly i18n = new LangController(this);
  private unsubscribe: (() => void) | null = null;

  protected get speech(): Lang {
    return this.i18n.lang;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.unsubscribe = this.model.subscribe(() => {
      this.requestUpdate();
    });
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.unsubscribe?.();
    this.unsubscribe = null;
  }

  /** Moves focus to the screen's heading, so that keyboard and screen reader start where the eye does. */
  protected override firstUpdated(): void {
    this.focusHeading();
  }

  protected focusHeading(): void {
    this.renderRoot.querySelector<HTMLElement>("h1")?.focus({ preventScroll: true });
  }
}
