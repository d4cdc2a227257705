"""Keys in an encrypted file (`software:file=PATH?passphrase-source=…` or `?key-source=…`), for development, for
small installations, and as the measure of the contract suite. The registry opens it. In clear the keys exist only
inside this process, as handles of `cryptography`; no method gives their bytes.

Operations take 5 to 100 µs and run in the event loop itself. Writing (generate, destroy) and key derivation run
in a thread. Several processes may share a file: a writer takes its lock, reads it anew, changes and replaces it,
and the others see that within a second."""

import asyncio
import builtins
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hsm_adapters.api import (
    MAX_CONTEXT,
    MAX_MESSAGE,
    MAX_PLAINTEXT,
    CopyableStore,
    CreatableStore,
    Examinable,
    HashName,
    HsmAdapter,
    KeyInfo,
    KeyKind,
    OperationReport,
    WrappedAgreementKeys,
    WrappedKey,
    WrappedKeyImport,
    WrappedKeyRelease,
    WrappedMacKeys,
)
from hsm_adapters.errors import (
    HsmConfigurationError,
    HsmUnavailable,
    InvalidRequest,
    KeyExists,
    KeyNotFound,
)
from hsm_adapters.examination import examine
from hsm_adapters.files import check_folder, exclusive, write_private
from hsm_adapters.held_keys import HeldKey, digest_of, fresh_material, hold
from hsm_adapters.key_file import (
    Kdf,
    KeyRecord,
    open_keys,
    read_kdf,
    seal_keys,
)
from hsm_adapters.key_location import KeyFileLocation, Stamp, make_folder
from hsm_adapters.limits import (
    check_blob,
    check_label,
    check_length,
    check_mac_key,
    check_macs,
    check_peers,
    check_random,
    check_scalar,
)
from hsm_adapters.uri import KeyUri

_REFRESH_S = 1.0

_HOW = {
    "sign": "ECDSA P-256 SHA-256",
    "ecdh": "ECDH P-256",
    "mac": "HMAC-SHA-256",
    "wrap": "AES-256-GCM",
    "unwrap": "AES-256-GCM",
    "generate wrapped agreement key": "AES-256-GCM",
    "ecdh by wrapped agreement key": "ECDH P-256, in this process",
    "import agreement key": "AES-256-GCM",
    "wrap HMAC key": "AES-256-GCM",
    "HMAC by wrapped key": "HMAC, in this process",
    "random": "operating system's generator",
}


