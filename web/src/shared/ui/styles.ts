/**
 * Styles that every component shares: tokens, type, buttons, fields, notices, cards, dialogs. Lit adopts them as constructed
 * style sheets, so the strict Content-Security-Policy holds. Components never name a colour themselves.
 */
import { css, unsafeCSS } from "lit";
import tokensText from "./tokens.css?inline";

export const tokens = unsafeCSS(tokensText);

export const base = css`
  :host {
    display: block;
    color: var(--ts-text);
    font: 400 var(--ts-text-m) / 1.5 var(--ts-font);
    text-align: start;
  }
  :host([hidden]),
  [hidden] {
    display: none !important;
  }
  *,
  *::before,
  *::after {
    box-sizing: border-box;
  }
  h1,
  h2,
  h3,
  p,
  ol,
  ul,
  dl,
  dd,
  figure {
    margin: 0;
    padding: 0;
  }
  ol,
  ul {
    list-style: none;
  }
  h1,
  h2,
  h3 {
    font-weight: 650;
    line-height: 1.25;
    letter-spacing: -0.01em;
    text-wrap: balance;
  }
  h1 {
    font-size: var(--ts-text-2xl);
  }
  h2 {
    font-size: var(--ts-text-xl);
  }
  h3 {
    font-size: var(--ts-text-l);
  }
  svg {
    display: block;
    flex: none;
  }
  a {
    color: var(--ts-accent);
    text-underline-offset: 0.2em;
  }
  :focus-visible {
    outline: 3px solid var(--ts-focus);
    outline-offset: 2px;
  }
  :focus:not(:focus-visible),
  h1[tabindex="-1"]:focus-visible {
    outline: none; /* a heading takes focus when its screen opens; it is no control */
  }
  .soft {
    color: var(--ts-text-soft);
  }
  .small {
    font-size: var(--ts-text-s);
  }
  .code {
    font-family: var(--ts-font-code);
    font-variant-numeric: tabular-nums;
  }
  .stack {
    display: grid;
    grid-template-columns: minmax(0, 1fr);
    gap: var(--ts-space-4);
    align-content: start;
  }
  .row {
    display: flex;
    flex-wrap: wrap;
    gap: var(--ts-space-3);
    align-items: center;
  }
  .sr {
    position: absolute;
    width: 1px;
    height: 1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
  @media (prefers-reduced-motion: reduce) {
    *,
    *::before,
    *::after {
      animation-duration: 0.01ms !important;
      animation-iteration-count: 1 !important;
      transition-duration: 0.01ms !important;
      scroll-behavior: auto !important;
    }
  }
`;

export const buttons = css`
  button,
  .button {
    appearance: none;
    display: inline-flex;
    align-items: center;
    justify-content: center;
    gap: var(--ts-space-2);
    min-height: var(--ts-target);
    min-width: var(--ts-target);
    padding: var(--ts-space-2) var(--ts-space-5);
    border: 1px solid transparent;
    border-radius: var(--ts-radius-s);
    background: var(--ts-accent);
    color: var(--ts-on-accent);
    font: inherit;
    font-weight: 600;
    text-decoration: none;
    text-align: center;
    cursor: pointer;
    transition: background var(--ts-quick), border-color var(--ts-quick);
    -webkit-tap-highlight-color: transparent;
    touch-action: manipulation;
  }
  button:disabled,
  button[aria-disabled="true"] {
    background: var(--ts-surface-sunk);
    color: var(--ts-text-soft);
    border-color: var(--ts-line);
    cursor: not-allowed;
  }
  .secondary {
    background: var(--ts-surface);
    color: var(--ts-accent);
    border-color: var(--ts-line-strong);
  }
  .quiet {
    background: transparent;
    color: var(--ts-accent);
    padding-inline: var(--ts-space-3);
  }
  .danger {
    background: var(--ts-danger);
    color: var(--ts-on-danger);
  }
  .quiet.danger:where(:not(:disabled, [aria-disabled="true"])) {
    background: transparent;
    color: var(--ts-danger);
  }
  /* What cannot be pressed does not answer the pointer; :where keeps the weights as they are without it. */
  @media (hover: hover) {
    button:hover:where(:not(:disabled, [aria-disabled="true"])),
    .button:hover {
      background: var(--ts-accent-strong);
    }
    .secondary:hover:where(:not(:disabled, [aria-disabled="true"])),
    .quiet:hover:where(:not(:disabled, [aria-disabled="true"])) {
      background: var(--ts-accent-soft);
      color: var(--ts-accent-strong);
    }
    .danger:hover:where(:not(:disabled, [aria-disabled="true"])) {
      background: var(--ts-danger);
      filter: brightness(0.92);
    }
    .quiet.danger:hover:where(:not(:disabled, [aria-disabled="true"])) {
      background: var(--ts-danger-soft);
      color: var(--ts-danger);
      filter: none;
    }
  }
  .wide {
    width: 100%;
  }
  .big {
    min-height: 52px;
    border-radius: var(--ts-radius);
    font-size: var(--ts-text-l);
  }
`;

