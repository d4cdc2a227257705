/** The looks of <tessera-activation>; colours and sizes come from the shared tokens. */
import { css } from "lit";

export const styles = css`
  .frame {
    container-type: inline-size;
    background: var(--ts-surface);
    border: 1px solid var(--ts-line);
    border-radius: var(--ts-radius);
    padding: var(--ts-space-5);
  }
  h2[tabindex="-1"]:focus-visible {
    outline: none; /* a heading takes focus when its step begins; it is no control */
  }
  .steps {
    display: flex;
    gap: var(--ts-space-2);
    margin-bottom: var(--ts-space-5);
  }
  .steps li {
    flex: 1;
    display: grid;
    align-content: start;
    gap: var(--ts-space-2);
    color: var(--ts-text-soft);
    font-size: var(--ts-text-s);
    font-weight: 600;
  }
  .steps li::before {
    content: "";
    height: 4px;
    border-radius: 2px;
    background: var(--ts-line);
  }
  .steps li.done::before,
  .steps li[aria-current]::before {
    background: var(--ts-accent);
  }
  .steps li[aria-current] {
    color: var(--ts-text);
  }
  .split {
    display: grid;
    grid-template-columns: minmax(0, 1fr);
    gap: var(--ts-space-5);
  }
  @container (min-width: 40rem) {
    .split {
      grid-template-columns: minmax(15rem, 19rem) minmax(0, 1fr);
      gap: var(--ts-space-6);
    }
  }
  .symbol {
    display: grid;
    gap: var(--ts-space-3);
    align-content: start;
    justify-items: center;
  }
  .paper {
    width: min(100%, 19rem);
    aspect-ratio: 1;
    display: grid;
    place-items: center;
    padding: var(--ts-space-2);
    background: #fff;
    border: 1px solid var(--ts-line);
    border-radius: var(--ts-radius-s);
  }
  .paper > svg {
    width: 100%;
    height: 100%;
  }
  .meter {
    display: flex;
    align-items: center;
    gap: var(--ts-space-2);
    color: var(--ts-text-soft);
    font-size: var(--ts-text-s);
    font-variant-numeric: tabular-nums;
  }
  .ring {
    width: 20px;
    height: 20px;
    transform: rotate(-90deg);
  }
  .ring circle {
    fill: none;
    stroke-width: 3;
    stroke: var(--ts-line);
  }
  .ring circle:last-child {
    stroke: var(--ts-accent);
    transition: stroke-dashoffset 500ms linear;
  }
  .forms {
    display: inline-flex;
    margin: 0;
    padding: 0;
    border: 1px solid var(--ts-line-strong);
    border-radius: var(--ts-radius-s);
    overflow: hidden;
  }
  .forms label {
    position: relative;
    min-height: var(--ts-target);
    display: grid;
    place-items: center;
    padding: var(--ts-space-2) var(--ts-space-4);
    font-size: var(--ts-text-s);
    text-align: center;
    cursor: pointer;
  }
  @container (max-width: 20rem) {
    .forms label {
      padding-inline: var(--ts-space-2);
    }
  }
  .forms input {
    position: absolute;
    inset: 0;
    opacity: 0;
    cursor: pointer;
  }
  .forms label:has(:checked) {
    background: var(--ts-accent);
    color: var(--ts-on-accent);
  }
  .forms label:has(:focus-visible) {
    outline: 3px solid var(--ts-focus);
    outline-offset: -3px;
  }
  .how {
    display: grid;
    gap: var(--ts-space-4);
    counter-reset: how;
  }
  .how li {
    display: grid;
    grid-template-columns: 2rem 1fr;
    gap: var(--ts-space-3);
    counter-increment: how;
  }
  .how li::before {
    content: counter(how);
    width: 2rem;
    height: 2rem;
    display: grid;
    place-items: center;
    border-radius: 50%;
    background: var(--ts-accent-soft);
    color: var(--ts-accent-strong);
    font-weight: 700;
  }
  details {
    border-top: 1px solid var(--ts-line);
    padding-top: var(--ts-space-3);
  }
  summary {
    min-height: var(--ts-target);
    display: flex;
    align-items: center;
    gap: var(--ts-space-2);
    color: var(--ts-accent);
    font-weight: 600;
    cursor: pointer;
  }
  .typed {
    padding: var(--ts-space-3);
    border-radius: var(--ts-radius-s);
    background: var(--ts-surface-sunk);
    font: 600 var(--ts-text-l) / 1.6 var(--ts-font-code);
    letter-spacing: 0.06em;
    text-align: center;
    overflow-wrap: anywhere;
    user-select: all;
  }
  .device {
    display: grid;
    grid-template-columns: auto 1fr;
    gap: var(--ts-space-4);
    align-items: center;
    padding: var(--ts-space-4);
    border-radius: var(--ts-radius-s);
    background: var(--ts-surface-sunk);
  }
  .device dl {
    display: grid;
    grid-template-columns: auto 1fr;
    gap: 0 var(--ts-space-3);
  }
  .device dt {
    color: var(--ts-text-soft);
  }
  .device dd {
    font-weight: 600;
  }
  .digits {
    max-width: 17rem;
    min-height: 60px;
    font: 600 1.75rem / 1 var(--ts-font-code);
    letter-spacing: 0.12em;
    text-align: center;
  }
  @container (max-width: 20rem) {
    .digits {
      padding-inline: var(--ts-space-1);
      font-size: 1.5rem;
    }
  }
  .centre {
    display: grid;
    gap: var(--ts-space-3);
    justify-items: center;
    text-align: center;
    padding: var(--ts-space-5) 0;
  }
  .centre p {
    max-width: 34rem;
    text-wrap: balance;
  }
  .centre .row {
    justify-content: center;
  }
  @container (max-width: 26rem) {
    .centre .row,
    form > .row {
      display: grid;
      width: 100%;
    }
  }
  .centre button,
  .centre ::slotted(*) {
    margin-top: var(--ts-space-2);
  }
  .bubble {
    width: 84px;
    height: 84px;
    display: grid;
    place-items: center;
    border-radius: 50%;
    background: var(--ts-accent-soft);
    color: var(--ts-accent);
  }
  .bubble.ok {
    background: var(--ts-ok-soft);
    color: var(--ts-ok);
  }
  .bubble.bad {
    background: var(--ts-danger-soft);
    color: var(--ts-danger);
  }
  .notice {
    margin-bottom: var(--ts-space-4);
  }
`;
