"""Every JSON message of the channel (wire specification, sections 4 and 5), one frozen struct each. The
gateway decodes with `decode_phone_message`, the phone with `decode_gateway_message`; handshake payloads
have a function each. A decoded message has exactly the members named, within their limits, and says nothing
about whether it is due: the state machines of both ends decide that."""

from typing import Any, Final, Literal, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

from gateway.protocol.approval_messages import (
    MAX_PAGE as MAX_PAGE,
)
from gateway.protocol.approval_messages import (
    Answer as Answer,
)
from gateway.protocol.approval_messages import (
    Answered as Answered,
)
from gateway.protocol.approval_messages import (
    AnswerWrong as AnswerWrong,
)
from gateway.protocol.approval_messages import (
    ApprovalEnd as ApprovalEnd,
)
from gateway.protocol.approval_messages import (
    ApprovalPage as ApprovalPage,
)
from gateway.protocol.approval_messages import (
    Approvals as Approvals,
)
from gateway.protocol.approval_messages import (
    Ask as Ask,
)
from gateway.protocol.approval_messages import (
    Assertion as Assertion,
)
from gateway.protocol.approval_messages import (
    BiometricBegin as BiometricBegin,
)
from gateway.protocol.approval_messages import (
    BiometricChallenge as BiometricChallenge,
)
from gateway.protocol.approval_messages import (
    BiometricEnrol as BiometricEnrol,
)
from gateway.protocol.approval_messages import (
    BiometricRemove as BiometricRemove,
)
from gateway.protocol.approval_messages import (
    BiometricState as BiometricState,
)
from gateway.protocol.approval_messages import (
    Decision as Decision,
)
from gateway.protocol.approval_messages import (
    Factor as Factor,
)
from gateway.protocol.approval_messages import (
    Inbox as Inbox,
)
from gateway.protocol.approval_messages import (
    InboxMessage as InboxMessage,
)
from gateway.protocol.approval_messages import (
    InboxPage as InboxPage,
)
from gateway.protocol.approval_messages import (
    InboxRead as InboxRead,
)
from gateway.protocol.approval_messages import (
    NumberMatch as NumberMatch,
)
from gateway.protocol.approval_messages import (
    OfflineCounted as OfflineCounted,
)
from gateway.protocol.approval_messages import (
    OfflineCounter as OfflineCounter,
)
from gateway.protocol.approval_messages import (
    PastApproval as PastApproval,
)
from gateway.protocol.approval_messages import (
    PushKey as PushKey,
)
from gateway.protocol.approval_messages import (
    PushSubscribe as PushSubscribe,
)
from gateway.protocol.approval_messages import (
    PushSubscribed as PushSubscribed,
)
from gateway.protocol.approval_messages import (
    PushUnsubscribe as PushUnsubscribe,
)
from gateway.protocol.approval_messages import (
    Settled as Settled,
)
from gateway.protocol.approval_messages import (
    TwoDigits as TwoDigits,
)
from gateway.protocol.approval_messages import (
    Unread as Unread,
)
from gateway.protocol.errors import MalformedMessage
from gateway.protocol.frames import MAX_FRAME
from gateway.protocol.wiretypes import (
    Bytes10,
    Bytes16,
    Bytes32,
    Bytes33,
    Bytes64,
    Bytes65,
    Count,
    Digits,
    Index,
    Message,
    Name,
    Seconds,
    Text64,
    Text128,
    decode_hook,
    encode_hook,
)

Platform = Literal["web", "android", "ios", "cli"]
Lang = Literal["fr", "en"]
BindingState = Literal["active", "suspended", "removed"]
EndReason = Literal["device-code", "expired", "cancelled", "contested"]


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


class Bind(Message, frozen=True, tag="bind"):
    """m3: the phone's signing key g_D and its signature over `keys.bind_input`."""

    key: Bytes65
    signature: Bytes64
    attestation: Attestation
    device: Device


class Cancel(Message, frozen=True, tag="cancel"):
    """The customer gives the activation up on the phone; from m4 until m7."""


class PinEvaluate(Message, frozen=True, tag="pin-evaluate"):
    """RFC 9497 BlindedElement."""

    blinded: Bytes33


