/** Turns whatever went wrong beneath into the closed union of `errors.ts`. */
import { ProtocolError } from "../protocol/errors";
import type { FrameError } from "../protocol/frames";
import { PhoneClientError, type PhoneErrorCode } from "./errors";

/** Errors that the next connection may mend. */
const PASSING = new Set<PhoneErrorCode>(["connection-lost", "timeout", "offline", "busy"]);

export function isPassing(error: unknown): boolean {
  return error instanceof PhoneClientError && PASSING.has(error.code);
}

/** Refusals of one message that time mends. */
const PASSING_PROBLEMS = ["rate-limited", "unavailable"];

/** Whether the gateway refused a message for a trouble of its own: sent again later, it is taken. */
export function isPassingProblem(error: unknown): boolean {
  return error instanceof PhoneClientError && error.code === "problem" && PASSING_PROBLEMS.includes(error.details.problem ?? "");
}

/** A PhoneClientError of any failure: the protocol's own become `protocol`, except those of codes people give. */
export function toPhoneError(cause: unknown): PhoneClientError {
  if (cause instanceof PhoneClientError) return cause;
  if (cause instanceof ProtocolError) {
    switch (cause.code) {
      case "foreign-host":
        return new PhoneClientError("code-foreign-host", { host: cause.detail }, { cause });
      case "typed-check":
        return new PhoneClientError("typed-invalid", {}, { cause });
      default:
        return new PhoneClientError("protocol", {}, { cause });
    }
  }
  if (cause instanceof DOMException) return new PhoneClientError("storage", {}, { cause });
  return new PhoneClientError("protocol", {}, { cause });
}

/** The error of an unauthenticated error frame. `past`: whether the activation is over by the phone's clock. */
export function frameError(error: FrameError, past: boolean): PhoneClientError {
  return new PhoneClientError(error === "expired" && past ? "code-expired" : error);
}
