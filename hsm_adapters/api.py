"""The face of a key store: what the gateway may ask of an HSM. Implementations live beside this file or come
by the entry point `tessera.hsm_adapters`. No method returns a private or symmetric key's bytes, so that the
interface fits a PKCS#11 module with non-extractable keys as well as the software adapter. What some stores can
do and others cannot is a capability: a class of its own, asked for by `isinstance`."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
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
    when the store does not keep it), for elliptic-curve keys the public point (65 bytes, uncompressed), and the
    store's identifier of the key (attribute `id` of RFC 7512; None where it has none)."""

    label: str
    kind: KeyKind
    created_at: float | None
    public_key: bytes | None
    key_id: bytes | None = None


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A P-256 agreement key that lives outside the store, wrapped under a key inside it: the blob
    (at most 512 bytes) and the public point (65 bytes, uncompressed)."""

    blob: bytes
    public_key: bytes


MAX_LABEL = 64
"""Characters of a label, all of `A-Z a-z 0-9 . _ -`, so that it stands unescaped in a URI and a file name."""

MAX_PLAINTEXT = 65_536
MAX_MESSAGE = 1_048_576
MAX_CONTEXT = 1_024
MAX_RANDOM = 1_024
MAX_PEERS = 4
MIN_MAC_KEY, MAX_MAC_KEY = 10, 64
MAX_MAC_MESSAGE = 1_024
MAX_MACS = 256
"""Limits in bytes (and points) that every adapter enforces with `InvalidRequest`."""
MAX_WRAPPED = 512
"""Bytes of a wrapped key's blob, at most."""


class HsmAdapter(ABC):
    """Keys by label. Every method may raise `hsm_adapters.errors.HsmUnavailable`; those that name a key,
    `KeyNotFound` or `WrongKeyKind`; those that take bytes, `InvalidRequest` for what is over the limits.
    Methods are safe to call from many tasks of one event loop at once."""

    @classmethod
    @abstractmethod
    async def open(cls, uri: str) -> Self:
        """Open the store that a key URI names, such as `software:file=…` or `pkcs11:token=…`. Raises
        `HsmConfigurationError` with what to do next."""

    @abstractmethod
    async def close(self) -> None:
        """Release sessions and let go of what is held in memory. Every later call raises `HsmUnavailable`."""

    @abstractmethod
    async def generate(self, label: str, kind: KeyKind) -> KeyInfo:
        """Generate a key inside the store. Raises `KeyExists`."""

    @abstractmethod
    async def find(self, label: str) -> KeyInfo:
        """Return what may be told of one key. Raises `KeyNotFound`."""

    @abstractmethod
    async def list(self) -> Sequence[KeyInfo]:
        """Return all keys, in order of their labels."""

    @abstractmethod
    async def destroy(self, label: str) -> None:
        """Erase a key for ever. What it wrapped is lost."""

    @abstractmethod
    async def sign(self, label: str, message: bytes) -> bytes:
        """ECDSA on P-256 with SHA-256 over `message` (at most 1 MiB); returns r | s, 64 bytes (RFC 7518
        section 3.4)."""

    @abstractmethod
    async def ecdh(self, label: str, peer: bytes) -> bytes:
        """Agreement with the peer's point (65 bytes, uncompressed); returns the x coordinate, 32 bytes
        (NIST SP 800-56A section 5.7.1.2). Raises `InvalidPeerKey` when the point is not on the curve."""

    @abstractmethod
    async def mac(self, label: str, message: bytes) -> bytes:
        """HMAC-SHA-256 over `message` (at most 1 MiB), 32 bytes (RFC 2104)."""

    @abstractmethod
    async def wrap(self, label: str, plaintext: bytes, context: bytes) -> bytes:
        """Seal at most 64 KiB under a wrapping key, bound to `context` (associated data, at most 1 KiB). The
        blob is at most 64 bytes longer."""

    @abstractmethod
    async def unwrap(self, label: str, blob: bytes, context: bytes) -> bytes:
        """Open what `wrap` made. Raises `UnwrapFailed` for another key, another context or a changed blob, and
        for the blob of a wrapped agreement key: no such key comes out in clear."""

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

    @abstractmethod
    async def rewrap(
        self, wrapping_label: str, blob: bytes, context: bytes, *, new_label: str, new_context: bytes
    ) -> bytes:
        """Return the blob of the same key under another wrapping key of this store and for `new_context`. Raises
        `UnwrapFailed`."""


