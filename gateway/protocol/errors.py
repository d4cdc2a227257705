"""What can go wrong in the protocol, each failure by a name of its own. Every parser and step in this package
raises these and never a library's exception, so that a caller needs one `except`. Texts name the check that
failed, never the bytes."""

from enum import StrEnum
from typing import ClassVar


class ErrorCode(StrEnum):
    """The closed list of codes in the unauthenticated error frame (wire specification, section 2)."""

    UNKNOWN = "unknown"
    EXPIRED = "expired"
    ENDED = "ended"
    REFUSED = "refused"
    SUITE = "suite"
    PLATFORM = "platform"
    SUSPENDED = "suspended"
    RETIRED = "retired"
    BUSY = "busy"


class ProtocolError(Exception):
    """Base of all. `code` is stable and may be logged."""

    code: ClassVar[str] = "protocol-error"


class MalformedFrame(ProtocolError):
    """A channel frame is not of the form of section 2, or longer than 16,384 bytes."""

    code = "malformed-frame"


class MalformedMessage(ProtocolError):
    """A JSON message is not one of those that this direction knows, member for member."""

    code = "malformed-message"


class MalformedCode(ProtocolError):
    """What was scanned, followed or typed is not a Tessera code."""

    code = "malformed-code"


class MistypedCode(MalformedCode):
    """A typed code has the right form, but its check character does not match: a typing error."""

    code = "mistyped-code"


class StaleCode(MalformedCode):
    """An offline code is for this phone, but for another index of its ratchet: the next contact mends it."""

    code = "stale-code"


class WrongOfflineAnswer(ProtocolError):
    """The eight digits of an offline answer do not verify; why, is not told."""

    code = "wrong-offline-answer"


class MalformedSuite(ProtocolError):
    """A text is not a suite of RFC 6287."""

    code = "malformed-suite"


class OcraInputRefused(ProtocolError):
    """An input of OCRA is not what its suite names; a fault of the calling code."""

    code = "ocra-input"


class ForeignHost(ProtocolError):
    """The link leads to another host than the phone's own."""

    code = "foreign-host"


class UnsupportedSuite(ProtocolError):
    """No such suite, or not for this kind of contact."""

    code = "unsupported-suite"


class InvalidPoint(ProtocolError):
    """Bytes are not a point of the curve, not its usable encoding, or the identity."""

    code = "invalid-point"


class InvalidKey(ProtocolError):
    """A key has the wrong length or an impossible value."""

    code = "invalid-key"


class HandshakeFailed(ProtocolError):
    """The handshake does not verify: wrong psk, prologue or static key, or altered bytes."""

    code = "handshake-failed"


class ChannelFailed(ProtocolError):
    """A transport message does not open: altered, repeated, reordered or dropped. The channel is dead."""

    code = "channel-failed"


class OutOfTurn(ProtocolError):
    """A step was called that is not due now; a fault of the calling code."""

    code = "out-of-turn"


class SignatureInvalid(ProtocolError):
    """A signature does not verify under the key that should have made it."""

    code = "signature-invalid"


class WeakPin(ProtocolError):
    """The PIN is too easily guessed, or not of the asked form. `reason` is one of
    `gateway.protocol.pin.WeakReason`."""

    code = "weak-pin"

    def __init__(self, reason: str) -> None:
        super().__init__(f"weak PIN: {reason}")
        self.reason = reason


class ContactRefused(Exception):
    """The contact ends with an error frame of this code."""

    def __init__(self, code: ErrorCode) -> None:
        super().__init__(code.value)
        self.code = code
