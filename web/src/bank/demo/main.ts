/** Starts the demo bank's page. */
import { DemoBank } from "./app.js";

customElements.define("demo-bank", DemoBank);
