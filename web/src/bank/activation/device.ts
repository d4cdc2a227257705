/** What the phone says of itself, for the customer to compare with the one in hand. */
import { html, nothing, type TemplateResult } from "lit";
import type { DeviceFacts } from "../../shared/api/index.js";
import { icons } from "../../shared/ui/icons.js";
import type { Words } from "./messages.js";

/** The gateway's word for a phone on its own network, whose place has no name. */
const LOCAL = "local";

export function deviceCard(words: Words, device: DeviceFacts): TemplateResult {
  const place = device.place === null ? nothing : html`<dt>${words.place}</dt><dd>${device.place === LOCAL ? words.placeLocal : device.place}</dd>`;
  const name = device.name === "" || device.name === device.model ? device.model : `${device.name} (${device.model})`;
  return html`<div class="device">
    ${icons.phone(40)}
    <dl>
      <dt>${words.device}</dt>
      <dd>${name}</dd>
      <dt>${words.platform}</dt>
      <dd>${device.os === "" ? device.platform : device.os}</dd>
      ${place}
    </dl>
  </div>`;
}
