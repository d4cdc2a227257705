/** The looks of <tessera-messages>; colours and sizes come from the shared tokens. */
import { css } from "lit";

export const styles = css`
  .list {
    display: grid;
    gap: var(--ts-space-3);
  }
  details.card {
    overflow-wrap: anywhere;
  }
  summary {
    display: flex;
    flex-wrap: wrap;
    align-items: baseline;
    align-content: center;
    gap: var(--ts-space-2);
    min-height: var(--ts-target);
    cursor: pointer;
  }
  summary::before {
    content: "▸" / "";
    color: var(--ts-text-soft);
  }
  [open] > summary::before {
    content: "▾" / "";
  }
  summary h3 {
    flex: 1;
    min-width: 9rem;
    font-weight: 500;
  }
  .unread summary h3 {
    font-weight: 700;
  }
  .body {
    margin-top: var(--ts-space-3);
    white-space: pre-line;
  }
`;
