"""Every JSON message of the channel (wire specification, sections 4 and 5), one frozen struct each. The
gateway decodes with `decode_phone_message`, the phone with `decode_gateway_message`; handshake payloads
have a function each. A decoded message has exactly the members named, within their limits, and says nothing
about whether it is due: the state machines of both ends decide that."""

from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.protocol.errors import MalformedMessage
from gateway.protocol.frames import MAX_FRAME
from gateway.protocol.wiretypes import (
    AuthenticatorBytes,
    Bytes10,
    Bytes16,
    Bytes32,
    Bytes33,
    Bytes64,
    Bytes65,
    ClientDataBytes,
    Count,
    CredentialBytes,
    DerSignatureBytes,
    Digits,
    Index,
    Name,
    Seconds,
    StatementBytes,
    Text64,
    Text128,
    Text2048,
    decode_hook,
    encode_hook,
)

Platform = Literal["web", "android", "ios", "cli"]
Lang = Literal["fr", "en"]
BindingState = Literal["active", "suspended", "removed"]
EndReason = Literal["device-code", "expired", "cancelled", "contested"]
Factor = Literal["possession", "pin", "biometric"]
Decision = Literal["approve", "refuse", "report"]
ApprovalEnd = Literal["approved", "refused", "reported", "expired", "cancelled", "failed"]
NumberMatch = Literal["none", "choose", "type"]
TwoDigits = Annotated[int, Meta(ge=10, le=99)]
MAX_PAGE: Final = 10
"""Items of one `approvals` or `inbox` answer, at most; fewer when they would not fit a frame."""


class Facts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Payload of m1, first contact and resume. It can be replayed: nothing may be decided by it but a
    refusal."""

    v: Literal[1]
    app: Text64
    platform: Platform
    lang: Lang


class PinPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many digits the PIN has."""

    digits: Digits


class FirstAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Payload of m2 in first contact. `time` and `expires` in Unix seconds."""

    binding: Bytes16
    tenant: Text64
    label: Text128
    pin: PinPolicy
    biometric: Literal["off", "optional", "required"]
    two_step: bool
    time: Seconds
    expires: Seconds


class ResumeAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Payload of m2 in a later contact. `time` in Unix seconds."""

    time: Seconds


class Attestation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Evidence about the phone's key store; version 1 knows none."""

    type: Literal["none"]


