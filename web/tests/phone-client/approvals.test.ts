/** Requests on an open channel: shown, answered by each factor, settled elsewhere, and answered once through every loss. */
import { describe, expect, it } from "vitest";

import { toBase64Url } from "../../src/shared/protocol/bytes";
import type { Ask, Channel } from "../../src/shared/phone-client";
import { type FakeRequest, LOGIN, makeStatement, PAYMENT } from "./fake-desk";
import { TIME } from "./fake-gateway";
import { bound, once, PIN, until, type World } from "./setup";

const OTHER_PIN = "739462";

interface Asked {
  readonly world: World;
  readonly channel: Channel;
  readonly request: FakeRequest;
  readonly ask: Ask;
}

/** An open channel on which something was asked. */
async function asked(...what: Parameters<World["gateway"]["ask"]>): Promise<Asked> {
  const world = await bound();
  const channel = await world.open();
  const told = once(channel, "asked");
  const request = await world.gateway.ask(...what);
  const { ask } = (await told) as { ask: Ask };
  return { world, channel, request, ask };
}

describe("a request", () => {
  it("is shown as the bank wrote it, with its end by the phone's clock", async () => {
    const { world, channel, request, ask } = await asked(PAYMENT);
    expect(ask).toMatchObject({ id: toBase64Url(request.id), bindingId: channel.bindingId, factors: ["pin", "biometric"], number: "none", numbers: [] });
    expect(ask.statement).toMatchObject({ ...PAYMENT, bank: "Bank", user: "u1", raw: request.statement });
    // The gateway's clock runs 100 s ahead, and the request lives 60 s.
    expect(ask.expiresAt).toBe(world.environment.clock + 60_000);
    expect(ask.statement?.created).toBe(world.environment.clock);
    expect(channel.asks).toEqual([ask]);
  });

  it("ends by the gateway's time of its own message, although the phone's clock was set meanwhile", async () => {
    const world = await bound();
    const channel = await world.open();
    world.environment.clock -= 86_400_000;
    await world.gateway.ask(PAYMENT);
    await until(() => channel.asks.length === 1);
    expect(channel.asks[0]!.expiresAt).toBe(world.environment.clock + 60_000);
  });

  it("whose number cannot be chosen ends the channel", async () => {
    const world = await bound();
    const closed = once(await world.open(), "closed");
    await world.gateway.ask(LOGIN, { number: "choose" });
    expect(await closed).toMatchObject({ error: { code: "protocol" } });
  });

  it("that waited for the phone is there on opening, the one that ends first in front", async () => {
    const world = await bound();
    world.gateway.desk.make(PAYMENT, { lifeS: 120 });
    const first = world.gateway.desk.make(LOGIN, { number: "choose", numbers: [12, 47, 83], rightNumber: 47 });
    const channel = await world.open();
    await until(() => channel.asks.length === 2);
    expect(channel.asks[0]).toMatchObject({ id: toBase64Url(first.id), number: "choose", numbers: [12, 47, 83] });
  });

  it("that this app cannot read is listed and not signed", async () => {
    const world = await bound();
    const channel = await world.open();
    const request = world.gateway.desk.make({ type: "lottery", fields: {} });
    await world.gateway.say(world.gateway.desk.askOf(request));
    await until(() => channel.asks.length === 1);
    expect(channel.asks[0]!.statement).toBeNull();
    const answer = channel.answer(channel.asks[0]!.id, { decision: "approve", pin: PIN });
    await expect(answer).rejects.toMatchObject({ code: "approval-unreadable", next: "update-app" });
    expect(world.gateway.heard).not.toContain("answer");
  });

  it("whose statement is another request's ends the channel", async () => {
    const { world, channel } = await asked(LOGIN);
    const closed = once(channel, "closed");
    const other = { ...world.gateway.desk.make(PAYMENT), statement: makeStatement(PAYMENT, { id: new Uint8Array(16), created: TIME, expires: TIME + 60 }) };
    await world.gateway.say(world.gateway.desk.askOf(other));
    expect(await closed).toMatchObject({ error: { code: "protocol" } });
  });

  it("is dropped when its time is over by the phone's clock, and asked again when that was wrong", async () => {
    const { world, channel, request, ask } = await asked(PAYMENT);
    const [settled, changed] = [once(channel, "settled"), once(channel, "asks")];
    world.environment.clock = ask.expiresAt;
    expect(world.environment.ring(60_000)).toBe(1);
    expect(await settled).toEqual({ id: ask.id, state: "expired" });
    await changed;
    expect(channel.asks).toEqual([]);
    await expect(channel.answer(ask.id, { decision: "refuse" })).rejects.toMatchObject({ code: "approval-ended", details: { state: "expired" }, next: "ask-again" });
    const again = once(channel, "asked");
    await world.gateway.say(world.gateway.desk.askOf(request));
    await again;
  });

  it.each(["approved", "cancelled", "failed"] as const)("that is %s elsewhere leaves the list for good", async (state) => {
    const { world, channel, request, ask } = await asked(PAYMENT);
    const settled = once(channel, "settled");
    await world.gateway.settle(request, state);
    expect(await settled).toEqual({ id: ask.id, state });
    await expect(channel.answer(ask.id, { decision: "approve", pin: PIN })).rejects.toMatchObject({ code: "approval-ended", details: { state } });
    await world.gateway.say(world.gateway.desk.askOf(request));
    await channel.ping();
    expect(channel.asks).toEqual([]);
  });

  it("that ended while the phone was away is told as it ended", async () => {
    const { world, channel, request, ask } = await asked(PAYMENT);
    const stays = await world.gateway.ask(LOGIN, { lifeS: 600 });
    await until(() => channel.asks.length === 2);
    const lost = once(channel, "disconnected");
    world.environment.setOnline(false);
    await lost;
    request.state = "refused";
    const settled = once(channel, "settled");
    world.environment.setOnline(true);
    expect(await settled).toEqual({ id: ask.id, state: "refused" });
    expect(channel.asks.map(({ id }) => id)).toEqual([toBase64Url(stays.id)]);
  });
});

