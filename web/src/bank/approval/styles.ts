/** The looks of <tessera-approval>; colours and sizes come from the shared tokens, codes and digits from the activation's. */
import { css } from "lit";

export const styles = css`
  .number {
    font-size: clamp(3rem, 14vw, 5rem);
    font-weight: 700;
    line-height: 1.1;
    letter-spacing: 0.06em;
    font-variant-numeric: tabular-nums;
  }
  .asked {
    display: grid;
    gap: var(--ts-space-1);
    padding: var(--ts-space-3) var(--ts-space-4);
    border: 1px solid var(--ts-line);
    border-radius: var(--ts-radius-s);
    text-align: start;
    overflow-wrap: anywhere;
  }
  .asked strong {
    font-size: var(--ts-text-l);
    font-variant-numeric: tabular-nums;
  }
  select {
    min-height: var(--ts-target);
    max-width: 100%;
    padding: var(--ts-space-2) var(--ts-space-3);
    color: var(--ts-text);
    background: var(--ts-surface);
    border: 1px solid var(--ts-line-strong);
    border-radius: var(--ts-radius-s);
    font: inherit;
  }
`;
