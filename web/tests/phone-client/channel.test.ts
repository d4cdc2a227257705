/** Later contacts against a scripted gateway: the ratchet with every answer lost once, clones, the PIN, keep-alive. */
import { describe, expect, it } from "vitest";

import { toBase64Url } from "../../src/shared/protocol/bytes";
import { PhoneClientError } from "../../src/shared/phone-client";
import { bound, once, PIN, until, type World } from "./setup";

const OTHER_PIN = "739462";
const PING_EVERY_MS = 25_000;

async function index(world: World): Promise<number> {
  return (await world.store.readBinding(await world.bindingId()))!.ratchet.index;
}

describe("the ratchet", () => {
  it("turns once a contact, on both sides alike", async () => {
    const world = await bound();
    for (let contact = 0; contact < 3; contact += 1) {
      expect(await index(world)).toBe(contact);
      const channel = await world.open();
      expect(await index(world)).toBe(contact + 1);
      expect(world.gateway.binding).toMatchObject({ index: contact, state: "active" });
      channel.close();
      await until(() => world.environment.locks.length === 0);
    }
    expect(world.gateway.hellos.slice(1)).toEqual([0, 1, 2].map((counter) => ({ suite: 3, counter })));
  });

  it.each([
    ["before hello", [0, 0]],
    ["after m2", [0, 0]],
    ["before ready", [0, 0]],
    ["after welcome", [0, 0]],
    ["after pong", [0, 1]],
  ])("locks nobody out when the connection is lost %s", async (fault, counters) => {
    const world = await bound();
    world.gateway.faults.add(fault);
    const channel = await world.open();
    if (fault === "after pong") {
      const back = once(channel, "reconnected");
      await expect(channel.ping()).rejects.toMatchObject({ code: "connection-lost" });
      await back;
    }
    expect(world.gateway.faults.size).toBe(0);
    expect(world.gateway.hellos.slice(1).map(({ counter }) => counter)).toEqual(counters);
    await channel.provePin(PIN);
    expect(await index(world)).toBe(counters[1]! + 1);
    expect(world.gateway.clone).toBe(false);
  });

  it("keeps the old key until welcome, and only the new one after it", async () => {
    const world = await bound();
    const before = (await world.store.readBinding(await world.bindingId()))!.ratchet;
    world.gateway.faults.add("after welcome");
    world.environment.setOnline(true);
    const opening = world.open();
    await until(async () => (await world.store.readBinding(await world.bindingId()))!.ratchet.next !== null);
    const during = (await world.store.readBinding(await world.bindingId()))!.ratchet;
    expect(during).toMatchObject({ index: 0, psk: before.psk });
    await opening;
    const after = (await world.store.readBinding(await world.bindingId()))!.ratchet;
    expect(after).toMatchObject({ index: 1, next: null });
    expect(after.psk).not.toEqual(before.psk);
  });

  it("signs the challenge for a stale index, and shows that the binding is suspended without erasing it", async () => {
    const world = await bound();
    const id = await world.bindingId();
    const old = (await world.store.readBinding(id))!;
    for (let contact = 0; contact < 2; contact += 1) {
      (await world.open()).close();
      await until(() => world.environment.locks.length === 0);
    }
    await world.store.writeBinding(old);
    await expect(world.open()).rejects.toMatchObject({ code: "suspended", next: "contact-bank" });
    expect(world.gateway.clone).toBe(true);
    expect(await world.store.list()).toHaveLength(1);
    expect(world.environment.locks).toEqual([]);
  });

  it("is no clone when somebody on the wire altered its hello", async () => {
    const world = await bound();
    const honest = world.gateway.garble;
    world.gateway.garble = (hello) => hello.map((byte, place) => (place === 22 ? byte ^ 16 : byte));
    await expect(world.open()).rejects.toMatchObject({ code: "problem", next: "retry" });
    expect(world.gateway.clone).toBe(false);
    world.gateway.garble = honest;
    expect((await world.open()).state.state).toBe("active");
  });

  it("runs the hybrid suite when it is due, or when the gateway asks for it", async () => {
    const world = await bound();
    world.gateway.hybridDue = 0;
    const first = await world.open();
    expect(world.gateway.hellos.slice(1).map(({ suite }) => suite)).toEqual([3, 4]);
    first.close();
    await until(() => world.environment.locks.length === 0);
    world.environment.clock += 2 * 86_400_000;
    await world.open();
    expect(world.gateway.hellos.slice(1).map(({ suite }) => suite)).toEqual([3, 4, 4]);
  });

  it("is run by one tab at a time", async () => {
    const world = await bound();
    const channel = await world.open();
    await expect(world.open()).rejects.toMatchObject({ code: "other-tab" });
    channel.close();
    await until(() => world.environment.locks.length === 0);
    await world.open();
  });
});

