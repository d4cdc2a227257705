/** How the lists of past requests and messages look: folded rows that open. */
import { css } from "lit";

export const listStyles = css`
  details.card {
    padding: 0;
  }
  summary {
    display: grid;
    gap: var(--ts-space-1);
    padding: var(--ts-space-4);
    border-radius: var(--ts-radius);
    cursor: pointer;
  }
  summary::-webkit-details-marker {
    display: none;
  }
  .line {
    display: flex;
    flex-wrap: wrap;
    gap: var(--ts-space-2);
    align-items: center;
    justify-content: space-between;
  }
  .text {
    unicode-bidi: isolate;
    overflow-wrap: anywhere;
  }
  .body {
    display: grid;
    gap: var(--ts-space-3);
    padding: 0 var(--ts-space-4) var(--ts-space-4);
  }
  .said {
    white-space: pre-wrap;
  }
  .unread > summary .text {
    font-weight: 650;
  }
`;
