"""The member types of the JSON messages: byte strings of one fixed length (base64url on the wire) and bounded
texts and numbers. `messages.py` builds on these; nothing else should need the hooks."""

from typing import Annotated, ClassVar, Final, Self

from msgspec import Meta

from gateway.core.encoding import b64url_decode, b64url_encode
from gateway.protocol.errors import MalformedMessage


class FixedBytes(bytes):
    """Bytes of the length `SIZE`, so that a wrong length cannot be built, sent or received."""

    SIZE: ClassVar[int] = 0

    def __new__(cls, value: bytes) -> Self:
        """Take exactly SIZE bytes. Raises MalformedMessage."""
        if len(value) != cls.SIZE:
            raise MalformedMessage(f"{cls.SIZE} bytes are needed")
        return super().__new__(cls, value)


class Bytes10(FixedBytes):
    """The nonce of code 2."""

    SIZE = 10


class Bytes16(FixedBytes):
    """An identifier, or a nonce."""

    SIZE = 16


class Bytes33(FixedBytes):
    """A P-256 point, compressed (SEC 1 section 2.3.3)."""

    SIZE = 33


class Bytes64(FixedBytes):
    """An ES256 signature, r | s (RFC 7518 section 3.4)."""

    SIZE = 64


class Bytes65(FixedBytes):
    """A P-256 point, uncompressed (SEC 1 section 2.3.3)."""

    SIZE = 65


# Texts hold no control characters (category Cc): they reach screens and logs of other people.
_PRINTABLE: Final = r"\A[^\x00-\x1f\x7f-\x9f]*\Z"
Text64 = Annotated[str, Meta(max_length=64, pattern=_PRINTABLE)]
Text128 = Annotated[str, Meta(max_length=128, pattern=_PRINTABLE)]
Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=_PRINTABLE)]
Seconds = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Count = Annotated[int, Meta(ge=0, le=255)]
Index = Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]
Digits = Annotated[int, Meta(ge=4, le=12)]


def decode_hook(kind: type, value: object) -> object:
    """Build a FixedBytes from its base64url text, for msgspec. Raises ValueError."""
    if not (isinstance(value, str) and issubclass(kind, FixedBytes)):
        raise ValueError("base64url is needed")
    raw = b64url_decode(value)
    if len(raw) != kind.SIZE:
        raise ValueError("wrong length")
    return kind(raw)


def encode_hook(value: object) -> str:
    """Write a FixedBytes as base64url, for msgspec."""
    if isinstance(value, FixedBytes):
        return b64url_encode(value)
    raise NotImplementedError(type(value).__name__)
