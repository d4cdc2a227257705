"""The encryption of the phone's key file: AES-256-GCM under a key from a passphrase (Argon2id, RFC 9106) or from
a key file. The header is associated data, so its parameters can't be lowered unnoticed. `store.py` alone calls
this."""

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, Self

import msgspec
from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Meta

from gateway.core.secrets import system_random
from gateway.phone.errors import StoreError

TIME_COST = 3
MEMORY_KIB = 64 * 1024
LANES = 4
_KEY_BYTES = 32
_NONCE_BYTES = 12


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The first line of the file."""

    format: Literal["tessera-phone-1"] = "tessera-phone-1"
    kdf: Literal["argon2id", "key-file"]
    salt: bytes
    time: Annotated[int, Meta(ge=1, le=100)] = TIME_COST
    memory_kib: Annotated[int, Meta(ge=8 * 1024, le=4 * 1024 * 1024)] = MEMORY_KIB
    lanes: Annotated[int, Meta(ge=1, le=64)] = LANES


@dataclass(frozen=True, slots=True)
class Vault:
    """An opened key file: its header, and the key of its contents."""

    header: bytes
    key: bytes = field(repr=False)

    @classmethod
    def create(cls, *, passphrase: str | None, key_file: Path | None) -> Self:
        """Begin a file under a passphrase, or under a key file, which is made when there is none. Raises
        StoreError."""
        if key_file is not None and not key_file.exists():
            try:
                _make_key(key_file)
            except OSError as error:
                raise StoreError(
                    f"the key file can't be made: {error.strerror}", "Check --key-file."
                ) from None
        kdf: Literal["argon2id", "key-file"] = "argon2id" if key_file is None else "key-file"
        header = _Header(kdf=kdf, salt=system_random(16))
        return cls(msgspec.json.encode(header), _derive(header, passphrase=passphrase, key_file=key_file))

    @classmethod
    def unlock(cls, blob: bytes, *, passphrase: str | None, key_file: Path | None) -> tuple[Self, bytes]:
        """Return the opened vault and the contents. Raises StoreError."""
        line, _, rest = blob.partition(b"\n")
        try:
            header = msgspec.json.decode(line, type=_Header)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise StoreError("this is not a phone's key store", "Check --store.") from None
        key = _derive(header, passphrase=passphrase, key_file=key_file)
        try:
            plain = AESGCM(key).decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], line)
        except (InvalidTag, ValueError):
            raise StoreError(
                "the key store does not open", "Check the passphrase or key file; the file may be damaged."
            ) from None
        return cls(line, key), plain

    def seal(self, plain: bytes) -> bytes:
        """Return the file's bytes for new contents, under a fresh nonce."""
        nonce = system_random(_NONCE_BYTES)
        return self.header + b"\n" + nonce + AESGCM(self.key).encrypt(nonce, plain, self.header)


def write_synced(path: Path, data: bytes) -> None:
    """Write a file of mode 0600, on the disk when this returns. Its name is durable after `sync_folder`."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_key(key_file: Path) -> None:
    """Make a key file whole or not at all: a store sealed under a key that a power cut took is lost. One that another
    process has just made stays."""
    key_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = key_file.with_name(f".{key_file.name}.{os.getpid()}.new")
    try:
        write_synced(temporary, system_random(_KEY_BYTES))
        with contextlib.suppress(FileExistsError):
            os.link(temporary, key_file)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(key_file.parent)


def _derive(header: _Header, *, passphrase: str | None, key_file: Path | None) -> bytes:
    if header.kdf == "key-file":
        return _read_key(key_file)
    if not passphrase:
        raise StoreError("a passphrase is needed", "Give it when asked, or name a key file by --key-file.")
    return hash_secret_raw(
        passphrase.encode("utf-8"),
        header.salt,
        time_cost=header.time,
        memory_cost=header.memory_kib,
        parallelism=header.lanes,
        hash_len=_KEY_BYTES,
        type=Type.ID,
    )


def _read_key(key_file: Path | None) -> bytes:
    if key_file is None or not key_file.exists():
        raise StoreError("this key store needs its key file", "Name it by --key-file.")
    if key_file.stat().st_mode & 0o077:
        raise StoreError("the key file is readable by others", f"Run: chmod 600 {key_file}")
    key = key_file.read_bytes()
    if len(key) != _KEY_BYTES:
        raise StoreError("the key file is damaged", "It has 32 bytes; restore it.")
    return key
