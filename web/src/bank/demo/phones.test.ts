/** Whether a customer has a phone. */
import { expect, it } from "vitest";
import type { Binding, BindingState } from "../../shared/api/index.js";
import { hasPhone } from "./phones.js";

const among = (...states: BindingState[]): Promise<boolean> => {
  const bindings = states.map((state) => ({ state }) as Binding);
  return hasPhone({ pageToken: () => Promise.resolve("ptk_1") }, (token) => ({ bindings: () => Promise.resolve(token === "ptk_1" ? bindings : []) }));
};

it("counts a suspended phone, and none that was removed", async () => {
  expect(await among("active")).toBe(true);
  expect(await among("removed", "suspended")).toBe(true);
  expect(await among("removed")).toBe(false);
  expect(await among()).toBe(false);
});
