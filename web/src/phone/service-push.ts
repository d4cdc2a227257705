/**
 * What the service worker does when the bank wants to be heard, and when the browser changes the subscription. A push carries nothing: the
 * notification's words are constant, in the language the person chose. Called by service-worker.ts alone.
 */
import { matchLang } from "../shared/i18n/locale.js";
import { readLang } from "./stored-lang.js";
import { notification } from "./text/notification.js";
import { WAKE } from "./wake.js";

const HOME = "/phone/";
/** One at a time: the next request takes the place of the last one's notice. */
const TAG = "tessera-ask";

/** What of the worker's global is used; tests bring their own. */
export interface PushWorker {
  readonly navigator: Pick<Navigator, "languages" | "userAgent">;
  readonly location: Pick<Location, "origin">;
  readonly registration: Pick<ServiceWorkerRegistration, "showNotification" | "pushManager">;
  readonly clients: Pick<Clients, "matchAll" | "openWindow">;
}

async function windowsOf({ clients, location }: PushWorker): Promise<readonly WindowClient[]> {
  const windows = await clients.matchAll({ type: "window", includeUncontrolled: true });
  return windows.filter(({ url }) => new URL(url).origin === location.origin && new URL(url).pathname.startsWith(HOME));
}

/** Safari takes the subscription away from a worker that shows nothing, even while its page is in sight. */
function mustShow(userAgent: string): boolean {
  return /Version\/\S+ (?:Mobile\/\S+ )?Safari\//.test(userAgent);
}

/** Wakes the pages that are open; unless one is in sight, says so to the person. */
export async function onPush(worker: PushWorker): Promise<void> {
  const windows = await windowsOf(worker);
  for (const window of windows) window.postMessage(WAKE);
  if (windows.some(({ visibilityState }) => visibilityState === "visible") && !mustShow(worker.navigator.userAgent)) return;
  const lang = (await readLang()) ?? worker.navigator.languages.map(matchLang).find((found) => found !== null) ?? "en";
  const { title, body } = notification[lang];
  // `renotify` is in the Notifications API, not in TypeScript's library.
  const options = { body, lang, tag: TAG, renotify: true, icon: "/phone/icons/icon-192.png", badge: "/phone/icons/icon-192.png" };
  await worker.registration.showNotification(title, options);
}

/** Brings the app in front, or opens it. */
export async function onNotificationClick(worker: PushWorker): Promise<void> {
  const [window] = await windowsOf(worker);
  if (window === undefined) await worker.clients.openWindow(HOME);
  else await window.focus();
}

/** Takes a subscription like the one that is gone; the app tells the banks when it is open, at once if it is now. */
export async function onSubscriptionChange(worker: PushWorker, old: PushSubscription | null): Promise<void> {
  if (old?.options.applicationServerKey) {
    const { applicationServerKey } = old.options;
    await worker.registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey }).catch(() => undefined);
  }
  for (const window of await windowsOf(worker)) window.postMessage(WAKE);
}
