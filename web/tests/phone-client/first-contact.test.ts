/** First contact against a scripted gateway: the whole way, the two steps, refusals. */
import { describe, expect, it } from "vitest";

import { toBase64Url, unsigned, utf8 } from "../../src/shared/protocol/bytes";
import { sha256 } from "../../src/shared/protocol/primitives";
import { PhoneStore } from "../../src/shared/phone-client";
import { FakeEnvironment } from "./fake-environment";
import { HOST } from "./fake-gateway";
import { activationCode, makeWorld, once, PIN, until } from "./setup";

const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

function crockford(bytes: Uint8Array, purpose: string): string {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  let body = "";
  for (let place = 15n; place >= 0n; place -= 1n) body += CROCKFORD[Number((value >> (5n * place)) & 31n)]!;
  return body + CROCKFORD[sha256(utf8(purpose), utf8(body))[0]! % 32]!;
}

describe("first contact", () => {
  it("binds in one step, and goes on as a channel", async () => {
    const world = await makeWorld();
    const contact = await world.start();
    expect(world.environment.urls).toEqual([`wss://${HOST}/phone/v1/channel`]);
    expect({ tenant: contact.tenant, label: contact.label, twoStep: contact.twoStep }).toEqual({ tenant: "Bank", label: "Account 1", twoStep: false });
    expect(contact.deviceCode.replace(" ", "")).toBe(world.gateway.deviceCode);
    expect(contact.deviceCode).toMatch(/^\d{4} \d{4}$/);
    // 300 s of the gateway's clock remain, which runs 100 s ahead of the phone's.
    expect(contact.expires).toBe(world.environment.clock + 300_000);
    expect(contact.step).toBe("waiting");
    const wrong = once(contact, "wrong-code");
    await world.gateway.wrongCode(2);
    expect(await wrong).toEqual({ left: 2 });
    const confirmed = once(contact, "confirmed");
    await world.gateway.confirm();
    expect(await confirmed).toEqual({ step: "pin" });
    const binding = await contact.choosePin(PIN);
    expect(binding).toMatchObject({ tenant: "Bank", label: "Account 1", name: "My phone", state: "active", pinDigits: 6, host: HOST });
    expect(contact.step).toBe("active");
    await contact.channel!.ping();
    await contact.channel!.provePin(PIN);
    expect(await world.store.list()).toHaveLength(1);
    expect(await world.store.pending()).toHaveLength(0);
    expect(world.environment.locks).toEqual([`tessera ${binding.id}`]);
  });

  it("stores no key that could leave the phone", async () => {
    const world = await makeWorld();
    await world.bind();
    const record = (await world.store.readBinding(await world.bindingId()))!;
    for (const key of [record.agreement.privateKey, record.signing.privateKey, record.deviceSecret]) {
      expect(key.extractable).toBe(false);
      await expect(crypto.subtle.exportKey("jwk", key)).rejects.toThrow();
    }
    const stored = JSON.stringify(record, (_, value: unknown) => (value instanceof Uint8Array ? toBase64Url(value) : value));
    expect(stored).not.toContain(toBase64Url(world.gateway.binding!.psk));
    expect(stored).not.toContain(PIN);
  });

  it("takes the classical suite when policy asks for it", async () => {
    const world = await makeWorld();
    world.gateway.policy = "classical";
    await world.start();
    expect(world.gateway.hellos.map(({ suite }) => suite)).toEqual([1, 2]);
  });

  it("binds in two steps, by the scanned code 2", async () => {
    const world = await makeWorld();
    world.gateway.twoStep = true;
    const contact = await world.start();
    await expect(contact.choosePin(PIN)).rejects.toMatchObject({ code: "not-confirmed" });
    await expect(contact.code2(world.gateway.code2)).rejects.toMatchObject({ code: "not-confirmed" });
    const confirmed = once(contact, "confirmed");
    await world.gateway.confirm();
    await confirmed;
    await expect(contact.choosePin(PIN)).rejects.toMatchObject({ code: "code2-missing" });
    await expect(contact.code2(world.gateway.code)).rejects.toMatchObject({ code: "code2-invalid" });
    const altered = world.gateway.code2.slice();
    altered[40]! ^= 1;
    await expect(contact.code2(altered)).rejects.toMatchObject({ code: "code2-wrong", next: "scan-again" });
    for (const label of ["Account 2", "Account", ""]) {
      await expect(contact.code2(await world.gateway.sealCode2(label))).rejects.toMatchObject({ code: "code2-wrong", next: "scan-again" });
    }
    expect(contact.step).toBe("code2");
    await contact.code2(utf8(`https://${HOST}/a#${toBase64Url(world.gateway.code2)}`));
    expect(contact.step).toBe("pin");
    expect(await contact.choosePin(PIN)).toMatchObject({ state: "active" });
  });

  it("binds in two steps, by the typed code 2; a wrong nonce asks for code 2 again", async () => {
    const world = await makeWorld();
    world.gateway.twoStep = true;
    const contact = await world.start();
    const confirmed = once(contact, "confirmed");
    await world.gateway.confirm();
    expect(await confirmed).toEqual({ step: "code2" });
    await expect(contact.code2("00000-000000-000000")).rejects.toMatchObject({ code: "code2-invalid" });
    await contact.code2(crockford(new Uint8Array(10), "TSR1 code2"));
    await expect(contact.choosePin(PIN)).rejects.toMatchObject({ code: "code2-wrong" });
    expect(contact.step).toBe("code2");
    await contact.code2(crockford(world.gateway.nonce, "TSR1 code2"));
    expect(await contact.choosePin(PIN)).toMatchObject({ state: "active" });
  });

  it("says why the gateway refuses", async () => {
    const world = await makeWorld();
    const code = activationCode(world.gateway);
    await expect(world.start({ ...code, activation: new Uint8Array(16) })).rejects.toMatchObject({ code: "unknown", next: "new-activation" });
    await expect(world.start({ ...code, rotation: 1 })).rejects.toMatchObject({ code: "expired", next: "scan-again" });
    world.environment.clock = 1_900_000_000_000;
    await expect(world.start({ ...code, rotation: 1 })).rejects.toMatchObject({ code: "code-expired" });
    world.environment.clock = 1_800_000_000_000;
    world.gateway.ended = "cancelled";
    await expect(world.start()).rejects.toMatchObject({ code: "ended" });
    expect(world.environment.locks).toEqual([]);
  });

  it("refuses a gateway that does not hold S or the key of the code", async () => {
    const world = await makeWorld();
    const code = activationCode(world.gateway);
    const other = await makeWorld();
    await expect(world.start({ ...code, gatewayStatic: other.gateway.s })).rejects.toMatchObject({ name: "PhoneClientError" });
    world.gateway.failure = null;
  });

  it.each(["device-code", "expired", "cancelled", "contested"])("ends when the gateway says %s", async (reason) => {
    const world = await makeWorld();
    const contact = await world.start();
    const ended = once(contact, "ended");
    await world.gateway.end(reason);
    expect(await ended).toMatchObject({ reason });
    expect(contact.step).toBe("ended");
    await expect(contact.choosePin(PIN)).rejects.toMatchObject({ code: "ended", details: { reason } });
    await until(() => world.environment.locks.length === 0);
    expect(await world.store.pending()).toHaveLength(0);
    expect(await world.store.readPending(contact.activation)).toBeUndefined();
  });

  it("offers no activation again that an error frame calls over, and erases nothing because of it", async () => {
    const world = await makeWorld();
    const contact = await world.start();
    contact.close();
    await until(() => world.environment.locks.length === 0);
    const [pending] = await world.store.pending();
    world.gateway.ended = "cancelled";
    await expect(world.start(pending)).rejects.toMatchObject({ code: "ended" });
    expect(await world.store.pending()).toHaveLength(0);
    expect(await world.store.readPending(contact.activation)).toBeDefined();
    // A frame that somebody else had put there: the same code takes it up again.
    world.gateway.ended = null;
    const again = await world.start();
    expect(again.step).toBe("waiting");
    expect(await world.store.pending()).toHaveLength(1);
  });

  it("erases by itself what has expired, and tells when the rest was begun", async () => {
    const world = await makeWorld();
    const contact = await world.start();
    const begunAt = world.environment.clock;
    world.environment.clock += 1_000;
    expect(await world.store.pending()).toMatchObject([{ activation: contact.activation, begunAt }]);
    world.environment.clock = contact.expires;
    expect(await world.store.pending()).toHaveLength(0);
    expect(await world.store.readPending(contact.activation)).toBeUndefined();
  });

  it("is told the tries that are left when it comes again", async () => {
    const world = await makeWorld();
    const contact = await world.start();
    expect(contact.triesLeft).toBeNull();
    await world.gateway.wrongCode(2);
    await until(() => contact.triesLeft === 2);
    contact.close();
    await until(() => world.environment.locks.length === 0);
    world.gateway.tries = 2;
    expect((await world.start()).triesLeft).toBe(2);
  });

  it("refuses PINs that may not be chosen, without asking the gateway", async () => {
    const world = await makeWorld();
    const contact = await world.start();
    await world.gateway.confirm();
    await expect(contact.choosePin("12345")).rejects.toMatchObject({ code: "pin-format", details: { digits: 6 } });
    await expect(contact.choosePin("123456")).rejects.toMatchObject({ code: "pin-weak", details: { weak: "run" } });
    expect(world.gateway.heard).not.toContain("pin-evaluate");
  });

  it("does not run twice in one browser", async () => {
    const world = await makeWorld();
    const contact = await world.start();
    await expect(world.start()).rejects.toMatchObject({ code: "other-tab" });
    contact.close();
    await until(() => world.environment.locks.length === 0);
    await world.start();
  });
});

it("shares its sealing key between tabs", async () => {
  const environment = new FakeEnvironment(() => undefined);
  const [first, second] = await Promise.all([PhoneStore.open(environment, "tabs"), PhoneStore.open(environment, "tabs")]);
  const sealed = await first.seal(unsigned(7, 4), "a place");
  expect(await second.unseal(sealed, "a place")).toEqual(unsigned(7, 4));
  await expect(second.unseal(sealed, "another place")).rejects.toMatchObject({ code: "storage" });
});
