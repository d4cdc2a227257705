/** The push handler: constant words, no notice over a page in sight, the app in front on a click. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { onNotificationClick, onPush, onSubscriptionChange, type PushWorker } from "./service-push.js";

const CHROME = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/126.0.0.0 Mobile Safari/537.36";
const SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 Version/17.4 Mobile/15E148 Safari/604.1";

interface Page {
  readonly url?: string;
  readonly visibilityState: "visible" | "hidden";
}

function world({ pages = [], userAgent = CHROME }: { pages?: readonly Page[]; userAgent?: string } = {}) {
  const windows = pages.map((page) => ({ url: "https://bank.example/phone/", ...page, postMessage: vi.fn(), focus: vi.fn(() => Promise.resolve()) }));
  const showNotification = vi.fn(() => Promise.resolve());
  const openWindow = vi.fn(() => Promise.resolve(null));
  const subscribe = vi.fn(() => Promise.resolve());
  const worker = {
    navigator: { languages: ["de-DE", "en-GB"], userAgent },
    location: { origin: "https://bank.example" },
    registration: { showNotification, pushManager: { subscribe } },
    clients: { matchAll: () => Promise.resolve(windows), openWindow },
  } as unknown as PushWorker;
  return { worker, windows, showNotification, openWindow, subscribe };
}

const match = vi.fn<() => Promise<Response | undefined>>();

beforeEach(() => {
  match.mockResolvedValue(undefined);
  vi.stubGlobal("caches", { match });
});
afterEach(() => {
  vi.unstubAllGlobals();
});

describe("onPush", () => {
  it("says that the bank asks, in the chosen language, else in the browser's", async () => {
    const { worker, showNotification } = world();
    await onPush(worker);
    match.mockResolvedValue(new Response("fr"));
    await onPush(worker);
    expect(showNotification.mock.calls.map(([title]: readonly unknown[]) => title)).toEqual(["Your bank asks you something", "Votre banque vous demande quelque chose"]);
  });

  it("wakes a page in sight and shows nothing over it", async () => {
    const { worker, windows, showNotification } = world({ pages: [{ visibilityState: "visible" }] });
    await onPush(worker);
    expect(windows[0]?.postMessage).toHaveBeenCalledWith("wake");
    expect(showNotification).not.toHaveBeenCalled();
  });

  it.each([
    ["a hidden page", { pages: [{ visibilityState: "hidden" as const }] }],
    ["another page of this address", { pages: [{ visibilityState: "visible" as const, url: "https://bank.example/demo/" }] }],
    ["Safari, which wants it always", { pages: [{ visibilityState: "visible" as const }], userAgent: SAFARI }],
  ])("shows it beside %s", async (_, given) => {
    const { worker, showNotification } = world(given);
    await onPush(worker);
    expect(showNotification).toHaveBeenCalledTimes(1);
  });
});

it("brings the open app in front, or opens it", async () => {
  const open = world({ pages: [{ visibilityState: "hidden" }] });
  await onNotificationClick(open.worker);
  expect(open.windows[0]?.focus).toHaveBeenCalledTimes(1);
  expect(open.openWindow).not.toHaveBeenCalled();
  const closed = world();
  await onNotificationClick(closed.worker);
  expect(closed.openWindow).toHaveBeenCalledWith("/phone/");
});

it("takes a subscription for the same key when the browser dropped one, and wakes the app", async () => {
  const { worker, windows, subscribe } = world({ pages: [{ visibilityState: "hidden" }] });
  const applicationServerKey = new ArrayBuffer(65);
  await onSubscriptionChange(worker, { options: { applicationServerKey } } as PushSubscription);
  expect(subscribe).toHaveBeenCalledWith({ userVisibleOnly: true, applicationServerKey });
  expect(windows[0]?.postMessage).toHaveBeenCalledWith("wake");
});