class Device(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the phone says of itself; shown to the customer, trusted for nothing."""

    name: Name
    model: Text64
    platform: Platform
    os: Text64
    app: Text64
    lang: Lang


class _Message(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="t"):
    """Base of the tagged messages."""


class Bind(_Message, frozen=True, tag="bind"):
    """m3: the phone's signing key g_D and its signature over `keys.bind_input`."""

    key: Bytes65
    signature: Bytes64
    attestation: Attestation
    device: Device


class Cancel(_Message, frozen=True, tag="cancel"):
    """The customer gives the activation up on the phone; from m4 until m7."""


class PinEvaluate(_Message, frozen=True, tag="pin-evaluate"):
    """RFC 9497 BlindedElement."""

    blinded: Bytes33


class Commit(_Message, frozen=True, tag="commit"):
    """m7: signatures over `keys.commit_input` (by g_D) and `keys.pin_enrol_input` (by the PIN key). `pin_verifier` is
    what offline answers are checked against (`pin.offline_verifier`)."""

    nonce: Bytes10
    signature: Bytes64
    pin_key: Bytes65
    pin_signature: Bytes64
    pin_verifier: Bytes32


class Ready(_Message, frozen=True, tag="ready"):
    """r3: the phone has stored the next ratchet key."""


class Ping(_Message, frozen=True, tag="ping"):
    """Asks for the time; keeps the socket open."""


class PinProve(_Message, frozen=True, tag="pin-prove"):
    """Signature by the PIN key over `keys.pin_proof_input`."""

    signature: Bytes64


class PinChange(_Message, frozen=True, tag="pin-change"):
    """Asks for a fresh OPRF key; only after `pin-proved`, once."""


class PinEnrol(_Message, frozen=True, tag="pin-enrol"):
    """The new PIN key, its signature over `keys.pin_enrol_input` with the evaluation's nonce, and what offline answers
    are checked against from now on."""

    pin_key: Bytes65
    pin_signature: Bytes64
    pin_verifier: Bytes32


class Rename(_Message, frozen=True, tag="rename"):
    """Gives the phone another name."""

    name: Name


class Remove(_Message, frozen=True, tag="remove"):
    """Ends the binding at the customer's wish."""


class Assertion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A WebAuthn assertion of the binding's own credential over `approval.biometric_challenge`."""

    credential: CredentialBytes
    client_data: ClientDataBytes
    authenticator_data: AuthenticatorBytes
    signature: DerSignatureBytes


class Answer(_Message, frozen=True, tag="answer"):
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


class Approvals(_Message, frozen=True, tag="approvals"):
    """Asks for what this phone was asked before, newest first; `before` is the last id of the page before."""

    before: Bytes16 | UnsetType = UNSET


class Inbox(_Message, frozen=True, tag="inbox"):
    """Asks for the bank's messages, newest first; `before` is the last id of the page before."""

    before: Bytes16 | UnsetType = UNSET


class InboxRead(_Message, frozen=True, tag="inbox-read"):
    """The customer has read a message."""

    id: Bytes16


class PushSubscribe(_Message, frozen=True, tag="push-subscribe"):
    """A push subscription of this phone (Push API): where to send wake-ups, and its keys (RFC 8291 section 3.1)."""

    endpoint: Text2048
    p256dh: Bytes65
    auth: Bytes16


class PushUnsubscribe(_Message, frozen=True, tag="push-unsubscribe"):
    """No more wake-ups for this phone."""


class BiometricBegin(_Message, frozen=True, tag="biometric-begin"):
    """Asks for a challenge to make a credential with; only after `pin-proved`, once."""


class BiometricEnrol(_Message, frozen=True, tag="biometric-enrol"):
    """The new credential (WebAuthn section 7.1); it takes the place of an older one."""

    client_data: ClientDataBytes
    attestation_object: AuthenticatorBytes


class BiometricRemove(_Message, frozen=True, tag="biometric-remove"):
    """The customer wants the PIN alone."""


class OfflineCounter(_Message, frozen=True, tag="offline-counter"):
    """How many offline answers this phone has made, so that the gateway's count catches up."""

    value: Seconds


class Pending(_Message, frozen=True, tag="pending"):
    """m4: the device code is awaited at the desktop; `tries` are left."""

    tries: Count


class WrongCode(_Message, frozen=True, tag="wrong-code"):
    """A wrong device code was typed; `left` tries are left."""

    left: Count


class Ended(_Message, frozen=True, tag="ended"):
    """The activation is over; the socket closes."""

    reason: EndReason


class Confirmed(_Message, frozen=True, tag="confirmed"):
    """m6. In one step it carries the nonce; in two-step the nonce comes in code 2."""

    nonce: Bytes10 | UnsetType = UNSET


class PinEvaluated(_Message, frozen=True, tag="pin-evaluated"):
    """RFC 9497 EvaluatedElement; `left` tries after this one. The nonce comes on an open channel only."""

    element: Bytes33
    left: Count
    nonce: Bytes16 | UnsetType = UNSET


class PinBlocked(_Message, frozen=True, tag="pin-blocked"):
    """No evaluation until `until` (Unix seconds), or until the bank unblocks (None)."""

    until: Seconds | None


class Active(_Message, frozen=True, tag="active"):
    """The binding stands since `added` (Unix seconds)."""

    added: Seconds


class PinStatus(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The PIN's state: digits, tries left, blocked until (Unix seconds; None when it is not blocked by
    time)."""

    digits: Digits
    left: Count
    blocked_until: Seconds | None


class Welcome(_Message, frozen=True, tag="welcome"):
    """r4: the gateway has stored ratchet index `next`; `hybrid_due` (Unix seconds) asks for suite 4 from
    then on."""

    next: Index
    state: Literal["active"]
    tenant: Text64
    label: Text128
    hybrid_due: Seconds
    pin: PinStatus


class Pong(_Message, frozen=True, tag="pong"):
    """The gateway's time, Unix seconds."""

    time: Seconds


class PinProved(_Message, frozen=True, tag="pin-proved"):
    """The PIN was right; the counter is full again."""


class PinWrong(_Message, frozen=True, tag="pin-wrong"):
    """The PIN was wrong; `left` tries, and when there are none, blocked until `until` or by the bank
    (None)."""

    left: Count
    until: Seconds | None


class PinChangeReady(_Message, frozen=True, tag="pin-change-ready"):
    """The next evaluation runs under a fresh OPRF key."""


class PinEnrolled(_Message, frozen=True, tag="pin-enrolled"):
    """The new PIN is in force."""


class Renamed(_Message, frozen=True, tag="renamed"):
    """The name in force."""

    name: Name


class Removed(_Message, frozen=True, tag="removed"):
    """The binding has ended; the socket closes."""


class State(_Message, frozen=True, tag="state"):
    """The bank or the customer changed the binding's state."""

    state: BindingState


class Ask(_Message, frozen=True, tag="ask"):
    """The bank asks: `statement` is what the customer reads and the phone signs, byte for byte. `factors` are those of
    which one is needed to approve; `number` says whether the two digits of the desktop are chosen among `numbers`,
    typed, or not asked."""

    id: Bytes16
    statement: StatementBytes
    factors: Annotated[tuple[Factor, ...], Meta(min_length=1, max_length=3)]
    number: NumberMatch
    numbers: Annotated[tuple[TwoDigits, ...], Meta(max_length=3)]
    time: Seconds


class Settled(_Message, frozen=True, tag="settled"):
    """A request is over: answered here or elsewhere, cancelled, expired or failed."""

    id: Bytes16
    state: ApprovalEnd


class Answered(_Message, frozen=True, tag="answered"):
    """The answer stands; `state` is where the request is now."""

    id: Bytes16
    state: ApprovalEnd


class AnswerWrong(_Message, frozen=True, tag="answer-wrong"):
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


class ApprovalPage(_Message, frozen=True, tag="approval-page"):
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


class InboxPage(_Message, frozen=True, tag="inbox-page"):
    """A page of messages, and how many are unread in all."""

    items: Annotated[tuple[InboxMessage, ...], Meta(max_length=MAX_PAGE)]
    more: bool
    unread: Index


class Unread(_Message, frozen=True, tag="unread"):
    """How many messages are unread: told on opening, when it changes, and in answer to `inbox-read`."""

    count: Index


class PushKey(_Message, frozen=True, tag="push-key"):
    """On opening: the gateway's VAPID key (RFC 8292), and whether it holds a subscription of this phone."""

    key: Bytes65
    subscribed: bool


class PushSubscribed(_Message, frozen=True, tag="push-subscribed"):
    """Whether the gateway holds a subscription now."""

    subscribed: bool


class BiometricChallenge(_Message, frozen=True, tag="biometric-challenge"):
    """What to make a credential with: challenge and user handle (WebAuthn section 5.4)."""

    challenge: Bytes32
    user: Bytes16


class BiometricState(_Message, frozen=True, tag="biometric-state"):
    """On opening and in answer: what policy wants, and the id of the credential in force."""

    policy: Literal["off", "optional", "required"]
    credential: CredentialBytes | None


class OfflineCounted(_Message, frozen=True, tag="offline-counted"):
    """The gateway's count of offline answers."""

    value: Seconds


class Problem(_Message, frozen=True, tag="problem"):
    """The last message was not valid here; `code` is for the log."""

    code: Text64


PhoneMessage = (
    Bind
    | Cancel
    | PinEvaluate
    | Commit
    | Ready
    | Ping
    | PinProve
    | PinChange
    | PinEnrol
    | Rename
    | Remove
    | Answer
    | Approvals
    | Inbox
    | InboxRead
    | PushSubscribe
    | PushUnsubscribe
    | BiometricBegin
    | BiometricEnrol
    | BiometricRemove
    | OfflineCounter
)
GatewayMessage = (
    Pending
    | WrongCode
    | Ended
    | Confirmed
    | PinEvaluated
    | PinBlocked
    | Active
    | Welcome
    | Pong
    | PinProved
    | PinWrong
    | PinChangeReady
    | PinEnrolled
    | Renamed
    | Removed
    | State
    | Ask
    | Settled
    | Answered
    | AnswerWrong
    | ApprovalPage
    | InboxPage
    | Unread
    | PushKey
    | PushSubscribed
    | BiometricChallenge
    | BiometricState
    | OfflineCounted
    | Problem
)
Payload = Facts | FirstAnswer | ResumeAnswer

_T = TypeVar("_T")
MAX_MESSAGE: Final = MAX_FRAME - 16
"""Bytes of JSON in one transport message: a frame less the AEAD tag."""

_encoder = msgspec.json.Encoder(enc_hook=encode_hook)
_phone: msgspec.json.Decoder[Any] = msgspec.json.Decoder(PhoneMessage, dec_hook=decode_hook)
_gateway: msgspec.json.Decoder[Any] = msgspec.json.Decoder(GatewayMessage, dec_hook=decode_hook)
_facts = msgspec.json.Decoder(Facts, dec_hook=decode_hook)
_first_answer = msgspec.json.Decoder(FirstAnswer, dec_hook=decode_hook)
_resume_answer = msgspec.json.Decoder(ResumeAnswer, dec_hook=decode_hook)


def _decode(decoder: "msgspec.json.Decoder[_T]", data: bytes) -> _T:
    if len(data) > MAX_MESSAGE:
        raise MalformedMessage("the message is too long")
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        # The library's text may quote the input, so only its kind goes on.
        raise MalformedMessage(f"the message is not valid ({type(error).__name__})") from None


def encode(message: PhoneMessage | GatewayMessage | Payload) -> bytes:
    """Return the JSON of a message or payload. Raises MalformedMessage when it is too long for a frame."""
    data = _encoder.encode(message)
    if len(data) > MAX_MESSAGE:
        raise MalformedMessage("the message is too long")
    return data


def decode_phone_message(data: bytes) -> PhoneMessage:
    """Decode what a phone sent in a transport message. Raises MalformedMessage."""
    message: PhoneMessage = _decode(_phone, data)
    return message


def decode_gateway_message(data: bytes) -> GatewayMessage:
    """Decode what the gateway sent in a transport message. Raises MalformedMessage."""
    message: GatewayMessage = _decode(_gateway, data)
    return message


def decode_facts(data: bytes) -> Facts:
    """Decode the payload of m1. Raises MalformedMessage."""
    return _decode(_facts, data)


def decode_first_answer(data: bytes) -> FirstAnswer:
    """Decode the payload of m2 in first contact. Raises MalformedMessage."""
    return _decode(_first_answer, data)


def decode_resume_answer(data: bytes) -> ResumeAnswer:
    """Decode the payload of m2 in a later contact. Raises MalformedMessage."""
    return _decode(_resume_answer, data)
