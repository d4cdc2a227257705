/** Answering without a network: opened, read, the PIN, digits that are gone with the screen. */
import { describe, expect, it, vi } from "vitest";
import { PhoneClientError, type OfflineAsk } from "../shared/phone-client/index.js";
import { paymentOf } from "./fake-statements.js";
import { OfflineFlow } from "./offline-flow.js";

const ASK: OfflineAsk = { bindingId: "bnd_1", name: "Phone", tenant: "Banque", pinDigits: 6, statement: paymentOf() };

function flowOf(answers: readonly (string | PhoneClientError)[]) {
  const rest = [...answers];
  const answer = vi.fn(() => {
    const next = rest.shift();
    return typeof next === "string" ? Promise.resolve(next) : Promise.reject(next!);
  });
  return { flow: new OfflineFlow({ open: () => Promise.resolve(ASK), answer }), answer };
}

describe("OfflineFlow", () => {
  it("comes to the digits by the PIN, and to others by the PIN again", async () => {
    const { flow, answer } = flowOf(["01234567", "02345678"]);
    await flow.start();
    await flow.answer("739154");
    expect([flow.step, answer.mock.calls.length]).toEqual(["review", 0]);
    flow.askPin();
    await flow.answer("739154");
    expect([flow.step, flow.digits]).toEqual(["digits", "01234567"]);
    flow.askPin();
    expect([flow.step, flow.digits]).toEqual(["pin", null]);
    await flow.answer("739154");
    expect(flow.digits).toBe("02345678");
    flow.close();
    expect([flow.digits, flow.ask]).toEqual([null, null]);
  });

  it.each([
    ["pin-format", "pin"],
    ["offline-stale", "failed"],
    ["offline-unsettled", "failed"],
  ] as const)("after %s it is at %s", async (code, step) => {
    const { flow } = flowOf([new PhoneClientError(code)]);
    await flow.start();
    flow.askPin();
    await flow.answer("739154");
    expect([flow.step, flow.failure]).toEqual([step, expect.objectContaining({ code })]);
  });

  it("says why a code cannot be opened", async () => {
    const flow = new OfflineFlow({ open: () => Promise.reject(new PhoneClientError("offline-foreign")), answer: () => Promise.resolve("") });
    await flow.start();
    expect([flow.step, flow.failure]).toEqual(["failed", expect.objectContaining({ code: "offline-foreign" })]);
  });

  it("shows nothing that comes after it was left", async () => {
    const { flow } = flowOf(["01234567"]);
    await flow.start();
    flow.askPin();
    const late = flow.answer("739154");
    flow.close();
    await late;
    expect(flow.digits).toBeNull();
  });
});
