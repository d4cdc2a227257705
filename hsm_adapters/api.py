"""The face of a key store: what the gateway may ask of an HSM. Implementations live beside this file or come
by the entry point `tessera.hsm_adapters`. No method returns a private or symmetric key's bytes, so that the
interface fits a PKCS#11 module with non-extractable keys as well as the software adapter."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class KeyKind(StrEnum):
    """What a key is for. A key has one purpose (NIST SP 800-57 part 1, section 5.2)."""

    SIGN_P256 = "sign-p256"
    AGREE_P256 = "agree-p256"
    WRAP_AES256 = "wrap-aes256"
    MAC_SHA256 = "mac-sha256"


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """What may be told of a key: its label (unique in the store), kind, creation time (Unix seconds, or None
    when the store does not keep it) and, for elliptic-curve keys, the public point (65 bytes, uncompressed)."""

    label: str
    kind: KeyKind
    created_at: float | None
    public_key: bytes | None


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A P-256 agreement key that lives outside the store, wrapped under a key inside it: the blob
    (at most 512 bytes) and the public point (65 bytes, uncompressed)."""

    blob: bytes
    public_key: bytes


class HsmAdapter(ABC):
    """Keys by label. Every method may raise `hsm_adapters.errors.HsmUnavailable`; those that name a key,
    `KeyNotFound` or `WrongKeyKind`."""

    @classmethod
    @abstractmethod
    async def open(cls, uri: str) -> Self:
        """Open the store that a key URI names. Raises `HsmError` kinds with what to do next."""

    @abstractmethod
    async def close(self) -> None:
        """Release sessions and erase what is held in memory."""

    @abstractmethod
    async def generate(self, label: str, kind: KeyKind) -> KeyInfo:
        """Generate a key inside the store. Raises `KeyExists`."""

    @abstractmethod
    async def find(self, label: str) -> KeyInfo:
        """Return what may be told of one key. Raises `KeyNotFound`."""

    @abstractmethod
    async def list(self) -> Sequence[KeyInfo]:
        """Return all keys, by label."""

    @abstractmethod
    async def destroy(self, label: str) -> None:
        """Erase a key for ever."""

    @abstractmethod
    async def sign(self, label: str, message: bytes) -> bytes:
        """ECDSA on P-256 with SHA-256 over `message`; returns r | s, 64 bytes (RFC 7518 section 3.4)."""

    @abstractmethod
    async def ecdh(self, label: str, peer: bytes) -> bytes:
        """Agreement with the peer's point (65 bytes, uncompressed); returns the x coordinate, 32 bytes
        (NIST SP 800-56A section 5.7.1.2). Raises `InvalidPeerKey` when the point is not on the curve."""

    @abstractmethod
    async def mac(self, label: str, message: bytes) -> bytes:
        """HMAC-SHA-256 over `message`, 32 bytes (RFC 2104)."""

    @abstractmethod
    async def wrap(self, label: str, plaintext: bytes, context: bytes) -> bytes:
        """Seal at most 64 KiB under a wrapping key, bound to `context` (associated data)."""

    @abstractmethod
    async def unwrap(self, label: str, blob: bytes, context: bytes) -> bytes:
        """Open what `wrap` made. Raises `UnwrapFailed` for another key, another context or a changed blob."""

    @abstractmethod
    async def random(self, size: int) -> bytes:
        """Return `size` bytes of the store's random generator (1 to 1,024)."""


class WrappedAgreementKeys(ABC):
    """Capability: agreement keys in any number, each kept outside the store under a wrapping key. The
    private key exists in clear only inside the store."""

    @abstractmethod
    async def generate_wrapped(self, wrapping_label: str, context: bytes) -> WrappedKey:
        """Generate a P-256 agreement key and return it wrapped, bound to `context`."""

    @abstractmethod
    async def ecdh_wrapped(
        self, wrapping_label: str, blob: bytes, context: bytes, peers: Sequence[bytes]
    ) -> list[bytes]:
        """Agreement of one wrapped key with each of 1 to 4 peers (65 bytes each): 32-byte x coordinates.
        Raises `UnwrapFailed`, `InvalidPeerKey`."""