export const fields = css`
  label {
    display: block;
    font-weight: 600;
  }
  input {
    width: 100%;
    min-height: var(--ts-target);
    padding: var(--ts-space-2) var(--ts-space-3);
    border: 1px solid var(--ts-line-strong);
    border-radius: var(--ts-radius-s);
    background: var(--ts-surface);
    color: var(--ts-text);
    font: inherit;
  }
  input::placeholder {
    color: var(--ts-text-soft);
    opacity: 1;
  }
  input[aria-invalid="true"] {
    border-color: var(--ts-danger);
    box-shadow: inset 0 0 0 1px var(--ts-danger);
  }
  .field {
    display: grid;
    gap: var(--ts-space-2);
    grid-template-columns: minmax(0, 1fr);
    align-content: start;
  }
  .error {
    color: var(--ts-danger);
    font-weight: 500;
  }
  .field > .error:empty {
    position: absolute; /* no gap where nothing is wrong; what is, is announced all the same */
  }
`;

export const surfaces = css`
  .card {
    background: var(--ts-surface);
    border: 1px solid var(--ts-line);
    border-radius: var(--ts-radius);
    padding: var(--ts-space-5);
  }
  .notice {
    display: grid;
    grid-template-columns: auto 1fr;
    gap: var(--ts-space-1) var(--ts-space-3);
    align-items: start;
    padding: var(--ts-space-4);
    border-radius: var(--ts-radius-s);
    background: var(--ts-accent-soft);
    color: var(--ts-text);
  }
  .notice > svg {
    margin-top: 0.15em;
    color: var(--ts-accent);
  }
  .notice > div {
    display: grid;
    gap: var(--ts-space-1);
    justify-items: start;
  }
  .notice > div > button {
    margin-top: var(--ts-space-2);
  }
  .notice.ok {
    background: var(--ts-ok-soft);
  }
  .notice.ok > svg {
    color: var(--ts-ok);
  }
  .notice.warn {
    background: var(--ts-warn-soft);
  }
  .notice.warn > svg {
    color: var(--ts-warn);
  }
  .notice.bad {
    background: var(--ts-danger-soft);
  }
  .notice.bad > svg {
    color: var(--ts-danger);
  }
  .badge {
    display: inline-flex;
    align-items: center;
    gap: var(--ts-space-1);
    padding: 0.1rem 0.6rem;
    border-radius: 999px;
    background: var(--ts-surface-sunk);
    color: var(--ts-text-soft);
    font-size: var(--ts-text-s);
    font-weight: 600;
    white-space: nowrap;
  }
  .badge.ok {
    background: var(--ts-ok-soft);
    color: var(--ts-ok);
  }
  .badge.warn {
    background: var(--ts-warn-soft);
    color: var(--ts-warn);
  }
  .badge.bad {
    background: var(--ts-danger-soft);
    color: var(--ts-danger);
  }
  dialog {
    width: min(30rem, calc(100vw - 2rem));
    padding: var(--ts-space-5);
    border: 1px solid var(--ts-line);
    border-radius: var(--ts-radius);
    background: var(--ts-surface);
    color: var(--ts-text);
    box-shadow: var(--ts-shadow);
  }
  dialog::backdrop {
    background: var(--ts-shade);
  }
  .actions {
    display: flex;
    flex-wrap: wrap;
    gap: var(--ts-space-3);
    justify-content: flex-end;
  }
  .spinner {
    width: 1.5rem;
    height: 1.5rem;
    border: 3px solid var(--ts-line);
    border-top-color: var(--ts-accent);
    border-radius: 50%;
    animation: ts-turn 900ms linear infinite;
  }
  @keyframes ts-turn {
    to {
      transform: rotate(1turn);
    }
  }
`;

/** All of the above, in the order they build on one another. */
export const shared = [tokens, base, buttons, fields, surfaces];
