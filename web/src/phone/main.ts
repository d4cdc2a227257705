/** Boots the phone app: its root element, the language of the page, the service worker. Loaded by index.html alone. */
import { locale } from "../shared/i18n/index.js";
import "./app.js";
import { watchUpdates } from "./updates.js";

document.documentElement.lang = locale.lang;
watchUpdates();
