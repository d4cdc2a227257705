/** What <tessera-activation> draws at each step: functions from a view to a template. No state, no requests. */
import { html, nothing, type TemplateResult } from "lit";
import { explain, type Activation, type ApiError, type CodeForm, type CodeView } from "../../shared/api/index.js";
import { formatCountdown, groupText, type Lang } from "../../shared/i18n/index.js";
import { icons } from "../../shared/ui/icons.js";
import { svgImage } from "../svg-image.js";
import { endOf, ringShare, type Step } from "./model.js";
import { stepPictures } from "./pictures.js";
import { text, type Words } from "./text.js";

export interface View {
  readonly lang: Lang;
  readonly step: Step;
  readonly facts: Activation | null;
  readonly code: CodeView | null;
  readonly form: CodeForm;
  readonly changesAt: number | null;
  readonly period: number;
  readonly now: number;
  readonly digits: string;
  readonly busy: boolean;
  readonly left: number | null;
  readonly away: boolean;
  readonly lost: boolean;
  readonly incomplete: boolean;
  readonly failure: unknown;
  readonly broken: ApiError | null;
  readonly onThisPhone: boolean;
  readonly title: string;
  readonly gateway: string;
  readonly chooseForm: (form: CodeForm) => void;
  readonly typeDigits: (event: Event) => void;
  readonly submit: (event: Event) => void;
  readonly retry: () => void;
  readonly restart: () => void;
}

/** The heading of a step, which is also what a screen reader is told when it begins. */
export function stepTitle(step: Step, facts: Activation | null, lang: Lang): string {
  const words = text[lang];
  switch (step) {
    case "loading":
      return words.loading;
    case "scan":
      return words.scanTitle;
    case "confirm":
      return words.hereTitle;
    case "code2":
      return words.code2Title;
    case "pin":
      return words.pinTitle;
    case "active":
      return words.activeTitle;
    case "ended":
      return facts === null ? words.cancelledTitle : words[`${endOf(facts)}Title`];
  }
}

export function renderActivation(view: View): TemplateResult {
  const words = text[view.lang];
  return html`<section class="panel" part="panel" lang=${view.lang} aria-busy=${view.step === "loading" ? "true" : "false"}>
    <div class="sr" role="status" aria-live="polite">${view.broken === null ? view.title : nothing}</div>
    ${view.lost && view.broken === null
      ? html`<div class="notice warn" part="notice" role="status">${icons.offline(22)}<span>${words.lost}</span></div>`
      : nothing}
    ${view.broken === null ? body(view, words) : broken(view, view.broken, words)}
  </section>`;
}

function body(view: View, words: Words): TemplateResult {
  switch (view.step) {
    case "loading":
      return html`<div class="row"><span class="spinner"></span><span class="soft">${words.loading}</span></div>`;
    case "scan":
      return scan(view, words);
    case "confirm":
      return confirm(view, words);
    case "code2":
      return second(view, words);
    case "pin":
      return closing({ tone: "", icon: icons.phone(34), title: words.pinTitle, lines: [words.pinText] });
    case "active":
      return closing({
        tone: "ok",
        icon: icons.check(36),
        title: words.activeTitle,
        lines: [words.activeText(view.facts?.device?.name ?? words.unknownPhone), words.activeNext],
      });
    case "ended":
      return ended(view, words);
  }
}

function scan(view: View, words: Words): TemplateResult {
  const steps = [
    [words.step1, words.step1Hint],
    [words.step2, words.step2Hint],
    [words.step3, words.step3Hint],
  ] as const;
  return html`
    <h2 part="heading">${words.scanTitle}</h2>
    <div class="columns">
      ${figure(view, words)}
      <div class="stack">
        ${view.onThisPhone ? sameDevice(view, words) : nothing}
        <ol class="steps" part="steps">
          ${steps.map(([title, hint], at) => html`<li>${stepPictures[at]?.()}<div><strong>${at + 1}. ${title}</strong><span class="soft small">${hint}</span></div></li>`)}
        </ol>
        ${cannotScan(view, words)}
      </div>
    </div>
    ${timeLeft(view, words)}
  `;
}

function figure(view: View, words: Words): TemplateResult {
  const { code } = view;
  return html`<figure part="code">
    <div class="tile">
      ${code === null ? html`<span class="spinner" role="status" aria-label=${words.codeExpiredAlt}></span>` : svgImage(code.svg, code.alt[view.lang])}
    </div>
    ${view.changesAt === null || code?.kind === "code2" ? nothing : turn(view, words)}
    <div class="forms" role="group" aria-label=${words.form} part="forms">
      ${(["colour", "qr"] as const).map(
        (form) =>
          html`<button
            type="button"
            aria-pressed=${view.form === form ? "true" : "false"}
            @click=${() => {
              view.chooseForm(form);
            }}
          >
            ${words[form]}
          </button>`,
      )}
    </div>
    ${view.form === "colour" ? html`<figcaption class="soft small">${words.colourHint}</figcaption>` : nothing}
  </figure>`;
}

const RING = 2 * Math.PI * 9;

function turn(view: View, words: Words): TemplateResult {
  const share = ringShare(view.changesAt, view.period, view.now);
  const seconds = Math.max(0, Math.ceil(((view.changesAt ?? view.now) - view.now) / 1000));
  return html`<span class="turn" role="timer">
    <svg class="ring" width="24" height="24" viewBox="0 0 24 24" fill="none" stroke-width="3" aria-hidden="true">
      <circle class="rail" cx="12" cy="12" r="9" />
      <circle class="rest" cx="12" cy="12" r="9" stroke-dasharray=${RING} stroke-dashoffset=${RING * (1 - share)} transform="rotate(-90 12 12)" />
    </svg>
    ${words.nextCode(seconds)}
  </span>`;
}

