/**
 * The steps of an activation as the desktop shows them, out of what the gateway says. Pure: the element keeps the timers and the
 * requests. One step at a time:
 *
 *   loading → scan → confirm → (code2) → pin → active          any → ended
 */
import { isEnded, type Activation, type CodeView, type EndState } from "../../shared/api/index.js";

export type Step = "loading" | "scan" | "confirm" | "code2" | "pin" | "active" | "ended";

/** Returns the step that an activation stands at. */
export function stepOf(activation: Activation | null): Step {
  if (activation === null) return "loading";
  if (isEnded(activation.state)) return "ended";
  switch (activation.state) {
    case "waiting":
      return "scan";
    case "present":
      return "confirm";
    case "confirmed":
      return activation.two_step ? "code2" : "pin";
    default:
      return "active";
  }
}

/** Which code the step shows, or null when it shows none. */
export function wantedCode(step: Step): CodeView["kind"] | null {
  if (step === "scan") return "activation";
  return step === "code2" ? "code2" : null;
}

const REASONS: Readonly<Record<string, EndState>> = {
  expired: "expired",
  cancelled: "cancelled",
  "device-code": "refused",
  refused: "refused",
  contested: "contested",
};

/** Returns why an activation ended, as the closed list that the screens know. */
export function endOf(activation: Activation): EndState {
  if (isEnded(activation.state)) return activation.state;
  return REASONS[activation.ended_reason ?? ""] ?? "cancelled";
}

/** The digits of the device code out of what was typed or pasted; at most eight. */
export function takeDigits(raw: string): string {
  return raw.replace(/\D/g, "").slice(0, 8);
}

/** Shows digits as 4-4 while they are typed; returns the text and where the caret stands in it. */
export function groupDigits(raw: string, caret: number): { readonly digits: string; readonly text: string; readonly caret: number } {
  const digits = takeDigits(raw);
  const before = Math.min(takeDigits(raw.slice(0, caret)).length, digits.length);
  const text = digits.length > 4 ? `${digits.slice(0, 4)} ${digits.slice(4)}` : digits;
  return { digits, text, caret: before > 4 || (before === 4 && digits.length > 4) ? before + 1 : before };
}

/** How much of the rotation's ring is left, 0 to 1. */
export function ringShare(changesAt: number | null, period: number, now: number): number {
  if (changesAt === null || period <= 0) return 1;
  return Math.min(1, Math.max(0, (changesAt - now) / period));
}
