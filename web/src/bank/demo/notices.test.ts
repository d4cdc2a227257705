/** What people read of the webhooks. */
import { expect, it } from "vitest";
import type { Notice } from "./api.js";
import { messages } from "./messages.js";
import { tell } from "./notices.js";

const notice = (type: string, second: number, data: Notice["data"]): Notice => ({ id: `${type}-${second}`, type, timestamp: `2026-03-01T10:00:0${second}.000Z`, data });
const first = { activation: "act_1", name: "Chrome" };

it("tells a phone that is back from one that comes, the newest first", () => {
  const other = { activation: "act_2", name: "Firefox" };
  const come = [notice("activation.present", 4, other), notice("activation.present", 2, first), notice("activation.present", 1, first)];
  expect(tell(messages.en, come).map(({ text }) => text)).toEqual(["Firefox used a code.", "Chrome is back.", "Chrome used a code."]);
  expect(tell(messages.fr, come).map(({ text }) => text)).toEqual(["Firefox a utilisé un code.", "Chrome est de retour.", "Chrome a utilisé un code."]);
});

it("orders by what happened, not by what arrived; what happened at once stays as it arrived", () => {
  const late = [notice("activation.present", 1, first), notice("activation.confirmed", 3, first), notice("activation.present", 2, first)];
  expect(tell(messages.en, late).map(({ text }) => text)).toEqual(["The eight digits were right.", "Chrome is back.", "Chrome used a code."]);
  const atOnce = [notice("activation.active", 1, first), notice("activation.confirmed", 1, first)];
  expect(tell(messages.en, atOnce).map(({ text }) => text)).toEqual(["Chrome was added.", "The eight digits were right."]);
});

it("leaves out what means nothing to a person", () => {
  expect(tell(messages.en, [notice("activation.unheard-of", 1, first)])).toEqual([]);
});
