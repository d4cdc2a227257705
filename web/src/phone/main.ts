/** Boots the phone app: its root element, the language of the page, the service worker. Loaded by index.html alone. */
import { locale } from "../shared/i18n/index.js";
import "./app.js";
import { storeLang } from "./stored-lang.js";
import { watchUpdates } from "./updates.js";

function keepLang(): void {
  void storeLang(locale.lang).catch(() => undefined); // without it the notification speaks the browser's language
}

document.documentElement.lang = locale.lang;
keepLang();
locale.subscribe(keepLang);
watchUpdates();
