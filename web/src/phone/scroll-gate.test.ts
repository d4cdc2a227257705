/** Nothing can be approved before its end was seen, nor by the press that brought the end into sight. */
import { describe, expect, it } from "vitest";
import { ScrollGate } from "./scroll-gate.js";

describe("ScrollGate", () => {
  it("is closed until the end is in sight", () => {
    const gate = new ScrollGate();
    gate.watch("a");
    expect([gate.isOpen, gate.press(0)]).toEqual([false, false]);
    gate.reach(1_000);
    expect(gate.isOpen).toBe(true);
    expect(gate.press(2_000)).toBe(true);
  });

  it("does not take the press that scrolled for the one that approves", () => {
    const gate = new ScrollGate();
    gate.watch("a");
    gate.press(900);
    gate.reach(1_000);
    expect(gate.press(1_100)).toBe(false);
    expect(gate.press(1_600)).toBe(true);
  });

  it("makes nobody wait whose request fits", () => {
    const gate = new ScrollGate();
    gate.watch("a");
    gate.reach(1_000);
    expect(gate.press(1_001)).toBe(true);
  });

  it("closes for another request, and stays open for the same one", () => {
    const gate = new ScrollGate();
    gate.watch("a");
    gate.reach(0);
    gate.watch("a");
    expect(gate.isOpen).toBe(true);
    gate.watch("b");
    expect(gate.isOpen).toBe(false);
  });
});