describe("an answer", () => {
  it.each([
    ["approve", "approved"],
    ["refuse", "refused"],
    ["report", "reported"],
  ] as const)("%s makes it %s", async (decision, state) => {
    const { channel, request, ask } = await asked(PAYMENT);
    const settled = once(channel, "settled");
    const wish = decision === "approve" ? { decision, pin: PIN } : { decision };
    expect(await channel.answer(ask.id, wish)).toBe(state);
    expect(await settled).toEqual({ id: ask.id, state });
    expect(request).toMatchObject({ state, answers: 1 });
    expect(channel.asks).toEqual([]);
  });

  it("needs what was asked for", async () => {
    const choosing = { number: "choose", numbers: [12, 47, 83], rightNumber: 47 } as const;
    const { world, channel, request, ask } = await asked(LOGIN, choosing);
    const incomplete = { code: "answer-incomplete", next: "type-again" };
    await expect(channel.answer(ask.id, { decision: "approve", number: 47 })).rejects.toMatchObject(incomplete);
    await expect(channel.answer(ask.id, { decision: "approve", pin: PIN })).rejects.toMatchObject(incomplete);
    await expect(channel.answer(ask.id, { decision: "approve", pin: PIN, number: 48 })).rejects.toMatchObject(incomplete);
    await expect(channel.answer(ask.id, { decision: "approve", pin: "12", number: 47 })).rejects.toMatchObject({ code: "pin-format" });
    expect(world.gateway.heard).not.toContain("answer");
    expect(await channel.answer(ask.id, { decision: "approve", pin: PIN, number: 47 })).toBe("approved");
    expect(request.answers).toBe(1);
  });

  it("takes possession alone where the bank wants no more, and a typed number", async () => {
    const { channel, ask } = await asked(LOGIN, { factors: ["possession"], number: "type", rightNumber: 10 });
    await expect(channel.answer(ask.id, { decision: "approve", number: 9 })).rejects.toMatchObject({ code: "answer-incomplete" });
    expect(await channel.answer(ask.id, { decision: "approve", number: 10 })).toBe("approved");
  });

  it("that is wrong says what is left, and nothing of why", async () => {
    const { world, channel, request, ask } = await asked(PAYMENT);
    await expect(channel.answer(ask.id, { decision: "approve", pin: OTHER_PIN })).rejects.toMatchObject({
      code: "answer-wrong",
      next: "type-again",
      details: { left: 4, until: null, bank: false, last: false },
    });
    expect(channel.state.pin.left).toBe(4);
    expect(channel.asks).toHaveLength(1);
    world.gateway.desk.block = { until: TIME + 300, bank: false, last: true };
    const until = world.environment.clock + 300_000;
    await expect(channel.answer(ask.id, { decision: "approve", pin: OTHER_PIN })).rejects.toMatchObject({ code: "answer-wrong", next: "wait", details: { until, last: true } });
    world.gateway.desk.block = { until: null, bank: true, last: false };
    await expect(channel.answer(ask.id, { decision: "approve", pin: OTHER_PIN })).rejects.toMatchObject({ next: "contact-bank" });
    world.gateway.desk.block = { until: null, bank: false, last: false };
    expect(await channel.answer(ask.id, { decision: "approve", pin: PIN })).toBe("approved");
    expect(channel.state.pin.left).toBe(5);
    expect(request.answers).toBe(1);
  });

  it("that was the last one ends the request, and a PIN without tries is asked after", async () => {
    const { world, channel, ask } = await asked(PAYMENT, { left: 1 });
    world.gateway.left = 1;
    const [settled, back] = [once(channel, "settled"), once(channel, "reconnected")];
    await expect(channel.answer(ask.id, { decision: "approve", pin: OTHER_PIN })).rejects.toMatchObject({ code: "answer-wrong", next: "ask-again", details: { left: 0 } });
    expect(await settled).toEqual({ id: ask.id, state: "failed" });
    world.gateway.blockedUntil = TIME + 300;
    await back;
    expect(channel.state.pin).toMatchObject({ left: 0, blockedUntil: world.environment.clock + 300_000 });
    const next = once(channel, "asked");
    await world.gateway.ask(PAYMENT);
    const { ask: second } = (await next) as { ask: Ask };
    await expect(channel.answer(second.id, { decision: "approve", pin: PIN })).rejects.toMatchObject({ code: "pin-blocked", next: "wait" });
  });

  it.each(["approve", "refuse"] as const)("is settled when all phones hear of it first (%s)", async (decision) => {
    const { world, channel, request, ask } = await asked(PAYMENT);
    const settled: unknown[] = [];
    channel.on("settled", (event) => settled.push(event));
    world.gateway.desk.tellsAllFirst = true;
    await channel.answer(ask.id, decision === "approve" ? { decision, pin: PIN } : { decision });
    await channel.ping();
    expect(settled).toEqual([{ id: ask.id, state: request.state }]);
    expect(channel.state.pin.left).toBe(5);
    expect(channel.connected).toBe(true);
  });

  it("that ends the request as wrong is told as wrong even when all phones hear of it first", async () => {
    const { world, channel, ask } = await asked(PAYMENT, { left: 1 });
    world.gateway.desk.tellsAllFirst = true;
    const settled = once(channel, "settled");
    await expect(channel.answer(ask.id, { decision: "approve", pin: OTHER_PIN })).rejects.toMatchObject({ code: "answer-wrong", next: "ask-again", details: { left: 0 } });
    expect(await settled).toEqual({ id: ask.id, state: "failed" });
    await channel.ping();
    expect(channel.connected).toBe(true);
  });

  it("to a request that failed on another phone is told of that", async () => {
    const { world, channel, request, ask } = await asked(PAYMENT);
    world.gateway.desk.tellsAllFirst = true;
    request.state = "failed";
    const ended = { code: "approval-ended", next: "ask-again", details: { state: "failed" } };
    await expect(channel.answer(ask.id, { decision: "refuse" })).rejects.toMatchObject(ended);
    await channel.ping();
    expect(channel.connected).toBe(true);
  });

  it("is not taken for another request's end", async () => {
    const { world, channel, request, ask } = await asked(PAYMENT);
    const other = await world.gateway.ask(LOGIN);
    await until(() => channel.asks.length === 2);
    world.gateway.desk.aside = other;
    expect(await channel.answer(ask.id, { decision: "refuse" })).toBe("refused");
    expect(request.state).toBe("refused");
    expect(channel.asks).toEqual([]);
  });

  it("comes too late when somebody else answered otherwise", async () => {
    const { channel, request, ask } = await asked(PAYMENT);
    request.state = "refused";
    await expect(channel.answer(ask.id, { decision: "approve", pin: PIN })).rejects.toMatchObject({ code: "approval-ended", details: { state: "refused" } });
    expect(channel.asks).toEqual([]);
  });

  it("uses the PIN in force although its change has no known end", async () => {
    const { world, channel, ask } = await asked(PAYMENT);
    world.gateway.faults.add("after pin-enrolled");
    const back = once(channel, "reconnected");
    await expect(channel.changePin(PIN, OTHER_PIN)).rejects.toMatchObject({ code: "connection-lost" });
    await back;
    expect(await channel.answer(ask.id, { decision: "approve", pin: OTHER_PIN })).toBe("approved");
    expect((await world.store.readBinding(channel.bindingId))!.nextDeviceSecret).toBeNull();
  });

  it("is made once at a time", async () => {
    const { channel, request, ask } = await asked(PAYMENT);
    const answers = [1, 2].map(() => channel.answer(ask.id, { decision: "approve", pin: PIN }));
    await expect(answers[1]).rejects.toMatchObject({ code: "closed" });
    expect(await answers[0]).toBe("approved");
    expect(request.answers).toBe(1);
  });
});

