/**
 * The service worker of the phone app: keeps the app itself, so that it opens without a network, and says when the bank asks. build.mjs writes the list of
 * assets and its version in. It never touches the channel or the API (/phone/v1/…), and never keeps an answer of theirs.
 */
import { onNotificationClick, onPush, onSubscriptionChange } from "./service-push.js";

declare const __ASSETS__: readonly string[];
declare const __VERSION__: string;

// The compiler has the page's library loaded as well, where this global is a window.
const worker = globalThis as unknown as ServiceWorkerGlobalScope;
const PREFIX = "tessera-phone-";
const CACHE = PREFIX + __VERSION__;
const HOME = "/phone/";
const assets = new Set(__ASSETS__);

worker.addEventListener("install", (event) => {
  event.waitUntil(
    caches.open(CACHE).then((cache) => cache.addAll(__ASSETS__.map((url) => new Request(url, { cache: "reload" })))),
  );
});

worker.addEventListener("activate", (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter((name) => name.startsWith(PREFIX) && name !== CACHE).map((name) => caches.delete(name))))
      .then(() => worker.clients.claim()),
  );
});

worker.addEventListener("message", (event) => {
  if (event.data === "take-over") void worker.skipWaiting();
});

/** Answers from this version's cache alone: pages and scripts of two versions never mix. */
async function fromCache(key: string, request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  return (await cache.match(key)) ?? fetch(request);
}

worker.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== worker.location.origin || url.pathname.startsWith("/phone/v1/")) return;
  if (request.mode === "navigate") {
    if (url.pathname === HOME || url.pathname === "/phone/index.html") event.respondWith(fromCache(HOME, request));
  } else if (assets.has(url.pathname)) {
    event.respondWith(fromCache(url.pathname, request));
  }
});

worker.addEventListener("push", (event) => {
  event.waitUntil(onPush(worker));
});

worker.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(onNotificationClick(worker));
});

worker.addEventListener("pushsubscriptionchange", (event) => {
  event.waitUntil(onSubscriptionChange(worker, event.oldSubscription));
});
