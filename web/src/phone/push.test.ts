/** How notifications stand, and that a subscription the browser replaced is told to the bank. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Channel } from "../shared/phone-client/index.js";
import { dropPush, mendPush, pushState, turnPushOff, turnPushOn, type PushWorld } from "./push.js";

const KEY = new Uint8Array(65).fill(4);
const CHROME: PushWorld = { hasPush: true, userAgent: "Chrome", isInstalled: false, permission: "granted" };

describe("pushState", () => {
  const told = (subscribed: boolean): Channel["push"] => ({ key: KEY, subscribed });

  it.each([
    [told(true), CHROME, "on"],
    [told(false), CHROME, "off"],
    [told(true), { ...CHROME, permission: "denied" as const }, "denied"],
    [told(true), { ...CHROME, permission: "default" as const }, "off"],
    [null, CHROME, "unavailable"],
    [told(false), { ...CHROME, hasPush: false }, "unsupported"],
    [told(false), { ...CHROME, hasPush: false, userAgent: "iPhone" }, "install"],
    [told(false), { ...CHROME, hasPush: false, userAgent: "iPhone", isInstalled: true }, "unsupported"],
  ])("%o in %o is %s", (push, world, state) => {
    expect(pushState(push, world)).toBe(state);
  });
});

describe("subscriptions", () => {
  const kept = new Map<string, string>();
  let present: { endpoint: string; unsubscribe: () => Promise<void>; options: { applicationServerKey: ArrayBuffer } } | null;
  let made: number;
  let permission: NotificationPermission;

  function channelOf(bindingId: string, subscribed = false) {
    const channel = {
      bindingId,
      told: 0,
      push: { key: KEY, subscribed },
      subscribePush: () => {
        channel.told += 1;
        channel.push = { key: KEY, subscribed: true };
        return Promise.resolve();
      },
      unsubscribePush: () => Promise.resolve(),
    };
    return channel as typeof channel & Channel;
  }

  beforeEach(() => {
    kept.clear();
    present = null;
    made = 0;
    permission = "granted";
    const pushManager = {
      getSubscription: () => Promise.resolve(present),
      subscribe: ({ applicationServerKey }: { applicationServerKey: Uint8Array<ArrayBuffer> }) => {
        made += 1;
        const unsubscribe = (): Promise<void> => {
          present = null;
          return Promise.resolve();
        };
        present = { endpoint: `https://push.example/${made}`, unsubscribe, options: { applicationServerKey: applicationServerKey.slice().buffer } };
        return Promise.resolve(present);
      },
    };
    const registration = { pushManager };
    vi.stubGlobal("localStorage", { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => kept.set(key, value) });
    vi.stubGlobal("navigator", { userAgent: "Chrome", serviceWorker: { ready: Promise.resolve(registration), getRegistration: () => Promise.resolve(registration) } });
    vi.stubGlobal("PushManager", {});
    vi.stubGlobal("matchMedia", () => ({ matches: false }));
    vi.stubGlobal("Notification", {
      requestPermission: () => Promise.resolve(permission),
      get permission() {
        return permission;
      },
    });
  });
  afterEach(() => {
    vi.unstubAllGlobals();
  });

  it("asks first, and tells nobody without a yes", async () => {
    permission = "denied";
    const channel = channelOf("a");
    expect(await turnPushOn(channel)).toBe(false);
    expect([channel.told, made]).toEqual([0, 0]);
  });

  it("serves all banks with one subscription, which goes with the last of them", async () => {
    const [first, second] = [channelOf("a"), channelOf("b")];
    await turnPushOn(first);
    await turnPushOn(second);
    expect(made).toBe(1);
    await turnPushOff(first);
    expect(present).not.toBeNull();
    await turnPushOff(second);
    expect(present).toBeNull();
  });

  it("gives up on a push service that never answers", async () => {
    vi.useFakeTimers();
    vi.stubGlobal("navigator", { userAgent: "Chrome", serviceWorker: { ready: new Promise(() => undefined) } });
    const turned = expect(turnPushOn(channelOf("a"))).rejects.toMatchObject({ code: "push-invalid" });
    await vi.advanceTimersByTimeAsync(20_000);
    await turned;
    vi.useRealTimers();
  });

  it("keeps no address of a push service", async () => {
    await turnPushOn(channelOf("a"));
    expect([...kept.values()].join()).not.toContain("push.example");
  });

  it("tells each bank a subscription that the browser replaced, once", async () => {
    const [first, second] = [channelOf("a"), channelOf("b")];
    await turnPushOn(first);
    await turnPushOn(second);
    present = null;
    for (const channel of [first, second, first, second]) await mendPush(channel);
    expect([first.told, second.told, made]).toEqual([2, 2, 2]);
  });

  it("tells the bank anew that put the subscription away, and leaves a phone alone that wants none", async () => {
    const channel = channelOf("a");
    await mendPush(channel);
    expect(channel.told).toBe(0);
    await turnPushOn(channel);
    await mendPush(channelOf("a", true));
    channel.push = { key: KEY, subscribed: false };
    await mendPush(channel);
    expect(channel.told).toBe(2);
    await dropPush("a");
    channel.push = { key: KEY, subscribed: false };
    await mendPush(channel);
    expect(channel.told).toBe(2);
  });

  it("takes another subscription for another key", async () => {
    await turnPushOn(channelOf("a"));
    const channel = channelOf("a", true);
    channel.push = { key: new Uint8Array(65).fill(5), subscribed: true };
    await mendPush(channel);
    expect([made, channel.told]).toEqual([2, 1]);
  });
});
