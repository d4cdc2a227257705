/** The demo bank's pages that hold the gateway's elements: phones, messages, a phone being added. */
import { html, nothing, type TemplateResult } from "lit";
import type { Lang } from "../../shared/i18n/index.js";
import { icons } from "../../shared/ui/icons.js";
import type { Notice, Started } from "./api.js";
import { deskForm, type Form } from "./forms.js";
import type { Words } from "./messages.js";
import { noticesCard } from "./notices.js";

type ErrorHandler = (event: CustomEvent<{ readonly code: string }>) => void;

/** What stands in the place of something that is still fetched. */
type Waiting = TemplateResult | typeof nothing;

export interface Tester {
  readonly isTwoStep: boolean;
  readonly isClassical: boolean;
  readonly onTwoStep: (wanted: boolean) => void;
  readonly onClassical: (wanted: boolean) => void;
}

export interface DevicesPage {
  readonly token: string;
  readonly waiting: Waiting;
  readonly isPhoneless: boolean;
  readonly notices: readonly Notice[];
  readonly tester: Tester;
  readonly onError: ErrorHandler;
}

export function devicesPage(words: Words, lang: Lang, page: DevicesPage): TemplateResult {
  return html`<div class="heading">
      <div>
        <h1 tabindex="-1">${words.devices}</h1>
        <p class="soft">${words.devicesLead}</p>
      </div>
      <div class="row">
        <a class="button" href="#/devices/add">${icons.add()} ${words.add}</a>
        ${page.isPhoneless ? nothing : html`<a class="button secondary" href="#/devices/move">${icons.phone(20)} ${words.move}</a>`}
      </div>
    </div>
    ${page.token === "" ? page.waiting : html`<tessera-devices lang=${lang} token=${page.token} @tessera-error=${page.onError}></tessera-devices>`}
    ${noticesCard(words, lang, page.notices)} ${testers(words, page.tester)}`;
}

function testers(words: Words, { isTwoStep, isClassical, onTwoStep, onClassical }: Tester): TemplateResult {
  const check = (text: string, value: boolean, tell: (wanted: boolean) => void): TemplateResult =>
    html`<label class="check"><input type="checkbox" .checked=${value} @change=${(event: Event) => {
      tell((event.target as HTMLInputElement).checked);
    }} /> ${text}</label>`;
  return html`<details class="card stack">
    <summary>${words.testers}</summary>
    ${check(words.twoStep, isTwoStep, onTwoStep)} ${check(words.classical, isClassical, onClassical)}
    <p>${words.phoneHint} <a href="/phone/" target="_blank" rel="noopener">${words.phoneApp}</a></p>
  </details>`;
}

export interface InboxPage {
  readonly token: string;
  readonly waiting: Waiting;
  readonly desk: Form;
  readonly onError: ErrorHandler;
}

export function inboxPage(words: Words, lang: Lang, { token, waiting, desk, onError }: InboxPage): TemplateResult {
  return html`<h1 tabindex="-1">${words.inbox}</h1>
    ${token === "" ? waiting : html`<tessera-messages lang=${lang} token=${token} @tessera-error=${onError}></tessera-messages>`}
    ${deskForm(words, desk)}`;
}

export interface AddPage {
  readonly isMove: boolean;
  readonly started: Started | null;
  readonly waiting: Waiting;
  readonly onRestart: () => void;
  readonly onOver: () => void;
  readonly onError: ErrorHandler;
}

export function addPage(words: Words, lang: Lang, page: AddPage): TemplateResult {
  return html`<a class="button secondary above" href="#/devices">${icons.back()} ${words.back}</a>
    <h1 tabindex="-1">${page.isMove ? words.move : words.addTitle}</h1>
    ${page.isMove ? html`<p class="soft">${words.addMoveLead}</p>` : nothing}
    ${page.started === null
      ? page.waiting
      : html`<tessera-activation
          lang=${lang}
          activation=${page.started.activation.id}
          token=${page.started.page_token}
          @tessera-restart=${page.onRestart}
          @tessera-active=${page.onOver}
          @tessera-ended=${page.onOver}
          @tessera-error=${page.onError}
          ><a slot="next" class="button" href="#/devices">${words.seeDevices}</a></tessera-activation
        >`}`;
}
