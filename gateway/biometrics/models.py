"""The credential of a binding as data, and how a sign count may move. Nothing here reads a clock or a database."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from gateway.protocol.errors import ProtocolError
from gateway.protocol.proof import BiometricProof

BiometricPolicy = Literal["off", "optional", "required"]


@dataclass(frozen=True, slots=True)
class Credential:
    """What the gateway keeps of a binding's credential; of finger and face nothing ever leaves the device. `key` is the
    COSE public key, `aaguid` (16 bytes) the authenticator's model by its own word, `added_at` Unix milliseconds."""

    binding_id: str
    tenant_id: str
    credential: bytes
    key: bytes
    sign_count: int
    aaguid: bytes
    added_at: int


@dataclass(frozen=True, slots=True)
class CheckedAssertion:
    """An assertion that verifies: what to keep for evidence, and the sign count that it brought."""

    proof: BiometricProof
    sign_count: int


@dataclass(frozen=True, slots=True)
class BiometricRules:
    """What policy wants of phones, and the origins under which the phone app is served: each its own relying party, by
    its host name."""

    policy: BiometricPolicy
    origins: tuple[str, ...]


class BiometricRefused(ProtocolError):
    """The credential or the assertion is not good, or not allowed."""

    code: ClassVar[str] = "biometric-refused"


def has_risen(stored: int, brought: int) -> bool:
    """Say whether a sign count moved as it does on one device (WebAuthn Level 3, section 6.1.1): upward, or 0 for good
    where the device keeps none. Otherwise a copy of the credential may be in use."""
    return brought > stored or (brought == 0 and stored == 0)