describe("a lost connection", () => {
  it.each(["before pin-evaluate", "after pin-evaluated", "before answer", "after answered"])("%s is taken up, and the answer counts once", async (fault) => {
    const { world, channel, request, ask } = await asked(PAYMENT);
    const settled: unknown[] = [];
    channel.on("settled", (event) => settled.push(event));
    world.gateway.faults.add(fault);
    expect(await channel.answer(ask.id, { decision: "approve", pin: PIN })).toBe("approved");
    expect(world.gateway.faults.size).toBe(0);
    expect(request).toMatchObject({ state: "approved", answers: 1 });
    expect(settled).toEqual([{ id: ask.id, state: "approved" }]);
    expect(channel.state.pin.left).toBe(5);
    await channel.ping();
    expect(channel.asks).toEqual([]);
  });

  it("whose answer had arrived costs no second try of the PIN", async () => {
    const { world, channel, ask } = await asked(PAYMENT);
    world.gateway.faults.add("after answered");
    expect(await channel.answer(ask.id, { decision: "approve", pin: PIN })).toBe("approved");
    expect(world.gateway.heard.filter((tag) => tag === "pin-evaluate" || tag === "answer")).toEqual(["pin-evaluate", "pin-evaluate", "answer"]);
    expect(world.gateway.left).toBe(5);
  });

  it.each(["before answer", "after answered"])("%s of a refusal is taken up", async (fault) => {
    const { world, channel, request, ask } = await asked(LOGIN, { number: "choose", numbers: [12, 47, 83], rightNumber: 47 });
    world.gateway.faults.add(fault);
    expect(await channel.answer(ask.id, { decision: "report" })).toBe("reported");
    expect(request.answers).toBe(1);
  });

  it("that lasts beyond the request's end is told, and what came of the answer can be read later", async () => {
    const { world, channel, request, ask } = await asked(PAYMENT, { lifeS: 1 });
    world.gateway.faults.add("after answered");
    const answer = channel.answer(ask.id, { decision: "approve", pin: PIN });
    const lost = once(channel, "disconnected");
    await lost;
    world.environment.setOnline(false);
    await expect(answer).rejects.toMatchObject({ code: "timeout", next: "retry" });
    expect(request.state).toBe("approved");
    const settled = once(channel, "settled");
    world.environment.setOnline(true);
    expect(await settled).toEqual({ id: ask.id, state: "approved" });
    expect((await channel.approvals()).items).toMatchObject([{ id: ask.id, state: "approved", here: true }]);
  });

  it("of a phone that knows of no network is told at once", async () => {
    const { world, channel, ask } = await asked(PAYMENT);
    const lost = once(channel, "disconnected");
    world.environment.setOnline(false);
    await lost;
    await expect(channel.answer(ask.id, { decision: "approve", pin: PIN })).rejects.toMatchObject({ code: "offline", next: "go-online" });
  });

  it("for good ends the answer", async () => {
    const { world, channel, ask } = await asked(PAYMENT);
    world.gateway.faults.add("before answer");
    world.gateway.binding!.state = "suspended";
    await expect(channel.answer(ask.id, { decision: "approve", pin: PIN })).rejects.toMatchObject({ code: "closed" });
  });
});

describe("the past", () => {
  it("is read page by page", async () => {
    const { world, channel } = await asked(PAYMENT);
    const older = world.gateway.desk.make(PAYMENT);
    const odd = world.gateway.desk.make({ type: "lottery", fields: {} });
    const newest = world.gateway.desk.make(LOGIN);
    [older.state, odd.state, newest.state] = ["expired", "refused", "cancelled"];
    const first = await channel.approvals();
    expect(first).toMatchObject({ more: true, items: [{ id: toBase64Url(newest.id), state: "cancelled", here: false, at: world.environment.clock }, { statement: null }] });
    const rest = await channel.approvals(first.items[1]!.id);
    expect(rest).toMatchObject({ more: false, items: [{ id: toBase64Url(older.id), state: "expired", statement: PAYMENT }] });
  });
});
