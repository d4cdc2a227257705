/** The phone client against the real gateway, as a process that is killed and comes back. */
import "fake-indexeddb/auto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { utf8 } from "../../src/shared/protocol/bytes";
import { type Binding, openChannel, parseScanned, parseTyped, PhoneClientError, PhoneStore, startFirstContact, type StartOptions } from "../../src/shared/phone-client";
import type { PhoneEnvironment } from "../../src/shared/phone-client/environment";
import { NodeWebSocket } from "./node-websocket";
import { realEnvironment } from "./real-environment";
import { missing, RealGateway } from "./real-process";
import { DEVICE, once, PIN } from "./setup";

const OTHER_PIN = "739462";

interface Shown {
  id: string;
  link: string;
  typed: string;
}

describe.skipIf(missing !== null)(`the real gateway${missing === null ? "" : ` (skipped: ${missing})`}`, () => {
  let gateway: RealGateway;
  let environment: PhoneEnvironment;
  let store: PhoneStore;
  let binding: Binding;

  beforeAll(async () => {
    (globalThis as { WebSocket: unknown }).WebSocket = NodeWebSocket;
    gateway = await RealGateway.start();
    environment = realEnvironment(gateway);
    store = await PhoneStore.open(environment, "real");
  }, 60_000);

  afterAll(async () => {
    await gateway.stop();
  });

  async function activate(options: object = {}): Promise<Shown> {
    const made = (await gateway.api("POST", "/activations", { user: "u1", label: "Account 1", ...options })) as { activation: { id: string } };
    const { id } = made.activation;
    const { link, typed } = (await gateway.api("GET", `/activations/${id}/code?form=qr`)) as { link: string; typed: string };
    return { id, link, typed };
  }

  async function begin(code: StartOptions["code"]): ReturnType<typeof startFirstContact> {
    return startFirstContact({ store, host: gateway.host, code, device: DEVICE, lang: "fr", environment });
  }

  function scan(link: string): StartOptions["code"] {
    const code = parseScanned(utf8(link), gateway.host);
    if (code.kind !== "activation") throw new Error("not an activation");
    return code;
  }

  async function open(): ReturnType<typeof openChannel> {
    return openChannel({ store, bindingId: binding.id, host: gateway.host, lang: "fr", app: "tessera/1", environment });
  }

  it("binds in one step, through a wrong device code and a crash", async () => {
    const shown = await activate();
    const contact = await begin(scan(shown.link));
    expect(contact).toMatchObject({ tenant: "Real Bank", label: "Account 1", twoStep: false, step: "waiting" });
    const wrong = once(contact, "wrong-code");
    const guess = contact.deviceCode === "0000 0000" ? "11111111" : "00000000";
    await expect(gateway.api("POST", `/activations/${shown.id}/confirm`, { code: guess })).rejects.toThrow("422");
    expect(await wrong).toEqual({ left: 2 });
    const confirmed = once(contact, "confirmed");
    await gateway.api("POST", `/activations/${shown.id}/confirm`, { code: contact.deviceCode.replace(" ", "") });
    expect(await confirmed).toEqual({ step: "pin" });
    const again = once(contact, "reconnected", 20_000);
    await gateway.kill();
    await gateway.serve();
    expect(await again).toMatchObject({ step: "pin" });
    binding = await contact.choosePin(PIN);
    expect(binding).toMatchObject({ state: "active", tenant: "Real Bank", name: "My phone" });
    await contact.channel!.ping();
    await contact.channel!.provePin(PIN);
    contact.channel!.close();
  });

  it("meets again, proves and changes the PIN, through a crash", async () => {
    const channel = await open();
    await expect(channel.provePin(OTHER_PIN)).rejects.toMatchObject({ code: "pin-wrong", details: { left: 4 } });
    await channel.changePin(PIN, OTHER_PIN);
    const back = once(channel, "reconnected", 20_000);
    await gateway.kill();
    await gateway.serve();
    await back;
    await channel.provePin(OTHER_PIN);
    expect(await channel.rename("Mon téléphone")).toBe("Mon téléphone");
    expect(await gateway.api("GET", `/bindings/${binding.id}`)).toMatchObject({ name: "Mon téléphone" });
    const closed = once(channel, "closed");
    await gateway.api("POST", `/bindings/${binding.id}/suspend`);
    expect(await closed).toMatchObject({ error: { code: "suspended" } });
    await expect(open()).rejects.toMatchObject({ code: "suspended" });
    await gateway.api("POST", `/bindings/${binding.id}/resume`);
    const channelAgain = await open();
    await channelAgain.remove();
    expect(await store.list()).toEqual([]);
  });

  it("binds by the typed code, in two steps, by code 2", async () => {
    const shown = await activate({ two_step: true });
    const contact = await begin(parseTyped(shown.typed));
    expect(contact.twoStep).toBe(true);
    const confirmed = once(contact, "confirmed");
    await gateway.api("POST", `/activations/${shown.id}/confirm`, { code: contact.deviceCode.replace(" ", "") });
    expect(await confirmed).toEqual({ step: "code2" });
    const code2 = (await gateway.api("GET", `/activations/${shown.id}/code?form=colour`)) as unknown as Shown & { kind: string };
    expect(code2.kind).toBe("code2");
    await contact.code2(code2.typed);
    await contact.code2(utf8(code2.link));
    binding = await contact.choosePin(PIN);
    contact.channel!.close();
    (await open()).close();
  });

  it("tells a copied phone from a lost answer: the stale copy suspends the binding", async () => {
    const copy = (await store.readBinding(binding.id))!;
    for (let contact = 0; contact < 3; contact += 1) (await open()).close();
    await store.writeBinding(copy);
    await expect(open()).rejects.toMatchObject({ code: "suspended" });
    expect(await gateway.api("GET", `/bindings/${binding.id}`)).toMatchObject({ state: "suspended" });
  });

  it("ends for both when a second phone comes", async () => {
    const shown = await activate();
    const contact = await begin(scan(shown.link));
    const ended = once(contact, "ended");
    const other = await PhoneStore.open(environment, "other-phone");
    const memory = realEnvironment(gateway);
    const second = startFirstContact({ store: other, host: gateway.host, code: scan(shown.link), device: DEVICE, lang: "en", environment: memory });
    await expect(second).rejects.toBeInstanceOf(PhoneClientError);
    expect(await ended).toMatchObject({ reason: "contested" });
  });

  it("hears of a cancelled activation", async () => {
    const shown = await activate();
    const contact = await begin(scan(shown.link));
    const ended = once(contact, "ended");
    await gateway.api("POST", `/activations/${shown.id}/cancel`);
    expect(await ended).toMatchObject({ reason: "cancelled" });
  });
});
