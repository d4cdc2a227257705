/** The demo bank's calls: what is sent again because no answer came is done once. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { BankApi, BankError } from "./api.js";

const payment = { payee: "Anna", amount: "5" };

describe("BankApi", () => {
  let keys: (string | null)[];
  let answers: (() => Promise<Response>)[];
  let api: BankApi;

  const lost = (): Promise<Response> => Promise.reject(new TypeError("no network"));
  const refused = (): Promise<Response> => Promise.resolve(new Response("{}", { status: 502 }));

  beforeEach(() => {
    keys = [];
    answers = [];
    api = new BankApi();
    vi.stubGlobal("fetch", (_: string, init: RequestInit): Promise<Response> => {
      keys.push(new Headers(init.headers).get("Idempotency-Key"));
      return answers.shift()?.() ?? Promise.resolve(new Response("{}", { status: 201 }));
    });
  });

  afterEach(() => {
    vi.unstubAllGlobals();
  });

  it("sends a call again with its key while no answer came", async () => {
    answers = [lost, lost];
    await expect(api.transfer(payment)).rejects.toThrow(BankError);
    await expect(api.transfer(payment)).rejects.toThrow(BankError);
    await api.transfer(payment);
    expect(new Set(keys).size).toBe(1);
  });

  it("takes a new key for what was answered, and for what is another call", async () => {
    answers = [lost];
    await expect(api.transfer(payment)).rejects.toThrow(BankError);
    await api.transfer({ ...payment, amount: "6" });
    answers = [refused];
    await expect(api.transfer(payment)).rejects.toThrow(BankError);
    await api.transfer(payment);
    const [first, other, again, anew] = keys;
    expect(again).toBe(first);
    expect(new Set([first, other, anew]).size).toBe(3);
  });
});
