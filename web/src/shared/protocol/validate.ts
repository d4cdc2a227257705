/**
 * Small validators for JSON from outside: each takes an unknown value and returns it typed, or raises `malformed` with
 * the path of the member. Objects have exactly the members named: unknown ones are refused. `messages.ts` composes them.
 */
import { type Bytes, fromBase64Url, fromUtf8 } from "./bytes";
import { ProtocolError } from "./errors";

export type Check<T> = (value: unknown, path: string) => T;
type Checks = Record<string, Check<unknown>>;
type Members<C extends Checks> = { readonly [K in keyof C]: ReturnType<C[K]> };

export const MAX_JSON_DEPTH = 8;

function refuse(path: string, what: string): never {
  throw new ProtocolError("malformed", `${path}: ${what}`);
}

/** A text of `min` to `max` characters (Unicode code points), well formed and without control characters. */
export function text(max: number, min = 0): Check<string> {
  return (value, path) => {
    if (typeof value !== "string" || value.length > 2 * max) return refuse(path, "not a text of this length");
    const length = Array.from(value).length;
    if (length < min || length > max) return refuse(path, "not a text of this length");
    return /[\p{Surrogate}\p{Cc}]/u.test(value) ? refuse(path, "not printable") : value;
  };
}

/** A text of at most `max` characters, well formed, that may hold line breaks. */
export function plainText(max: number): Check<string> {
  return (value, path) =>
    typeof value === "string" && value.length <= 2 * max && Array.from(value).length <= max && !/\p{Surrogate}/u.test(value)
      ? value
      : refuse(path, "not a text of this length");
}

/** An integer from `min` to `max`. */
export function integer(min: number, max: number): Check<number> {
  return (value, path) =>
    typeof value === "number" && Number.isSafeInteger(value) && value >= min && value <= max
      ? value
      : refuse(path, `not an integer from ${min} to ${max}`);
}

export const boolean: Check<boolean> = (value, path) =>
  typeof value === "boolean" ? value : refuse(path, "not a boolean");

/** Base64url of exactly `length` bytes. */
export function base64(length: number): Check<Bytes> {
  return (value, path) => {
    if (typeof value !== "string" || value.length !== Math.ceil((length * 4) / 3)) {
      return refuse(path, `not base64url of ${length} bytes`);
    }
    return fromBase64Url(value);
  };
}

/** Base64url of 1 to `max` bytes. */
export function base64UpTo(max: number): Check<Bytes> {
  return (value, path) => {
    if (typeof value !== "string" || value.length < 2 || value.length > Math.ceil((max * 4) / 3)) {
      return refuse(path, `not base64url of 1 to ${max} bytes`);
    }
    return fromBase64Url(value);
  };
}

/** A list of `min` to `max` items. */
export function list<T>(check: Check<T>, max: number, min = 0): Check<readonly T[]> {
  return (value, path) => {
    if (!Array.isArray(value) || value.length < min || value.length > max) return refuse(path, "not a list of this length");
    return value.map((item, place) => check(item, `${path}[${place}]`));
  };
}

/** One of a closed set of texts. */
export function oneOf<const T extends string>(...choices: readonly T[]): Check<T> {
  return (value, path) => choices.find((choice) => choice === value) ?? refuse(path, "not one of the known values");
}

export function nullable<T>(check: Check<T>): Check<T | null> {
  return (value, path) => (value === null ? null : check(value, path));
}

/** An object with exactly these members. */
export function object<R extends Checks>(required: R): Check<Members<R>> {
  return objectWith(required, {});
}

/** An object with exactly these members, of which the `optional` ones may be absent. */
export function objectWith<R extends Checks, O extends Checks>(
  required: R,
  optional: O,
): Check<Members<R> & Partial<Members<O>>> {
  const checks = new Map(Object.entries<Check<unknown>>({ ...required, ...optional }));
  const names = Object.keys(required);
  return (value, path) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return refuse(path, "not an object");
    const members = Object.entries(value);
    const missing = names.find((name) => !Object.hasOwn(value, name));
    if (missing !== undefined) refuse(`${path}.${missing}`, "missing");
    const result: Record<string, unknown> = {};
    for (const [name, member] of members) {
      const check = checks.get(name) ?? refuse(path, "unknown member");
      result[name] = check(member, `${path}.${name}`);
    }
    return result as never;
  };
}

/** The value of JSON in UTF-8, at most `MAX_JSON_DEPTH` levels deep. */
export function parseJson(bytes: Uint8Array): unknown {
  const source = fromUtf8(bytes);
  let depth = 0;
  let quoted = false;
  for (let index = 0; index < source.length; index += 1) {
    const character = source[index]!;
    if (quoted) {
      if (character === "\\") index += 1;
      else if (character === '"') quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === "{" || character === "[") {
      depth += 1;
      if (depth > MAX_JSON_DEPTH) throw new ProtocolError("malformed", "JSON too deep");
    } else if (character === "}" || character === "]") depth -= 1;
  }
  try {
    return JSON.parse(source) as unknown;
  } catch (cause) {
    throw new ProtocolError("malformed", "not JSON", { cause });
  }
}
