/** Asks before something that cannot be undone: a native modal <dialog>, closed by Escape, focus returned by the browser. */
import { LitElement, html, type TemplateResult } from "lit";
import { customElement, property, query } from "lit/decorators.js";
import { shared } from "../../shared/ui/styles.js";

@customElement("ts-confirm")
export class ConfirmDialog extends LitElement {
  static override styles = shared;

  @property() heading = "";
  @property() text = "";
  @property() yes = "";
  @property() no = "";
  @query("dialog") private readonly dialog!: HTMLDialogElement;
  private answer: ((yes: boolean) => void) | null = null;

  /** Shows the question; resolves with the answer (no, when dismissed). */
  ask(): Promise<boolean> {
    this.dialog.returnValue = "";
    this.dialog.showModal();
    return new Promise((resolve) => {
      this.answer = resolve;
    });
  }

  override render(): TemplateResult {
    return html`<dialog aria-labelledby="heading" aria-describedby="text" @close=${this.onClose}>
      <form method="dialog" class="stack">
        <h2 id="heading">${this.heading}</h2>
        <p id="text">${this.text}</p>
        <div class="actions">
          <button class="secondary" value="no" autofocus>${this.no}</button>
          <button class="danger" value="yes">${this.yes}</button>
        </div>
      </form>
    </dialog>`;
  }

  private readonly onClose = (): void => {
    this.answer?.(this.dialog.returnValue === "yes");
    this.answer = null;
  };
}
