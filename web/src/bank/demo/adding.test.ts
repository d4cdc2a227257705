/** A further phone is asked for on the one at hand, and started by its word alone. */
import { beforeEach, describe, expect, it, vi } from "vitest";
import { Adding, type AddingHost } from "./adding.js";
import { BankError, type Asked, type Started } from "./api.js";

const asked: Asked = { approval: { id: "apr_1" }, page_token: "ptk_1" };
const started: Started = { activation: { id: "act_1" }, page_token: "ptk_2" };

describe("Adding", () => {
  let isActive: boolean;
  let now: ReturnType<AddingHost["adding"]>;
  let calls: unknown[];
  let failures: unknown[];
  let failing: BankError | null;
  let adding: Adding;

  beforeEach(() => {
    const kept = new Map<string, string>();
    vi.stubGlobal("sessionStorage", {
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => kept.set(key, value),
      removeItem: (key: string) => kept.delete(key),
    });
    isActive = false;
    now = { user: "claire", mode: "move" };
    calls = [];
    failures = [];
    failing = null;
    const api = {
      pageToken: () => Promise.resolve("ptk"),
      furtherPhone: (mode: string) => {
        calls.push(`ask ${mode}`);
        return Promise.resolve(asked);
      },
      startActivation: (wish: object) => {
        calls.push(wish);
        return failing === null ? Promise.resolve(started) : Promise.reject(failing);
      },
    };
    const host: AddingHost = {
      lang: () => "en",
      guard: (work) => work().catch((error: unknown) => void failures.push(error)),
      adding: () => now,
      wish: () => ({ two_step: false, suite: "hybrid" }),
      onAsk: () => calls.push("asking"),
      onStarted: () => calls.push("started"),
    };
    adding = new Adding(api, host, () => Promise.resolve(isActive));
  });

  const wish = { two_step: false, suite: "hybrid" };

  it("starts at once for a customer without a phone, and takes it up after a reload", async () => {
    await adding.start();
    expect(calls).toEqual([wish, "started"]);
    adding.begin("claire");
    expect(calls).toEqual([wish, "started", "started"]);
  });

  it("asks the phone at hand, then starts by its word, once", async () => {
    isActive = true;
    await adding.start();
    expect(calls).toEqual(["ask move", "asking"]);
    await adding.grant("apr_1");
    expect(calls.slice(2)).toEqual([{ ...wish, approval: "apr_1" }, "started"]);
    expect(adding.granted).toBeNull();
  });

  it("keeps the word of the phone when starting fails, for another try", async () => {
    isActive = true;
    failing = new BankError(0);
    await adding.grant("apr_1");
    expect([failures, adding.granted]).toEqual([[failing], "apr_1"]);
    failing = null;
    await adding.start();
    expect(calls.slice(1)).toEqual([{ ...wish, approval: "apr_1" }, "started"]);
  });

  it("shows nothing to a customer who has gone elsewhere", async () => {
    isActive = true;
    const start = adding.start();
    now = null;
    await start;
    expect(calls).toEqual(["ask move"]);
  });
});
