/** Messages, wake-ups and the biometric credential on an open channel. */
import { describe, expect, it } from "vitest";

import { equalBytes, toBase64Url } from "../../src/shared/protocol/bytes";
import { randomBytes, sha256 } from "../../src/shared/protocol/primitives";
import { type Ask, type Channel, PhoneClientError, type PushTarget, supportsBiometric } from "../../src/shared/phone-client";
import { type FakeRequest, PAYMENT } from "./fake-desk";
import { bound, once, PIN, until, type World } from "./setup";

async function opened(prepare: (world: World) => void = () => undefined): Promise<{ world: World; channel: Channel }> {
  const world = await bound();
  prepare(world);
  const channel = await world.open();
  await until(() => channel.biometric !== null);
  return { world, channel };
}

function message(world: World, title: string): Uint8Array {
  const id = randomBytes(16);
  world.gateway.desk.messages.push({ id, title, body: "Bonjour,\nvotre carte.", read: false });
  return id;
}

describe("messages", () => {
  it("are counted, read page by page, and read for good", async () => {
    const { world, channel } = await opened((made) => {
      for (const title of ["one", "two", "three"]) message(made, title);
    });
    expect(channel.inboxUnread).toBe(3);
    const first = await channel.inbox();
    expect(first).toMatchObject({ more: true, unread: 3, items: [{ title: "three", body: "Bonjour,\nvotre carte.", at: world.environment.clock, expires: null, read: false }, { title: "two" }] });
    expect(await channel.inbox(first.items[1]!.id)).toMatchObject({ more: false, items: [{ title: "one" }] });
    const told = once(channel, "unread");
    expect(await channel.markRead(first.items[0]!.id)).toBe(2);
    expect(await told).toEqual({ count: 2 });
    expect(channel.inboxUnread).toBe(2);
    const more = once(channel, "unread");
    await world.gateway.say({ t: "unread", count: 7 });
    expect(await more).toEqual({ count: 7 });
  });

  it("are counted anew after a lost connection", async () => {
    const { world, channel } = await opened();
    const told = once(channel, "unread");
    const back = once(channel, "reconnected");
    message(world, "one");
    world.gateway.hangUp();
    await back;
    expect(await told).toEqual({ count: 1 });
  });
});

describe("wake-ups", () => {
  function target(keys: Partial<Record<PushEncryptionKeyName, Uint8Array<ArrayBuffer>>>, endpoint = "https://push.example/1"): PushTarget {
    return { endpoint, getKey: (name) => keys[name]?.buffer ?? null };
  }

  it("are subscribed with the key that the gateway told, and given up", async () => {
    const { world, channel } = await opened();
    expect(channel.push?.subscribed).toBe(false);
    expect(equalBytes(channel.push!.key, world.gateway.desk.pushKey)).toBe(true);
    const told = once(channel, "push");
    const keys = { p256dh: randomBytes(65), auth: randomBytes(16) };
    await channel.subscribePush(target(keys));
    await told;
    expect(channel.push?.subscribed).toBe(true);
    expect(world.gateway.desk.subscription).toMatchObject({ endpoint: "https://push.example/1", p256dh: toBase64Url(keys.p256dh), auth: toBase64Url(keys.auth) });
    await channel.unsubscribePush();
    expect(channel.push?.subscribed).toBe(false);
    expect(world.gateway.desk.subscription).toBeNull();
  });

  it("are not subscribed with what no push service gives", async () => {
    const { world, channel } = await opened();
    const keys = { p256dh: randomBytes(65), auth: randomBytes(16) };
    const wrong = [target({ p256dh: keys.p256dh }), target({ ...keys, auth: randomBytes(15) }), target(keys, "http://push.example/1"), target(keys, `https://push.example/${"x".repeat(2_048)}`)];
    for (const subscription of wrong) await expect(channel.subscribePush(subscription)).rejects.toMatchObject({ code: "push-invalid" });
    expect(world.gateway.heard).not.toContain("push-subscribe");
  });
});

