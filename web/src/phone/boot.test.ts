/** What the phone app does first with the address it was opened with, whatever this browser can do. */
import { afterEach, expect, it, vi } from "vitest";

afterEach(() => {
  vi.unstubAllGlobals();
});

it("takes the secret out of the address although there is no storage", async () => {
  const listening = { addEventListener: vi.fn() };
  const address = { host: "bank.example", hash: "#AQsecret", pathname: "/a", search: "?x=1", protocol: "https:" };
  const replaceState = vi.fn();
  vi.stubGlobal("location", address);
  vi.stubGlobal("history", { replaceState, state: null });
  vi.stubGlobal("window", listening);
  vi.stubGlobal("document", { ...listening, documentElement: {} });
  vi.stubGlobal("isSecureContext", true);
  const { PhoneModel } = await import("./model.js");
  const model = new PhoneModel();
  await model.boot();
  expect(model.blocked).toMatchObject({ code: "unsupported" });
  expect(replaceState.mock.calls).toEqual([[{ depth: 0 }, "", "/a?x=1"]]);
});
