/** What the real gateway asks a real phone client: logins and payments, messages, biometrics, codes without a network. */
import "fake-indexeddb/auto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { utf8 } from "../../src/shared/protocol/bytes";
import { answerOffline, type Ask, type Channel, openChannel, openOffline, parseScanned, PhoneStore, startFirstContact } from "../../src/shared/phone-client";
import type { PhoneEnvironment } from "../../src/shared/phone-client/environment";
import { NodeWebSocket } from "./node-websocket";
import { realEnvironment } from "./real-environment";
import { missing, RealGateway } from "./real-process";
import { DEVICE, once, PIN, until } from "./setup";

const LOGIN = { type: "login", fields: { browser: "Firefox on Linux", place: "Lyon" } };
const PAYMENT = { type: "payment", fields: { amount: "250.00", currency: "EUR", payee: "Ateliers Moreau", account: "FR76 3000 6000", purpose: "Facture 7\nMerci" } };

interface View {
  id: string;
  state: string;
  number: number | null;
  factor: string | null;
  via: string | null;
  binding: string | null;
}

describe.skipIf(missing !== null)(`approvals of the real gateway${missing === null ? "" : ` (skipped: ${missing})`}`, () => {
  let gateway: RealGateway;
  let environment: PhoneEnvironment;
  let store: PhoneStore;
  let bindingId: string;
  let channel: Channel;

  beforeAll(async () => {
    (globalThis as { WebSocket: unknown }).WebSocket = NodeWebSocket;
    gateway = await RealGateway.start();
    environment = realEnvironment(gateway);
    store = await PhoneStore.open(environment, "real-approvals");
    channel = await bind();
    bindingId = channel.bindingId;
  }, 60_000);

  afterAll(async () => {
    channel.close();
    await gateway.stop();
  });

  async function bind(): Promise<Channel> {
    const { activation } = (await gateway.api("POST", "/activations", { user: "u1", label: "Account 1" })) as { activation: { id: string } };
    const { link } = (await gateway.api("GET", `/activations/${activation.id}/code?form=qr`)) as { link: string };
    const code = parseScanned(utf8(link), gateway.host);
    if (code.kind !== "activation") throw new Error("not an activation");
    const contact = await startFirstContact({ store, host: gateway.host, code, device: DEVICE, lang: "fr", environment });
    const confirmed = once(contact, "confirmed");
    await gateway.api("POST", `/activations/${activation.id}/confirm`, { code: contact.deviceCode.replace(" ", "") });
    await confirmed;
    await contact.choosePin(PIN);
    return contact.channel!;
  }

  async function open(): Promise<Channel> {
    return openChannel({ store, bindingId, host: gateway.host, lang: "fr", app: "tessera/1", environment });
  }

  /** The bank asks; what the phone is shown, beside what the bank's page is told. */
  async function ask(what: object): Promise<{ view: View; ask: Ask }> {
    const told = once(channel, "asked");
    const { approval } = (await gateway.api("POST", "/approvals", { user: "u1", ...what })) as unknown as { approval: View };
    return { view: approval, ask: ((await told) as { ask: Ask }).ask };
  }

  async function view(id: string): Promise<View> {
    return (await gateway.api("GET", `/approvals/${id}`)) as unknown as View;
  }

  it("lets a login in by its number and PIN", async () => {
    const { view: made, ask: login } = await ask(LOGIN);
    expect(login.statement).toMatchObject({ ...LOGIN, bank: "Real Bank", user: "u1" });
    expect(login).toMatchObject({ number: "choose", factors: ["pin"] });
    expect(login.numbers).toContain(made.number);
    expect(await channel.answer(login.id, { decision: "approve", pin: PIN, number: made.number! })).toBe("approved");
    expect(await view(made.id)).toMatchObject({ state: "approved", factor: "pin", via: "channel", binding: bindingId, number: null });
    expect(channel.asks).toEqual([]);
  });

  it("ends a login whose number was guessed wrong", async () => {
    const { view: made, ask: login } = await ask(LOGIN);
    const wrong = login.numbers.find((number) => number !== made.number)!;
    await expect(channel.answer(login.id, { decision: "approve", pin: PIN, number: wrong })).rejects.toMatchObject({ code: "answer-wrong", details: { left: 0 } });
    expect(await view(made.id)).toMatchObject({ state: "failed" });
  });

  it("has a payment approved, through a wrong PIN and a crash before the answer", async () => {
    const { view: made, ask: payment } = await ask(PAYMENT);
    expect(payment.statement).toMatchObject(PAYMENT);
    await expect(channel.answer(payment.id, { decision: "approve", pin: "739462" })).rejects.toMatchObject({ code: "answer-wrong", details: { left: 4, bank: false } });
    const lost = once(channel, "disconnected", 20_000);
    await gateway.kill();
    await lost;
    const answer = channel.answer(payment.id, { decision: "approve", pin: PIN });
    await gateway.serve();
    expect(await answer).toBe("approved");
    expect(await view(made.id)).toMatchObject({ state: "approved", factor: "pin" });
    expect((await channel.approvals()).items).toMatchObject([{ state: "approved", here: true, statement: PAYMENT }, { state: "failed" }, { state: "approved" }]);
  });

  it("tells the phone that the bank took a request back", async () => {
    const { view: made, ask: payment } = await ask(PAYMENT);
    const settled = once(channel, "settled");
    await gateway.api("POST", `/approvals/${made.id}/cancel`);
    expect(await settled).toEqual({ id: payment.id, state: "cancelled" });
  });

  it("takes the device's own check for the PIN", async () => {
    await channel.enrolBiometric(PIN);
    expect(channel.biometric).toMatchObject({ enrolled: true });
    const { view: made, ask: payment } = await ask(PAYMENT);
    expect(payment.factors).toEqual(["pin", "biometric"]);
    expect(await channel.answer(payment.id, { decision: "approve", biometric: true })).toBe("approved");
    expect(await view(made.id)).toMatchObject({ state: "approved", factor: "biometric" });
    await channel.removeBiometric();
    expect(channel.biometric).toMatchObject({ enrolled: false });
  });

  it("brings the welcome, and what the bank writes", async () => {
    await until(() => channel.inboxUnread === 1);
    const told = once(channel, "unread");
    await gateway.api("POST", "/messages", { user: "u1", texts: { fr: { title: "Nouvelle carte", body: "Elle arrive.\nBonne journée." }, en: { title: "New card", body: "On its way." } } });
    expect(await told).toEqual({ count: 2 });
    const { items } = await channel.inbox();
    expect(items[0]).toMatchObject({ title: "Nouvelle carte", body: "Elle arrive.\nBonne journée.", read: false });
    expect(await channel.markRead(items[0]!.id)).toBe(1);
  });

  it("has a payment approved by eight digits of a phone without a network", async () => {
    const made = ((await gateway.api("POST", "/approvals", { user: "u1", ...PAYMENT })) as unknown as { approval: View }).approval;
    const { link } = (await gateway.api("POST", `/approvals/${made.id}/offline-code`, { form: "qr" })) as { link: string };
    channel.close();
    const asked = await openOffline({ store, host: gateway.host, payload: link });
    expect(asked).toMatchObject({ bindingId, tenant: "Real Bank", statement: PAYMENT });
    const wrong = await answerOffline({ store, ask: asked, pin: "739462" });
    await expect(gateway.api("POST", `/approvals/${made.id}/offline-answer`, { code: wrong })).rejects.toThrow("422");
    const code = await answerOffline({ store, ask: asked, pin: PIN });
    await gateway.api("POST", `/approvals/${made.id}/offline-answer`, { code });
    expect(await view(made.id)).toMatchObject({ state: "approved", factor: "pin", via: "offline", binding: bindingId });
    channel = await open();
    expect((await channel.approvals()).items[0]).toMatchObject({ state: "approved", statement: PAYMENT });
  });

  it("hears a refusal, and that nobody asked", async () => {
    const refused = await ask(PAYMENT);
    expect(await channel.answer(refused.ask.id, { decision: "refuse" })).toBe("refused");
    expect(await view(refused.view.id)).toMatchObject({ state: "refused" });
    const reported = await ask(LOGIN);
    expect(await channel.answer(reported.ask.id, { decision: "report" })).toBe("reported");
    expect(await view(reported.view.id)).toMatchObject({ state: "reported" });
  });
});
