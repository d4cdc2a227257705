"""The software adapter's key file, version 1: bytes in, keys out, and back. `software.py` calls it; it touches no
file.

    magic "TSRAKEYS" 8 | version u8 = 1 | kdf u8 | memory KiB u32 | passes u16 | lanes u16 | salt 16 | nonce 12
    AES-256-GCM(file key, nonce, aad = the 46 bytes above, plaintext = JSON of the keys)

kdf 1: file key = Argon2id (RFC 9106, version 0x13) of a passphrase. kdf 2: HKDF-SHA256 (RFC 5869) of a 32-byte
key, and the three costs are zero. Integers are big-endian."""

import secrets
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import msgspec
from argon2.exceptions import HashingError
from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hsm_adapters.api import MAX_LABEL, KeyKind
from hsm_adapters.errors import HsmConfigurationError, InvalidRequest
from hsm_adapters.limits import check_label

MAX_FILE = 16 * 1_048_576
MIN_PASSPHRASE = 12
KEY_BYTES = 32

_MAGIC = b"TSRAKEYS"
_HEADER = struct.Struct(">8sBBIHH16s12s")
_PASSPHRASE, _KEY = 1, 2
# RFC 9106 section 4, second recommended option: 3 passes, 4 lanes, 64 MiB.
_MEMORY_KIB, _PASSES, _LANES = 65_536, 3, 4
_MAX_MEMORY_KIB, _MAX_PASSES, _MAX_LANES = 1_048_576, 64, 64
_DAMAGED = "The key file is damaged or was changed, or the passphrase or key is wrong. Check it, or restore a backup."


class KeyRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key of the file: 32 bytes of material, for P-256 the private scalar, big-endian."""

    label: Annotated[str, msgspec.Meta(max_length=MAX_LABEL)]
    kind: KeyKind
    created_at: float
    material: bytes

    def __repr__(self) -> str:
        return f"KeyRecord(label={self.label!r}, kind={self.kind.value!r})"


class _Contents(msgspec.Struct, forbid_unknown_fields=True):
    keys: list[KeyRecord]


@dataclass(frozen=True, slots=True)
class Kdf:
    """How the file key comes from the secret: everything of the header but the nonce."""

    kind: int
    memory_kib: int
    passes: int
    lanes: int
    salt: bytes

    @classmethod
    def for_passphrase(cls) -> "Kdf":
        """Return Argon2id with a fresh salt."""
        return cls(_PASSPHRASE, _MEMORY_KIB, _PASSES, _LANES, secrets.token_bytes(16))

    @classmethod
    def for_key(cls) -> "Kdf":
        """Return HKDF with a fresh salt."""
        return cls(_KEY, 0, 0, 0, secrets.token_bytes(16))

    @property
    def takes_passphrase(self) -> bool:
        """Whether the secret is a passphrase (else a 32-byte key)."""
        return self.kind == _PASSPHRASE

    def derive(self, secret: bytes) -> AESGCM:
        """Return the cipher under the file key. Some 100 ms and 64 MiB for a passphrase, so call it in a thread.
        Raises `HsmConfigurationError` for a key that is not 32 bytes."""
        if self.takes_passphrase:
            try:
                key = hash_secret_raw(
                    secret, self.salt, self.passes, self.memory_kib, self.lanes, KEY_BYTES, Type.ID, 0x13
                )
            except (HashingError, MemoryError):
                raise HsmConfigurationError(_DAMAGED) from None
        else:
            if len(secret) != KEY_BYTES:
                raise HsmConfigurationError("The key of the key file is not 32 bytes.")
            key = HKDF(SHA256(), KEY_BYTES, self.salt, b"tessera key file").derive(secret)
        return AESGCM(key)


def read_kdf(content: bytes) -> Kdf:
    """Return the key derivation that a key file names. Raises `HsmConfigurationError` for what is not a key file of
    version 1, or whose costs are out of bounds."""
    if len(content) < _HEADER.size + 16:
        raise HsmConfigurationError("This is not a key file of Tessera: it is too short.")
    magic, version, kind, memory, passes, lanes, salt, _ = _HEADER.unpack_from(content)
    if magic != _MAGIC:
        raise HsmConfigurationError("This is not a key file of Tessera.")
    if version != 1:
        raise HsmConfigurationError(f"The key file has version {version}; this program reads version 1.")
    if kind == _PASSPHRASE:
        lanes_fit = 1 <= lanes <= _MAX_LANES
        if not (lanes_fit and 8 * lanes <= memory <= _MAX_MEMORY_KIB and 1 <= passes <= _MAX_PASSES):
            raise HsmConfigurationError(_DAMAGED)
    elif kind != _KEY or memory or passes or lanes:
        raise HsmConfigurationError(_DAMAGED)
    return Kdf(kind, memory, passes, lanes, salt)


def open_keys(content: bytes, cipher: AESGCM) -> list[KeyRecord]:
    """Return the keys of a key file, in order of labels. Raises `HsmConfigurationError` when anything is wrong; the
    text does not say what, so that a guesser learns nothing."""
    read_kdf(content)
    header = content[: _HEADER.size]
    try:
        plaintext = cipher.decrypt(header[-12:], content[_HEADER.size :], header)
        keys = msgspec.json.decode(plaintext, type=_Contents).keys
        check_keys(keys)
    except (InvalidTag, msgspec.MsgspecError, InvalidRequest):
        raise HsmConfigurationError(_DAMAGED) from None
    return keys


def seal_keys(keys: Iterable[KeyRecord], kdf: Kdf, cipher: AESGCM) -> bytes:
    """Return the content of a key file, under a fresh nonce. Raises `InvalidRequest` when the keys do not fit."""
    ordered = sorted(keys, key=lambda record: record.label)
    check_keys(ordered)
    nonce = secrets.token_bytes(12)
    header = _HEADER.pack(_MAGIC, 1, kdf.kind, kdf.memory_kib, kdf.passes, kdf.lanes, kdf.salt, nonce)
    content = header + cipher.encrypt(nonce, msgspec.json.encode(_Contents(ordered)), header)
    if len(content) > MAX_FILE:
        raise InvalidRequest("The key file is full. Use an HSM.")
    return content


def check_keys(keys: list[KeyRecord]) -> None:
    """Refuse records out of order, twice the same label, or material that is not 32 bytes. Raises `InvalidRequest`."""
    previous = ""
    for record in keys:
        check_label(record.label)
        if record.label <= previous or len(record.material) != KEY_BYTES:
            raise InvalidRequest("These are not keys of a key file.")
        previous = record.label
