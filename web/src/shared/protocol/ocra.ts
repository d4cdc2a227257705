/**
 * OCRA, the OATH challenge-response algorithm (RFC 6287): suites by the grammar of its section 6, and the response of one
 * computation. Offline answers are one suite of it (`offline.ts`). Keys and PIN hashes are secrets.
 */
import { hmac } from "@noble/hashes/hmac.js";
import { sha1 } from "@noble/hashes/legacy.js";
import { sha256, sha512 } from "@noble/hashes/sha2.js";

import { type Bytes, concat, unsigned, utf8 } from "./bytes";
import { ProtocolError } from "./errors";

const HASHES = { SHA1: sha1, SHA256: sha256, SHA512: sha512 } as const;
const HASH_BYTES: Readonly<Record<OcraHash, number>> = { SHA1: 20, SHA256: 32, SHA512: 64 };
const QUESTION_BYTES = 128;
const MOST_SESSION_BYTES = 512;
const SUITE =
  /^OCRA-1:HOTP-(SHA(?:1|256|512))-(0|[4-9]|10):(C-)?Q([ANH])(0[4-9]|[1-5][0-9]|6[0-4])(?:-P(SHA(?:1|256|512)))?(?:-S([0-9]{3}))?(?:-T((?:[1-9]|[1-5][0-9])[SM]|(?:[0-9]|[1-3][0-9]|4[0-8])H))?$/;
const FORMS = { A: /^[\x20-\x7e]+$/, N: /^[0-9]+$/, H: /^[0-9A-Fa-f]+$/ } as const;

export type OcraHash = "SHA1" | "SHA256" | "SHA512";

/** A parsed suite. `digits` is 0 where the response is the whole HMAC; null marks an input that the suite has not. */
export interface OcraSuite {
  readonly text: string;
  readonly hash: OcraHash;
  readonly digits: number;
  readonly counter: boolean;
  readonly form: "A" | "N" | "H";
  readonly longest: number;
  readonly pinHash: OcraHash | null;
  readonly sessionBytes: number | null;
  readonly step: string | null; // such as "1M"
}

/** The question, and exactly the inputs that the suite names. A mutual computation joins the questions of both parties. */
export interface OcraInputs {
  readonly question: string;
  readonly counter?: number;
  readonly pinHash?: Bytes;
  readonly session?: Bytes;
  readonly timeSteps?: number;
}

/** Reads a suite, with nothing left to defaults. Raises `malformed`. */
export function parseSuite(text: string): OcraSuite {
  const found = SUITE.exec(text);
  const session = found?.[7] === undefined ? null : Number(found[7]);
  if (found === null || (session !== null && (session < 1 || session > MOST_SESSION_BYTES))) {
    throw new ProtocolError("malformed", "not a suite of RFC 6287");
  }
  return {
    text,
    hash: found[1] as OcraHash,
    digits: Number(found[2]),
    counter: found[3] !== undefined,
    form: found[4] as OcraSuite["form"],
    longest: Number(found[5]),
    pinHash: (found[6] as OcraHash | undefined) ?? null,
    sessionBytes: session,
    step: found[8] ?? null,
  };
}

/** The response: decimal digits, or the whole HMAC in lower-case hex where the suite has 0. Raises `malformed`. */
export function respond(suite: OcraSuite, inputs: OcraInputs, key: Uint8Array): string {
  const mac = hmac(HASHES[suite.hash], key, dataInput(suite, inputs));
  if (suite.digits === 0) return Array.from(mac, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const place = mac[mac.length - 1]! & 15;
  const truncated = new DataView(mac.buffer, mac.byteOffset).getUint32(place) & 0x7fffffff;
  return (truncated % 10 ** suite.digits).toString().padStart(suite.digits, "0");
}

/** Section 5.1: suite | 0x00 | C u64 | Q 128 | P | S | T u64. */
function dataInput(suite: OcraSuite, inputs: OcraInputs): Bytes {
  const pinBytes = suite.pinHash === null ? null : HASH_BYTES[suite.pinHash];
  return concat(
    utf8(suite.text),
    new Uint8Array(1),
    whole(inputs.counter, suite.counter, "counter"),
    question(suite, inputs.question),
    sized(inputs.pinHash, pinBytes, "hash of the PIN"),
    sized(inputs.session, suite.sessionBytes, "session"),
    whole(inputs.timeSteps, suite.step !== null, "count of time steps"),
  );
}

function question({ form, longest }: OcraSuite, text: string): Bytes {
  if (text.length > 2 * longest || !FORMS[form].test(text)) throw new ProtocolError("malformed", "not a question of the suite");
  const padded = new Uint8Array(QUESTION_BYTES);
  if (form === "A") padded.set(utf8(text));
  else padded.set(nibbles(form === "N" ? BigInt(text).toString(16) : text));
  return padded;
}

/** Hexadecimal digits from the left: an odd one fills the upper half of its byte. */
function nibbles(digits: string): Bytes {
  const pairs = digits.match(/..?/g) ?? [];
  return Uint8Array.from(pairs, (pair) => Number.parseInt(pair.padEnd(2, "0"), 16));
}

function whole(value: number | undefined, wanted: boolean, what: string): Bytes {
  if ((value !== undefined) !== wanted) throw new ProtocolError("malformed", `${what}: not as the suite has it`);
  return value === undefined ? new Uint8Array(0) : unsigned(value, 8);
}

function sized(value: Bytes | undefined, length: number | null, what: string): Bytes {
  if ((value?.length ?? null) !== length) throw new ProtocolError("malformed", `${what}: not as the suite has it`);
  return value ?? new Uint8Array(0);
}
