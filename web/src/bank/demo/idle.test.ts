/** A session without activity is warned of, and ends. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { IdleClock } from "./idle.js";

let now = 0;
const told: (number | null | "active")[] = [];
const host = {
  onActivity: () => told.push("active"),
  onIdle: (left: number | null) => told.push(left),
};

beforeEach(() => {
  now = 0;
  told.length = 0;
  vi.stubGlobal("addEventListener", () => undefined);
  vi.stubGlobal("removeEventListener", () => undefined);
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it("says nothing while there is time, warns in the last minute, and ends", () => {
  const clock = new IdleClock(host, () => now);
  clock.start(300);
  now = 239_000;
  clock.tick();
  now = 241_000;
  clock.tick();
  now = 300_000;
  clock.tick();
  expect(told).toEqual([null, null, 59, 0]);
});

it("tells the server of activity now and then, and at once in the last minute", () => {
  const clock = new IdleClock(host, () => now);
  clock.start(300);
  now = 10_000;
  clock.active();
  expect(told).toEqual([null]);
  now = 31_000;
  clock.active();
  now = 40_000;
  clock.active();
  now = 250_000;
  clock.active();
  clock.active();
  expect(told.filter((each) => each === "active")).toHaveLength(3);
  clock.stop();
});
