"""What a phone can meet, each with a stable code and what the person can do next. The client raises these and
`gateway.protocol.errors`; the command line prints them. No text holds a secret."""

from typing import ClassVar

from gateway.protocol.errors import ErrorCode
from gateway.protocol.messages import ApprovalEnd

_REFUSALS: dict[ErrorCode, str] = {
    ErrorCode.UNKNOWN: "The bank does not know this code or this phone. Ask for a new code.",
    ErrorCode.EXPIRED: "This code is over. Scan the one that is on the screen now.",
    ErrorCode.ENDED: "This activation has ended. Begin again on the bank's page.",
    ErrorCode.REFUSED: "The bank could not verify this contact. Try again, with the code that is on the screen now.",
    ErrorCode.SUITE: "The bank asks for another protocol. Update this client.",
    ErrorCode.PLATFORM: "The bank does not allow this kind of phone.",
    ErrorCode.SUSPENDED: "This phone is suspended. Resume it on the bank's page, or ask the bank.",
    ErrorCode.RETIRED: (
        "The bank has given up the key that this phone or code was made with. Start an activation on the bank's page"
        " and bind this phone anew."
    ),
    ErrorCode.BUSY: "The bank is busy. Try again in a minute.",
}
_ENDS = {
    "device-code": "wrong codes were typed on the bank's page",
    "expired": "its time is over",
    "cancelled": "it was cancelled",
    "contested": "another phone used the same code",
}
_APPROVAL_ENDS: dict[ApprovalEnd, str] = {
    "approved": "it was approved",
    "refused": "it was refused",
    "reported": "it was reported",
    "expired": "its time is over",
    "cancelled": "the bank's page took it back",
    "failed": "wrong answers ended it",
}
_PASSING_PROBLEMS = ("rate-limited", "unavailable")


class PhoneError(Exception):
    """Base of all. `code` is stable; `next_step` is a sentence for the person."""

    code: ClassVar[str] = "phone-error"
    next_step: str = "Try again."


class BankKeyChanged(PhoneError):
    """For a typed code the host names another key S than this phone knows, or a bank that it did not know at first."""

    code = "bank-key-changed"
    next_step = (
        "Scan the code on the bank's page instead: it holds the key. If the bank cannot show one, ask it for its key"
        " and give --gateway-key."
    )


class ConnectionLost(PhoneError):
    """The gateway can't be reached, or the connection broke."""

    code = "connection-lost"
    next_step = "Check the network and try again; nothing is lost."


class PlainHttp(ConnectionLost):
    """HTTPS was spoken to a port that speaks plain HTTP."""

    code = "plain-http"
    next_step = "For a gateway on this machine, give --insecure-http before the command."


class GatewayRefused(PhoneError):
    """The gateway answered with an error frame. It is not authenticated, so nothing is erased because of it."""

    code = "gateway-refused"

    def __init__(self, error: ErrorCode) -> None:
        super().__init__("the bank refused this")
        self.error = error
        self.next_step = _REFUSALS[error]


class CloneSuspected(GatewayRefused):
    """The ratchet of this binding has moved on without this phone; the gateway was told, by signature."""

    code = "clone-suspected"

    def __init__(self) -> None:
        super().__init__(ErrorCode.SUSPENDED)
        self.next_step = (
            "Another copy of this phone's keys was used, or an old copy is used now. Remove this phone on the bank's"
            " page, or ask the bank to, and bind it anew."
        )


class ContactEnded(PhoneError):
    """The activation ended while this phone waited. `reason` is that of the protocol."""

    code = "contact-ended"
    next_step = "Begin again on the bank's page."

    def __init__(self, reason: str) -> None:
        super().__init__(f"the activation has ended: {_ENDS.get(reason, reason)}")
        self.reason = reason


class CodeExpired(PhoneError):
    """The code's expiry is past by this phone's clock."""

    code = "code-expired"
    next_step = "Ask for a new code, and check this machine's clock."


class CodeTwoNeeded(PhoneError):
    """The two-step confirmation needs code 2 of the contact that runs now."""

    code = "code-2-needed"
    next_step = "Scan or type the second code that the bank's page shows now."


