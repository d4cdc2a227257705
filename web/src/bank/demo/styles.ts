/** The demo bank's looks: a letterhead, a menu, cards. */
import { css } from "lit";

export const styles = css`
  :host {
    min-height: 100vh;
    min-height: 100dvh;
    display: grid;
    grid-template-columns: minmax(0, 1fr);
    grid-template-rows: auto 1fr auto;
    background: var(--ts-bg);
  }
  .skip {
    position: absolute;
    inset-inline-start: var(--ts-space-4);
    top: -4rem;
  }
  .skip:focus {
    top: var(--ts-space-2);
    z-index: 2;
  }
  header {
    background: var(--ts-surface);
    border-bottom: 1px solid var(--ts-line);
  }
  .bar,
  main,
  footer {
    width: min(68rem, 100%);
    margin-inline: auto;
    padding: var(--ts-space-4) var(--ts-space-5);
  }
  .bar {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: var(--ts-space-3) var(--ts-space-5);
  }
  .brand {
    display: flex;
    align-items: center;
    gap: var(--ts-space-3);
    font: 600 1.25rem/1 Georgia, "Times New Roman", serif;
    letter-spacing: 0.01em;
    margin-inline-end: auto;
  }
  .brand > svg {
    color: var(--ts-accent);
  }
  nav ul {
    display: flex;
    gap: var(--ts-space-1);
  }
  nav .quiet {
    margin-inline-start: var(--ts-space-3);
  }
  nav a {
    display: grid;
    place-items: center;
    min-height: var(--ts-target);
    padding: 0 var(--ts-space-3);
    border-radius: var(--ts-radius-s);
    color: var(--ts-text);
    font-weight: 600;
    text-decoration: none;
  }
  nav a[aria-current] {
    background: var(--ts-accent-soft);
    color: var(--ts-accent-strong);
  }
  .languages {
    display: flex;
  }
  .languages button {
    padding-inline: var(--ts-space-2);
    text-transform: uppercase;
    font-size: var(--ts-text-s);
  }
  .languages button[aria-pressed="true"] {
    text-decoration: underline;
    text-decoration-thickness: 2px;
    text-underline-offset: 0.35em;
  }
  main {
    display: grid;
    gap: var(--ts-space-5);
    align-content: start;
    padding-block: var(--ts-space-6);
  }
  main > [role="status"]:empty {
    position: absolute; /* what says nothing takes no place between the others */
  }
  .login {
    width: min(26rem, 100%);
    margin: var(--ts-space-5) auto;
  }
  .choices {
    display: grid;
    gap: var(--ts-space-2);
    border: 0;
    margin: 0;
    padding: 0;
  }
  .choices legend {
    padding: 0 0 var(--ts-space-2);
    font-weight: 600;
  }
  .choices label {
    display: flex;
    align-items: center;
    gap: var(--ts-space-3);
    min-height: 52px;
    padding: 0 var(--ts-space-4);
    border: 1px solid var(--ts-line-strong);
    border-radius: var(--ts-radius-s);
    font-weight: 500;
    cursor: pointer;
  }
  .choices label:has(:checked) {
    border-color: var(--ts-accent);
    background: var(--ts-accent-soft);
  }
  .choices label:has(:focus-visible) {
    outline: 3px solid var(--ts-focus);
    outline-offset: 2px;
  }
  input[type="radio"],
  input[type="checkbox"] {
    width: 1.25rem;
    height: 1.25rem;
    min-height: 0;
    margin: 0;
    flex: none;
    accent-color: var(--ts-accent);
  }
  .pair {
    display: grid;
    grid-template-columns: repeat(auto-fit, minmax(min(100%, 10rem), 1fr));
    gap: var(--ts-space-3);
  }
  .facts {
    display: flex;
    flex-wrap: wrap;
    gap: var(--ts-space-2) var(--ts-space-6);
  }
  .facts dt {
    color: var(--ts-text-soft);
    font-size: var(--ts-text-s);
  }
  .facts dd {
    overflow-wrap: anywhere;
  }
  textarea,
  select {
    width: 100%;
    min-height: var(--ts-target);
    padding: var(--ts-space-2) var(--ts-space-3);
    color: var(--ts-text);
    background: var(--ts-surface);
    border: 1px solid var(--ts-line-strong);
    border-radius: var(--ts-radius-s);
    font: inherit;
  }
  .accounts {
    display: grid;
    grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr));
    gap: var(--ts-space-4);
  }
  .amount {
    font-size: var(--ts-text-2xl);
    font-weight: 650;
    font-variant-numeric: tabular-nums;
  }
  .heading {
    display: flex;
    flex-wrap: wrap;
    justify-content: space-between;
    align-items: end;
    gap: var(--ts-space-4);
  }
  .invitation {
    justify-items: start;
  }
  @media (max-width: 30rem) {
    .bar {
      padding: var(--ts-space-2) var(--ts-space-3);
      gap: var(--ts-space-1) var(--ts-space-2);
    }
    .brand {
      gap: var(--ts-space-2);
      font-size: var(--ts-text-m);
    }
    .brand > svg {
      width: 1.5rem;
    }
    .languages button {
      min-width: 2.25rem;
    }
    .bar nav {
      flex: 1 0 100%;
    }
    nav ul {
      flex-wrap: wrap;
      gap: 0;
      white-space: nowrap;
    }
    nav .quiet {
      margin-inline-start: 0;
    }
    .bar nav a,
    .bar .quiet {
      padding-inline: var(--ts-space-2);
      font-size: var(--ts-text-s);
    }
  }
  .above {
    justify-self: start;
  }
  .notices {
    display: grid;
    gap: var(--ts-space-2);
  }
  .notices li {
    display: flex;
    flex-wrap: wrap;
    gap: var(--ts-space-1) var(--ts-space-4);
    justify-content: space-between;
    padding-block: var(--ts-space-2);
    border-top: 1px solid var(--ts-line);
  }
  .transfers li {
    display: grid;
    grid-template-columns: minmax(0, 1fr);
    gap: var(--ts-space-1) var(--ts-space-4);
    justify-items: start;
    padding-block: var(--ts-space-3);
    border-top: 1px solid var(--ts-line);
    overflow-wrap: anywhere;
  }
  @media (min-width: 40rem) {
    .transfers li {
      grid-template-columns: minmax(0, 1fr) auto;
    }
    .transfers li > :nth-child(even) {
      justify-self: end;
    }
  }
  details.card:not([open]) {
    gap: 0; /* what is folded away takes no place */
  }
  details.card summary {
    font-weight: 600;
    cursor: pointer;
  }
  .check {
    display: flex;
    align-items: center;
    gap: var(--ts-space-3);
    min-height: var(--ts-target);
    font-weight: 400;
  }
  footer {
    color: var(--ts-text-soft);
    font-size: var(--ts-text-s);
  }
`;
