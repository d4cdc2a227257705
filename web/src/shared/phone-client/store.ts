/**
 * The phone's memory: IndexedDB under the page's origin. Pages open it, list it and forget from it; the rest of this
 * folder reads and writes whole records. It never holds an extractable private key, nor a pre-shared key in the clear.
 */
import { type DBSchema, type IDBPDatabase, type IDBPTransaction, openDB, type StoreNames } from "idb";

import { type Bytes, equalBytes, fromBase64Url, toBase64Url, utf8 } from "../protocol/bytes";
import { randomBytes } from "../protocol/primitives";
import { browserEnvironment, type PhoneEnvironment } from "./environment";
import { PhoneClientError } from "./errors";
import type { BanksRecord, BindingRecord, PendingRecord, Sealed } from "./records";
import type { Binding, PendingContact } from "./types";

interface Schema extends DBSchema {
  pending: { key: string; value: PendingRecord };
  bindings: { key: string; value: BindingRecord };
  keys: { key: string; value: CryptoKey };
  banks: { key: string; value: BanksRecord };
}

const DATABASE = "tessera-phone";
const VERSION = 3;
const SEALING_KEY = "sealing";

/** Text of an identifier: a kind, an underscore, base64url of its 16 bytes. */
export function idText(kind: "act" | "bnd", raw: Bytes): string {
  return `${kind}_${toBase64Url(raw)}`;
}

/** The 16 bytes of an identifier that `idText` wrote. */
export function idBytes(text: string): Bytes {
  return fromBase64Url(text.slice(4));
}

async function storing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof PhoneClientError) throw cause;
    throw new PhoneClientError("storage", {}, { cause });
  }
}

export class PhoneStore {
  readonly #database: IDBPDatabase<Schema>;
  readonly #environment: PhoneEnvironment;
  readonly #sealing: CryptoKey;

  private constructor(database: IDBPDatabase<Schema>, environment: PhoneEnvironment, sealing: CryptoKey) {
    this.#database = database;
    this.#environment = environment;
    this.#sealing = sealing;
  }

  /** Opens the phone's memory, making it at the first time. Raises `unsupported`, `storage`. */
  static async open(environment: PhoneEnvironment = browserEnvironment(), name: string = DATABASE): Promise<PhoneStore> {
    return storing(async () => {
      const database = await openDB<Schema>(name, VERSION, {
        upgrade(opened, oldVersion, _newVersion, transaction) {
          upgrade(opened, oldVersion, transaction).catch(() => {
            transaction.abort();
          });
        },
        blocking(_current, _blocked, event) {
          (event.target as IDBDatabase).close();
        },
      });
      const store = new PhoneStore(database, environment, await sealingKey(database));
      await store.#forgetExpired();
      return store;
    });
  }

  /** Asks the browser to keep this memory when space runs short; whether it will. */
  async persist(): Promise<boolean> {
    return this.#environment.persist();
  }

