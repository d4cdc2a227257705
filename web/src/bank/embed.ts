/**
 * The one script that a bank's page loads: defines <tessera-activation>, <tessera-approval>, <tessera-devices>
 * and <tessera-messages>. Loading it twice is harmless.
 */
import { TesseraActivation } from "./activation/element.js";
import { TesseraApproval } from "./approval/element.js";
import { TesseraDevices } from "./devices/element.js";
import { TesseraMessages } from "./inbox/element.js";

function define(name: string, element: CustomElementConstructor): void {
  if (customElements.get(name) === undefined) customElements.define(name, element);
}

define("tessera-activation", TesseraActivation);
define("tessera-approval", TesseraApproval);
define("tessera-devices", TesseraDevices);
define("tessera-messages", TesseraMessages);
