/** An activation under way outlives a reload of the tab, for its own customer alone. */
import { afterEach, expect, it, vi } from "vitest";
import { forgetUnderway, keepUnderway, underway } from "./underway.js";

afterEach(() => {
  vi.unstubAllGlobals();
});

it("is taken up by the customer who began it, until it is forgotten", () => {
  const kept = new Map<string, string>();
  vi.stubGlobal("sessionStorage", {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
    removeItem: (key: string) => kept.delete(key),
  });
  const started = { activation: { id: "act_1" }, page_token: "ptk_1" };
  expect(underway("claire")).toBeNull();
  keepUnderway("claire", started);
  expect(underway("claire")).toEqual(started);
  expect(underway("thomas")).toBeNull();
  forgetUnderway();
  expect(underway("claire")).toBeNull();
});
