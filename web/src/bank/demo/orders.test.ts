/** What follows the phone's word: through a network that fails, and never for somebody who has turned away. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { BankError, type SessionView } from "./api.js";
import type { Asking, Purpose } from "./asking.js";
import { Orders } from "./orders.js";

const session = { customer: null, choices: [], password: "" } satisfies SessionView;
const asking = (purpose: Purpose, id = "apr_1"): Asking => ({ purpose, asked: { approval: { id }, page_token: "ptk_1" } });

describe("Orders", () => {
  let now: Asking | null;
  let told: unknown[];
  let failing: BankError[];
  let orders: Orders;

  beforeEach(() => {
    vi.useFakeTimers();
    now = null;
    told = [];
    failing = [];
    const answer = <T>(what: string, value: T): Promise<T> => {
      told.push(what);
      const error = failing.shift();
      return error === undefined ? Promise.resolve(value) : Promise.reject(error);
    };
    const api = {
      finishLogin: () => answer("finish", session as SessionView),
      settle: (id: string) => answer(`settle ${id}`, undefined),
      session: () => answer("session", session as SessionView),
      transfer: () => answer("transfer", asking("transfer").asked),
      changeContact: () => answer("contact", asking("contact").asked),
      sendMessage: () => answer("message", undefined),
    };
    const host = {
      lang: () => "en" as const,
      guard: (work: () => Promise<void>) => work().catch((error: unknown) => void told.push(error)),
      asking: () => now,
      onAsk: (wanted: Asking) => {
        now = wanted;
      },
      onBusy: (isBusy: boolean) => told.push(isBusy ? "busy" : "free"),
      onWrong: (field: string) => told.push(`wrong ${field}`),
      onSaid: (said: string) => told.push(said),
      onLoggedIn: () => told.push("logged in"),
      onDevice: (approval: string) => Promise.resolve(void told.push(`device ${approval}`)),
      onDone: (purpose: string) => Promise.resolve(void told.push(`done ${purpose}`)),
    };
    orders = new Orders(api, host, (token) => ({
      cancelApproval: (id) => {
        told.push(`cancel ${id} ${token}`);
        return Promise.reject(new BankError(410));
      },
    }));
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  it("has the bank look up what was approved, then shows it", async () => {
    await orders.goOn(asking("transfer"));
    await orders.goOn(asking("login"));
    await orders.goOn(asking("device"));
    expect(told).toEqual(["settle apr_1", "session", "done transfer", "finish", "logged in", "device apr_1"]);
  });

  it("tries on while the bank cannot be reached", async () => {
    orders.ask("login", asking("login").asked);
    failing = [new BankError(0), new BankError(503)];
    const going = orders.goOn(asking("login"));
    await vi.advanceTimersByTimeAsync(2_000);
    await going;
    expect(told).toEqual(["finish", "finish", "finish", "logged in"]);
  });

  it("does not try on what was refused, nor for a customer who has turned away", async () => {
    const refused = new BankError(409);
    failing = [refused];
    await orders.goOn(asking("login"));
    expect(told).toEqual(["finish", refused]);
    told.length = 0;
    now = asking("transfer", "apr_2");
    failing = [new BankError(0)];
    const going = orders.goOn(asking("login"));
    await vi.advanceTimersByTimeAsync(60_000);
    await going;
    expect(told).toEqual(["finish"]);
  });

  it("takes back what the customer turns away from, be it over already", async () => {
    await orders.leave(asking("transfer"));
    expect(told).toEqual(["cancel apr_1 ptk_1"]);
  });

  it("says at its field what is to be mended, and anything else above", async () => {
    const failed = new BankError(409, { code: "phone-cannot" });
    failing = [new BankError(400, { field: "account" }), failed];
    await orders.send("transfer", {});
    await orders.send("transfer", {});
    expect(told).toEqual(["busy", "transfer", "wrong account", "free", "busy", "transfer", failed, "free"]);
    expect(now).toBeNull();
  });
});
