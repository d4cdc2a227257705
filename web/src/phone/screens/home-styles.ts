/** How the first screen looks: one row a bank, what it has beneath, the way to add another. */
import { css } from "lit";

export const homeStyles = css`
  .empty {
    justify-items: center;
    text-align: center;
    padding-block: var(--ts-space-4);
  }
  .empty .wide {
    margin-top: var(--ts-space-2);
  }
  .item {
    display: grid;
    grid-template-columns: auto 1fr auto;
    gap: var(--ts-space-1) var(--ts-space-4);
    align-items: center;
    width: 100%;
    padding: var(--ts-space-4);
    border: 1px solid var(--ts-line);
    border-radius: var(--ts-radius);
    background: var(--ts-surface);
    color: var(--ts-text);
    font-weight: 400;
    text-align: start;
    justify-content: stretch;
  }
  @media (hover: hover) {
    .item:hover {
      background: var(--ts-surface);
      border-color: var(--ts-accent);
    }
  }
  .item .mark {
    display: grid;
    place-items: center;
    width: 44px;
    height: 44px;
    border-radius: 12px;
    background: var(--ts-accent-soft);
    color: var(--ts-accent);
  }
  .item .text {
    display: grid;
    min-width: 0;
  }
  .item strong,
  .item .label {
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  .item .meta {
    display: flex;
    flex-wrap: wrap;
    gap: var(--ts-space-2);
    align-items: center;
    grid-column: 2 / -1;
  }
  .how {
    counter-reset: how;
    gap: var(--ts-space-3);
    text-align: start;
    width: 100%;
  }
  .how li {
    counter-increment: how;
    display: grid;
    grid-template-columns: 2rem 1fr;
    gap: var(--ts-space-3);
    align-items: center;
  }
  .how li::before {
    content: counter(how);
    display: grid;
    place-items: center;
    width: 2rem;
    height: 2rem;
    border-radius: 50%;
    background: var(--ts-accent-soft);
    color: var(--ts-accent);
    font-weight: 650;
  }
  .notice .row {
    gap: var(--ts-space-1);
    margin-top: var(--ts-space-2);
  }
  .ways {
    display: grid;
    gap: var(--ts-space-1);
    justify-items: center;
    text-align: center;
    text-wrap: balance;
  }
  .ways .row {
    justify-content: center;
    gap: var(--ts-space-1);
  }
  .desk {
    display: flex;
    flex-wrap: wrap;
    justify-content: space-between;
    gap: var(--ts-space-1);
  }
  .count {
    display: inline-grid;
    place-items: center;
    min-width: 1.5rem;
    padding-inline: 0.4rem;
    border-radius: 999px;
    background: var(--ts-accent);
    color: var(--ts-on-accent);
    font-size: var(--ts-text-s);
    font-variant-numeric: tabular-nums;
  }
`;