  /** The bindings of this phone, newest first. */
  async list(): Promise<Binding[]> {
    const records = await storing(() => this.#database.getAll("bindings"));
    return records.map(showBinding).sort((left, right) => right.addedAt - left.addedAt);
  }

  /** First contacts that can be taken up again, newest first: hand one to `startFirstContact` as its code. Erases those over. */
  async pending(): Promise<PendingContact[]> {
    const records = await storing(async () => {
      await this.#forgetExpired();
      return this.#database.getAll("pending");
    });
    const live = records.filter((record) => record.answered && record.isSetAside !== true);
    return live.map(showPending).sort((left, right) => (right.begunAt ?? 0) - (left.begunAt ?? 0));
  }

  /** Erases what was kept of an activation. The gateway is not told: `FirstContact.cancel` does that. */
  async abandon(activation: string): Promise<void> {
    await this.deletePending(activation);
  }

  /** Erases a binding and its keys from this phone. The gateway is not told: `Channel.remove` does that. */
  async forget(bindingId: string): Promise<void> {
    await storing(async () => {
      const record = await this.#database.get("bindings", bindingId);
      const transaction = this.#database.transaction(["bindings", "pending"], "readwrite", { durability: "strict" });
      await transaction.objectStore("bindings").delete(bindingId);
      if (record !== undefined) await transaction.objectStore("pending").delete(record.activation);
      await transaction.done;
    });
  }

  /** Closes the database; tests and tabs that leave call it. */
  close(): void {
    this.#database.close();
  }

  /** @internal */
  async readBinding(id: string): Promise<BindingRecord | undefined> {
    return storing(() => this.#database.get("bindings", id));
  }

  /** Writes a binding durably before it resolves. @internal */
  async writeBinding(record: BindingRecord): Promise<void> {
    await storing(async () => {
      const transaction = this.#database.transaction("bindings", "readwrite", { durability: "strict" });
      await transaction.store.put(record);
      await transaction.done;
    });
  }

  /**
   * Changes members of a binding as it is stored now, in one durable transaction. Where its S changes, the key that is
   * kept for typed codes of that bank follows. @internal
   */
  async updateBinding(id: string, change: Partial<BindingRecord>): Promise<BindingRecord> {
    return storing(async () => {
      const transaction = this.#database.transaction(["bindings", "banks"], "readwrite", { durability: "strict" });
      const bindings = transaction.objectStore("bindings");
      const stored = await bindings.get(id);
      if (stored === undefined) throw new PhoneClientError("binding-missing");
      const changed = { ...stored, ...change };
      await bindings.put(changed);
      if (change.gatewayStatic !== undefined) {
        const banks = transaction.objectStore("banks");
        const kept = await banks.get(stored.host);
        if (kept !== undefined) await banks.put(followKey(kept, stored.gatewayStatic, change.gatewayStatic));
      }
      await transaction.done;
      return changed;
    });
  }

  /** Takes the counter of one offline answer: stored durably as used before it is returned. @internal */
  async takeOfflineCounter(id: string): Promise<number> {
    return storing(async () => {
      const transaction = this.#database.transaction("bindings", "readwrite", { durability: "strict" });
      const stored = await transaction.store.get(id);
      if (stored === undefined) throw new PhoneClientError("binding-missing");
      await transaction.store.put({ ...stored, offlineAnswers: stored.offlineAnswers + 1 });
      await transaction.done;
      return stored.offlineAnswers;
    });
  }

  /** The bindings at a host whose answers the bank would take. @internal */
  async activeBindings(host: string): Promise<BindingRecord[]> {
    const records = await storing(() => this.#database.getAll("bindings"));
    return records.filter((record) => record.host === host && record.state === "active");
  }

  /** The binding is settled: changes it and erases what was kept of its activation. @internal */
  async settleBinding(id: string, change: Partial<BindingRecord>): Promise<BindingRecord> {
    const changed = await this.updateBinding(id, change);
    await this.deletePending(changed.activation);
    return changed;
  }

  /** @internal */
  async readPending(activation: string): Promise<PendingRecord | undefined> {
    return storing(() => this.#database.get("pending", activation));
  }

  /** @internal */
  async writePending(record: PendingRecord): Promise<void> {
    await storing(async () => {
      const transaction = this.#database.transaction("pending", "readwrite", { durability: "strict" });
      await transaction.store.put(record);
      await transaction.done;
    });
  }

  /** Keeps an activation from being offered again; its keys stay until its time is over. @internal */
  async setPendingAside(activation: string): Promise<void> {
    await storing(async () => {
      const transaction = this.#database.transaction("pending", "readwrite", { durability: "strict" });
      const record = await transaction.store.get(activation);
      if (record !== undefined) await transaction.store.put({ ...record, isSetAside: true });
      await transaction.done;
    });
  }

  /** @internal */
  async deletePending(activation: string): Promise<void> {
    await storing(() => this.#database.delete("pending", activation));
  }

  /** @internal */
  async readBanks(host: string): Promise<BanksRecord | undefined> {
    return storing(() => this.#database.get("banks", host));
  }

  /** @internal */
  async writeBanks(record: BanksRecord): Promise<void> {
    await storing(() => this.#database.put("banks", record));
  }

  /** The keys S that finished bindings at a host hold. @internal */
  async boundKeys(host: string): Promise<Bytes[]> {
    const records = await this.activeBindings(host);
    return records.map((record) => record.gatewayStatic);
  }

  /** Seals 32 secret bytes for one place, such as "psk bnd_… 3". The caller wipes them. @internal */
  async seal(secret: Bytes, place: string): Promise<Sealed> {
    const iv = randomBytes(12);
    const parameters = { name: "AES-GCM", iv, additionalData: utf8(place) };
    return { iv, ciphertext: new Uint8Array(await crypto.subtle.encrypt(parameters, this.#sealing, secret)) };
  }

  /** Opens what `seal` made for the same place. The caller wipes it. @internal */
  async unseal(sealed: Sealed, place: string): Promise<Bytes> {
    const parameters = { name: "AES-GCM", iv: sealed.iv, additionalData: utf8(place) };
    return storing(async () =>
      new Uint8Array(await crypto.subtle.decrypt(parameters, this.#sealing, sealed.ciphertext)),
    );
  }

  /** An activation that is over leaves no key behind, unless a binding may still come of it. */
  async #forgetExpired(): Promise<void> {
    const now = this.#environment.now();
    for (const record of await this.#database.getAll("pending")) {
      if (record.expiresAt <= now) await this.#database.delete("pending", record.activation);
    }
  }
}

type Upgrading = IDBPTransaction<Schema, StoreNames<Schema>[], "versionchange">;

/** Makes what a version of this memory added to the one before. */
async function upgrade(opened: IDBPDatabase<Schema>, oldVersion: number, transaction: Upgrading): Promise<void> {
  if (oldVersion < 1) {
    opened.createObjectStore("pending", { keyPath: "activation" });
    opened.createObjectStore("bindings", { keyPath: "id" });
    opened.createObjectStore("keys");
  }
  if (oldVersion < 2) opened.createObjectStore("banks", { keyPath: "host" });
  if (oldVersion < 3) {
    const bindings = transaction.objectStore("bindings");
    for (const record of await bindings.getAll()) await bindings.put({ ...record, offlineAnswers: 0 });
  }
}

/** The key under which pre-shared keys rest; made once, in one transaction, so that two tabs agree on it. */
async function sealingKey(database: IDBPDatabase<Schema>): Promise<CryptoKey> {
  const fresh = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
  const transaction = database.transaction("keys", "readwrite", { durability: "strict" });
  const stored = await transaction.store.get(SEALING_KEY);
  if (stored === undefined) await transaction.store.put(fresh, SEALING_KEY);
  await transaction.done;
  return stored ?? fresh;
}

/** The kept keys of a host, with one S in the place of another. */
function followKey(kept: BanksRecord, before: Bytes, after: Bytes): BanksRecord {
  const keys = [...kept.keys].map(([tenant, key]) => [tenant, equalBytes(key, before) ? after : key] as const);
  return { ...kept, keys: new Map(keys) };
}

/** What pages see of a binding. */
export function showBinding(record: BindingRecord): Binding {
  const { id, host, tenant, label, name, pinDigits, state, addedAt, lastSeenAt } = record;
  return { id, host, tenant, label, name, pinDigits, state, addedAt, lastSeenAt };
}

function showPending(record: PendingRecord): PendingContact {
  const { activation, host, tenant, label, begunAt = null, expiresAt } = record;
  return { kind: "pending", activation, host, tenant, label, begunAt, expiresAt };
}
