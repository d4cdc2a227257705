/** Why a PIN is refused the moment it is typed the first time, as the word of its text; null when it may be chosen. Pure. */
import { checkPin, type WeakReason } from "../shared/phone-client/index.js";

const WEAK = { same: "weakAllEqual", run: "weakRun", repeated: "weakRepeated", date: "weakDate", common: "weakCommon" } as const satisfies Record<WeakReason, string>;

export type PinRemark = (typeof WEAK)[WeakReason] | "isPresent";

/** `isPresent` says whether it is the PIN in force, where there is one: whoever asks never holds that one. */
export function refusePin(pin: string, isPresent: (pin: string) => boolean): PinRemark | null {
  if (isPresent(pin)) return "isPresent";
  const weak = checkPin(pin);
  return weak === null ? null : WEAK[weak];
}
