/** Line icons, 24 × 24, drawn with the current colour. All are decoration: the text beside them says the same. */
import { svg, type SVGTemplateResult, type TemplateResult, html } from "lit";

function icon(content: SVGTemplateResult, size = 24): TemplateResult {
  return html`<svg
    width=${size}
    height=${size}
    viewBox="0 0 24 24"
    fill="none"
    stroke="currentColor"
    stroke-width="1.8"
    stroke-linecap="round"
    stroke-linejoin="round"
    aria-hidden="true"
    focusable="false"
  >
    ${content}
  </svg>`;
}

const phone = svg`<rect x="7" y="2.5" width="10" height="19" rx="2.5"/><path d="M11 18.5h2"/>`;

export const icons = {
  phone: (size?: number) => icon(phone, size),
  add: (size?: number) => icon(svg`<path d="M12 5v14M5 12h14"/>`, size),
  back: (size?: number) => icon(svg`<path d="M15 5l-7 7 7 7"/>`, size),
  next: (size?: number) => icon(svg`<path d="M9 5l7 7-7 7"/>`, size),
  check: (size?: number) => icon(svg`<path d="M4.5 12.5l5 5 10-11"/>`, size),
  close: (size?: number) => icon(svg`<path d="M6 6l12 12M18 6L6 18"/>`, size),
  info: (size?: number) => icon(svg`<circle cx="12" cy="12" r="9.2"/><path d="M12 11v5.5M12 7.6v.1"/>`, size),
  warn: (size?: number) => icon(svg`<path d="M12 3.5L2.5 20h19z"/><path d="M12 10v4.5M12 17.3v.1"/>`, size),
  okay: (size?: number) => icon(svg`<circle cx="12" cy="12" r="9.2"/><path d="M8 12.4l2.8 2.8L16.2 9"/>`, size),
  camera: (size?: number) =>
    icon(svg`<path d="M3 8.5a2 2 0 012-2h2.2l1.6-2.2h6.4l1.6 2.2H19a2 2 0 012 2v8.7a2 2 0 01-2 2H5a2 2 0 01-2-2z"/><circle cx="12" cy="12.6" r="3.6"/>`, size),
  keyboard: (size?: number) =>
    icon(svg`<rect x="2.5" y="6" width="19" height="12" rx="2"/><path d="M6 10h.1M9 10h.1M12 10h.1M15 10h.1M18 10h.1M8 14h8"/>`, size),
  link: (size?: number) =>
    icon(svg`<path d="M10 14a4 4 0 006 .4l3-3a4 4 0 00-5.7-5.7l-1.4 1.4"/><path d="M14 10a4 4 0 00-6-.4l-3 3a4 4 0 005.7 5.7l1.4-1.4"/>`, size),
  torch: (size?: number) => icon(svg`<path d="M8 3h8v3l-2 4v11h-4V10L8 6z"/><path d="M8 6h8M12 13v2"/>`, size),
  lock: (size?: number) => icon(svg`<rect x="5" y="10.5" width="14" height="10" rx="2"/><path d="M8 10.5V8a4 4 0 018 0v2.5"/>`, size),
  edit: (size?: number) => icon(svg`<path d="M4 20l1-4.5L16.5 4 20 7.5 8.5 19z"/><path d="M14 6.5l3.5 3.5"/>`, size),
  pause: (size?: number) => icon(svg`<path d="M8.5 5v14M15.5 5v14"/>`, size),
  play: (size?: number) => icon(svg`<path d="M7 4.5l12 7.5-12 7.5z"/>`, size),
  bin: (size?: number) => icon(svg`<path d="M4 6.5h16M9 6.5V4h6v2.5M6 6.5L7 20.5h10l1-14M10 10.5v6M14 10.5v6"/>`, size),
  erase: (size?: number) => icon(svg`<path d="M8.5 5.5H20v13H8.5L3 12z"/><path d="M11.5 9.5l5 5M16.5 9.5l-5 5"/>`, size),
  offline: (size?: number) => icon(svg`<path d="M3 3l18 18M8.5 15.5a5 5 0 017 0M5 12a10 10 0 014-2.4M19 12a10 10 0 00-5.5-2.8M2 8.7A15 15 0 016 6.2M22 8.7A15 15 0 0012 5.2M12 19v.1"/>`, size),
  bank: (size?: number) => icon(svg`<path d="M3 9.5L12 4l9 5.5zM5 10v8M10 10v8M14 10v8M19 10v8M3 20.5h18"/>`, size),
  refresh: (size?: number) => icon(svg`<path d="M20 11a8 8 0 00-14-4.5L3.5 9M3.5 4v5h5M4 13a8 8 0 0014 4.5l2.5-2.5M20.5 20v-5h-5"/>`, size),
  finger: (size?: number) => icon(svg`<path d="M5 10a7 7 0 0114 0v3c0 2.6-.4 4.6-1 6.5M8.3 11a3.7 3.7 0 017.4 0v2c0 3-.5 5.6-1.5 8M12 11v2.5c0 2.8-.7 5.3-2 7.5M8.3 14.5c-.1 2.2-.7 4-1.8 5.5M5 13.5c0 1-.1 1.9-.4 2.7"/>`, size),
  mail: (size?: number) => icon(svg`<rect x="3" y="5.5" width="18" height="13" rx="2"/><path d="M3.5 7.5l8.5 6 8.5-6"/>`, size),
  clock: (size?: number) => icon(svg`<circle cx="12" cy="12" r="9.2"/><path d="M12 6.5V12l3.5 2.5"/>`, size),
  bell: (size?: number) => icon(svg`<path d="M6 10a6 6 0 0112 0c0 4.5 1.8 6 1.8 6H4.2S6 14.5 6 10zM10 19.5a2.2 2.2 0 004 0"/>`, size),
  pin: (size?: number) => icon(svg`<path d="M12 21.5s7-6.7 7-12a7 7 0 00-14 0c0 5.3 7 12 7 12z"/><circle cx="12" cy="9.5" r="2.5"/>`, size),
} as const;

/** The mark: a tile broken in two, the halves fitting one another. `size` in pixels. */
export function logo(size = 32): TemplateResult {
  return html`<svg width=${size} height=${size} viewBox="0 0 100 100" aria-hidden="true" focusable="false">
    <rect width="100" height="100" rx="22" fill="#0b4a57" />
    <path d="M22 22L54 22L43 42L53 58L42 78L22 78Z" fill="#f7f3ea" />
    <path d="M61 22L78 22L78 78L49 78L60 58L50 42Z" fill="#e9b44c" />
  </svg>`;
}
