/** What the activation's page shows and says, apart from the drawing. */
import { describe, expect, it } from "vitest";
import type { ActivationState } from "../../shared/api/index.js";
import { statusOf, type Standing } from "./status.js";
import { stepsOf } from "./steps.js";

describe("stepsOf", () => {
  it.each<[ActivationState, number]>([["waiting", 0], ["present", 1], ["confirmed", 2], ["active", 3], ["expired", -1]])("of one step, %s", (state, at) => {
    expect(stepsOf({ state, two_step: false })).toEqual({ names: ["stepScan", "stepDigits", "stepPin"], at });
  });

  it.each<[ActivationState, number]>([["waiting", 0], ["present", 1], ["confirmed", 2], ["active", 4]])("of two steps, %s", (state, at) => {
    expect(stepsOf({ state, two_step: true })).toEqual({ names: ["stepScan", "stepDigits", "stepSecond", "stepPin"], at });
  });
});

describe("statusOf", () => {
  const calm: Standing = { state: "present", hasFailed: false, isLost: false, isCodeless: false, phoneAway: false, newDigits: false, busy: false, isUntold: false };

  it("says that it loads, then how each step begins", () => {
    expect(statusOf({ ...calm, state: null })).toBe("loading");
    expect(statusOf({ ...calm, state: "waiting", isUntold: true })).toBe("step");
    expect(statusOf(calm)).toBeNull();
  });

  it("says one thing at a time, the most pressing", () => {
    const all: Standing = { ...calm, isLost: true, isCodeless: true, phoneAway: true, newDigits: true, busy: true, isUntold: true };
    expect(statusOf(all)).toBe("lost");
    expect(statusOf({ ...all, isLost: false })).toBe("codeless");
    const shown = { ...all, isLost: false, isCodeless: false };
    expect(statusOf(shown)).toBe("away");
    expect(statusOf({ ...shown, phoneAway: false })).toBe("newDigits");
    expect(statusOf({ ...shown, phoneAway: false, newDigits: false })).toBe("confirming");
  });

  it("leaves to the alert what the alert says", () => {
    expect(statusOf({ ...calm, hasFailed: true, isLost: true })).toBeNull();
    expect(statusOf({ ...calm, state: "expired", isLost: true, isUntold: true })).toBeNull();
  });

  it("forgets the phone's absence once it is bound", () => {
    expect(statusOf({ ...calm, state: "active", phoneAway: true })).toBeNull();
  });
});
