/** When a binding's link is tried again: a suspension may be lifted, a removal is for good. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { PhoneClientError, type Channel } from "../shared/phone-client/index.js";
import { Links } from "./links.js";

const open = vi.fn<(bindingId: string) => Promise<Channel>>();
const channel = { state: { state: "active", pin: { digits: 6, left: 5, blockedUntil: null } }, on: () => () => undefined } as unknown as Channel;

describe("Links", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    open.mockReset();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it.each(["suspended", "offline"] as const)("asks again by itself after %s", async (code) => {
    open.mockRejectedValueOnce(new PhoneClientError(code)).mockResolvedValueOnce(channel);
    const links = new Links(open);
    links.ensure("a");
    await vi.advanceTimersByTimeAsync(0);
    expect(links.view("a").channel).toBeNull();
    await vi.advanceTimersByTimeAsync(20_000);
    expect(links.view("a").status).toBe("online");
  });

  it("asks at once whether a suspension was lifted when the app is in front again", async () => {
    open.mockRejectedValueOnce(new PhoneClientError("suspended")).mockResolvedValueOnce(channel);
    const links = new Links(open);
    links.ensure("a");
    await vi.advanceTimersByTimeAsync(0);
    links.nudge();
    await vi.advanceTimersByTimeAsync(0);
    expect(links.view("a").status).toBe("online");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(open).toHaveBeenCalledTimes(2);
  });

  it.each([
    [0, 1],
    [3, 0],
  ])("asks after a PIN with %i tries left when the app is in front again: %i times", async (left, times) => {
    const renew = vi.fn(() => Promise.resolve());
    open.mockResolvedValueOnce({ ...channel, state: { state: "active", pin: { digits: 6, left, blockedUntil: null } }, renew } as unknown as Channel);
    const links = new Links(open);
    links.ensure("a");
    await vi.advanceTimersByTimeAsync(0);
    links.nudge();
    expect(renew).toHaveBeenCalledTimes(times);
  });

  it("lets a removed binding rest", async () => {
    open.mockRejectedValue(new PhoneClientError("removed"));
    const links = new Links(open);
    links.ensure("a");
    await vi.advanceTimersByTimeAsync(60_000);
    links.nudge();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(open).toHaveBeenCalledTimes(1);
    expect(links.view("a").status).toBe("ended");
  });

  it("forgets a dropped binding", async () => {
    open.mockRejectedValue(new PhoneClientError("suspended"));
    const links = new Links(open);
    links.ensure("a");
    await vi.advanceTimersByTimeAsync(0);
    links.drop("a");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(open).toHaveBeenCalledTimes(1);
  });
});
