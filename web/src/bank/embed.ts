/**
 * The one script that a bank's page loads: defines <tessera-activation> and <tessera-devices>. Loading it twice is harmless.
 */
import { TesseraActivation } from "./activation/element.js";
import { TesseraDevices } from "./devices/element.js";

function define(name: string, element: CustomElementConstructor): void {
  if (customElements.get(name) === undefined) customElements.define(name, element);
}

define("tessera-activation", TesseraActivation);
define("tessera-devices", TesseraDevices);
