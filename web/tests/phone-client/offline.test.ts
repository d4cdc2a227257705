/** Offline codes: opened by the binding and the ratchet key that they are for, answered by digits that never repeat. */
import { describe, expect, it } from "vitest";

import { type Bytes, concat, toBase64Url, unsigned, utf8 } from "../../src/shared/protocol/bytes";
import { offlineAnswer, offlineHint, offlineKeys } from "../../src/shared/protocol/offline";
import { randomBytes } from "../../src/shared/protocol/primitives";
import { answerOffline, openOffline, parseScanned } from "../../src/shared/phone-client";
import { makeStatement, PAYMENT } from "./fake-desk";
import { HOST, TIME } from "./fake-gateway";
import { bound, once, PIN, until, type World } from "./setup";

interface Held {
  readonly index: number;
  readonly psk: Bytes;
}

async function seal(key: Bytes, given: { iv: Bytes; aad: Bytes; plain: Bytes }): Promise<Bytes> {
  const imported = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["encrypt"]);
  const parameters = { name: "AES-GCM", iv: given.iv, additionalData: given.aad };
  return new Uint8Array(await crypto.subtle.encrypt(parameters, imported, given.plain));
}

/** The payload that the gateway shows, written from the specification. */
async function offlineCode(binding: Bytes, statement: Bytes, held: readonly Held[]): Promise<Bytes> {
  const [iv, contentKey] = [randomBytes(12), randomBytes(16)];
  const slots: Bytes[] = [];
  for (const { index, psk } of held) {
    const aad = concat(utf8("TSR1 offline"), binding, unsigned(index, 4));
    slots.push(unsigned(index, 4), await seal(offlineKeys(psk, binding).sealKey, { iv, aad, plain: contentKey }));
  }
  const head = concat(new Uint8Array([3]), offlineHint(binding), iv, new Uint8Array([held.length]), ...slots);
  return concat(head, await seal(contentKey, { iv, aad: head, plain: statement }));
}

/** What the gateway may hold: the index in force, and the next one once `ready` has come. */
function held(world: World): Held[] {
  const { index, psk, nextPsk } = world.gateway.binding!;
  return nextPsk === null ? [{ index, psk }] : [{ index, psk }, { index: index + 1, psk: nextPsk }];
}

function statement(what: object = PAYMENT): Bytes {
  return makeStatement(what, { id: randomBytes(16), created: TIME, expires: TIME + 60 });
}

async function shown(world: World, raw: Bytes, keys = held(world)): Promise<Bytes> {
  return offlineCode(world.gateway.bindingId, raw, keys);
}

