/**
 * What a customer approves, and what is signed then (section 10 of the specification). The gateway wrote these bytes once;
 * the phone reads, shows and signs them as they are. `parseStatement` takes each statement in one form alone: what it does
 * not know in full cannot be shown, and so must not be signed.
 */
import { type Bytes, concat, equalBytes, utf8 } from "./bytes";
import { ProtocolError } from "./errors";
import type { Decision, Factor } from "./messages";
import { sha256 } from "./primitives";
import { base64, type Check, integer, object, oneOf, parseJson } from "./validate";

export const MAX_STATEMENT_BYTES = 8_192;

/** Nothing that a reader does not see, or that turns what stands beside it around; a line feed is judged apart. */
const HIDDEN =
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}\p{Surrogate}]/u;
/** What shows nothing where it stands alone: spaces, joiners, fillers, variation selectors. */
const BLANK = /^[\ufe00-\ufe0f\u034f\n \u00a0\u115f\u1160\u1680\u2000-\u200d\u202f\u205f\u2800\u3000\u3164\uffa0]*$/;
const AMOUNT = /^(?=[0-9.]*[1-9])(0|[1-9][0-9]{0,14})(\.[0-9]{1,3})?$/;
const CURRENCY = /^[A-Z]{3}$/;

interface TextRule {
  readonly filled?: true;
  readonly lines?: true;
}

function shown(max: number, { filled, lines }: TextRule = {}): Check<string> {
  return (value, path) => {
    if (typeof value !== "string" || value.length > 2 * max || Array.from(value).length > max) {
      throw new ProtocolError("malformed", `${path}: not a text of this length`);
    }
    const readable = !HIDDEN.test(value) && (lines === true || !value.includes("\n")) && (filled !== true || !BLANK.test(value));
    if (!readable) throw new ProtocolError("malformed", `${path}: not a text to show`);
    return value;
  };
}

function matching(pattern: RegExp): Check<string> {
  return (value, path) => {
    if (typeof value === "string" && pattern.test(value)) return value;
    throw new ProtocolError("malformed", `${path}: not of the form`);
  };
}

const login = object({ browser: shown(128), place: shown(128) });
const payment = object({
  amount: matching(AMOUNT),
  currency: matching(CURRENCY),
  payee: shown(140, { filled: true }),
  account: shown(64, { filled: true }),
  purpose: shown(1_000, { lines: true }),
});
const contact = object({
  kind: oneOf("email", "phone", "address"),
  value: shown(256, { filled: true }),
  previous: shown(256),
});
const free = object({
  title: shown(128, { filled: true }),
  text: shown(2_000, { filled: true, lines: true }),
});
const device = object({ mode: oneOf("add", "move"), browser: shown(128), place: shown(128) });
const FIELDS = { login, payment, contact, free, device } as const;

export type StatementType = keyof typeof FIELDS;

const seconds = integer(0, Number.MAX_SAFE_INTEGER);
const HEAD = object({
  v: integer(1, 1),
  id: base64(16),
  bank: shown(64),
  user: shown(128),
  type: oneOf("login", "payment", "contact", "free", "device"),
  created: seconds,
  expires: seconds,
  nonce: base64(16),
  fields: (value): unknown => value,
});

interface StatementOf<Type extends StatementType> {
  readonly id: Bytes; // 16
  readonly bank: string;
  readonly user: string;
  readonly type: Type;
  readonly created: number; // Unix seconds
  readonly expires: number; // Unix seconds
  readonly nonce: Bytes; // 16
  readonly fields: ReturnType<(typeof FIELDS)[Type]>;
}

/** What `bank` asks `user`; `type` says which `fields` there are. */
export type Statement = { [Type in StatementType]: StatementOf<Type> }[StatementType];

/** Reads a statement. Raises `malformed` for all that version 1 does not know, and for any spelling but the one form. */
export function parseStatement(bytes: Uint8Array): Statement {
  if (bytes.length > MAX_STATEMENT_BYTES) throw new ProtocolError("malformed", "statement too long");
  const value = parseJson(bytes);
  const { id, bank, user, type, created, expires, nonce, fields: given } = HEAD(value, "statement");
  const fields = FIELDS[type](given, "statement.fields");
  if (!equalBytes(utf8(canonical(value)), bytes)) throw new ProtocolError("malformed", "not the one form of a statement");
  // The fields were read by the check of this type.
  return { id, bank, user, type, created, expires, nonce, fields } as Statement;
}

/** RFC 8785 of what a statement holds: objects, strings and integers. */
function canonical(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`).join(",")}}`;
}

const DECISIONS: Readonly<Record<Decision, number>> = { approve: 1, refuse: 2, report: 3 };
const FACTORS: Readonly<Record<Factor, number>> = { possession: 0, pin: 1, biometric: 2 };
const NO_NUMBER = 0xff;

export interface AnswerParts {
  readonly decision: Decision;
  readonly factor: Factor;
  readonly number: number | null; // 10 to 99
  readonly binding: Bytes; // 16
  readonly handshakeHash: Bytes; // 32, of the channel that the answer goes through
  readonly statement: Bytes; // as it came
}

/** What g_D signs to answer. */
export function answerInput({ decision, factor, number, binding, handshakeHash, statement }: AnswerParts): Bytes {
  if (number !== null && !(Number.isInteger(number) && number >= 10 && number <= 99)) {
    throw new ProtocolError("malformed", "a number has two digits");
  }
  if (binding.length !== 16 || handshakeHash.length !== 32) throw new ProtocolError("malformed", "not an id, or not a hash");
  const choice = new Uint8Array([DECISIONS[decision], FACTORS[factor], number ?? NO_NUMBER]);
  return concat(utf8("TSR1 approval"), choice, binding, handshakeHash, statement);
}

/** What the PIN key signs beside it; `nonce` is the evaluation's 16 bytes, `answered` the answer's input. */
export function approvalPinInput(handshakeHash: Bytes, nonce: Bytes, answered: Bytes): Bytes {
  if (handshakeHash.length !== 32 || nonce.length !== 16) throw new ProtocolError("malformed", "not a hash, or not a nonce");
  return concat(utf8("TSR1 approval pin"), handshakeHash, nonce, sha256(answered));
}

/** The WebAuthn challenge of an answer with fingerprint or face, 32 bytes; `answered` is the answer's input. */
export function biometricChallenge(answered: Bytes): Bytes {
  return sha256(utf8("TSR1 approval biometric"), answered);
}
