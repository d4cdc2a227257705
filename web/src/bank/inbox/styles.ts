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
    gap: var(--ts-space-2);
    min-height: var(--ts-target);
    cursor: pointer;
  }
  summary h3 {
    flex: 1;
    min-width: 10rem;
    font-weight: 500;
  }
  .unread summary h3 {
    font-weight: 700;
  }
  .body {
    white-space: pre-line;
  }
`;
