/** A first contact by the typed code, whose S is the one that the phone kept when it first looked. */
import { openDB } from "idb";
import { describe, expect, it } from "vitest";

import { type Bytes, toBase64Url, utf8 } from "../../src/shared/protocol/bytes";
import { typedPsk } from "../../src/shared/protocol/keys";
import { sha256 } from "../../src/shared/protocol/primitives";
import { parseTyped, PhoneStore, rememberBanks } from "../../src/shared/phone-client";
import { findTyped } from "../../src/shared/phone-client/config";
import { HOST } from "./fake-gateway";
import { makeWorld, type World } from "./setup";

const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const BODY = "ABCDE0123456789ABCD";
const TYPED = parseTyped(BODY + CROCKFORD[sha256(utf8("TSR1 typed"), utf8(BODY))[0]! % 32]!);

function put(world: World, path: string, document: object): void {
  world.environment.documents.set(path, { status: 200, body: utf8(JSON.stringify(document)) });
}

function tell(world: World, s: Bytes, tenant = "ten_1"): void {
  put(world, "/phone/v1/config", { host: HOST, name: "Bank", tenants: [{ id: tenant, name: "Bank", s: toBase64Url(s) }] });
  put(world, "/phone/v1/typed/ABCDE", { activation: toBase64Url(world.gateway.activation), tenant, expires: world.gateway.expiry });
}

/** A gateway that waits for a typed code. */
async function makeTyping(): Promise<World> {
  const world = await makeWorld();
  world.gateway.rotation = 0xffff;
  world.gateway.otk.set(typedPsk(TYPED.secret, world.gateway.activation));
  tell(world, world.gateway.s);
  return world;
}

async function otherKey(): Promise<Bytes> {
  return (await makeWorld()).gateway.s;
}

describe("a typed code", () => {
  it("binds, with S out of the gateway's configuration at first sight", async () => {
    const world = await makeTyping();
    const contact = await world.start(TYPED);
    expect(contact.deviceCode.replace(" ", "")).toBe(world.gateway.deviceCode);
  });

  it("needs both documents", async () => {
    const world = await makeTyping();
    world.environment.documents.delete("/phone/v1/typed/ABCDE");
    await expect(world.start(TYPED)).rejects.toMatchObject({ code: "typed-unknown" });
    world.environment.documents.delete("/phone/v1/config");
    await expect(world.start(TYPED)).rejects.toMatchObject({ code: "protocol" });
  });

  it.each(["ten_1", "ten_invented"])("sends nothing under another S for %s than the phone kept", async (tenant) => {
    const world = await makeTyping();
    await rememberBanks({ ...world, host: HOST });
    tell(world, await otherKey(), tenant);
    await expect(world.start(TYPED)).rejects.toMatchObject({ code: "bank-key-changed", next: "scan-again" });
    await rememberBanks({ ...world, host: HOST });
    await expect(world.start(TYPED)).rejects.toMatchObject({ code: "bank-key-changed" });
    expect(world.environment.urls).toEqual([]);
    tell(world, world.gateway.s);
    await world.start(TYPED);
  });

  it("keeps no empty list", async () => {
    const world = await makeTyping();
    put(world, "/phone/v1/config", { host: HOST, name: "Bank", tenants: [] });
    await rememberBanks({ ...world, host: HOST });
    tell(world, world.gateway.s);
    await world.start(TYPED);
  });

  it("takes the S that a scan has bound in place of the one kept", async () => {
    const world = await makeWorld();
    tell(world, await otherKey());
    await rememberBanks({ ...world, host: HOST });
    const phone = { ...world, host: HOST };
    tell(world, world.gateway.s);
    await expect(findTyped(phone, TYPED)).rejects.toMatchObject({ code: "bank-key-changed" });
    await world.bind();
    expect((await findTyped(phone, TYPED)).gatewayStatic).toEqual(world.gateway.s);
    await world.store.forget(await world.bindingId());
    expect((await findTyped(phone, TYPED)).gatewayStatic).toEqual(world.gateway.s);
    tell(world, await otherKey());
    await expect(findTyped(phone, TYPED)).rejects.toMatchObject({ code: "bank-key-changed" });
  });

  it("opens a memory of the version before", async () => {
    const world = await makeWorld();
    const old = await openDB("old-phone", 1, {
      upgrade(opened) {
        opened.createObjectStore("pending", { keyPath: "activation" });
        opened.createObjectStore("bindings", { keyPath: "id" });
        opened.createObjectStore("keys");
      },
    });
    old.close();
    const store = await PhoneStore.open(world.environment, "old-phone");
    await store.writeBanks({ host: HOST, keys: new Map([["ten_1", world.gateway.s]]) });
    expect((await store.readBanks(HOST))?.keys.get("ten_1")).toEqual(world.gateway.s);
    store.close();
  });
});
