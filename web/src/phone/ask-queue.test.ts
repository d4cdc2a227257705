/** What waits: the one that ends first in front, the others behind; put aside, ended unseen, two bindings on one phone. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { PhoneClientError, type Ask, type Channel } from "../shared/phone-client/index.js";
import { AskQueue, type AskSource } from "./ask-queue.js";
import { loginOf } from "./fake-statements.js";

function askOf(id: string, seconds: number, bindingId = "bnd_1"): Ask {
  return { id, bindingId, statement: loginOf(), factors: ["pin"], number: "none", numbers: [], expiresAt: Date.now() + seconds * 1000 };
}

function channelOf(asks: readonly Ask[]): Channel {
  return { connected: true, asks, answer: () => Promise.resolve("refused") } as unknown as Channel;
}

function sourceOf(asks: readonly Ask[], change: Partial<AskSource> = {}): AskSource {
  return { bindingId: "bnd_1", tenant: "Banque", channel: channelOf(asks), over: null, ...change };
}

describe("AskQueue", () => {
  let queue: AskQueue;
  let channel: Channel | null;

  beforeEach(() => {
    vi.useFakeTimers();
    channel = channelOf([]);
    queue = new AskQueue(() => channel);
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("shows the one that ends first, and counts the others", () => {
    queue.update([sourceOf([askOf("late", 90), askOf("soon", 30)])]);
    expect([queue.front?.ask.id, queue.waiting]).toEqual(["soon", 1]);
    queue.update([sourceOf([askOf("sooner", 10)])]);
    expect([queue.front?.ask.id, queue.waiting]).toEqual(["soon", 2]);
  });

  it("shows its end until it is left, then the next one", async () => {
    queue.update([sourceOf([askOf("a", 30), askOf("b", 60)])]);
    await queue.front?.refuse();
    expect([queue.front?.ask.id, queue.front?.end?.state]).toEqual(["a", "refused"]);
    queue.leave();
    expect([queue.front?.ask.id, queue.waiting]).toEqual(["b", 0]);
    queue.leave();
    expect([queue.front, queue.waiting]).toEqual([null, 1]);
  });

  it("brings back what was put aside when asked, while another one comes by itself", () => {
    const aside = askOf("aside", 60);
    queue.update([sourceOf([aside])]);
    queue.leave();
    queue.update([sourceOf([aside])]);
    expect([queue.front, queue.waiting]).toEqual([null, 1]);
    queue.update([sourceOf([aside, askOf("new", 90)])]);
    expect(queue.front?.ask.id).toBe("new");
    queue.leave();
    queue.resume();
    expect(queue.front?.ask.id).toBe("aside");
  });

  it("lets go of what ended behind the one in front", () => {
    queue.update([sourceOf([askOf("a", 30), askOf("b", 60)])]);
    queue.settle("bnd_1", "b", "cancelled");
    expect(queue.waiting).toBe(0);
    queue.settle("bnd_1", "a", "approved");
    expect(queue.front?.end).toEqual({ state: "approved", here: false });
  });

  it("ends a request by its time, without a connection too", async () => {
    channel = null;
    queue.update([sourceOf([askOf("a", 30)])]);
    queue.update([sourceOf([], { channel: null })]);
    await vi.advanceTimersByTimeAsync(31_000);
    expect(queue.front?.end?.state).toBe("expired");
  });

  it("keeps one request to two bindings of this phone apart", () => {
    queue.update([sourceOf([askOf("a", 30)]), sourceOf([askOf("a", 30, "bnd_2")], { bindingId: "bnd_2" })]);
    expect(queue.waiting).toBe(1);
    queue.settle("bnd_2", "a", "approved");
    expect([queue.front?.end, queue.waiting]).toEqual([null, 0]);
  });

  it("says why when the phone is suspended over it", () => {
    queue.update([sourceOf([askOf("a", 30)])]);
    const over = new PhoneClientError("suspended");
    queue.update([sourceOf([], { channel: null, over })]);
    expect([queue.front?.end?.state, queue.front?.failure]).toEqual(["unknown", over]);
  });
});
