/** How <tessera-activation> looks. It lays itself out by its own width, wherever a bank puts it. */
import { css } from "lit";

export const activationStyles = css`
  :host {
    container-type: inline-size;
  }
  .panel {
    display: grid;
    gap: var(--ts-space-5);
    padding: var(--ts-space-5);
    border: 1px solid var(--ts-line);
    border-radius: var(--ts-radius);
    background: var(--ts-surface);
  }
  .columns {
    display: grid;
    gap: var(--ts-space-5) var(--ts-space-7);
    align-items: start;
  }
  figure {
    display: grid;
    gap: var(--ts-space-3);
    justify-items: center;
    width: min(100%, 22rem);
    margin-inline: auto;
  }
  .tile {
    display: grid;
    place-items: center;
    width: min(100%, 20rem);
    aspect-ratio: 1;
    padding: var(--ts-space-3);
    border-radius: var(--ts-radius);
    border: 1px solid var(--ts-line);
    /* A code is read best on white, in dark pages too. */
    background: #ffffff;
  }
  .tile svg {
    width: 100%;
    height: 100%;
  }
  .tile .spinner {
    border-color: #dbd8d0;
    border-top-color: #0b5563;
  }
  .turn {
    display: inline-flex;
    gap: var(--ts-space-2);
    align-items: center;
    min-height: 1.75rem;
    color: var(--ts-text-soft);
    font-size: var(--ts-text-s);
    font-variant-numeric: tabular-nums;
  }
  .ring .rail {
    stroke: var(--ts-line);
  }
  .ring .rest {
    stroke: var(--ts-accent);
    transition: stroke-dashoffset 250ms linear;
  }
  .forms {
    display: grid;
    grid-auto-flow: column;
    grid-auto-columns: 1fr;
    padding: 3px;
    border-radius: calc(var(--ts-radius-s) + 3px);
    background: var(--ts-surface-sunk);
  }
  .forms button {
    padding: var(--ts-space-1) var(--ts-space-4);
    background: transparent;
    color: var(--ts-text-soft);
    font-size: var(--ts-text-s);
  }
  .forms button:hover {
    color: var(--ts-text);
  }
  .forms button[aria-pressed="true"] {
    background: var(--ts-surface);
    border-color: var(--ts-line-strong);
    color: var(--ts-text);
  }
  .steps {
    display: grid;
    gap: var(--ts-space-4);
  }
  .steps li {
    display: grid;
    grid-template-columns: auto 1fr;
    gap: var(--ts-space-4);
    align-items: center;
  }
  .steps strong {
    display: block;
    font-weight: 600;
  }
  .art .disc {
    fill: var(--ts-accent-soft);
  }
  .art .sheet {
    fill: var(--ts-surface);
    stroke: var(--ts-text-soft);
  }
  .art .ink {
    stroke: var(--ts-text-soft);
  }
  .art .accent {
    fill: var(--ts-accent);
  }
  .art .amber {
    fill: var(--ts-amber);
  }
  .art .beam {
    stroke: var(--ts-accent);
  }
  .foot {
    display: flex;
    flex-wrap: wrap;
    gap: var(--ts-space-3) var(--ts-space-5);
    align-items: center;
    justify-content: space-between;
  }
  .typed {
    display: grid;
    gap: var(--ts-space-2);
    padding: var(--ts-space-4);
    border-radius: var(--ts-radius-s);
    background: var(--ts-surface-sunk);
  }
  .typed .code {
    font-size: clamp(1rem, 5cqi, 1.375rem);
    font-weight: 600;
    letter-spacing: 0.04em;
    overflow-wrap: anywhere;
    user-select: all;
  }
  .device {
    display: grid;
    grid-template-columns: auto 1fr;
    gap: var(--ts-space-4);
    align-items: center;
    padding: var(--ts-space-4);
    border: 1px solid var(--ts-line);
    border-radius: var(--ts-radius-s);
  }
  .device .mark,
  .closing .mark {
    display: grid;
    place-items: center;
    width: 52px;
    height: 52px;
    border-radius: 50%;
    background: var(--ts-accent-soft);
    color: var(--ts-accent);
  }
  .device strong {
    font-size: var(--ts-text-l);
  }
  .digits {
    max-width: 19rem;
    min-height: 64px;
    font-family: var(--ts-font-code);
    font-size: 2rem;
    font-weight: 600;
    letter-spacing: 0.08em;
    text-align: center;
  }
  .closing {
    display: grid;
    gap: var(--ts-space-3);
    justify-items: center;
    padding-block: var(--ts-space-5);
    text-align: center;
  }
  .closing .mark {
    width: 72px;
    height: 72px;
  }
  .closing.ok .mark {
    background: var(--ts-ok-soft);
    color: var(--ts-ok);
  }
  .closing.bad .mark {
    background: var(--ts-warn-soft);
    color: var(--ts-warn);
  }
  .closing p {
    max-width: 34rem;
    text-wrap: pretty;
  }
  details summary {
    min-height: var(--ts-target);
    display: flex;
    align-items: center;
    color: var(--ts-accent);
    font-weight: 600;
    cursor: pointer;
  }
  @container (min-width: 40rem) {
    .panel {
      padding: var(--ts-space-6);
    }
    .columns {
      grid-template-columns: minmax(16rem, 20rem) 1fr;
    }
  }
`;
