/**
 * The two documents that a phone reads before it has a channel: the gateway's own configuration, out of which it keeps S
 * for typed codes at first sight, and what a typed code's locator finds. Both are checked strictly.
 */
import type { TypedCode } from "../protocol/code";
import { type Bytes, equalBytes } from "../protocol/bytes";
import { ProtocolError } from "../protocol/errors";
import { TYPED_ROTATION } from "../protocol/code";
import { typedPsk } from "../protocol/keys";
import { base64, type Check, integer, object, parseJson, text } from "../protocol/validate";
import { reaching } from "./connect";
import { browserEnvironment, type PhoneEnvironment } from "./environment";
import { PhoneClientError } from "./errors";
import type { PhoneStore } from "./store";

const tenant = object({ id: text(64, 1), name: text(64), s: base64(33) });
const list: Check<readonly ReturnType<typeof tenant>[]> = (value, path) => {
  if (!Array.isArray(value) || value.length > 256) throw new ProtocolError("malformed", `${path}: not a list`);
  return value.map((item, index) => tenant(item, `${path}[${index}]`));
};
const CONFIG = object({ host: text(255, 1), name: text(128), tenants: list });
const FOUND = object({ activation: base64(16), tenant: text(64, 1), expires: integer(0, 0xffffffff) });

/** Everything a first contact needs, whichever way the code came. */
export interface ContactCode {
  readonly activation: Bytes;
  readonly psk: Bytes;
  readonly gatewayStatic: Bytes;
  readonly expiry: number;
  readonly rotation: number;
}

async function read<T>(environment: PhoneEnvironment, path: string, check: Check<T>): Promise<T | null> {
  const { status, body } = await reaching(environment, () => environment.get(path));
  if (status === 404 || status === 410) return null;
  if (status === 429 || status >= 500) throw new PhoneClientError("busy");
  if (status !== 200) throw new PhoneClientError("protocol");
  return check(parseJson(body), path);
}

/** The phone that a typed code is typed into. */
export interface TypingPhone {
  readonly environment: PhoneEnvironment;
  readonly store: PhoneStore;
  readonly host: string;
}

export type RememberOptions = Omit<TypingPhone, "environment"> & Partial<TypingPhone>;

type BankKeys = ReadonlyMap<string, Bytes>;

/** Keeps the keys S of all banks at this host, if none are kept: best when the app is first opened. */
export async function rememberBanks({ environment = browserEnvironment(), store, host }: RememberOptions): Promise<void> {
  if ((await store.readBanks(host)) === undefined) await readBanks({ environment, store, host });
}

async function readBanks(phone: TypingPhone): Promise<{ readonly kept: BankKeys; readonly told: BankKeys }> {
  const { environment, store, host } = phone;
  const config = await read(environment, "/phone/v1/config", CONFIG);
  if (config?.host !== host) throw new PhoneClientError("protocol");
  const told = new Map(config.tenants.map(({ id, s }) => [id, s]));
  const kept = (await store.readBanks(host))?.keys ?? told;
  if (kept === told && told.size > 0) await store.writeBanks({ host, keys: told });
  return { kept, told };
}

/** The S that a typed code of a tenant may be used with. Nothing in such a code speaks for S, so the host's word alone changes none. */
async function trustedKey(phone: TypingPhone, banks: Awaited<ReturnType<typeof readBanks>>, tenant: string): Promise<Bytes> {
  const key = banks.told.get(tenant);
  if (key === undefined) throw new PhoneClientError("protocol");
  const kept = banks.kept.get(tenant);
  if (kept !== undefined && equalBytes(kept, key)) return key;
  // A finished binding has its S from a code on the bank's screen.
  const bound = await phone.store.boundKeys(phone.host);
  if (!bound.some((candidate) => equalBytes(candidate, key))) throw new PhoneClientError("bank-key-changed");
  await phone.store.writeBanks({ host: phone.host, keys: new Map([...banks.kept, [tenant, key]]) });
  return key;
}

/** Finds the activation of a typed code, with the S that this phone keeps. */
export async function findTyped(phone: TypingPhone, code: TypedCode): Promise<ContactCode> {
  const banks = await readBanks(phone);
  const found = await read(phone.environment, `/phone/v1/typed/${code.locator}`, FOUND);
  if (found === null) throw new PhoneClientError("typed-unknown");
  const gatewayStatic = await trustedKey(phone, banks, found.tenant);
  return {
    activation: found.activation,
    psk: typedPsk(code.secret, found.activation),
    gatewayStatic,
    expiry: found.expires,
    rotation: TYPED_ROTATION,
  };
}

/** What m1 says of the phone's page, cut to what the wire allows. */
export function cut(value: string, length: number): string {
  return Array.from(value.replace(/[\p{Cc}\p{Surrogate}]/gu, " ")).slice(0, length).join("");
}

