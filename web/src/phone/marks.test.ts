/** What a reload finds of an activation. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { isMarked, leaveFront, mark, unmark } from "./marks.js";

const kept = new Map<string, string>();

beforeEach(() => {
  vi.stubGlobal("sessionStorage", {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
    removeItem: (key: string) => kept.delete(key),
  });
});

afterEach(() => {
  kept.clear();
  vi.unstubAllGlobals();
});

it("knows the newest in front, and forgets one that is over without touching another", () => {
  mark("act_1", "front");
  mark("act_1", "agreed");
  mark("act_2", "front");
  unmark("act_1");
  expect([isMarked("act_1", "front"), isMarked("act_1", "agreed"), isMarked("act_2", "front")]).toEqual([false, false, true]);
});

it("keeps the consent of an activation that was left", () => {
  mark("act_1", "front");
  mark("act_1", "agreed");
  leaveFront();
  expect([isMarked("act_1", "front"), isMarked("act_1", "agreed")]).toEqual([false, true]);
});