describe("an offline code", () => {
  it("is read in the form of either symbol, and says what is asked of whom", async () => {
    const world = await bound();
    const raw = statement();
    const payload = await shown(world, raw);
    const link = `https://${HOST}/a#${toBase64Url(payload)}`;
    expect(parseScanned(payload, HOST)).toEqual({ kind: "offline", payload });
    for (const scanned of [payload, link, utf8(link)]) {
      const ask = await openOffline({ store: world.store, host: HOST, payload: scanned });
      expect(ask).toMatchObject({ bindingId: await world.bindingId(), name: "My phone", tenant: "Bank", pinDigits: 6 });
      expect(ask.statement).toMatchObject({ ...PAYMENT, raw, expires: (TIME + 60) * 1_000 });
    }
  });

  it("is opened after any number of contacts, whichever of two indexes is in force", async () => {
    const world = await bound();
    const channel = await world.open();
    channel.close();
    await until(() => world.environment.locks.length === 0);
    expect(held(world).map(({ index }) => index)).toEqual([0, 1]);
    const raw = statement();
    await openOffline({ store: world.store, host: HOST, payload: await shown(world, raw) });
    // The answer to `ready` was lost: the phone holds both.
    world.gateway.faults.add("after welcome");
    const second = await world.open();
    second.close();
    await openOffline({ store: world.store, host: HOST, payload: await shown(world, raw) });
  });

  it("is none of this phone's, or out of step, and then says so", async () => {
    const world = await bound();
    const raw = statement();
    const foreign = await offlineCode(randomBytes(16), raw, held(world));
    const open = (payload: Uint8Array | string): Promise<unknown> => openOffline({ store: world.store, host: HOST, payload });
    await expect(open(foreign)).rejects.toMatchObject({ code: "offline-foreign", next: "scan-again" });
    const old = await shown(world, raw);
    for (let contact = 0; contact < 2; contact += 1) {
      const channel = await world.open();
      await channel.rename("Phone");
      channel.close();
      await until(() => world.environment.locks.length === 0);
    }
    await expect(open(old)).rejects.toMatchObject({ code: "offline-stale", next: "go-online" });
    await expect(open(await shown(world, raw, [{ index: 2, psk: randomBytes(32) }]))).rejects.toMatchObject({ code: "offline-stale" });
    const altered = await shown(world, raw);
    altered[altered.length - 20]! ^= 1;
    await expect(open(altered)).rejects.toMatchObject({ code: "offline-stale" });
    await expect(open(world.gateway.code)).rejects.toMatchObject({ code: "code-invalid" });
    await expect(open(concat(new Uint8Array([3]), randomBytes(30)))).rejects.toMatchObject({ code: "code-invalid" });
    await expect(open(`https://other.example/a#${toBase64Url(await shown(world, raw))}`)).rejects.toMatchObject({ code: "code-foreign-host" });
    const strange = await shown(world, statement({ type: "lottery", fields: {} }));
    await expect(open(strange)).rejects.toMatchObject({ code: "approval-unreadable", next: "update-app" });
  });

  it("is answered by the digits of its statement, PIN and count, with nothing sent", async () => {
    const world = await bound();
    const raw = statement();
    world.environment.setOnline(false);
    const ask = await openOffline({ store: world.store, host: HOST, payload: await shown(world, raw) });
    const binding = world.gateway.binding!;
    const { answerKey } = offlineKeys(binding.psk, world.gateway.bindingId);
    for (const counter of [0, 1, 2]) {
      const digits = await answerOffline({ store: world.store, ask, pin: PIN });
      expect(digits).toMatch(new RegExp(`^0${counter}[0-9]{6}$`));
      expect(digits).toBe(offlineAnswer({ answerKey, counter, statement: raw, verifier: binding.verifier }));
      expect((await world.store.readBinding(ask.bindingId))!.offlineAnswers).toBe(counter + 1);
    }
    await expect(answerOffline({ store: world.store, ask, pin: "123" })).rejects.toMatchObject({ code: "pin-format", details: { digits: 6 } });
    const both = await Promise.all([1, 2].map(() => answerOffline({ store: world.store, ask, pin: PIN })));
    expect(both.map((digits) => digits.slice(0, 2)).sort()).toEqual(["03", "04"]);
  });

  it("is answered with the verifier of a new PIN once that is in force, and not before that is known", async () => {
    const world = await bound();
    const channel = await world.open();
    await channel.changePin(PIN, "739462");
    const raw = statement();
    const ask = await openOffline({ store: world.store, host: HOST, payload: await shown(world, raw) });
    const { psk, verifier } = world.gateway.binding!;
    const { answerKey } = offlineKeys(psk, world.gateway.bindingId);
    expect(await answerOffline({ store: world.store, ask, pin: "739462" })).toBe(offlineAnswer({ answerKey, counter: 0, statement: raw, verifier }));
    world.gateway.faults.add("before pin-enrol");
    const back = once(channel, "reconnected");
    await expect(channel.changePin("739462", PIN)).rejects.toMatchObject({ code: "connection-lost" });
    await back;
    await expect(answerOffline({ store: world.store, ask, pin: PIN })).rejects.toMatchObject({ code: "offline-unsettled", next: "go-online" });
  });

  it("that the ratchet has left behind since is not answered", async () => {
    const world = await bound();
    const ask = await openOffline({ store: world.store, host: HOST, payload: await shown(world, statement()) });
    await world.open();
    await expect(answerOffline({ store: world.store, ask, pin: PIN })).rejects.toMatchObject({ code: "offline-stale" });
    expect((await world.store.readBinding(ask.bindingId))!.offlineAnswers).toBe(0);
  });

  it("leaves a count that the gateway hears of at the next contact", async () => {
    const world = await bound();
    (await world.open()).close();
    await until(() => world.environment.locks.length === 0);
    expect(world.gateway.desk.counted).toBeNull();
    const ask = await openOffline({ store: world.store, host: HOST, payload: await shown(world, statement()) });
    await answerOffline({ store: world.store, ask, pin: PIN });
    await answerOffline({ store: world.store, ask, pin: PIN });
    await world.open();
    await until(() => world.gateway.desk.counted === 2);
    expect((await world.store.readBinding(ask.bindingId))!.offlineAnswers).toBe(2);
  });
});
