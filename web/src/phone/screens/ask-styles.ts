/** How requests look, on the channel and offline: the question, the answers beneath it, the end. */
import { css } from "lit";

export const askStyles = css`
  .standing {
    display: flex;
    flex-wrap: wrap;
    gap: var(--ts-space-2);
    align-items: center;
    justify-content: space-between;
  }
  .answers {
    display: grid;
    gap: var(--ts-space-3);
    justify-items: center;
  }
  .error:empty {
    position: absolute;
  }
  h1,
  .summary {
    overflow-wrap: anywhere;
  }
  .summary {
    font-weight: 650;
    unicode-bidi: isolate;
  }
  .middle {
    justify-items: center;
    text-align: center;
  }
  .middle > .notice {
    justify-self: stretch;
    text-align: start;
  }
  ts-pin-pad {
    width: 100%;
  }
  .spinner.large {
    width: 3rem;
    height: 3rem;
    margin-block: var(--ts-space-6) var(--ts-space-2);
  }
  .sign {
    margin-top: var(--ts-space-5);
    color: var(--ts-danger);
  }
  .sign.ok {
    color: var(--ts-ok);
  }
  .sign.warn {
    color: var(--ts-warn);
  }
  .digits {
    display: flex;
    justify-content: center;
    width: 100%;
    padding: var(--ts-space-5) var(--ts-space-3);
    border: 1px solid var(--ts-line);
    border-radius: var(--ts-radius);
    background: var(--ts-surface);
    font-size: clamp(2rem, 11.5vw, 3.5rem);
    font-weight: 650;
    line-height: 1.1;
    letter-spacing: 0.04em;
  }
  .warning {
    display: grid;
    grid-template-columns: auto 1fr;
    gap: var(--ts-space-2);
    color: var(--ts-text-soft);
    font-size: var(--ts-text-s);
    text-align: start;
  }
`;