describe("the biometric credential", () => {
  async function asked(world: World, channel: Channel): Promise<{ ask: Ask; request: FakeRequest }> {
    const told = once(channel, "asked");
    const request = await world.gateway.ask(PAYMENT);
    return { ...((await told) as { ask: Ask }), request };
  }

  it("is made after the PIN, for the host alone, and answers in place of the PIN", async () => {
    const { world, channel } = await opened();
    expect(await supportsBiometric(world.environment)).toBe(true);
    expect(channel.biometric).toEqual({ policy: "optional", enrolled: false });
    await expect(channel.enrolBiometric("739462")).rejects.toMatchObject({ code: "pin-wrong" });
    const told = once(channel, "biometric");
    await channel.enrolBiometric(PIN);
    await told;
    expect(channel.biometric).toEqual({ policy: "optional", enrolled: true });
    expect(world.environment.credentials.wishes[0]).toMatchObject({ rpId: "bank.example", rpName: "Bank", userName: "Account 1" });
    const { ask, request } = await asked(world, channel);
    expect(await channel.answer(ask.id, { decision: "approve", biometric: true })).toBe("approved");
    expect(request.answers).toBe(1);
    await channel.removeBiometric();
    expect(channel.biometric?.enrolled).toBe(false);
    const second = await asked(world, channel);
    await expect(channel.answer(second.ask.id, { decision: "approve", biometric: true })).rejects.toMatchObject({ code: "biometric-missing", next: "use-pin" });
    expect(await channel.answer(second.ask.id, { decision: "approve", pin: PIN })).toBe("approved");
  });

  it("is made anew each time", async () => {
    const { world, channel } = await opened();
    await channel.enrolBiometric(PIN);
    const before = world.gateway.desk.credential!.key;
    await channel.enrolBiometric(PIN);
    expect(equalBytes(world.gateway.desk.credential!.key, before)).toBe(false);
    const { ask } = await asked(world, channel);
    expect(await channel.answer(ask.id, { decision: "approve", biometric: true })).toBe("approved");
  });

  it("that the person does not give leaves the request waiting", async () => {
    const { world, channel } = await opened();
    await channel.enrolBiometric(PIN);
    const { ask, request } = await asked(world, channel);
    world.environment.credentials.touch = () => Promise.reject(new PhoneClientError("biometric-cancelled"));
    await expect(channel.answer(ask.id, { decision: "approve", biometric: true })).rejects.toMatchObject({ code: "biometric-cancelled", next: "retry" });
    expect(request).toMatchObject({ state: "pending", left: 5 });
    await expect(channel.enrolBiometric(PIN)).rejects.toMatchObject({ code: "biometric-cancelled" });
    expect(channel.biometric?.enrolled).toBe(true);
  });

  it("is asked for again on the connection that follows a lost one", async () => {
    const { world, channel } = await opened();
    await channel.enrolBiometric(PIN);
    const { ask, request } = await asked(world, channel);
    world.gateway.faults.add("before answer");
    expect(await channel.answer(ask.id, { decision: "approve", biometric: true })).toBe("approved");
    const challenges = world.environment.credentials.wishes.slice(1).map(({ challenge }) => toBase64Url(sha256(challenge)));
    expect(new Set(challenges).size).toBe(2);
    expect(request.answers).toBe(1);
  });

  it("is asked for no longer when the connection goes, or when somebody else has answered", async () => {
    const { world, channel } = await opened();
    await channel.enrolBiometric(PIN);
    const { ask, request } = await asked(world, channel);
    const { credentials } = world.environment;
    credentials.touch = () => new Promise(() => undefined);
    const answer = channel.answer(ask.id, { decision: "approve", biometric: true });
    await until(() => credentials.wishes.length === 2);
    world.gateway.hangUp();
    await until(() => credentials.wishes.length === 3);
    await world.gateway.settle(request, "refused");
    await expect(answer).rejects.toMatchObject({ code: "approval-ended", details: { state: "refused" } });
  });

  it.each(["after biometric-challenge", "after biometric-state"])("is known to be there or not, lost %s", async (fault) => {
    const { world, channel } = await opened();
    world.gateway.faults.add(fault);
    const back = once(channel, "reconnected");
    await expect(channel.enrolBiometric(PIN)).rejects.toMatchObject({ code: "connection-lost" });
    await back;
    await channel.ping();
    expect(channel.biometric?.enrolled).toBe(world.gateway.desk.credential !== null);
  });
});