describe("the channel", () => {
  it("knows its state", async () => {
    const world = await bound();
    const channel = await world.open();
    expect(channel.state).toEqual({
      state: "active",
      tenant: "Bank",
      label: "Account 1",
      name: "My phone",
      pin: { digits: 6, left: 5, blockedUntil: null },
    });
    expect(channel.connected).toBe(true);
  });

  it("pings, and takes up a connection whose pings are not answered", async () => {
    const world = await bound();
    const channel = await world.open();
    expect(world.environment.ring(PING_EVERY_MS)).toBe(1);
    await until(() => world.gateway.heard.includes("ping"));
    await until(() => world.environment.ring(PING_EVERY_MS) === 1);
    world.gateway.faults.add("before ping");
    const [lost, back] = [once(channel, "disconnected"), once(channel, "reconnected")];
    await until(() => world.environment.ring(PING_EVERY_MS) === 1 || !world.gateway.faults.has("before ping"));
    await lost;
    expect(await back).toMatchObject({ state: "active" });
    await channel.provePin(PIN);
  });

  it("closes while the phone is offline, and comes back with the network", async () => {
    const world = await bound();
    const channel = await world.open();
    const lost = once(channel, "disconnected");
    world.environment.setOnline(false);
    expect(await lost).toEqual({ waitMs: null });
    expect(channel.connected).toBe(false);
    await expect(channel.rename("x")).rejects.toMatchObject({ code: "offline" });
    const back = once(channel, "reconnected");
    world.environment.setOnline(true);
    await back;
    expect(await channel.rename("  Téléphone ")).toBe("Téléphone");
    expect(await world.store.list()).toMatchObject([{ name: "Téléphone" }]);
    await expect(channel.rename(" ")).rejects.toMatchObject({ code: "name-invalid" });
  });

  it.each(["suspended", "removed"] as const)("ends when the bank says %s", async (state) => {
    const world = await bound();
    const channel = await world.open();
    const [told, closed] = [once(channel, "state"), once(channel, "closed")];
    await world.gateway.setState(state);
    expect(await told).toMatchObject({ state });
    expect(await closed).toMatchObject({ error: { code: state } });
    expect(await world.store.list()).toMatchObject([{ state }]);
    await until(() => world.environment.locks.length === 0);
    await expect(world.open()).rejects.toMatchObject({ code: state === "suspended" ? "suspended" : "unknown" });
    expect(await world.store.list()).toHaveLength(1);
  });

  it("removes itself at the customer's wish, keys and all", async () => {
    const world = await bound();
    const channel = await world.open();
    const closed = once(channel, "closed");
    await channel.remove();
    expect(await closed).toEqual({ error: null });
    expect(await world.store.list()).toEqual([]);
    await expect(channel.provePin(PIN)).rejects.toMatchObject({ code: "closed" });
    await expect(world.open()).rejects.toBeInstanceOf(PhoneClientError);
  });

  it("ends for good at a message that the specification does not know", async () => {
    const world = await bound();
    const channel = await world.open();
    const closed = once(channel, "closed");
    await world.gateway.say({ t: "active", added: 1 });
    expect(await closed).toMatchObject({ error: { code: "protocol" } });
  });
});

/** Tells two non-extractable HMAC keys apart. */
async function mark(key: CryptoKey): Promise<string> {
  return toBase64Url(new Uint8Array(await crypto.subtle.sign("HMAC", key, new Uint8Array(1))));
}

describe("the PIN", () => {
  it("is proved; a wrong one says what is left, and then until when it is blocked", async () => {
    const world = await bound();
    const channel = await world.open();
    await channel.provePin(PIN);
    await expect(channel.provePin("12345")).rejects.toMatchObject({ code: "pin-format" });
    for (const left of [4, 3, 2, 1]) {
      await expect(channel.provePin(OTHER_PIN)).rejects.toMatchObject({ code: "pin-wrong", details: { left } });
      expect(channel.state.pin.left).toBe(left);
    }
    // 400 s of the gateway's clock, which runs 100 s ahead.
    const until = world.environment.clock + 300_000;
    await expect(channel.provePin(OTHER_PIN)).rejects.toMatchObject({ code: "pin-blocked", next: "wait", details: { until } });
    await expect(channel.provePin(PIN)).rejects.toMatchObject({ code: "pin-blocked", details: { until } });
    world.gateway.blockedUntil = null;
    await expect(channel.provePin(PIN)).rejects.toMatchObject({ code: "pin-blocked", next: "contact-bank" });
  });

  it("is known to be unblocked once the channel is taken up anew", async () => {
    const world = await bound();
    const channel = await world.open();
    for (let tries = 0; tries < 5; tries += 1) await expect(channel.provePin(OTHER_PIN)).rejects.toBeInstanceOf(PhoneClientError);
    expect(channel.state.pin.left).toBe(0);
    world.gateway.left = 5;
    world.gateway.blockedUntil = null;
    const back = once(channel, "reconnected");
    await channel.renew();
    await back;
    expect(channel.state.pin).toMatchObject({ left: 5, blockedUntil: null });
    await channel.provePin(PIN);
  });

  it("is changed under a new device secret", async () => {
    const world = await bound();
    const channel = await world.open();
    await expect(channel.changePin(PIN, "123456")).rejects.toMatchObject({ code: "pin-weak" });
    await expect(channel.changePin(OTHER_PIN, OTHER_PIN)).rejects.toMatchObject({ code: "pin-wrong" });
    const before = (await world.store.readBinding(channel.bindingId))!.deviceSecret;
    await channel.changePin(PIN, OTHER_PIN);
    const after = (await world.store.readBinding(channel.bindingId))!;
    expect(after.nextDeviceSecret).toBeNull();
    expect(await mark(after.deviceSecret)).not.toBe(await mark(before));
    await channel.provePin(OTHER_PIN);
    await expect(channel.provePin(PIN)).rejects.toMatchObject({ code: "pin-wrong" });
  });

  it.each([
    ["before pin-enrol", PIN],
    ["after pin-enrolled", OTHER_PIN],
  ])("knows the right one although its change is lost %s", async (fault, right) => {
    const world = await bound();
    const channel = await world.open();
    world.gateway.faults.add(fault);
    const back = once(channel, "reconnected");
    await expect(channel.changePin(PIN, OTHER_PIN)).rejects.toMatchObject({ code: "connection-lost" });
    await back;
    expect((await world.store.readBinding(channel.bindingId))!.nextDeviceSecret).not.toBeNull();
    await channel.provePin(right);
    expect((await world.store.readBinding(channel.bindingId))!.nextDeviceSecret).toBeNull();
    await channel.provePin(right);
  });
});