function sameDevice(view: View, words: Words): TemplateResult | typeof nothing {
  if (view.code === null) return nothing;
  return html`<div class="stack">
    <a class="button big wide" part="same-device" href=${view.code.link} target="_blank" rel="noopener">${icons.phone(24)} ${words.openHere}</a>
    <p class="soft small">${words.openHereHint}</p>
  </div>`;
}

function cannotScan(view: View, words: Words): TemplateResult | typeof nothing {
  if (view.code === null || view.code.typed === "") return nothing;
  return html`<details part="cannot-scan">
    <summary>${words.cannotScan}</summary>
    <div class="typed">
      <p class="small">${words.typedIntro}</p>
      <p class="small"><strong>${view.gateway}/phone/</strong></p>
      <p class="code" aria-label=${`${words.typedLabel}: ${spell(view.code.typed)}`} role="text">${view.code.typed}</p>
    </div>
  </details>`;
}

/** Spells a code for a screen reader, letter by letter with pauses between groups. */
function spell(typed: string): string {
  return typed
    .split(/[\s-]+/)
    .map((group) => group.split("").join(" "))
    .join(", ");
}

function timeLeft(view: View, words: Words): TemplateResult {
  const rest = view.facts === null ? 0 : Date.parse(view.facts.expires_at) - view.now;
  return html`<p class="soft small" role="timer" part="time">${words.timeLeft(formatCountdown(rest))}</p>`;
}

function confirm(view: View, words: Words): TemplateResult {
  const device = view.facts?.device ?? null;
  const facts = [device?.model === device?.name ? "" : (device?.model ?? ""), device?.os ?? "", device?.place ? words.near(device.place) : ""].filter((fact) => fact !== "");
  const message = view.incomplete ? words.incomplete(8 - view.digits.length) : view.left === null ? null : words.wrong(view.left);
  const failure = view.failure === null ? null : explain(view.failure, view.lang);
  return html`
    <h2 part="heading">${words.hereTitle}</h2>
    <div class="device" part="device">
      <span class="mark">${icons.phone(28)}</span>
      <div><strong>${device?.name ?? words.unknownPhone}</strong><div class="soft">${facts.join(" · ")}</div></div>
    </div>
    ${view.away ? html`<div class="notice warn" part="notice" role="status">${icons.offline(22)}<span>${words.away}</span></div>` : nothing}
    <form class="stack" @submit=${view.submit} novalidate>
      <div class="field">
        <p>${words.hereQuestion}</p>
        <label for="digits">${words.codeLabel}</label>
        <input
          id="digits"
          class="digits"
          part="digits"
          inputmode="numeric"
          autocomplete="one-time-code"
          spellcheck="false"
          placeholder="···· ····"
          aria-describedby="remark"
          aria-invalid=${message === null ? "false" : "true"}
          .value=${groupText(view.digits, [4, 4])}
          @input=${view.typeDigits}
        />
        <p id="remark" class="error" role="alert">${message ?? nothing}${failure === null ? nothing : html`${failure.title}. ${failure.nextStep}`}</p>
      </div>
      <div class="row">
        <button class="big" part="confirm" aria-disabled=${view.busy ? "true" : "false"}>${view.busy ? words.confirming : words.confirm}</button>
      </div>
    </form>
    <details>
      <summary>${words.notMine}</summary>
      <p>${words.notMineText}</p>
    </details>
    ${timeLeft(view, words)}
  `;
}

function second(view: View, words: Words): TemplateResult {
  return html`
    <h2 part="heading">${words.code2Title}</h2>
    <div class="columns">
      ${figure(view, words)}
      <div class="stack">
        <p>${words.code2Text}</p>
        ${view.away || view.code === null ? html`<p class="soft" role="status">${view.away ? words.away : words.code2Waiting}</p>` : nothing}
        ${view.code === null || view.code.typed === ""
          ? nothing
          : html`<div class="typed">
              <p class="small">${words.code2Typed}</p>
              <p class="code" role="text" aria-label=${spell(view.code.typed)}>${view.code.typed}</p>
            </div>`}
        <p class="soft">${words.pinAfter}</p>
      </div>
    </div>
    ${timeLeft(view, words)}
  `;
}

interface Closing {
  readonly tone: "" | "ok" | "bad";
  readonly icon: TemplateResult;
  readonly title: string;
  readonly lines: readonly string[];
  readonly action?: TemplateResult;
}

function closing({ tone, icon, title, lines, action }: Closing): TemplateResult {
  return html`<div class="closing ${tone}">
    <span class="mark">${icon}</span>
    <h2 part="heading">${title}</h2>
    ${lines.map((line) => html`<p>${line}</p>`)} ${action ?? nothing}
  </div>`;
}

function ended(view: View, words: Words): TemplateResult {
  const end = view.facts === null ? "cancelled" : endOf(view.facts);
  return closing({
    tone: "bad",
    icon: icons.warn(36),
    title: words[`${end}Title`],
    lines: [words[`${end}Text`]],
    action: html`<button type="button" class="big" part="restart" @click=${view.restart}>${words.restart}</button>`,
  });
}

function broken(view: View, error: ApiError, words: Words): TemplateResult {
  const { title, nextStep } = explain(error, view.lang);
  return closing({
    tone: "bad",
    icon: icons.warn(36),
    title,
    lines: [nextStep],
    action: html`<button type="button" class="secondary" @click=${view.retry}>${words.retry}</button>`,
  });
}
