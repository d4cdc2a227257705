/**
 * The PIN's conversations: OPRF evaluation on an open connection, then enrolment or proof by a key that lives for one
 * signature. The PIN itself goes nowhere but into `derivePinKey`.
 */
import { type Bytes, EMPTY, wipe } from "../protocol/bytes";
import { pinEnrolInput, pinProofInput } from "../protocol/keys";
import type { PhoneMessage } from "../protocol/messages";
import { blind, finalize } from "../protocol/oprf";
import { derivePinKey, offlineVerifier, pinInput, type PinKey, weakness } from "../protocol/pin";
import type { Conversation } from "./conversation";
import { PhoneClientError, type WeakReason } from "./errors";

/** Why a PIN is too easily guessed, or null; also null while it is not yet 4 to 12 digits. */
export function checkPin(pin: string): WeakReason | null {
  return /^[0-9]{4,12}$/.test(pin) ? weakness(pin) : null;
}

/** Raises `pin-format` unless the PIN has exactly these digits. */
export function requireDigits(pin: string, digits: number): void {
  if (!/^[0-9]*$/.test(pin) || pin.length !== digits) throw new PhoneClientError("pin-format", { digits });
}

/** Raises `pin-format` or `pin-weak` for a PIN that may not be chosen. */
export function requireChoosable(pin: string, digits: number): void {
  requireDigits(pin, digits);
  const weak = weakness(pin);
  if (weak !== null) throw new PhoneClientError("pin-weak", { weak });
}

export interface PinContext {
  readonly conversation: Conversation;
  readonly binding: Bytes;
  /** Gateway's Unix seconds as milliseconds of the phone's clock. */
  readonly toLocal: (seconds: number) => number;
}

export interface Evaluation {
  readonly key: PinKey;
  readonly left: number;
  /** 16 bytes on an open channel; none in a first contact. */
  readonly nonce: Bytes | null;
}

/** Has the gateway evaluate the PIN, and derives its key. It costs one try. Raises `pin-blocked`. */
export async function evaluatePin(context: PinContext, pin: string, deviceSecret: CryptoKey): Promise<Evaluation> {
  const input = pinInput(context.binding, pin);
  const blinded = blind(input);
  try {
    const request = { t: "pin-evaluate", blinded: blinded.element } as const;
    const answer = await context.conversation.request(request, "pin-evaluated", "pin-blocked");
    if (answer.t === "pin-blocked") throw blocked(context, answer.until);
    const output = finalize(input, blinded.blind, answer.element);
    const key = await derivePinKey(output, deviceSecret, context.binding);
    wipe(output);
    return { key, left: answer.left, nonce: answer.nonce ?? null };
  } finally {
    wipe(input, blinded.blind);
  }
}

/** Proves the PIN. Raises `pin-wrong` with what is left, or `pin-blocked`. */
export async function provePin(context: PinContext, pin: string, deviceSecret: CryptoKey): Promise<void> {
  const { key, nonce } = await evaluatePin(context, pin, deviceSecret);
  if (nonce === null) throw new PhoneClientError("protocol");
  const signature = key.sign(pinProofInput(context.conversation.session.handshakeHash, nonce));
  key.wipe();
  const answer = await context.conversation.request({ t: "pin-prove", signature }, "pin-proved", "pin-wrong");
  if (answer.t === "pin-proved") return;
  if (answer.left === 0) throw blocked(context, answer.until);
  const until = answer.until === null ? null : context.toLocal(answer.until);
  throw new PhoneClientError("pin-wrong", { left: answer.left, until });
}

type Enrolment = Omit<Extract<PhoneMessage, { t: "pin-enrol" }>, "t">;

/**
 * Public half of a PIN's key, its signature, and what the gateway checks offline answers against, for `commit` and
 * `pin-enrol`. Wipes the key.
 */
export async function enrolment(
  context: PinContext,
  evaluation: Evaluation,
  chosen: { readonly pin: string; readonly deviceSecret: CryptoKey },
): Promise<Enrolment> {
  const { key, nonce } = evaluation;
  const pin_signature = key.sign(pinEnrolInput(context.conversation.session.handshakeHash, nonce ?? EMPTY));
  key.wipe();
  const pin_verifier = await offlineVerifier(chosen.deviceSecret, context.binding, chosen.pin);
  return { pin_key: key.publicKey, pin_signature, pin_verifier };
}

function blocked(context: PinContext, until: number | null): PhoneClientError {
  return new PhoneClientError("pin-blocked", { until: until === null ? null : context.toLocal(until) });
}
