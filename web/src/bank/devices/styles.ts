/** The looks of <tessera-devices>; colours and sizes come from the shared tokens. */
import { css } from "lit";

export const styles = css`
  .list {
    display: grid;
    gap: var(--ts-space-3);
  }
  .device {
    display: grid;
    grid-template-columns: auto 1fr;
    gap: var(--ts-space-3) var(--ts-space-4);
    align-items: start;
  }
  .picture {
    width: 52px;
    height: 52px;
    display: grid;
    place-items: center;
    border-radius: var(--ts-radius-s);
    background: var(--ts-accent-soft);
    color: var(--ts-accent);
  }
  .name {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: var(--ts-space-1) var(--ts-space-2);
  }
  .name h3 {
    overflow-wrap: anywhere;
  }
  section:focus-visible,
  h3:focus-visible {
    outline: none; /* they take focus when its place goes; they are no controls */
  }
  .facts {
    display: flex;
    flex-wrap: wrap;
    gap: var(--ts-space-1) var(--ts-space-5);
    color: var(--ts-text-soft);
    font-size: var(--ts-text-s);
  }
  .facts div {
    display: flex;
    gap: 0.4em;
  }
  .facts dt {
    white-space: nowrap;
  }
  .facts dd {
    color: var(--ts-text);
  }
  .tools {
    grid-column: 2;
    margin-inline-start: calc(-1 * var(--ts-space-3));
    gap: var(--ts-space-1);
  }
  section {
    container-type: inline-size;
  }
  @container (max-width: 22rem) {
    .device {
      grid-template-columns: minmax(0, 1fr);
    }
    .device > .picture {
      display: none; /* what is written takes all the room there is */
    }
    .tools {
      grid-column: 1;
    }
  }
  .edit {
    display: flex;
    flex-wrap: wrap;
    gap: 0 var(--ts-space-2);
  }
  .edit input {
    flex: 1 1 12rem;
    width: auto;
  }
  .edit .error {
    flex-basis: 100%;
  }
  .edit .error:not(:empty) {
    margin-top: var(--ts-space-2);
  }
  .centre {
    display: grid;
    gap: var(--ts-space-2);
    justify-items: center;
    text-align: center;
    padding: var(--ts-space-6) var(--ts-space-4);
  }
  .centre .picture {
    width: 76px;
    height: 76px;
    border-radius: 50%;
  }
`;
