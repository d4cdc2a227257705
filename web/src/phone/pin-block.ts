/** Whether the PIN is blocked as far as this phone knows: by the refusal just met, or by what the bank told last. Pure. */
import { type ChannelState, PhoneClientError } from "../shared/phone-client/index.js";

type Pin = ChannelState["pin"];

export function isBlocked(error: PhoneClientError): boolean {
  return error.code === "pin-blocked" || (error.code === "pin-wrong" && error.details.left === 0);
}

/** Returns the block in force, or null. Tries that were told after a refusal end it: the bank unblocked the PIN. */
export function pinBlock(refusal: unknown, pin: Pin | undefined, now: number): PhoneClientError | null {
  if (refusal instanceof PhoneClientError && isBlocked(refusal)) {
    const { until } = refusal.details;
    const isOver = (typeof until === "number" && until <= now) || (pin !== undefined && pin.left > 0);
    return isOver ? null : refusal;
  }
  if (pin === undefined || pin.blockedUntil === null || pin.blockedUntil <= now) return null;
  return new PhoneClientError("pin-blocked", { until: pin.blockedUntil });
}
