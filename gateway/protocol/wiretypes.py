"""The member types of the JSON messages: byte strings of fixed or bounded length (base64url on the wire) and bounded
texts and numbers. `messages.py` builds on these; nothing else should need the hooks."""

from typing import Annotated, ClassVar, Final, Self

from msgspec import Meta, Struct

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


class Bytes32(FixedBytes):
    """A digest, a key or a challenge."""

    SIZE = 32


class Bytes33(FixedBytes):
    """A P-256 point, compressed (SEC 1 section 2.3.3)."""

    SIZE = 33


class Bytes64(FixedBytes):
    """An ES256 signature, r | s (RFC 7518 section 3.4)."""

    SIZE = 64


class Bytes65(FixedBytes):
    """A P-256 point, uncompressed (SEC 1 section 2.3.3)."""

    SIZE = 65


class BoundedBytes(bytes):
    """Bytes of at least one and at most `MAX`."""

    MAX: ClassVar[int] = 0

    def __new__(cls, value: bytes) -> Self:
        """Take 1 to MAX bytes. Raises MalformedMessage."""
        if not 0 < len(value) <= cls.MAX:
            raise MalformedMessage(f"1 to {cls.MAX} bytes are needed")
        return super().__new__(cls, value)


class StatementBytes(BoundedBytes):
    """The canonical bytes of what is approved (section 10)."""

    MAX = 8_192


class CredentialBytes(BoundedBytes):
    """A WebAuthn credential id (Level 3, section 4)."""

    MAX = 1_023


class ClientDataBytes(BoundedBytes):
    """WebAuthn collected client data, JSON (section 5.8.1)."""

    MAX = 2_048


class AuthenticatorBytes(BoundedBytes):
    """WebAuthn authenticator data or an attestation object (sections 6.1 and 6.5)."""

    MAX = 4_096


class DerSignatureBytes(BoundedBytes):
    """A WebAuthn assertion's signature (section 6.5.5); ES256 in DER has at most 72 bytes."""

    MAX = 512


# Texts hold no control characters (category Cc): they reach screens and logs of other people.
_PRINTABLE: Final = r"\A[^\x00-\x1f\x7f-\x9f]*\Z"
Text64 = Annotated[str, Meta(max_length=64, pattern=_PRINTABLE)]
Text256 = Annotated[str, Meta(max_length=256, pattern=_PRINTABLE)]
Text2048 = Annotated[str, Meta(max_length=2048)]
Text128 = Annotated[str, Meta(max_length=128, pattern=_PRINTABLE)]
Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=_PRINTABLE)]
Seconds = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Count = Annotated[int, Meta(ge=0, le=255)]
Index = Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]
Digits = Annotated[int, Meta(ge=4, le=12)]


class Message(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="t"):
    """Base of the tagged messages."""


def decode_hook(kind: type, value: object) -> object:
    """Build bytes from their base64url text, for msgspec. Raises ValueError."""
    if not (isinstance(value, str) and issubclass(kind, FixedBytes | BoundedBytes)):
        raise ValueError("base64url is needed")
    raw = b64url_decode(value)
    is_right = len(raw) == kind.SIZE if issubclass(kind, FixedBytes) else 0 < len(raw) <= kind.MAX
    if not is_right:
        raise ValueError("wrong length")
    return kind(raw)


def encode_hook(value: object) -> str:
    """Write bytes as base64url, for msgspec."""
    if isinstance(value, FixedBytes | BoundedBytes):
        return b64url_encode(value)
    raise NotImplementedError(type(value).__name__)
