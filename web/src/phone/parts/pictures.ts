/** The few pictures of the phone app, drawn as SVG in the page's own colours so that they follow light and dark. */
import { css, html, type TemplateResult } from "lit";

export const pictureStyles = css`
  .picture {
    width: 100%;
    max-width: 17rem;
    height: auto;
    margin-inline: auto;
  }
  .picture .ink {
    stroke: var(--ts-text-soft);
  }
  .picture .sheet {
    fill: var(--ts-surface);
    stroke: var(--ts-text-soft);
  }
  .picture .tint {
    fill: var(--ts-accent-soft);
  }
  .picture .accent {
    fill: var(--ts-accent);
  }
  .picture .amber {
    fill: var(--ts-amber);
  }
  .picture .beam {
    stroke: var(--ts-accent);
  }
`;

/** A computer showing a code, and a phone that looks at it: the two halves of a tessera. */
export function bindPicture(): TemplateResult {
  return html`<svg class="picture" viewBox="0 0 272 168" fill="none" stroke-width="2" stroke-linejoin="round" stroke-linecap="round" aria-hidden="true">
    <ellipse class="tint" cx="136" cy="150" rx="124" ry="13" />
    <rect class="sheet" x="14" y="18" width="156" height="104" rx="9" />
    <path class="ink" d="M70 140h44M92 122v18" />
    <path class="ink" d="M14 34h156" />
    <circle class="amber" cx="24" cy="26" r="2.4" />
    <circle class="tint" cx="33" cy="26" r="2.4" />
    <rect class="tint" x="64" y="46" width="62" height="62" rx="5" />
    <path class="accent" d="M71 53h15v15H71zM104 53h15v15h-15zM71 86h15v15H71z" />
    <path class="amber" d="M92 53h6v6h-6zM92 66h6v6h-6zM104 76h6v6h-6zM113 86h6v6h-6zM92 92h6v9h-6z" />
    <path class="accent" d="M92 78h6v6h-6zM78 74h6v6h-6zM104 92h6v9h-6zM113 74h6v6h-6z" />
    <path class="beam" stroke-dasharray="1 7" d="M130 60l58-6M130 96l58 14" />
    <rect class="sheet" x="190" y="38" width="62" height="116" rx="11" />
    <path class="ink" d="M214 46h14" />
    <path class="accent" d="M206 76h13l-4.6 8 4.2 6.6-4.6 8.4h-8z" />
    <path class="amber" d="M223 76h13v23h-18.5l4.5-8.4-4.1-6.6z" />
    <path class="ink" d="M206 116h30M212 126h18" />
  </svg>`;
}

/** The two halves laid together, with a tick: bound. */
export function boundPicture(): TemplateResult {
  return html`<svg class="picture" viewBox="0 0 272 150" fill="none" stroke-width="2" stroke-linejoin="round" stroke-linecap="round" aria-hidden="true">
    <ellipse class="tint" cx="136" cy="136" rx="96" ry="11" />
    <path class="accent" d="M84 20h54l-16 30 15 22-15 50H84z" />
    <path class="amber" d="M142 20h46v102h-62l15-50-15-22z" />
    <circle class="sheet" cx="190" cy="34" r="22" />
    <path class="beam" stroke-width="5" d="M180 34l7 7 13-15" />
  </svg>`;
}
