/**
 * The PIN of an open channel: proof, change, and the device secret in force. While a change of PIN has no known end there
 * are two device secrets, and a proof says which one it is. The channel's other parts ask here before they use the PIN.
 */
import { PhoneClientError } from "./errors";
import { toPhoneError } from "./failures";
import { makeDeviceSecret } from "./keystore";
import type { Line } from "./line";
import { enrolment, evaluatePin, type Evaluation, type PinContext, provePin, requireChoosable, requireDigits } from "./pin";
import { idBytes } from "./store";
import type { ChannelState } from "./types";

const PIN_TRIES = 5;

type PinState = ChannelState["pin"];

export class ChannelPin {
  readonly #line: Line;
  readonly #told: (state: PinState) => void;
  state: PinState;

  /** `told` hears of each change of `state`. */
  constructor(line: Line, state: PinState, told: (state: PinState) => void) {
    this.#line = line;
    this.state = state;
    this.#told = told;
  }

  check(pin: string): void {
    requireDigits(pin, this.state.digits);
  }

  checkChoice(pin: string): void {
    requireChoosable(pin, this.state.digits);
  }

  /** Proves the PIN with the device secret in force; with both, while a change of PIN has no known end. In a turn. */
  async prove(pin: string): Promise<void> {
    const { deviceSecret, nextDeviceSecret } = this.#line.record;
    try {
      if (nextDeviceSecret === null) {
        await provePin(this.#context(), pin, deviceSecret);
      } else {
        await this.#proveEither(pin, deviceSecret, nextDeviceSecret);
      }
      this.restore();
    } catch (cause) {
      throw this.#noteFailure(cause);
    }
  }

  /** Puts another PIN in force. In a turn. */
  async change(oldPin: string, newPin: string): Promise<void> {
    await this.prove(oldPin);
    const { conversation } = this.#line;
    await conversation.request({ t: "pin-change" }, "pin-change-ready");
    const nextDeviceSecret = await makeDeviceSecret();
    const context = this.#context();
    const evaluation = await evaluatePin(context, newPin, nextDeviceSecret);
    if (evaluation.nonce === null) throw new PhoneClientError("protocol");
    const members = await enrolment(context, evaluation, { pin: newPin, deviceSecret: nextDeviceSecret });
    // Kept beside the old one first: if the answer is lost, either may be the right one.
    await this.#line.keep({ nextDeviceSecret });
    await conversation.request({ t: "pin-enrol", ...members }, "pin-enrolled");
    await this.#line.keep({ deviceSecret: nextDeviceSecret, nextDeviceSecret: null });
  }

  /** An evaluation that an answer to the bank proves. It costs a try until then. In a turn. */
  async evaluate(pin: string): Promise<Evaluation> {
    if (this.#line.record.nextDeviceSecret !== null) await this.prove(pin);
    try {
      return await evaluatePin(this.#context(), pin, this.#line.record.deviceSecret);
    } catch (cause) {
      throw this.#noteFailure(cause);
    }
  }

  /** An evaluation was proved. */
  restore(): void {
    this.#change({ left: PIN_TRIES, blockedUntil: null });
  }

  /** An evaluation was not proved, as far as is known. Without a try left, the next contact says until when. In a turn. */
  spend(left: number): void {
    this.#change({ left });
    if (left === 0) this.#line.conversation.drop();
  }

  async #proveEither(pin: string, old: CryptoKey, next: CryptoKey): Promise<void> {
    let right = next;
    try {
      await provePin(this.#context(), pin, next);
    } catch (cause) {
      if (!(cause instanceof PhoneClientError) || cause.code !== "pin-wrong") throw cause;
      right = old;
      await provePin(this.#context(), pin, old);
    }
    await this.#line.keep({ deviceSecret: right, nextDeviceSecret: null });
  }

  #noteFailure(cause: unknown): PhoneClientError {
    const error = toPhoneError(cause);
    if (error.code === "pin-wrong" || error.code === "pin-blocked") {
      const { left = 0, until: blockedUntil = null } = error.details;
      this.#change({ left, blockedUntil });
    }
    return error;
  }

  #change(change: Partial<PinState>): void {
    this.state = { ...this.state, ...change };
    this.#told(this.state);
  }

  #context(): PinContext {
    const { conversation, toLocal, bindingId } = this.#line;
    return { conversation, binding: idBytes(bindingId), toLocal };
  }
}
