/** What <tessera-approval> knows, against a gateway of the test's own: it follows, draws the code once, and keeps digits. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Approval, ApprovalState } from "../../shared/api/index.js";
import { ApprovalSession, type Failing } from "./session.js";

const NOW = Date.parse("2026-03-01T12:00:00Z");

function pending(id: string, change: Partial<Approval> = {}): Approval {
  return {
    id,
    user: "claire",
    type: "payment",
    fields: {},
    state: "pending",
    number: null,
    number_match: "none",
    created_at: new Date(NOW).toISOString(),
    expires_at: new Date(NOW + 60_000).toISOString(),
    answered_at: null,
    binding: null,
    tries_left: 5,
    online: true,
    offline: true,
    ...change,
  };
}

/** Answers by path and keeps what was asked; event streams stay open, for the test to speak on. */
class FakeGateway {
  readonly asked: string[] = [];
  readonly answers = new Map<string, () => Response | Promise<Response>>();
  readonly streams: ReadableStreamDefaultController<Uint8Array>[] = [];

  readonly fetch = (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const path = (input as string).replace("/api/v1/", "");
    if (path === "events") {
      return Promise.resolve(new Response(new ReadableStream<Uint8Array>({ start: (stream) => void this.streams.push(stream) })));
    }
    this.asked.push(`${init?.method ?? "GET"} ${path}`);
    const answer = this.answers.get(path);
    return answer === undefined ? Promise.resolve(problem(404, "not-found")) : Promise.resolve(answer());
  };

  say(event: string): void {
    this.streams.at(-1)?.enqueue(new TextEncoder().encode(`id: 1\nevent: ${event}\ndata: {}\n\n`));
  }
}

const json = (body: unknown, status = 200): Response => new Response(JSON.stringify(body), { status, headers: { Date: new Date(NOW).toUTCString() } });
const problem = (status: number, code: string, more: object = {}): Response => json({ code, status, ...more }, status);

describe("ApprovalSession", () => {
  let gateway: FakeGateway;
  let session: ApprovalSession;
  let states: [ApprovalState, string][];
  let failures: Failing[];

  beforeEach(() => {
    vi.useFakeTimers({ now: NOW });
    gateway = new FakeGateway();
    vi.stubGlobal("fetch", gateway.fetch);
    states = [];
    failures = [];
    session = new ApprovalSession({
      addController: () => undefined,
      removeController: () => undefined,
      requestUpdate: () => undefined,
      updateComplete: Promise.resolve(true),
      onState: (state, { id }) => states.push([state, id]),
      onDigitsUseless: () => undefined,
      onFailure: (_, what) => failures.push(what),
    });
  });

  afterEach(() => {
    session.stop();
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  const begin = async (approval: Approval): Promise<void> => {
    gateway.answers.set(`approvals/${approval.id}`, () => json(approval));
    session.start("", approval.id, "ptk_1");
    await vi.advanceTimersByTimeAsync(10);
  };

  it("goes on as soon as the gateway tells, and asks no more then", async () => {
    await begin(pending("apr_1"));
    gateway.answers.set("approvals/apr_1", () => json(pending("apr_1", { state: "approved" })));
    gateway.say("approval.approved");
    await vi.advanceTimersByTimeAsync(100);
    expect(states).toEqual([["pending", "apr_1"], ["approved", "apr_1"]]);
    const before = gateway.asked.length;
    await vi.advanceTimersByTimeAsync(120_000);
    expect(gateway.asked).toHaveLength(before);
  });

  it("asks when the time is up, should nobody tell", async () => {
    await begin(pending("apr_1"));
    gateway.answers.set("approvals/apr_1", () => json(pending("apr_1", { state: "expired" })));
    await vi.advanceTimersByTimeAsync(62_000);
    expect(states.at(-1)).toEqual(["expired", "apr_1"]);
  });

  it("draws the code at once where nothing but digits will do, and once when it cannot", async () => {
    gateway.answers.set("approvals/apr_1/offline-code", () => problem(409, "conflict"));
    await begin(pending("apr_1", { online: false }));
    await vi.advanceTimersByTimeAsync(5_000);
    expect(gateway.asked.filter((call) => call.endsWith("offline-code"))).toHaveLength(1);
    expect([session.isOffline, session.isCodeless, failures]).toEqual([true, true, ["code"]]);
    gateway.answers.set("approvals/apr_1/offline-code", () => json({ svg: "", binding: "bnd_1", bindings: [] }));
    await session.showCode();
    expect([session.isCodeless, session.code?.binding]).toEqual([false, "bnd_1"]);
  });

  it("goes back to the phone with a network when its code cannot be drawn", async () => {
    await begin(pending("apr_1"));
    gateway.answers.set("approvals/apr_1/offline-code", () => problem(409, "no-phone"));
    await session.showCode();
    expect([session.isOffline, failures]).toEqual([false, ["code"]]);
  });

  it("counts wrong digits, and calls digits that never arrived no wrong ones", async () => {
    await begin(pending("apr_1"));
    gateway.answers.set("approvals/apr_1/offline-answer", () => problem(422, "offline-answer-wrong", { left: 4 }));
    await session.answer("12345678");
    expect([session.wrongLeft, session.busy]).toEqual([4, false]);
    session.wrongLeft = null;
    gateway.answers.set("approvals/apr_1/offline-answer", () => Promise.reject(new TypeError("no network")));
    await session.answer("12345678");
    expect([session.wrongLeft, session.busy, failures]).toEqual([null, false, ["digits"]]);
  });

  it("reads how a request ended that ended under the customer's hands", async () => {
    await begin(pending("apr_1"));
    gateway.answers.set("approvals/apr_1", () => json(pending("apr_1", { state: "refused" })));
    gateway.answers.set("approvals/apr_1/offline-answer", () => problem(410, "approval-ended"));
    await session.answer("12345678");
    expect(states.at(-1)).toEqual(["refused", "apr_1"]);
  });

  it("takes no answer for one request that was meant for the one before", async () => {
    await begin(pending("apr_1"));
    let release: (response: Response) => void = () => undefined;
    gateway.answers.set("approvals/apr_1/cancel", () => new Promise((resolve) => (release = resolve)));
    const cancelling = session.cancel();
    await begin(pending("apr_2"));
    release(json(pending("apr_1", { state: "cancelled" })));
    await cancelling;
    expect([session.approval?.id, session.approval?.state]).toEqual(["apr_2", "pending"]);
  });
});
