/** The bank's key S is rotated between contacts: the phone moves with the ratchet, and no loss locks it out. */
import { describe, expect, it } from "vitest";

import { toBase64Url } from "../../src/shared/protocol/bytes";
import { rememberBanks } from "../../src/shared/phone-client";
import type { BindingRecord } from "../../src/shared/phone-client/records";
import { HOST } from "./fake-gateway";
import { bound, PIN, until, type World } from "./setup";

async function record(world: World): Promise<BindingRecord> {
  return (await world.store.readBinding(await world.bindingId()))!;
}

/** A contact, to its end. */
async function come(world: World): Promise<void> {
  (await world.open()).close();
  await until(() => world.environment.locks.length === 0);
}

describe("a phone whose bank has another S", () => {
  it("moves at its next contact, and needs the old one no more", async () => {
    const world = await bound();
    const before = await record(world);
    await world.gateway.rotate();
    await come(world);
    expect((await record(world)).gatewayStatic).toEqual(world.gateway.s);
    expect((await record(world)).gatewayStatic).not.toEqual(before.gatewayStatic);
    world.gateway.retire();
    await come(world);
    expect((await record(world)).ratchet.index).toBe(2);
    expect(world.gateway.clone).toBe(false);
  });

  it("moves over several rotations at once, and in the hybrid suite", async () => {
    const world = await bound();
    for (let turn = 0; turn < 3; turn += 1) await world.gateway.rotate();
    world.gateway.hybridDue = 0;
    await come(world);
    await world.gateway.rotate();
    world.environment.clock += 2 * 86_400_000;
    await come(world);
    expect(world.gateway.hellos.slice(1).map(({ suite }) => suite)).toContain(4);
    await (await world.open()).provePin(PIN);
    expect((await record(world)).gatewayStatic).toEqual(world.gateway.s);
    expect(world.gateway.clone).toBe(false);
  });

  it.each(["before hello", "after m2", "before ready", "after welcome"])("comes under the S it has when the connection is lost %s", async (fault) => {
    const world = await bound();
    await world.gateway.rotate();
    world.gateway.faults.add(fault);
    await come(world);
    expect(world.gateway.faults.size).toBe(0);
    expect(world.gateway.hellos.slice(1).map(({ counter }) => counter)).toEqual([0, 0]);
    await world.gateway.rotate();
    world.gateway.faults.add(fault);
    await (await world.open()).provePin(PIN);
    expect((await record(world)).gatewayStatic).toEqual(world.gateway.s);
    expect(world.gateway.clone).toBe(false);
  });

  it("that is rotated once more while welcome was lost takes the newest", async () => {
    const world = await bound();
    await world.gateway.rotate();
    world.gateway.faults.add("after welcome");
    const opening = world.open();
    await until(() => world.gateway.faults.size === 0);
    await world.gateway.rotate();
    await opening;
    expect((await record(world)).gatewayStatic).toEqual(world.gateway.s);
  });

  it("that dies before or after its one write comes again", async () => {
    const world = await bound();
    const before = await record(world);
    await world.gateway.rotate();
    await come(world);
    const after = await record(world);
    await world.store.writeBinding(before); // killed before the write: index and S are the old ones
    await come(world);
    expect((await record(world)).ratchet.index).toBe(after.ratchet.index);
    expect(world.gateway.clone).toBe(false);
    await come(world);
    expect((await record(world)).gatewayStatic).toEqual(world.gateway.s);
  });

  it("stores nothing of a welcome whose key is no point", async () => {
    const world = await bound();
    await world.gateway.rotate();
    world.gateway.falsePoint = new Uint8Array(65).fill(4);
    await expect(world.open()).rejects.toMatchObject({ code: "protocol" });
    expect((await record(world)).ratchet.index).toBe(0);
    await until(() => world.environment.locks.length === 0);
    world.gateway.falsePoint = null;
    await come(world);
    expect((await record(world)).gatewayStatic).toEqual(world.gateway.s);
  });

  it("keeps the new S for typed codes too, also once the binding is gone", async () => {
    const world = await bound();
    const config = { host: HOST, name: "Bank", tenants: [{ id: "ten_1", name: "Bank", s: toBase64Url(world.gateway.s) }] };
    world.environment.documents.set("/phone/v1/config", { status: 200, body: new TextEncoder().encode(JSON.stringify(config)) });
    await rememberBanks({ ...world, host: HOST });
    const stranger = new Uint8Array(33).fill(2);
    await world.store.writeBanks({ host: HOST, keys: new Map([...(await world.store.readBanks(HOST))!.keys, ["ten_2", stranger]]) });
    await world.gateway.rotate();
    await come(world);
    await world.store.forget(await world.bindingId());
    const kept = (await world.store.readBanks(HOST))!.keys;
    expect(kept.get("ten_1")).toEqual(world.gateway.s);
    expect(kept.get("ten_2")).toEqual(stranger);
  });

  it("is told when its key was given up before it came, and erases nothing", async () => {
    const world = await bound();
    await world.gateway.rotate();
    world.gateway.retire();
    await expect(world.open()).rejects.toMatchObject({ code: "retired", next: "new-activation" });
    expect(await world.store.list()).toHaveLength(1);
    expect(world.gateway.clone).toBe(false);
  });
});
