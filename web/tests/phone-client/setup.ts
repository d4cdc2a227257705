/** A phone and a gateway for one test, with an IndexedDB of its own. */
import "fake-indexeddb/auto";
import { afterEach, expect } from "vitest";

import { type Channel, type FirstContact, openChannel, type ParsedCode, parseScanned, PhoneStore, startFirstContact, type StartOptions } from "../../src/shared/phone-client";
import { FakeEnvironment } from "./fake-environment";
import { FakeGateway, HOST } from "./fake-gateway";

export const PIN = "402857";
export const DEVICE = { name: "My phone", model: "Pixel", platform: "web", os: "Android 15", app: "tessera/1" } as const;

export interface World {
  readonly gateway: FakeGateway;
  readonly environment: FakeEnvironment;
  readonly store: PhoneStore;
  start(code?: StartOptions["code"]): Promise<FirstContact>;
  open(): Promise<Channel>;
  bindingId(): Promise<string>;
  /** A first contact run to its end. */
  bind(): Promise<FirstContact>;
}

let databases = 0;
const closing: (() => void)[] = [];
const gateways: FakeGateway[] = [];

afterEach(() => {
  for (const close of closing.splice(0)) close();
  for (const gateway of gateways.splice(0)) expect(gateway.failure).toBeNull();
});

export async function makeWorld(): Promise<World> {
  const gateway = await FakeGateway.make();
  gateways.push(gateway);
  const environment = new FakeEnvironment(gateway.accept);
  databases += 1;
  const store = await PhoneStore.open(environment, `phone-${databases}`);
  const world: World = {
    gateway,
    environment,
    store,
    async start(code) {
      const given = code ?? activationCode(gateway);
      const contact = await startFirstContact({ store, host: HOST, code: given, device: DEVICE, lang: "fr", environment });
      closing.push(() => {
        contact.close();
        contact.channel?.close();
      });
      return contact;
    },
    async open() {
      const bindingId = await world.bindingId();
      const channel = await openChannel({ store, bindingId, host: HOST, lang: "fr", app: "tessera/1", environment });
      closing.push(() => {
        channel.close();
      });
      return channel;
    },
    async bindingId() {
      const [binding] = await store.list();
      return binding?.id ?? "bnd_none";
    },
    async bind() {
      const contact = await world.start();
      const confirmed = once(contact, "confirmed");
      await gateway.confirm();
      await confirmed;
      await contact.choosePin(PIN);
      return contact;
    },
  };
  return world;
}

/** A world with one binding and no open channel. */
export async function bound(): Promise<World> {
  const world = await makeWorld();
  const contact = await world.bind();
  contact.channel!.close();
  await until(() => world.environment.locks.length === 0);
  return world;
}

/** The code on the bank's page, as the phone reads it. */
export function activationCode(gateway: FakeGateway): ParsedCode {
  const code = parseScanned(gateway.code, HOST);
  if (code.kind !== "activation") throw new Error("not an activation");
  return code;
}

interface Emitting {
  on(name: never, listener: (event: never) => void): () => void;
}

/** The next event of a name. */
export function once(emitter: Emitting, name: string, patienceMs = 8_000): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error(`no event ${name}`));
    }, patienceMs);
    const off = emitter.on(name as never, (event: Record<string, unknown>) => {
      clearTimeout(timer);
      off();
      resolve(event);
    });
  });
}

/** Waits until something holds. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 400; tries += 1) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error("it does not come to hold");
}
