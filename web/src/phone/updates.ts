/**
 * Registers the service worker and says when a newer version of the app waits. The person decides when it takes over, so that
 * no activation is interrupted by a reload.
 */

type Listener = () => void;

let waiting: ServiceWorker | null = null;
const listeners = new Set<Listener>();

/** Whether a newer version is ready to take over. */
export function updateReady(): boolean {
  return waiting !== null;
}

/** Calls `listener` once a newer version is ready. Returns the function that stops it. */
export function onUpdate(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Lets the newer version take over; the page reloads when it has. */
export function applyUpdate(): void {
  waiting?.postMessage("take-over");
}

function announce(worker: ServiceWorker): void {
  waiting = worker;
  for (const listener of listeners) listener();
}

export function watchUpdates(): void {
  if (!("serviceWorker" in navigator)) return;
  const container = navigator.serviceWorker;
  const hadController = container.controller !== null;
  container.addEventListener("controllerchange", () => {
    if (hadController && waiting !== null) location.reload();
  });
  void container
    .register("/phone/sw.js", { scope: "/phone/" })
    .then((registration) => {
      if (registration.waiting !== null && hadController) announce(registration.waiting);
      registration.addEventListener("updatefound", () => {
        const worker = registration.installing;
        worker?.addEventListener("statechange", () => {
          if (worker.state === "installed" && container.controller !== null) announce(worker);
        });
      });
    })
    .catch(() => {
      // Without a service worker (private windows of some browsers) the app works as long as there is a network.
    });
}