class SoftwareAdapter(
    HsmAdapter,
    WrappedAgreementKeys,
    WrappedKeyRelease,
    WrappedKeyImport,
    WrappedMacKeys,
    Examinable,
    CopyableStore,
    CreatableStore,
):
    """A key store in one encrypted file. Open it by `open` or `create`."""

    def __init__(self, location: KeyFileLocation, kdf: Kdf, cipher: AESGCM, now: Callable[[], float]) -> None:
        self._location = location
        self._kdf = kdf
        self._cipher: AESGCM | None = cipher
        self._now = now
        self._keys: Mapping[str, HeldKey] = {}
        self._stamp: Stamp | None = None
        self._next_look = 0.0
        self._writing = asyncio.Lock()

    @classmethod
    async def open(cls, uri: str) -> Self:
        """Open the key file that the URI names. Raises `HsmConfigurationError` for a missing or damaged file, wide
        permissions or a wrong secret."""
        location = KeyFileLocation.parse(uri)
        content, stamp = await asyncio.to_thread(location.read)
        await asyncio.to_thread(check_folder, location.path.parent)
        kdf = read_kdf(content)
        if kdf.takes_passphrase is not location.takes_passphrase:
            wanted = "passphrase-source" if kdf.takes_passphrase else "key-source"
            raise HsmConfigurationError(f"{location.path} opens by {wanted}.")
        cipher = await asyncio.to_thread(kdf.derive, await location.secret())
        # A key store keeps its own time, as a device does: creation dates are for the operator alone.
        adapter = cls(location, kdf, cipher, time.time)  # noqa: TID251
        adapter._adopt(open_keys(content, cipher), stamp)
        return adapter

    @classmethod
    async def create(cls, uri: str) -> Self:
        """Make the key file unless it is there, and open it. A missing `key-source=file:PATH` is filled with a fresh
        key. Raises `HsmConfigurationError`, also for a passphrase under 12 characters."""
        location = KeyFileLocation.parse(uri)
        if not await asyncio.to_thread(location.path.exists):
            await asyncio.to_thread(make_folder, location.path.parent)
            await asyncio.to_thread(location.make_source)
            await asyncio.to_thread(location.write_new, await location.secret(fresh=True))
        return await cls.open(uri)

    async def close(self) -> None:
        """Let go of the keys. Python cannot overwrite them; the memory is returned."""
        async with self._writing:
            self._cipher = None
            self._keys = {}

    async def generate(self, label: str, kind: KeyKind) -> KeyInfo:
        """Generate a key and write the file. Durable when it returns."""
        check_label(label)
        record = KeyRecord(label, kind, self._now(), fresh_material(kind))

        def add(keys: dict[str, KeyRecord]) -> None:
            if label in keys:
                raise KeyExists(f"There is a key '{label}' already.")
            keys[label] = record

        await self._change(add)
        return self._key(label).info

    async def find(self, label: str) -> KeyInfo:
        """Return what may be told of one key."""
        return self._key(label).info

    async def list(self) -> Sequence[KeyInfo]:
        """Return all keys, in order of their labels."""
        self._look(at_once=True)
        return [self._keys[label].info for label in sorted(self._keys)]

    async def destroy(self, label: str) -> None:
        """Write the file without the key. Copies of the old file (backups, freed blocks) still hold it."""

        def remove(keys: dict[str, KeyRecord]) -> None:
            if keys.pop(label, None) is None:
                raise KeyNotFound(f"There is no key '{label}'.")

        await self._change(remove)

    async def sign(self, label: str, message: bytes) -> bytes:
        """ECDSA on P-256 with SHA-256: r | s, 64 bytes."""
        check_length("message", message, MAX_MESSAGE)
        return self._key(label).sign(message)

    async def ecdh(self, label: str, peer: bytes) -> bytes:
        """The x coordinate shared with the peer, 32 bytes."""
        return self._key(label).agree(peer)

    async def mac(self, label: str, message: bytes) -> bytes:
        """HMAC-SHA-256, 32 bytes."""
        check_length("message", message, MAX_MESSAGE)
        return self._key(label).authenticate(message)

    async def wrap(self, label: str, plaintext: bytes, context: bytes) -> bytes:
        """AES-256-GCM under a random nonce: the blob is 29 bytes longer. Sound for 2^32 blobs a key (NIST SP 800-38D
        section 8.3)."""
        check_length("plaintext", plaintext, MAX_PLAINTEXT)
        check_length("context", context, MAX_CONTEXT)
        return self._key(label).wrap(plaintext, context)

    async def unwrap(self, label: str, blob: bytes, context: bytes) -> bytes:
        """Open what `wrap` made."""
        check_blob(blob, context)
        return self._key(label).unwrap(blob, context)

    async def random(self, size: int) -> bytes:
        """Return bytes of the operating system's generator."""
        self._look()
        check_random(size)
        return secrets.token_bytes(size)

    async def generate_wrapped(self, wrapping_label: str, context: bytes) -> WrappedKey:
        """Generate an agreement key and return it wrapped: 61 bytes."""
        check_length("context", context, MAX_CONTEXT)
        return self._key(wrapping_label).generate_wrapped(context)

    async def ecdh_wrapped(
        self, wrapping_label: str, blob: bytes, context: bytes, peers: Sequence[bytes]
    ) -> builtins.list[bytes]:
        """The x coordinates that a wrapped key shares with 1 to 4 peers."""
        check_peers(peers)
        check_blob(blob, context)
        return self._key(wrapping_label).agree_wrapped(blob, context, peers)

    async def rewrap(
        self, wrapping_label: str, blob: bytes, context: bytes, *, new_label: str, new_context: bytes
    ) -> bytes:
        """The same agreement key under another wrapping key."""
        scalar = await self.release_wrapped(wrapping_label, blob, context)
        return (await self.import_wrapped(new_label, scalar, new_context)).blob

    async def release_wrapped(self, wrapping_label: str, blob: bytes, context: bytes) -> bytes:
        """The scalar of a wrapped agreement key, 32 bytes."""
        check_blob(blob, context)
        return self._key(wrapping_label).release(blob, context)

    async def import_wrapped(self, wrapping_label: str, scalar: bytes, context: bytes) -> WrappedKey:
        """Wrap a P-256 private key from elsewhere."""
        check_length("context", context, MAX_CONTEXT)
        check_scalar(scalar)
        held = self._key(wrapping_label)
        try:
            return held.take_in(scalar, context)
        except ValueError:
            raise InvalidRequest("This is not a private key of P-256.") from None

    async def macs_inside(self) -> bool:
        """No: the keys are in this process's memory."""
        return False

    async def wrap_mac_key(self, wrapping_label: str, key: bytes, context: bytes) -> bytes:
        """An HMAC key under a wrapping key: 29 bytes longer."""
        check_mac_key(key)
        check_length("context", context, MAX_CONTEXT)
        return self._key(wrapping_label).wrap_mac_key(key, context)

    async def mac_wrapped(
        self,
        wrapping_label: str,
        blob: bytes,
        context: bytes,
        messages: Sequence[bytes],
        *,
        hash_name: HashName,
    ) -> builtins.list[bytes]:
        """HMAC of each message under a wrapped key, in this process's memory."""
        check_macs(messages)
        check_blob(blob, context)
        return self._key(wrapping_label).authenticate_wrapped(blob, context, messages, hash_name)

    async def rewrap_mac_key(
        self, wrapping_label: str, blob: bytes, context: bytes, *, new_label: str, new_context: bytes
    ) -> bytes:
        """The same HMAC key under another wrapping key."""
        check_blob(blob, context)
        check_length("context", new_context, MAX_CONTEXT)
        key = self._key(wrapping_label).open_mac_key(blob, context)
        return self._key(new_label).wrap_mac_key(key, new_context)

    async def examine(self, *, measure: bool) -> Sequence[OperationReport]:
        """Try every operation with keys that are gone afterwards."""
        return await examine(self, _HOW, measure=measure)

    async def copy_to(self, path: Path, *, passphrase_source: str) -> str:
        """Write the keys to a new key file under a passphrase of its own."""
        uri = KeyUri("software", {"file": str(path)}, {"passphrase-source": passphrase_source})
        location = KeyFileLocation.parse(str(uri))
        await asyncio.to_thread(check_folder, location.path.parent)
        taken = HsmConfigurationError(f"{path} is there already: give another name.")
        if await asyncio.to_thread(location.path.exists):
            raise taken
        secret = await location.secret(fresh=True)
        content, _ = await asyncio.to_thread(self._location.read)
        records = self._decrypt(content, self._open_cipher())
        if not await asyncio.to_thread(location.write_new, secret, records):
            raise taken
        return str(uri)

    def _key(self, label: str) -> HeldKey:
        self._look()
        held = self._keys.get(label)
        if held is None:  # another process may have made it a moment ago
            self._look(at_once=True)
            held = self._keys.get(label)
        if held is None:
            check_label(label)
            raise KeyNotFound(f"There is no key '{label}'.")
        return held

    def _look(self, *, at_once: bool = False) -> None:
        """Read the file anew when another process has replaced it; look at most once a second unless `at_once`."""
        cipher = self._open_cipher()
        now = time.monotonic()
        if now < self._next_look and not at_once:
            return
        if self._location.stamp() != self._stamp:
            content, stamp = self._location.read()
            self._adopt(self._decrypt(content, cipher), stamp)
        self._next_look = now + _REFRESH_S

    async def _change(self, change: Callable[[dict[str, KeyRecord]], None]) -> None:
        """Apply `change` to the file's keys under its lock, write, and take over the result."""
        async with self._writing:
            cipher = self._open_cipher()
            # Shielded: a cancelled caller must not leave this object behind the file.
            await asyncio.shield(asyncio.to_thread(self._rewrite, cipher, change))
            self._look(at_once=True)

    def _rewrite(self, cipher: AESGCM, change: Callable[[dict[str, KeyRecord]], None]) -> None:
        with exclusive(self._location.path):
            content, _ = self._location.read()
            keys = {record.label: record for record in self._decrypt(content, cipher)}
            change(keys)
            write_private(self._location.path, seal_keys(keys.values(), self._kdf, cipher))

    def _open_cipher(self) -> AESGCM:
        if self._cipher is None:
            raise HsmUnavailable("The key store is closed.")
        return self._cipher

    def _decrypt(self, content: bytes, cipher: AESGCM) -> Sequence[KeyRecord]:
        if read_kdf(content) != self._kdf:
            raise HsmUnavailable(f"{self._location.path} was made anew under this process. Restart it.")
        return open_keys(content, cipher)

    def _adopt(self, records: Sequence[KeyRecord], stamp: Stamp) -> None:
        keys = {}
        for record in records:
            held = self._keys.get(record.label)
            same = held is not None and held.digest == digest_of(record)
            keys[record.label] = held if held is not None and same else _hold(record)
        self._keys, self._stamp = keys, stamp


def _hold(record: KeyRecord) -> HeldKey:
    try:
        return hold(record)
    except ValueError:
        raise HsmConfigurationError(f"The key '{record.label}' of the key file is not of its kind.") from None
