/**
 * The closed table of what can go wrong on the phone: every rejected promise of the phone client is a
 * `PhoneClientError` whose code stands here, beside what the person holding the phone can do next. The texts people
 * read are the page's; secrets never enter `message` or `details`.
 */
import type { ApprovalEnd } from "./types";

/** What to do next. The page has one sentence and one button for each. */
export type NextStep =
  | "scan-again" // show the camera again: the code moved on, or was not read right
  | "type-again" // a typed code, PIN or name has a mistake: let it be corrected
  | "retry" // nothing is lost: do the same again
  | "wait" // blocked until `details.until`
  | "ask-again" // this request is over: begin again on the bank's page
  | "use-pin" // biometrics do not do here
  | "new-activation" // this activation is over: start another one on the bank's page
  | "other-phone" // the bank does not allow this kind of phone or browser
  | "choose-another-pin"
  | "contact-bank"
  | "open-own-site" // the code belongs to `details.host`: open the phone page there
  | "update-app"
  | "go-online"
  | "close-tabs" // it is open in another tab of this browser
  | "free-storage";

const NEXT_STEPS = {
  // the code
  "code-invalid": "scan-again", // not one of our codes, or damaged
  "code-foreign-host": "open-own-site",
  "code-expired": "new-activation", // the gateway says so, and the phone's clock agrees
  "typed-invalid": "type-again", // the check character does not fit
  "typed-unknown": "type-again", // the gateway knows no such typed code
  "bank-key-changed": "scan-again", // a typed code's bank has another key S than this phone kept; a scan brings its own
  // the handshake, as the gateway's error frame says
  unknown: "new-activation", // no such activation or binding
  expired: "scan-again", // activation over, or the rotating code moved on
  ended: "new-activation", // details.reason when the channel said why
  refused: "scan-again",
  suite: "update-app",
  platform: "other-phone",
  suspended: "contact-bank",
  removed: "new-activation",
  retired: "new-activation", // the bank has given up the key S that this phone or code was made with
  busy: "retry",
  // confirming and the PIN
  "code2-invalid": "scan-again", // not a code 2, or a typed one with a mistake
  "code2-wrong": "scan-again", // a code 2 of another phone, or of a connection that was since taken up again
  "code2-elsewhere": "scan-again", // a code 2 that came by a link, not by the scan of the activation that waits for it
  "code2-missing": "scan-again", // choosePin before code 2 was given, or again after a reconnection
  "not-confirmed": "wait", // choosePin before the device code was typed on the bank's page
  "pin-format": "type-again", // wrong number of digits; details.digits
  "pin-weak": "choose-another-pin", // details.weak
  "pin-wrong": "type-again", // details.left, details.until
  "pin-blocked": "wait", // details.until, or null: only the bank can unblock
  "not-committed": "new-activation", // the binding was never finished, and the gateway does not know it
  // answering a request
  "answer-wrong": "type-again", // not accepted, and why is not said; details.left, until, bank, last
  "answer-incomplete": "type-again", // the number, or a factor that the request takes, is missing
  "approval-ended": "ask-again", // details.state
  "approval-unreadable": "update-app", // what is asked has a form that this app does not know
  // biometrics
  "biometric-cancelled": "retry", // by the person, by time, or by the device, which does not say which
  "biometric-unsupported": "use-pin", // this device or browser has none, or not for this address
  "biometric-missing": "use-pin", // none was enrolled
  // offline
  "offline-foreign": "scan-again", // the code is for another phone, or for a binding that is not here
  "offline-stale": "go-online", // the phone and the code are out of step: their next contact mends it
  "offline-unsettled": "go-online", // whether a new PIN is in force is known after it was proved once
  // waking up
  "push-invalid": "retry", // the browser's subscription is not one that can be used
  // the phone itself
  "binding-missing": "new-activation", // no such binding stored here
  offline: "go-online",
  "connection-lost": "retry",
  timeout: "retry",
  protocol: "update-app", // the gateway said what the specification does not allow
  problem: "retry", // the gateway refused one message: details.problem
  storage: "free-storage", // IndexedDB refused, or the browser cleared it
  unsupported: "other-phone", // no WebCrypto, IndexedDB or secure context here
  "name-invalid": "type-again",
  "other-tab": "close-tabs", // another tab of this browser holds this activation or binding
  closed: "retry", // this object was closed by its owner
} as const satisfies Readonly<Record<string, NextStep>>;

export type PhoneErrorCode = keyof typeof NEXT_STEPS;

export type EndReason = "device-code" | "expired" | "cancelled" | "contested" | "unknown";

export type WeakReason = "same" | "run" | "repeated" | "date" | "common";

/** Facts that belong to some codes; none is secret. `until` is milliseconds of the phone's own clock. */
export interface PhoneErrorDetails {
  readonly host?: string;
  readonly reason?: EndReason;
  readonly digits?: number;
  readonly weak?: WeakReason;
  readonly left?: number;
  readonly until?: number | null;
  readonly problem?: string;
  /** Only the bank unblocks. */
  readonly bank?: boolean;
  /** The next block will be one that only the bank lifts. */
  readonly last?: boolean;
  readonly state?: ApprovalEnd;
}

function nextStep(code: PhoneErrorCode, details: PhoneErrorDetails): NextStep {
  if (code === "pin-blocked" && details.until === null) return "contact-bank";
  if (code === "answer-wrong") {
    if (details.bank === true) return "contact-bank";
    if (typeof details.until === "number") return "wait";
    if (details.left === 0) return "ask-again";
  }
  return NEXT_STEPS[code];
}

/** The only error that the phone client throws on purpose. Anything else is a bug of ours. */
export class PhoneClientError extends Error {
  readonly code: PhoneErrorCode;
  readonly next: NextStep;
  readonly details: PhoneErrorDetails;

  constructor(code: PhoneErrorCode, details: PhoneErrorDetails = {}, options?: ErrorOptions) {
    super(code, options);
    this.name = "PhoneClientError";
    this.code = code;
    this.next = nextStep(code, details);
    this.details = details;
  }
}
