/** First contact against a scripted gateway through losses: every answer lost once, reloads, a phone that is offline. */
import { describe, expect, it } from "vitest";

import { HOST } from "./fake-gateway";
import { activationCode, makeWorld, once, PIN, until } from "./setup";

const LOSSES = ["before hello", "after m2", "before bind", "after pending"];

describe("first contact through losses", () => {
  it.each(LOSSES)("begins although the connection is lost %s", async (fault) => {
    const world = await makeWorld();
    world.gateway.faults.add(fault);
    const contact = await world.start();
    expect(world.gateway.faults.size).toBe(0);
    expect(contact.deviceCode.replace(" ", "")).toBe(world.gateway.deviceCode);
  });

  it("takes a lost connection up again with the same key and rotation, and another device code", async () => {
    const world = await makeWorld();
    const contact = await world.start();
    const before = contact.deviceCode;
    const [lost, back] = [once(contact, "disconnected"), once(contact, "reconnected")];
    world.gateway.hangUp();
    await lost;
    expect(await back).toMatchObject({ step: "waiting", deviceCode: contact.deviceCode });
    expect(contact.deviceCode).not.toBe(before);
    expect(contact.deviceCode.replace(" ", "")).toBe(world.gateway.deviceCode);
    expect(world.gateway.hellos.map(({ counter }) => counter)).toEqual([3, 3]);
  });

  it("waits for the network, and hears of a confirmation that came meanwhile", async () => {
    const world = await makeWorld();
    const contact = await world.start();
    const lost = once(contact, "disconnected");
    world.environment.setOnline(false);
    expect(await lost).toEqual({ waitMs: null });
    world.gateway.confirmed = true;
    const back = once(contact, "reconnected");
    world.environment.setOnline(true);
    expect(await back).toMatchObject({ step: "pin" });
    expect(await contact.choosePin(PIN)).toMatchObject({ state: "active" });
  });

  it("takes up again when the confirmation itself is lost", async () => {
    const world = await makeWorld();
    const contact = await world.start();
    world.gateway.faults.add("after confirmed");
    const back = once(contact, "reconnected");
    await world.gateway.confirm();
    expect(await back).toMatchObject({ step: "pin" });
  });

  it.each(["before pin-evaluate", "after pin-evaluated", "before commit", "after active"])(
    "commits although the connection is lost %s",
    async (fault) => {
      const world = await makeWorld();
      const contact = await world.start();
      const confirmed = once(contact, "confirmed");
      await world.gateway.confirm();
      await confirmed;
      world.gateway.faults.add(fault);
      const binding = await contact.choosePin(PIN);
      expect(world.gateway.faults.size).toBe(0);
      expect(binding.state).toBe("active");
      expect(await world.store.pending()).toHaveLength(0);
      await contact.channel!.provePin(PIN);
      contact.channel!.close();
      await until(() => world.environment.locks.length === 0);
      const channel = await world.open();
      await channel.provePin(PIN);
    },
  );

  it("two-step: keeps the nonce of code 2 across a lost connection", async () => {
    const world = await makeWorld();
    world.gateway.twoStep = true;
    const contact = await world.start();
    const confirmed = once(contact, "confirmed");
    await world.gateway.confirm();
    await confirmed;
    await contact.code2(world.gateway.code2);
    const back = once(contact, "reconnected");
    world.gateway.hangUp();
    expect(await back).toMatchObject({ step: "pin" });
    world.gateway.faults.add("before commit");
    expect(await contact.choosePin(PIN)).toMatchObject({ state: "active" });
  });

  it("tries by itself again when the bank's key store is away at bind", async () => {
    const world = await makeWorld();
    const contact = await world.start();
    world.gateway.outages.add("bind");
    const back = once(contact, "reconnected");
    world.gateway.hangUp();
    expect(await back).toMatchObject({ step: "waiting" });
    expect(world.gateway.outages.size).toBe(0);
  });

  it.each(["pin-evaluate", "commit"])("two-step: the same code 2 and PIN serve again after an outage at %s", async (message) => {
    const world = await makeWorld();
    world.gateway.twoStep = true;
    const contact = await world.start();
    const confirmed = once(contact, "confirmed");
    await world.gateway.confirm();
    await confirmed;
    await contact.code2(world.gateway.code2);
    world.gateway.outages.add(message);
    await expect(contact.choosePin(PIN)).rejects.toMatchObject({ code: "problem", next: "retry", details: { problem: "unavailable" } });
    expect(contact.step).toBe("pin");
    expect(await contact.choosePin(PIN)).toMatchObject({ state: "active" });
  });

  it("settles by itself after a reload when the answer to commit was lost", async () => {
    const world = await makeWorld();
    const contact = await world.start();
    const confirmed = once(contact, "confirmed");
    await world.gateway.confirm();
    await confirmed;
    world.gateway.faults.add("after active");
    const gone = contact.choosePin(PIN).catch((error: unknown) => error);
    await once(contact, "disconnected");
    contact.close();
    expect(await gone).toMatchObject({ name: "PhoneClientError" });
    expect(await world.store.list()).toMatchObject([{ state: "committing" }]);
    await until(() => world.environment.locks.length === 0);
    const channel = await world.open();
    await channel.provePin(PIN);
    expect(await world.store.list()).toMatchObject([{ state: "active" }]);
    expect(await world.store.pending()).toHaveLength(0);
  });

  it("says that a binding was never finished, and takes first contact up after a reload", async () => {
    const world = await makeWorld();
    const contact = await world.start();
    const confirmed = once(contact, "confirmed");
    await world.gateway.confirm();
    await confirmed;
    world.gateway.faults.add("before commit");
    const gone = contact.choosePin(PIN).catch((error: unknown) => error);
    await once(contact, "disconnected");
    contact.close();
    await gone;
    await until(() => world.environment.locks.length === 0);
    await expect(world.open()).rejects.toMatchObject({ code: "not-committed" });
    expect(await world.store.list()).toHaveLength(1);
    const [pending] = await world.store.pending();
    expect(pending).toMatchObject({ kind: "pending", tenant: "Bank", host: HOST });
    const again = await world.start(pending);
    expect(again.step).toBe("pin");
    expect(await again.choosePin(PIN)).toMatchObject({ state: "active" });
    expect(await world.store.list()).toHaveLength(1);
  });

  it("comes again with the rotation it came with, whatever is scanned after a reload", async () => {
    const world = await makeWorld();
    const contact = await world.start();
    contact.close();
    await until(() => world.environment.locks.length === 0);
    const code = activationCode(world.gateway);
    await world.start({ ...code, rotation: 9, psk: new Uint8Array(32) });
    expect(world.gateway.hellos.map(({ counter }) => counter)).toEqual([3, 3]);
  });

  it("gives up when the activation's time is over", async () => {
    const world = await makeWorld();
    const contact = await world.start();
    const ended = once(contact, "ended");
    world.environment.clock = contact.expires;
    world.gateway.hangUp();
    expect(await ended).toMatchObject({ reason: "expired" });
  });

  it("forgets the keys of an activation that is left, or over", async () => {
    const world = await makeWorld();
    const contact = await world.start();
    expect(await world.store.pending()).toHaveLength(1);
    await contact.cancel();
    expect(await world.store.pending()).toHaveLength(0);
  });

  it.each([false, true])("tells the gateway that the person cancels (device code confirmed: %s)", async (confirmed) => {
    const world = await makeWorld();
    const contact = await world.start();
    if (confirmed) {
      const heard = once(contact, "confirmed");
      await world.gateway.confirm();
      await heard;
    }
    let told = false;
    contact.on("ended", () => {
      told = true;
    });
    await contact.cancel();
    expect(world.gateway.ended).toBe("cancelled");
    expect(world.gateway.heard.at(-1)).toBe("cancel");
    expect(told).toBe(false);
    expect(await world.store.pending()).toHaveLength(0);
    await until(() => world.environment.locks.length === 0);
  });

  it("forgets a cancelled activation even when the gateway does not hear", async () => {
    const world = await makeWorld();
    const contact = await world.start();
    world.gateway.faults.add("after ended");
    await contact.cancel();
    expect(await world.store.pending()).toHaveLength(0);

    const away = await makeWorld();
    const lost = await away.start();
    away.environment.setOnline(false);
    await lost.cancel();
    expect(away.gateway.heard).not.toContain("cancel");
    expect(await away.store.pending()).toHaveLength(0);
  });

  it("ends at a message that the specification does not know", async () => {
    const world = await makeWorld();
    const contact = await world.start();
    const ended = once(contact, "ended");
    await world.gateway.say({ t: "pong", time: 1 });
    expect(await ended).toMatchObject({ error: { code: "protocol", next: "update-app" } });
  });

  it("can begin again with the same scanned code after a failure", async () => {
    const world = await makeWorld();
    const code = activationCode(world.gateway);
    world.environment.setOnline(false);
    await expect(world.start(code)).rejects.toMatchObject({ code: "offline" });
    world.environment.setOnline(true);
    expect((await world.start(code)).step).toBe("waiting");
  });

  it("does not wait for ever when offline at the start", async () => {
    const world = await makeWorld();
    world.environment.setOnline(false);
    await expect(world.start()).rejects.toMatchObject({ code: "offline", next: "go-online" });
  });
});