class WrappedKeyRelease(ABC):
    """Capability: a wrapped agreement key can leave for another store. Only a store that holds its keys in this
    process's memory anyway has it; `tessera keys migrate` uses it to move into an HSM."""

    @abstractmethod
    async def release_wrapped(self, wrapping_label: str, blob: bytes, context: bytes) -> bytes:
        """Return the scalar of a wrapped agreement key, 32 bytes. Raises `UnwrapFailed`."""


class WrappedKeyImport(ABC):
    """Capability: an agreement key from elsewhere can be wrapped here. Its other side is `WrappedKeyRelease`."""

    @abstractmethod
    async def import_wrapped(self, wrapping_label: str, scalar: bytes, context: bytes) -> WrappedKey:
        """Wrap the P-256 private key `scalar` (32 bytes). Raises `InvalidRequest` for what is none."""


class HashName(StrEnum):
    """Hash functions of OATH codes (RFC 6238 section 1.2)."""

    SHA1 = "sha1"
    SHA256 = "sha256"
    SHA512 = "sha512"


class WrappedMacKeys(ABC):
    """Capability: HMAC keys in any number (seeds of tokens), each kept outside the store under a wrapping key and used
    inside it. A seed that came from elsewhere passes the caller's memory once, when it is wrapped."""

    @abstractmethod
    async def macs_inside(self) -> bool:
        """Whether such a key, once wrapped, is never in this process's memory; False for a store that holds its keys
        there anyway, or whose module cannot wrap HMAC keys."""

    @abstractmethod
    async def wrap_mac_key(self, wrapping_label: str, key: bytes, context: bytes) -> bytes:
        """Return the blob (at most 512 bytes) of an HMAC key of 10 to 64 bytes, bound to `context`. No `unwrap` opens
        it."""

    @abstractmethod
    async def mac_wrapped(
        self,
        wrapping_label: str,
        blob: bytes,
        context: bytes,
        messages: Sequence[bytes],
        *,
        hash_name: HashName,
    ) -> list[bytes]:
        """HMAC of each of 1 to 256 messages (at most 1 KiB each) under a wrapped key (RFC 2104): 20, 32 or 64 bytes
        each. Raises `UnwrapFailed`."""

    @abstractmethod
    async def rewrap_mac_key(
        self, wrapping_label: str, blob: bytes, context: bytes, *, new_label: str, new_context: bytes
    ) -> bytes:
        """Return the blob of the same HMAC key under another wrapping key of this store. Raises `UnwrapFailed`."""


@dataclass(frozen=True, slots=True)
class OperationReport:
    """What a store does of one operation: whether, how (its mechanism's standard name, or why not), and how many a
    second one caller gets (None where it was not measured)."""

    operation: str
    is_supported: bool
    how: str
    rate: float | None


class Examinable(ABC):
    """Capability: the store can be examined (`tessera keys doctor`)."""

    @abstractmethod
    async def examine(self, *, measure: bool) -> Sequence[OperationReport]:
        """Try every operation with keys that are gone afterwards; with `measure` for a while, to tell a rate."""


class CopyableStore(ABC):
    """Capability: the store can be copied as a whole, encrypted (`tessera keys backup`). A device whose keys do not
    leave it lacks it, and is backed up by its maker's means."""

    @abstractmethod
    async def copy_to(self, path: Path, *, passphrase_source: str) -> str:
        """Write a copy to a new file under a passphrase (`env:NAME`, `file:PATH` or `prompt:`), and return the URI that
        opens it. Raises `HsmConfigurationError` for a file that is there already, and for a passphrase that is too
        short."""


class CreatableStore(ABC):
    """Capability: the store itself can be made from its URI. A device that an officer initialises lacks it."""

    @classmethod
    @abstractmethod
    async def create(cls, uri: str) -> Self:
        """Make the store unless it is there already, and open it. Raises `HsmConfigurationError`."""
