/** The steps of an activation as its bar shows them: three, and a second code between the digits and the PIN when two are wanted. */
import type { ActivationState } from "../../shared/api/index.js";

export type StepName = "stepScan" | "stepDigits" | "stepSecond" | "stepPin";

const ONE: readonly StepName[] = ["stepScan", "stepDigits", "stepPin"];
const TWO: readonly StepName[] = ["stepScan", "stepDigits", "stepSecond", "stepPin"];

/** Returns the steps, and the index of the one under way: their number once all are done, -1 after an end without a phone. */
export function stepsOf({ state, two_step }: { readonly state: ActivationState; readonly two_step: boolean }): { readonly names: readonly StepName[]; readonly at: number } {
  const names = two_step ? TWO : ONE;
  // In two steps the gateway hears of the second code only with the PIN: its step lasts until the phone is bound.
  const at: Partial<Record<ActivationState, number>> = { waiting: 0, present: 1, confirmed: 2, active: names.length };
  return { names, at: at[state] ?? -1 };
}
