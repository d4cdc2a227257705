/** The three small pictures beside the steps of a scan, in the element's own colours. Decoration: the step's text says the same. */
import { svg, html, type TemplateResult, type SVGTemplateResult } from "lit";

function frame(content: SVGTemplateResult): TemplateResult {
  return html`<svg class="art" viewBox="0 0 64 64" width="56" height="56" fill="none" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">
    <circle class="disc" cx="32" cy="32" r="31" />
    ${content}
  </svg>`;
}

const phone = svg`<rect class="sheet" x="22" y="11" width="22" height="42" rx="4.5"/><path class="ink" d="M30 15h6"/>`;

export const stepPictures: readonly (() => TemplateResult)[] = [
  () => frame(svg`${phone}<circle class="beam" cx="33" cy="33" r="6"/><circle class="amber" cx="33" cy="33" r="2.5"/>`),
  () =>
    frame(svg`<rect class="sheet" x="8" y="17" width="27" height="27" rx="3"/><path class="accent" d="M12 21h7v7h-7zM24 21h7v7h-7zM12 33h7v7h-7z"/>
      <path class="amber" d="M24 32h3v3h-3zM28 36h3v4h-3z"/><rect class="sheet" x="41" y="20" width="16" height="30" rx="3.5"/><path class="beam" stroke-dasharray="1 5" d="M37 26l6 3M37 38l6-3"/>`),
  () =>
    frame(svg`<rect class="sheet" x="9" y="22" width="46" height="22" rx="4"/><path class="ink" d="M15 37h5M23 37h5M36 37h5M44 37h5"/>
      <path class="amber" d="M15 28h5v5h-5zM23 28h5v5h-5zM36 28h5v5h-5z"/><path class="beam" d="M46.5 27.5v6"/>`),
];
