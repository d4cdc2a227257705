/** How the viewfinder looks: the picture, a frame of four corners that answers what the reader sees, the hint beneath. */
import { css } from "lit";

export const scanStyles = css`
  .finder {
    --edge: #ffffff;
    position: relative;
    overflow: hidden;
    aspect-ratio: 3 / 4;
    max-height: 62vh;
    width: 100%;
    border-radius: var(--ts-radius);
    background: #0c1012;
  }
  video {
    width: 100%;
    height: 100%;
    object-fit: cover;
  }
  .finder.seen {
    --edge: var(--ts-amber);
  }
  .finder.read {
    --edge: #58d68d;
  }
  .frame {
    position: absolute;
    inset: 0;
    margin: auto;
    width: min(72%, 46vh);
    height: fit-content;
    aspect-ratio: 1;
    translate: 0 -4%;
    border-radius: 18px;
    box-shadow: 0 0 0 100vmax rgb(8 12 14 / 42%);
  }
  .frame i {
    position: absolute;
    width: 44px;
    height: 44px;
    border: 4px solid var(--edge);
    transition: border-color var(--ts-quick);
  }
  .frame i:nth-child(1) {
    top: 0;
    left: 0;
    border-right: 0;
    border-bottom: 0;
    border-top-left-radius: 18px;
  }
  .frame i:nth-child(2) {
    top: 0;
    right: 0;
    border-left: 0;
    border-bottom: 0;
    border-top-right-radius: 18px;
  }
  .frame i:nth-child(3) {
    bottom: 0;
    right: 0;
    border-left: 0;
    border-top: 0;
    border-bottom-right-radius: 18px;
  }
  .frame i:nth-child(4) {
    bottom: 0;
    left: 0;
    border-right: 0;
    border-top: 0;
    border-bottom-left-radius: 18px;
  }
  .hint {
    position: absolute;
    inset: auto 0 0 0;
    padding: var(--ts-space-4);
    background: rgb(8 12 14 / 82%);
    color: #ffffff;
    font-weight: 600;
    text-align: center;
    text-wrap: balance;
  }
  .torch {
    position: absolute;
    top: var(--ts-space-3);
    right: var(--ts-space-3);
    width: 52px;
    height: 52px;
    padding: 0;
    border-radius: 50%;
    background: rgb(8 12 14 / 70%);
    color: #ffffff;
  }
  @media (hover: hover) {
    .torch:hover:where(:not(:disabled)) {
      background: rgb(8 12 14 / 85%);
    }
  }
  .torch[aria-pressed="true"] {
    background: var(--ts-amber);
    color: #1b2329;
  }
  .ways {
    display: grid;
    grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr));
  }
  .ways button {
    padding-inline: var(--ts-space-2);
    font-size: 0.9375rem;
  }
`;
