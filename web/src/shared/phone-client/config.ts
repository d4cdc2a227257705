/**
 * The two documents that a phone reads before it has a channel: the gateway's own configuration, which pins S for typed
 * codes, and what a typed code's locator finds. Both are checked strictly.
 */
import type { TypedCode } from "../protocol/code";
import type { Bytes } from "../protocol/bytes";
import { ProtocolError } from "../protocol/errors";
import { TYPED_ROTATION } from "../protocol/code";
import { typedPsk } from "../protocol/keys";
import { base64, type Check, integer, object, parseJson, text } from "../protocol/validate";
import { reaching } from "./connect";
import type { PhoneEnvironment } from "./environment";
import { PhoneClientError } from "./errors";

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

/** Finds the activation of a typed code, and takes S from the phone's own configuration. */
export async function findTyped(environment: PhoneEnvironment, host: string, code: TypedCode): Promise<ContactCode> {
  const config = await read(environment, "/phone/v1/config", CONFIG);
  if (config?.host !== host) throw new PhoneClientError("protocol");
  const found = await read(environment, `/phone/v1/typed/${code.locator}`, FOUND);
  if (found === null) throw new PhoneClientError("typed-unknown");
  const pinned = config.tenants.find((candidate) => candidate.id === found.tenant);
  if (pinned === undefined) throw new PhoneClientError("protocol");
  return {
    activation: found.activation,
    psk: typedPsk(code.secret, found.activation),
    gatewayStatic: pinned.s,
    expiry: found.expires,
    rotation: TYPED_ROTATION,
  };
}

/** What m1 says of the phone's page, cut to what the wire allows. */
export function cut(value: string, length: number): string {
  return Array.from(value.replace(/[\p{Cc}\p{Surrogate}]/gu, " ")).slice(0, length).join("");
}

