"""The messages of a bound phone that approves: requests and answers, past ones, the bank's messages, wake-ups,
biometrics, the count of offline answers (wire specification, sections 10 to 12). `messages.py` joins them with
those that bind a phone and keep its channel, and encodes and decodes them all; everybody else imports them from
there."""

from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.protocol.wiretypes import (
    AuthenticatorBytes,
    Bytes16,
    Bytes32,
    Bytes64,
    Bytes65,
    ClientDataBytes,
    Count,
    CredentialBytes,
    DerSignatureBytes,
    Index,
    Message,
    Seconds,
    StatementBytes,
    Text128,
    Text2048,
)

Factor = Literal["possession", "pin", "biometric"]
Decision = Literal["approve", "refuse", "report"]
ApprovalEnd = Literal["approved", "refused", "reported", "expired", "cancelled", "failed"]
NumberMatch = Literal["none", "choose", "type"]
TwoDigits = Annotated[int, Meta(ge=10, le=99)]
MAX_PAGE: Final = 10
"""Items of one `approvals` or `inbox` answer, at most; fewer when they would not fit a frame."""


class Assertion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A WebAuthn assertion of the binding's own credential over `approval.biometric_challenge`."""

    credential: CredentialBytes
    client_data: ClientDataBytes
    authenticator_data: AuthenticatorBytes
    signature: DerSignatureBytes


class Answer(Message, frozen=True, tag="answer"):
    """What the customer decided on a request: `signature` by g_D over `approval.answer_input`. With factor `pin`,
    `pin_signature` by the PIN key over `approval.pin_input`, after an evaluation; with `biometric`, `assertion`.
    Refusing and reporting need possession alone. `number` is the one chosen or typed, null where none is asked."""

    id: Bytes16
    decision: Decision
    factor: Factor
    number: TwoDigits | None
    signature: Bytes64
    pin_signature: Bytes64 | UnsetType = UNSET
    assertion: Assertion | UnsetType = UNSET


class Approvals(Message, frozen=True, tag="approvals"):
    """Asks for what this phone was asked before, newest first; `before` is the last id of the page before."""

    before: Bytes16 | UnsetType = UNSET


class Inbox(Message, frozen=True, tag="inbox"):
    """Asks for the bank's messages, newest first; `before` is the last id of the page before."""

    before: Bytes16 | UnsetType = UNSET


class InboxRead(Message, frozen=True, tag="inbox-read"):
    """The customer has read a message."""

    id: Bytes16


class PushSubscribe(Message, frozen=True, tag="push-subscribe"):
    """A push subscription of this phone (Push API): where to send wake-ups, and its keys (RFC 8291 section 3.1)."""

    endpoint: Text2048
    p256dh: Bytes65
    auth: Bytes16


class PushUnsubscribe(Message, frozen=True, tag="push-unsubscribe"):
    """No more wake-ups for this phone."""


class BiometricBegin(Message, frozen=True, tag="biometric-begin"):
    """Asks for a challenge to make a credential with; only after `pin-proved`, once."""


class BiometricEnrol(Message, frozen=True, tag="biometric-enrol"):
    """The new credential (WebAuthn section 7.1); it takes the place of an older one."""

    client_data: ClientDataBytes
    attestation_object: AuthenticatorBytes


class BiometricRemove(Message, frozen=True, tag="biometric-remove"):
    """The customer wants the PIN alone."""


class OfflineCounter(Message, frozen=True, tag="offline-counter"):
    """How many offline answers this phone has made, so that the gateway's count catches up."""

    value: Seconds


class Ask(Message, frozen=True, tag="ask"):
    """The bank asks: `statement` is what the customer reads and the phone signs, byte for byte. `factors` are those of
    which one is needed to approve; `number` says whether the two digits of the desktop are chosen among `numbers`,
    typed, or not asked."""

    id: Bytes16
    statement: StatementBytes
    factors: Annotated[tuple[Factor, ...], Meta(min_length=1, max_length=3)]
    number: NumberMatch
    numbers: Annotated[tuple[TwoDigits, ...], Meta(max_length=3)]
    time: Seconds


class Settled(Message, frozen=True, tag="settled"):
    """A request is over: answered here or elsewhere, cancelled, expired or failed."""

    id: Bytes16
    state: ApprovalEnd


class Answered(Message, frozen=True, tag="answered"):
    """The answer stands; `state` is where the request is now."""

    id: Bytes16
    state: ApprovalEnd


class AnswerWrong(Message, frozen=True, tag="answer-wrong"):
    """Something of the answer is not right; what, is not said. `left` answers are left to this request. `until` is when
    this phone may approve again (Unix seconds) if it is blocked, `bank` that only the bank unblocks it, and `last` that
    the next block will be of that kind."""

    id: Bytes16
    left: Count
    until: Seconds | None
    bank: bool
    last: bool


class PastApproval(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request of the past: what was read, how it ended and when, and whether it was answered on this phone."""

    id: Bytes16
    statement: StatementBytes
    state: ApprovalEnd
    at: Seconds
    here: bool


class ApprovalPage(Message, frozen=True, tag="approval-page"):
    """A page of past requests."""

    items: Annotated[tuple[PastApproval, ...], Meta(max_length=MAX_PAGE)]
    more: bool


class InboxMessage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message of the bank, in the phone's language where the bank wrote it. `body` may hold line breaks."""

    id: Bytes16
    title: Text128
    body: Text2048
    at: Seconds
    expires: Seconds | None
    read: bool


class InboxPage(Message, frozen=True, tag="inbox-page"):
    """A page of messages, and how many are unread in all."""

    items: Annotated[tuple[InboxMessage, ...], Meta(max_length=MAX_PAGE)]
    more: bool
    unread: Index


class Unread(Message, frozen=True, tag="unread"):
    """How many messages are unread: told on opening, when it changes, and in answer to `inbox-read`."""

    count: Index


class PushKey(Message, frozen=True, tag="push-key"):
    """On opening: the gateway's VAPID key (RFC 8292), and whether it holds a subscription of this phone."""

    key: Bytes65
    subscribed: bool


class PushSubscribed(Message, frozen=True, tag="push-subscribed"):
    """Whether the gateway holds a subscription now."""

    subscribed: bool


class BiometricChallenge(Message, frozen=True, tag="biometric-challenge"):
    """What to make a credential with: challenge and user handle (WebAuthn section 5.4)."""

    challenge: Bytes32
    user: Bytes16


class BiometricState(Message, frozen=True, tag="biometric-state"):
    """On opening and in answer: what policy wants, and the id of the credential in force."""

    policy: Literal["off", "optional", "required"]
    credential: CredentialBytes | None


class OfflineCounted(Message, frozen=True, tag="offline-counted"):
    """The gateway's count of offline answers."""

    value: Seconds
