/** How the API page looks: contents beside the text where there is room. */
import { css } from "lit";

export const docsStyles = css`
  :host {
    display: grid;
    grid-template-columns: minmax(0, 1fr);
  }
  nav {
    padding: var(--ts-space-5) var(--ts-space-4);
    border-block-end: 1px solid var(--ts-line);
    background: var(--ts-surface);
    font-size: var(--ts-text-s);
  }
  nav h2 {
    margin: var(--ts-space-4) 0 var(--ts-space-1);
    color: var(--ts-text-soft);
    font-size: var(--ts-text-s);
  }
  nav a {
    display: block;
    padding: var(--ts-space-1) 0;
    overflow-wrap: anywhere;
    text-decoration: none;
  }
  nav .brand {
    display: flex;
    align-items: center;
    gap: var(--ts-space-2);
    color: var(--ts-text);
    font-size: var(--ts-text-l);
    font-weight: 650;
  }
  .method {
    font-family: var(--ts-font-code);
    font-size: 0.75rem;
    font-weight: 700;
  }
  nav .method {
    display: inline-block;
    min-width: 3.6rem;
    color: var(--ts-text-soft);
  }
  main {
    display: grid;
    grid-template-columns: minmax(0, 1fr);
    gap: var(--ts-space-4);
    align-content: start;
    max-width: 60rem;
    padding: var(--ts-space-5) var(--ts-space-4);
  }
  main h2 {
    margin-top: var(--ts-space-5);
    text-transform: capitalize;
  }
  h3 {
    display: flex;
    flex-wrap: wrap;
    gap: var(--ts-space-2);
    align-items: center;
    overflow-wrap: anywhere;
  }
  h4 {
    margin: 0 0 var(--ts-space-2);
    font-size: var(--ts-text-m);
  }
  .answer {
    display: grid;
    grid-template-columns: 3.5rem 1fr;
    gap: var(--ts-space-2);
    padding-block: var(--ts-space-1);
  }
  .answer .badge {
    justify-content: center;
    align-self: start;
  }
  .scroll {
    overflow-x: auto;
  }
  table {
    width: 100%;
    border-collapse: collapse;
    font-size: var(--ts-text-s);
  }
  th,
  td {
    padding: var(--ts-space-2);
    border-block-end: 1px solid var(--ts-line);
    text-align: start;
    vertical-align: top;
    overflow-wrap: break-word;
  }
  td .code {
    font-weight: 600;
  }
  article:target,
  article:focus {
    border-color: var(--ts-accent);
  }
  @media (min-width: 60rem) {
    :host {
      grid-template-columns: 20rem minmax(0, 1fr);
    }
    nav {
      position: sticky;
      top: 0;
      height: 100vh;
      overflow-y: auto;
      border-block-end: 0;
      border-inline-end: 1px solid var(--ts-line);
    }
    main {
      padding: var(--ts-space-6);
    }
  }
`;
