"""The frames around the handshake: hello, answer, error, and the challenge for a stale ratchet index (wire
specification, section 2). The gateway's channel and the phone client call this; after the answer there are
only Noise transport messages, without a type byte. Nothing here is authenticated: a parsed hello is a
claim."""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import msgspec

from gateway.protocol.errors import ErrorCode, MalformedFrame, UnsupportedSuite

MAX_FRAME: Final = 16_384
SUBPROTOCOL: Final = "tessera.v1"
CHANNEL_PATH: Final = "/phone/v1/channel"

_HELLO: Final = 0x01
_ANSWER: Final = 0x02
_STALE_CHALLENGE: Final = 0x03
_STALE_ANSWER: Final = 0x04
_ERROR: Final = 0x7F
_HEADER: Final = struct.Struct(">BBB16sI")
STALE_NONCE_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64


class Kind(IntEnum):
    """What a hello opens: a first contact or a later one."""

    FIRST_CONTACT = 1
    RESUME = 2


class Suite(IntEnum):
    """The Noise protocols of the wire specification by their number."""

    FIRST_HYBRID = 1
    FIRST_CLASSICAL = 2
    RESUME_CLASSICAL = 3
    RESUME_HYBRID = 4

    @property
    def kind(self) -> Kind:
        """The kind of contact this suite is for."""
        return Kind.FIRST_CONTACT if self <= Suite.FIRST_CLASSICAL else Kind.RESUME

    @property
    def hybrid(self) -> bool:
        """Whether ML-KEM-768 stands beside P-256."""
        return self in (Suite.FIRST_HYBRID, Suite.RESUME_HYBRID)


_SUITES: Final = {int(suite): suite for suite in Suite}


@dataclass(frozen=True, slots=True)
class Hello:
    """The first frame. `subject` is the activation id (first contact) or binding id (resume), 16 bytes;
    `counter` the rotation n or the ratchet index, u32; `message` the Noise m1."""

    kind: Kind
    suite: Suite
    subject: bytes
    counter: int
    message: bytes

    def encode(self) -> bytes:
        """Return the frame. Raises MalformedFrame when a member does not fit."""
        if len(self.subject) != 16 or not 0 <= self.counter <= 0xFFFFFFFF:
            raise MalformedFrame("hello: id has 16 bytes, the counter is a u32")
        frame = _HEADER.pack(_HELLO, self.kind, self.suite, self.subject, self.counter) + self.message
        if len(frame) > MAX_FRAME:
            raise MalformedFrame("hello: too long")
        return frame


@dataclass(frozen=True, slots=True)
class Answer:
    """The gateway's Noise m2."""

    message: bytes


@dataclass(frozen=True, slots=True)
class ErrorFrame:
    """An unauthenticated refusal: to be shown, never a reason to erase anything."""

    error: ErrorCode


@dataclass(frozen=True, slots=True)
class StaleChallenge:
    """The gateway does not hold the ratchet index of the hello; `nonce` (32 bytes) is to be signed."""

    nonce: bytes


class _ErrorBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    error: ErrorCode


_error_decoder = msgspec.json.Decoder(_ErrorBody)


def parse_hello(frame: bytes) -> Hello:
    """Parse the phone's first frame. Raises MalformedFrame, and UnsupportedSuite for a suite that does not
    exist or belongs to the other kind of contact."""
    if not _HEADER.size < len(frame) <= MAX_FRAME:
        raise MalformedFrame("hello: wrong length")
    tag, kind, suite_number, subject, counter = _HEADER.unpack_from(frame)
    if tag != _HELLO or kind not in (1, 2):
        raise MalformedFrame("not a hello")
    suite = _SUITES.get(suite_number)
    if suite is None or suite.kind != kind:
        raise UnsupportedSuite("no such suite for this kind of contact")
    if kind == Kind.FIRST_CONTACT and counter > 0xFFFF:
        raise MalformedFrame("hello: the rotation is a u16")
    return Hello(suite.kind, suite, subject, counter, frame[_HEADER.size :])


def answer_frame(message: bytes) -> bytes:
    """Return the frame of the gateway's Noise m2."""
    return bytes((_ANSWER,)) + message


def error_frame(error: ErrorCode) -> bytes:
    """Return the unauthenticated error frame; the socket is closed after it."""
    return bytes((_ERROR,)) + msgspec.json.encode({"error": error.value})


def stale_challenge_frame(nonce: bytes) -> bytes:
    """Return the challenge for a stale index; `nonce` has 32 fresh random bytes."""
    if len(nonce) != STALE_NONCE_BYTES:
        raise MalformedFrame("stale challenge: the nonce has 32 bytes")
    return bytes((_STALE_CHALLENGE,)) + nonce


def stale_answer_frame(signature: bytes) -> bytes:
    """Return the phone's answer to a stale challenge: ES256 of `keys.stale_input`, 64 bytes."""
    if len(signature) != SIGNATURE_BYTES:
        raise MalformedFrame("stale answer: the signature has 64 bytes")
    return bytes((_STALE_ANSWER,)) + signature


def parse_stale_answer(frame: bytes) -> bytes:
    """Return the 64-byte signature of a stale answer. Raises MalformedFrame."""
    if len(frame) != 1 + SIGNATURE_BYTES or frame[0] != _STALE_ANSWER:
        raise MalformedFrame("not a stale answer")
    return frame[1:]


def parse_gateway_frame(frame: bytes) -> Answer | ErrorFrame | StaleChallenge:
    """Parse what the gateway answers to a hello or to a stale answer. Raises MalformedFrame."""
    if not 1 < len(frame) <= MAX_FRAME:
        raise MalformedFrame("answer: wrong length")
    tag, body = frame[0], frame[1:]
    if tag == _ANSWER:
        return Answer(body)
    if tag == _STALE_CHALLENGE and len(body) == STALE_NONCE_BYTES:
        return StaleChallenge(body)
    if tag == _ERROR:
        try:
            return ErrorFrame(_error_decoder.decode(body).error)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise MalformedFrame("error frame: not one of the known codes") from error
    raise MalformedFrame("answer: unknown type")
