/**
 * What <tessera-activation> says in its one live region. One thing at a time, so that a screen reader says each change once; what
 * an alert or the focus says is not said here again.
 */
import { isEnded, type ActivationState } from "../../shared/api/index.js";

export interface Standing {
  /** Null until the activation was read. */
  readonly state: ActivationState | null;
  readonly hasFailed: boolean;
  readonly isLost: boolean;
  /** The code that belongs on the screen cannot be had now. */
  readonly isCodeless: boolean;
  readonly phoneAway: boolean;
  readonly newDigits: boolean;
  readonly busy: boolean;
  /** The step has begun, nothing was done in it yet, and the focus did not say so by moving to its heading. */
  readonly isUntold: boolean;
}

export type Status = "loading" | "lost" | "codeless" | "away" | "newDigits" | "confirming" | "step" | null;

export function statusOf(now: Standing): Status {
  const { state } = now;
  if (now.hasFailed || (state !== null && isEnded(state))) return null;
  if (state === null) return "loading";
  if (now.isLost) return "lost";
  if (now.isCodeless) return "codeless";
  if (now.phoneAway && (state === "present" || state === "confirmed")) return "away";
  if (now.newDigits && state === "present") return "newDigits";
  if (now.busy) return "confirming";
  return now.isUntold ? "step" : null;
}
