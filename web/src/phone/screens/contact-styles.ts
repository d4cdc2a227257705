/** How the screens of an activation look. The device code is the largest thing this app ever shows: it is read across a desk. */
import { css } from "lit";

export const contactStyles = css`
  .middle {
    justify-items: center;
    text-align: center;
  }
  .middle > .notice,
  .middle > .progress {
    justify-self: stretch;
    text-align: start;
  }
  .spinner.large {
    width: 3rem;
    height: 3rem;
    margin-block: var(--ts-space-6) var(--ts-space-2);
  }
  .who {
    display: grid;
    gap: var(--ts-space-3);
    margin: 0;
  }
  .who dt {
    color: var(--ts-text-soft);
    font-size: var(--ts-text-s);
  }
  .who dd {
    font-size: var(--ts-text-l);
    font-weight: 650;
    overflow-wrap: anywhere;
  }
  .name {
    padding-block: 0;
  }
  .name summary {
    min-height: var(--ts-target);
    padding-block: var(--ts-space-3);
    cursor: pointer;
  }
  .name strong {
    display: block;
    overflow-wrap: anywhere;
  }
  .name .field {
    padding-bottom: var(--ts-space-4);
  }
  .card h2 {
    font-size: var(--ts-text-l);
  }
  .steps {
    counter-reset: step;
    display: grid;
    gap: var(--ts-space-2);
  }
  .steps li {
    counter-increment: step;
    display: grid;
    grid-template-columns: 1.75rem 1fr;
    gap: var(--ts-space-2);
  }
  .steps li::before {
    content: counter(step) ".";
    color: var(--ts-accent);
    font-weight: 650;
  }
  .digits {
    display: flex;
    justify-content: center;
    gap: 0.45em;
    width: 100%;
    padding: var(--ts-space-5) var(--ts-space-3);
    border: 1px solid var(--ts-line);
    border-radius: var(--ts-radius);
    background: var(--ts-surface);
    font-size: clamp(2.25rem, 12.5vw, 3.5rem);
    font-weight: 650;
    line-height: 1.1;
    letter-spacing: 0.04em;
  }
  .live {
    display: inline-flex;
    align-items: center;
    gap: var(--ts-space-3);
    font-weight: 600;
  }
  .pulse {
    width: 12px;
    height: 12px;
    border-radius: 50%;
    background: var(--ts-accent);
    animation: ts-pulse 1.6s ease-in-out infinite;
  }
  @keyframes ts-pulse {
    50% {
      opacity: 0.25;
    }
  }
  .warning {
    display: grid;
    grid-template-columns: auto 1fr;
    gap: var(--ts-space-2);
    color: var(--ts-text-soft);
    font-size: var(--ts-text-s);
    text-align: start;
  }
  .progress {
    display: grid;
    gap: var(--ts-space-2);
  }
  .bar {
    display: grid;
    grid-auto-flow: column;
    gap: var(--ts-space-1);
  }
  .bar i {
    height: 4px;
    border-radius: 2px;
    background: var(--ts-line);
  }
  .bar .on {
    background: var(--ts-accent);
  }
  .sign {
    margin-top: var(--ts-space-5);
    color: var(--ts-danger);
  }
`;
