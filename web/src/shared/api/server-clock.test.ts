/** The countdown's clock on computers whose own is right, wrong, or put right in the middle. */
import { describe, expect, it } from "vitest";
import { GatewayClient, isHeld } from "./index.js";
import { ServerClock } from "./server-clock.js";

const NOON = Date.parse("2026-03-01T12:00:00Z");
const HEADER = "Sun, 01 Mar 2026 12:00:00 GMT";

describe("the server's time", () => {
  it.each([0, 10 * 60_000, -3 * 3_600_000])("is told right by a computer that is %i ms off", (off) => {
    let local = NOON + off;
    const clock = new ServerClock(() => local);
    clock.hear(HEADER);
    local += 60_000;
    expect(Math.abs(clock.now() - (NOON + 60_000))).toBeLessThanOrEqual(1_000);
  });

  it.each([null, "", "yesterday"])("is the computer's own when the header is %j", (header) => {
    const clock = new ServerClock(() => NOON);
    clock.hear(header);
    expect(clock.now()).toBe(NOON);
  });

  it("does not jump about with the seconds of later headers", () => {
    let local = NOON;
    const clock = new ServerClock(() => local);
    clock.hear(HEADER);
    const first = clock.now();
    local += 900;
    clock.hear(HEADER);
    expect(clock.now()).toBe(first + 900);
  });

  it("follows a computer whose clock is put right in the middle", () => {
    let local = NOON - 3_600_000;
    const clock = new ServerClock(() => local);
    clock.hear(HEADER);
    local = NOON + 2_000;
    clock.hear("Sun, 01 Mar 2026 12:00:02 GMT");
    expect(Math.abs(clock.now() - (NOON + 2_000))).toBeLessThanOrEqual(1_000);
  });

  it("reaches the client with its answers, also refusals", async () => {
    const client = new GatewayClient({
      base: "",
      token: "ptk_x",
      fetch: () => Promise.resolve(new Response("{}", { status: 404, headers: { Date: HEADER } })),
    });
    await client.activation("act_1").catch(() => null);
    expect(Math.abs(client.now() - NOON)).toBeLessThanOrEqual(1_000);
  });
});

describe("a suspended phone", () => {
  it.each([
    ["suspended", "customer", false],
    ["suspended", "bank", true],
    ["suspended", "clone", true],
    ["suspended", undefined, false],
    ["active", null, false],
  ] as const)("%s by %s is held by the bank: %s", (state, by, held) => {
    expect(isHeld(by === undefined ? { state } : { state, suspended_by: by })).toBe(held);
  });
});
