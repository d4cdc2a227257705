/** One request as its screen sees it: answered, waiting for a connection, wrong, over. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { PhoneClientError, type AnswerWish, type ApprovalEnd, type Ask, type Channel, type PhoneErrorCode, type PhoneErrorDetails } from "../shared/phone-client/index.js";
import { blockNotes, sayEnd } from "./ask-end.js";
import { AskFlow } from "./ask-flow.js";
import { loginOf } from "./fake-statements.js";

const NOW = 1_000_000;

function askOf(change: Partial<Ask> = {}): Ask {
  return { id: "a", bindingId: "bnd_1", statement: loginOf(), factors: ["pin", "biometric"], number: "none", numbers: [], expiresAt: NOW + 60_000, ...change };
}

function flowOf(change: Partial<Ask> = {}) {
  const answer = vi.fn<(id: string, wish: AnswerWish) => Promise<ApprovalEnd>>();
  const link: { channel: Channel | null; now: number } = { channel: { connected: true, answer } as unknown as Channel, now: NOW };
  const flow = new AskFlow({ ask: askOf(change), tenant: "Banque", channel: () => link.channel, now: () => link.now });
  return { flow, answer, link };
}

function refusing(code: PhoneErrorCode, details: PhoneErrorDetails = {}): Promise<never> {
  return Promise.reject(new PhoneClientError(code, details));
}

beforeEach(() => {
  vi.stubGlobal("navigator", { languages: ["en-GB"] });
});
afterEach(() => {
  vi.unstubAllGlobals();
});

describe("AskFlow", () => {
  it("approves with the PIN and ends", async () => {
    const { flow, answer } = flowOf();
    answer.mockResolvedValueOnce("approved");
    flow.askPin();
    expect(flow.step).toBe("pin");
    await flow.approve({ pin: "739154" });
    expect(answer).toHaveBeenCalledExactlyOnceWith("a", { decision: "approve", pin: "739154" });
    expect([flow.step, flow.end]).toEqual(["ended", { state: "approved", here: true }]);
  });

  it("does not come to the PIN, or approve, without the number", async () => {
    const { flow, answer } = flowOf({ number: "choose", numbers: [17, 47, 83] });
    flow.askPin();
    await flow.approve({ biometric: true });
    expect([flow.step, answer.mock.calls.length]).toEqual(["review", 0]);
    flow.choose(47);
    answer.mockResolvedValueOnce("approved");
    await flow.approve({ biometric: true });
    expect(answer).toHaveBeenCalledWith("a", { decision: "approve", biometric: true, number: 47 });
  });

  it.each([
    ["refuse", "refused"],
    ["report", "reported"],
  ] as const)("%ss without any factor", async (decision, state) => {
    const { flow, answer } = flowOf({ number: "choose", numbers: [17, 47, 83] });
    answer.mockResolvedValueOnce(state);
    await flow[decision]();
    expect(answer).toHaveBeenCalledWith("a", { decision });
    expect(flow.end).toEqual({ state, here: true });
  });

  it("keeps a decision that found no connection, and sends it once there is one", async () => {
    const { flow, answer, link } = flowOf();
    const { channel } = link;
    link.channel = null;
    await flow.approve({ pin: "739154" });
    expect(flow.step).toBe("waiting");
    await flow.pulse();
    await flow.refuse();
    expect(answer).not.toHaveBeenCalled();
    link.channel = channel;
    answer.mockResolvedValueOnce("approved");
    await flow.pulse();
    expect(answer).toHaveBeenCalledExactlyOnceWith("a", { decision: "approve", pin: "739154" });
    expect(flow.end?.state).toBe("approved");
  });

  it("is over when its time is, although a decision waits", async () => {
    const { flow, link } = flowOf();
    link.channel = null;
    await flow.refuse();
    link.now = NOW + 60_000;
    await flow.pulse();
    expect(flow.end).toEqual({ state: "expired", here: false });
  });

  it("goes back to the PIN after a wrong one, and says the tries", async () => {
    const { flow, answer } = flowOf();
    answer.mockReturnValueOnce(refusing("answer-wrong", { left: 3, until: null, bank: false, last: false }));
    await flow.approve({ pin: "111111" });
    expect([flow.step, flow.end]).toEqual(["pin", null]);
    expect(blockNotes(flow.failure, "en")).toEqual(["3 tries left."]);
  });

  it("fails with the last try, and says until when answers are blocked, and that it was the last warning", async () => {
    const { flow, answer } = flowOf({ number: "choose", numbers: [17, 47, 83] });
    flow.choose(17);
    answer.mockReturnValueOnce(refusing("answer-wrong", { left: 0, until: NOW, bank: false, last: true }));
    await flow.approve({ pin: "739154" });
    expect(flow.end).toEqual({ state: "failed", here: true });
    expect(sayEnd(flow.end!, flow.failure, "en").notes).toHaveLength(2);
  });

  it("offers no fingerprint any more where the device turned out to have none", async () => {
    const { flow, answer } = flowOf();
    answer.mockReturnValueOnce(refusing("biometric-unsupported"));
    await flow.approve({ biometric: true });
    expect([flow.step, flow.canBiometric, flow.canPin]).toEqual(["review", false, true]);
  });

  it.each(["approved", "refused", "reported", "cancelled", "expired", "failed"] as const)("ends as %s when that happens elsewhere", (state) => {
    const { flow } = flowOf();
    flow.settle(state);
    expect(flow.end).toEqual({ state, here: false });
    expect(sayEnd(flow.end!, null, "fr").title).not.toBe("");
  });

  it("tells what was decided elsewhere from what was decided here", async () => {
    const { flow, answer } = flowOf();
    answer.mockReturnValueOnce(refusing("approval-ended", { state: "approved" }));
    await flow.refuse();
    expect(sayEnd(flow.end!, null, "en").title).toBe("Approved on another phone");
  });

  it("does not know what became of an answer that nobody confirmed, until it is told", async () => {
    const { flow, answer } = flowOf();
    answer.mockReturnValueOnce(refusing("timeout"));
    await flow.approve({ pin: "739154" });
    expect(flow.end).toEqual({ state: "unknown", here: true });
    flow.settle("approved");
    expect(flow.end).toEqual({ state: "approved", here: true });
  });

  it("ends with the reason when the bank takes no answer from this phone any more", () => {
    const { flow } = flowOf();
    flow.abandon(new PhoneClientError("suspended"));
    expect(sayEnd(flow.end!, flow.failure, "en").text).toContain("This phone is suspended");
  });
});
