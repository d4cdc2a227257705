"""The closed table of problems: every failure that a caller can see has a stable code, an HTTP status, a title
and what to do next. The HTTP face answers them as RFC 9457 problem details; the command line prints them."""

from enum import Enum


class ProblemCode(Enum):
    """Code, HTTP status, title and next step of each problem."""

    INVALID_REQUEST = (
        "invalid-request",
        400,
        "The request is not valid",
        "Correct the field that the detail names.",
    )
    UNAUTHENTICATED = (
        "unauthenticated",
        401,
        "Credentials are missing or not valid",
        "Send a valid bearer key or page token.",
    )
    FORBIDDEN = (
        "forbidden",
        403,
        "These credentials may not do this",
        "Use a key with the scope that the detail names.",
    )
    NOT_FOUND = ("not-found", 404, "There is no such thing", "Check the identifier.")
    METHOD_NOT_ALLOWED = (
        "method-not-allowed",
        405,
        "The method is not allowed here",
        "See /docs for the methods of this path.",
    )
    CONFLICT = ("conflict", 409, "The state does not allow this", "Read the resource again and decide anew.")
    IDEMPOTENCY_MISMATCH = (
        "idempotency-mismatch",
        422,
        "The idempotency key was used for another request",
        "Use a fresh Idempotency-Key.",
    )
    IDEMPOTENCY_OUTCOME_UNKNOWN = (
        "idempotency-outcome-unknown",
        409,
        "The request was carried out, but its answer was lost",
        "Look up what it made; send it under a fresh Idempotency-Key only if it is to be done once more.",
    )
    PAYLOAD_TOO_LARGE = ("payload-too-large", 413, "The body is too large", "Send less.")
    UNSUPPORTED_MEDIA_TYPE = ("unsupported-media-type", 415, "The body is not JSON", "Send application/json.")
    UPGRADE_REQUIRED = (
        "upgrade-required",
        426,
        "This address speaks WebSocket alone",
        "Open a WebSocket that offers the subprotocol which the detail names.",
    )
    RATE_LIMITED = ("rate-limited", 429, "Too many requests", "Wait as long as Retry-After says.")
    ACTIVATION_ENDED = ("activation-ended", 410, "This activation has ended", "Start a new one.")
    DEVICE_CODE_WRONG = (
        "device-code-wrong",
        422,
        "The code is not the one on the phone",
        "Compare and type it again.",
    )
    NO_PHONE = (
        "no-phone",
        409,
        "This customer has no phone that may answer",
        "Bind a phone, or resume one; the detail says what is in the way.",
    )
    APPROVAL_ENDED = ("approval-ended", 410, "This request is over", "Read it, and ask again if need be.")
    OFFLINE_ANSWER_WRONG = (
        "offline-answer-wrong",
        422,
        "These are not the digits of the phone",
        "Compare and type them again.",
    )
    INTERNAL = ("internal", 500, "Something went wrong here", "Try again; tell the operator the request id.")
    UNAVAILABLE = ("unavailable", 503, "The service cannot answer now", "Try again shortly.")

    def __init__(self, code: str, status: int, title: str, next_step: str) -> None:
        self.code = code
        self.status = status
        self.title = title
        self.next_step = next_step


class Problem(Exception):
    """A failure for the caller to see. `detail` never holds a secret; `next_step` replaces the table's where it would
    send the caller astray; `fields` are extra members (RFC 9457 section 3.2), such as `left` tries."""

    def __init__(
        self,
        kind: ProblemCode,
        detail: str = "",
        *,
        next_step: str | None = None,
        **fields: int | str | float,
    ) -> None:
        super().__init__(detail or kind.title)
        self.kind = kind
        self.detail = detail
        self.next_step = next_step or kind.next_step
        self.fields = fields