class PinIsWrong(PhoneError):
    """The PIN is wrong. `left` tries; with none left, blocked until `until` (Unix seconds) or by the bank (None)."""

    code = "pin-wrong"
    next_step = "Try again with the right PIN."

    def __init__(self, left: int, until: int | None) -> None:
        super().__init__(f"wrong PIN, {left} left")
        self.left = left
        self.until = until


class PinIsBlocked(PhoneError):
    """No PIN is taken until `until` (Unix seconds), or until the bank unblocks it (None)."""

    code = "pin-blocked"

    def __init__(self, until: int | None) -> None:
        super().__init__("the PIN is blocked")
        self.until = until
        self.next_step = "Ask the bank to unblock the PIN." if until is None else "Wait until it opens again."


class PinHasOtherDigits(PhoneError):
    """What was typed can't be the PIN; nothing was sent, and no try is lost."""

    code = "pin-format"
    next_step = "Type it again; no try was lost."

    def __init__(self, digits: int) -> None:
        super().__init__(f"the PIN has {digits} digits")


class AnswerIncomplete(PhoneError):
    """To approve this request, something is needed that was not given; nothing was sent."""

    code = "answer-incomplete"
    next_step = "Answer again with what is asked for, on a phone that has it, or refuse."


class ApprovalUnreadable(PhoneError):
    """The statement is of a form that this client does not know. It can't be shown, so nothing of it is signed."""

    code = "approval-unreadable"
    next_step = "Update this client, or answer on another phone."

    def __init__(self) -> None:
        super().__init__("the bank asks something that this client is too old to show")


class ApprovalEnded(PhoneError):
    """A request was over before its answer: answered elsewhere, taken back, or out of time. `state` says how."""

    code = "approval-ended"
    next_step = "If you still want it, begin again on the bank's page."

    def __init__(self, state: ApprovalEnd) -> None:
        super().__init__(f"this request is over: {_APPROVAL_ENDS[state]}")
        self.state = state


class AnswerIsWrong(PhoneError):
    """The gateway did not take an answer; which part of it, is not told. `left` answers are left to the request. This
    phone may not approve until `until` (Unix seconds), or until the bank unblocks it (`needs_bank`); `is_last` when the
    next block will be of that kind."""

    code = "answer-wrong"
    next_step = "Compare what you give with the bank's page, and try again."

    def __init__(self, left: int, until: int | None, *, needs_bank: bool, is_last: bool) -> None:
        super().__init__(f"the bank did not take the answer, {left} left")
        self.left = left
        self.until = until
        self.needs_bank = needs_bank
        self.is_last = is_last


class OfflineForeign(PhoneError):
    """No binding of this phone is meant by an offline code."""

    code = "offline-foreign"
    next_step = "Read it with the phone that the bank's page names, or have the page ask this one."


class OfflineStale(PhoneError):
    """An offline code is for another index of the ratchet than this phone holds."""

    code = "offline-stale"
    next_step = (
        "Have the page show a new code. If that does not help, run `tessera phone open` once with a network."
    )


class GatewayProblem(PhoneError):
    """The gateway did not take a message in this state. `problem` is for the log; where it `is_passing`, the same
    message is taken later."""

    code = "gateway-problem"

    def __init__(self, problem: str) -> None:
        super().__init__(f"the gateway did not take that: {problem}")
        self.problem = problem
        self.is_passing = problem in _PASSING_PROBLEMS
        if self.is_passing:
            self.next_step = _REFUSALS[ErrorCode.BUSY]


class UnexpectedAnswer(PhoneError):
    """The gateway sent a message that is not an answer to what was asked."""

    code = "unexpected-answer"
    next_step = "Update this client, or tell the bank."


class BindingGone(PhoneError):
    """The binding was suspended or removed while the channel was open, told inside it. `state` says which."""

    code = "binding-gone"
    next_step = "Ask the bank, or bind this phone anew."

    def __init__(self, state: str) -> None:
        super().__init__(f"this phone is {state}")
        self.state = state


class BindingNotFound(PhoneError):
    """The store has no such binding."""

    code = "binding-not-found"
    next_step = "See `tessera phone list`."


class StoreError(PhoneError):
    """The key store can't be opened: wrong passphrase, damaged, readable by others, or in use."""

    code = "store-error"

    def __init__(self, text: str, next_step: str) -> None:
        super().__init__(text)
        self.next_step = next_step
