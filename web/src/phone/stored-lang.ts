/** The language of the app where the service worker can read it: `localStorage` is closed to it, its caches are not. */
import { matchLang, type Lang } from "../shared/i18n/locale.js";

const CACHE = "tessera-language";
const PLACE = "/phone/language";

export async function storeLang(lang: Lang): Promise<void> {
  if (!("caches" in globalThis)) return;
  const cache = await caches.open(CACHE);
  await cache.put(PLACE, new Response(lang));
}

export async function readLang(): Promise<Lang | null> {
  const kept = await caches.match(PLACE, { cacheName: CACHE });
  return matchLang(await kept?.text());
}
