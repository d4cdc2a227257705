/** The page before a customer is logged in. */
import { html, nothing, type TemplateResult } from "lit";
import type { SessionView } from "./api.js";
import type { Words } from "./messages.js";

export interface Login {
  readonly session: Extract<SessionView, { customer: null }>;
  readonly isWrong: boolean;
  /** A login is on its way: another click begins no second one. */
  readonly isBusy: boolean;
  readonly onLogin: (user: string, password: string) => void;
}

export function login(words: Words, { session, isWrong, isBusy, onLogin }: Login): TemplateResult {
  const onSubmit = (event: Event): void => {
    event.preventDefault();
    if (isBusy) return;
    const form = new FormData(event.target as HTMLFormElement);
    onLogin(textOf(form, "user"), textOf(form, "password"));
  };
  return html`<form class="card stack login" @submit=${onSubmit}>
    <h1 tabindex="-1">${words.loginTitle}</h1>
    <p class="soft">${words.loginLead}</p>
    <fieldset class="choices">
      <legend>${words.customer}</legend>
      ${session.choices.map(
        (choice, index) =>
          html`<label><input type="radio" name="user" value=${choice.user} ?checked=${index === 0} /> ${choice.name}</label>`,
      )}
    </fieldset>
    <div class="field">
      <label for="password">${words.password}</label>
      <input id="password" name="password" type="password" autocomplete="off" aria-describedby="password-hint" />
      ${isWrong ? html`<p class="error" role="alert">${words.wrong}</p>` : nothing}
      <p id="password-hint" class="soft small">${words.passwordHint(session.password)} ${words.passwordless}</p>
    </div>
    <button class="big wide" aria-disabled=${isBusy ? "true" : nothing}>${words.login}</button>
  </form>`;
}

function textOf(form: FormData, name: string): string {
  const value = form.get(name);
  return typeof value === "string" ? value : "";
}