class Commit(Message, frozen=True, tag="commit"):
    """m7: signatures over `keys.commit_input` (by g_D) and `keys.pin_enrol_input` (by the PIN key). `pin_verifier` is
    what offline answers are checked against (`pin.offline_verifier`)."""

    nonce: Bytes10
    signature: Bytes64
    pin_key: Bytes65
    pin_signature: Bytes64
    pin_verifier: Bytes32


class Ready(Message, frozen=True, tag="ready"):
    """r3: the phone has stored the next ratchet key."""


class Ping(Message, frozen=True, tag="ping"):
    """Asks for the time; keeps the socket open."""


class PinProve(Message, frozen=True, tag="pin-prove"):
    """Signature by the PIN key over `keys.pin_proof_input`."""

    signature: Bytes64


class PinChange(Message, frozen=True, tag="pin-change"):
    """Asks for a fresh OPRF key; only after `pin-proved`, once."""


class PinEnrol(Message, frozen=True, tag="pin-enrol"):
    """The new PIN key, its signature over `keys.pin_enrol_input` with the evaluation's nonce, and what offline answers
    are checked against from now on."""

    pin_key: Bytes65
    pin_signature: Bytes64
    pin_verifier: Bytes32


class Rename(Message, frozen=True, tag="rename"):
    """Gives the phone another name."""

    name: Name


class Remove(Message, frozen=True, tag="remove"):
    """Ends the binding at the customer's wish."""


class Pending(Message, frozen=True, tag="pending"):
    """m4: the device code is awaited at the desktop; `tries` are left."""

    tries: Count


class WrongCode(Message, frozen=True, tag="wrong-code"):
    """A wrong device code was typed; `left` tries are left."""

    left: Count


class Ended(Message, frozen=True, tag="ended"):
    """The activation is over; the socket closes."""

    reason: EndReason


class Confirmed(Message, frozen=True, tag="confirmed"):
    """m6. In one step it carries the nonce; in two-step the nonce comes in code 2."""

    nonce: Bytes10 | UnsetType = UNSET


class PinEvaluated(Message, frozen=True, tag="pin-evaluated"):
    """RFC 9497 EvaluatedElement; `left` tries after this one. The nonce comes on an open channel only."""

    element: Bytes33
    left: Count
    nonce: Bytes16 | UnsetType = UNSET


class PinBlocked(Message, frozen=True, tag="pin-blocked"):
    """No evaluation until `until` (Unix seconds), or until the bank unblocks (None)."""

    until: Seconds | None


class Active(Message, frozen=True, tag="active"):
    """The binding stands since `added` (Unix seconds)."""

    added: Seconds


class PinStatus(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The PIN's state: digits, tries left, blocked until (Unix seconds; None when it is not blocked by
    time)."""

    digits: Digits
    left: Count
    blocked_until: Seconds | None


class Welcome(Message, frozen=True, tag="welcome"):
    """r4: the gateway has stored ratchet index `next`; `hybrid_due` (Unix seconds) asks for suite 4 from
    then on. `gateway_key` is the S that index `next` runs under, when that is another one than this contact's; the
    phone checks that it is a point before it stores anything."""

    next: Index
    state: Literal["active"]
    tenant: Text64
    label: Text128
    hybrid_due: Seconds
    pin: PinStatus
    gateway_key: Bytes65 | UnsetType = UNSET


class Pong(Message, frozen=True, tag="pong"):
    """The gateway's time, Unix seconds."""

    time: Seconds


class PinProved(Message, frozen=True, tag="pin-proved"):
    """The PIN was right; the counter is full again."""


class PinWrong(Message, frozen=True, tag="pin-wrong"):
    """The PIN was wrong; `left` tries, and when there are none, blocked until `until` or by the bank
    (None)."""

    left: Count
    until: Seconds | None


class PinChangeReady(Message, frozen=True, tag="pin-change-ready"):
    """The next evaluation runs under a fresh OPRF key."""


class PinEnrolled(Message, frozen=True, tag="pin-enrolled"):
    """The new PIN is in force."""


class Renamed(Message, frozen=True, tag="renamed"):
    """The name in force."""

    name: Name


class Removed(Message, frozen=True, tag="removed"):
    """The binding has ended; the socket closes."""


class State(Message, frozen=True, tag="state"):
    """The bank or the customer changed the binding's state."""

    state: BindingState


class Problem(Message, frozen=True, tag="problem"):
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
