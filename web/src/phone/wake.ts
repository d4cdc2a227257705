/** What the service worker says to a page in sight when a push came: the bank wants to be heard, by the channel. */

export const WAKE = "wake";

/** Calls `listener` at each wake-up of this page. */
export function onWake(listener: () => void): void {
  if (!("serviceWorker" in navigator)) return;
  navigator.serviceWorker.addEventListener("message", (event) => {
    if (event.data === WAKE) listener();
  });
}
