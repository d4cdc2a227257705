"""Secrets at rest: sealed under the wrapping key, each bound to the table, column and row where it lies, so that one
moved elsewhere in the database does not open. Services call it outside of transactions.

    blob = version u8 = 1 (2: a seed in the module, `seeds`) | generation u16 | what the key store's wrap made

The generation names the wrapping key, so that old blobs open after a rotation. It is part of the context too."""

import struct
from collections.abc import Sequence

from gateway.keys.labels import MAX_GENERATION, KeyPurpose, parse_label, wrap_label
from gateway.keys.ring import KeyRing
from hsm_adapters.api import HsmAdapter, WrappedAgreementKeys, WrappedKey
from hsm_adapters.errors import HsmConfigurationError, InvalidRequest, KeyNotFound, UnwrapFailed

_HEADER = struct.Struct(">BH")
HERE, INSIDE = 1, 2
"""Versions: what `wrap` sealed, to be opened here; and an HMAC key that the module wrapped, which no `unwrap` opens."""


class Sealer:
    """Seals under the wrapping key in force, and opens what any generation in the store sealed."""

    def __init__(self, adapter: HsmAdapter, ring: KeyRing) -> None:
        self._adapter = adapter
        self._ring = ring

    async def seal(self, plaintext: bytes, *, table: str, column: str, row: str) -> bytes:
        """Return the sealed form of at most 64 KiB, for that cell alone; some 32 bytes longer. Raises `HsmError`."""
        return await self.seal_for(plaintext, cell_context(table, column, row))

    async def open(self, blob: bytes, *, table: str, column: str, row: str) -> bytes:
        """Return what was sealed for that cell. Raises `UnwrapFailed` for a value of another cell or a changed one,
        `HsmUnavailable`."""
        return await self.open_for(blob, cell_context(table, column, row))

    async def seal_for(self, plaintext: bytes, context: bytes) -> bytes:
        """Seal for a cell whose `cell_context` is given. Raises as `seal`."""
        try:
            return await self._seal(plaintext, context)
        except KeyNotFound:  # retired before this process had heard of its successor
            await self._ring.refresh()
            return await self._seal(plaintext, context)

    async def _seal(self, plaintext: bytes, context: bytes) -> bytes:
        generation = await self._ring.wrapping_generation()
        header = header_of(generation)
        return header + await self._adapter.wrap(wrap_label(generation), plaintext, header + context)

    async def open_for(self, blob: bytes, context: bytes) -> bytes:
        """Open for a cell whose `cell_context` is given. Raises as `open`."""
        header, label, sealed = split(blob)
        try:
            return await self._adapter.unwrap(label, sealed, header + context)
        except (KeyNotFound, InvalidRequest) as error:
            raise UnwrapFailed("The blob names a key that is not there, or is too long.") from error


class SealedAgreementKeys(WrappedAgreementKeys):
    """The key store's wrapped agreement keys, their blobs headed as the sealer's: `wrapping_label` counts when a key is
    made, and afterwards the generation that its blob names."""

    def __init__(self, adapter: HsmAdapter) -> None:
        """Raises `HsmConfigurationError` when the store cannot wrap agreement keys."""
        if not isinstance(adapter, WrappedAgreementKeys):
            raise HsmConfigurationError("This key store cannot wrap agreement keys. PINs need one that can.")
        self._keys: WrappedAgreementKeys = adapter

    async def generate_wrapped(self, wrapping_label: str, context: bytes) -> WrappedKey:
        """Generate an agreement key under that wrapping key. Raises `HsmError`."""
        header = _header_of(wrapping_label)
        made = await self._keys.generate_wrapped(wrapping_label, header + context)
        return WrappedKey(header + made.blob, made.public_key)

    async def ecdh_wrapped(
        self, wrapping_label: str, blob: bytes, context: bytes, peers: Sequence[bytes]
    ) -> list[bytes]:
        """Agree with each peer. Raises `UnwrapFailed`, `InvalidPeerKey`, `HsmUnavailable`."""
        header, label, sealed = split(blob)
        try:
            return await self._keys.ecdh_wrapped(label, sealed, header + context, peers)
        except KeyNotFound as error:
            raise UnwrapFailed("The blob names a key that is not there.") from error

    async def rewrap(
        self, wrapping_label: str, blob: bytes, context: bytes, *, new_label: str, new_context: bytes
    ) -> bytes:
        """Return the same key's blob under the wrapping key of `new_label`; `wrapping_label` counts no more than in
        `ecdh_wrapped`. Raises `UnwrapFailed`, `HsmError`."""
        header, label, sealed = split(blob)
        new_header = _header_of(new_label)
        try:
            made = await self._keys.rewrap(
                label, sealed, header + context, new_label=new_label, new_context=new_header + new_context
            )
        except KeyNotFound as error:
            raise UnwrapFailed("The blob names a key that is not there.") from error
        return new_header + made


def cell_context(table: str, column: str, row: str) -> bytes:
    """Return the associated data of a cell: each name with its length (u16), so that no two cells share it."""
    parts = [part.encode() for part in (table, column, row)]
    if not all(0 < len(part) <= 255 for part in parts):
        raise ValueError("table, column and row are names of 1 to 255 bytes")
    return b"tessera cell\x00" + b"".join(struct.pack(">H", len(part)) + part for part in parts)


def header_of(generation: int, version: int = HERE) -> bytes:
    """Return the first bytes of what that generation of the wrapping key sealed. Within a version they grow with the
    generation, so that a database finds older values by comparing."""
    return _HEADER.pack(version, generation)


def _header_of(wrapping_label: str) -> bytes:
    name = parse_label(wrapping_label)
    if name is None or name.purpose is not KeyPurpose.WRAP:
        raise InvalidRequest("This is not the label of a wrapping key.")
    return header_of(name.generation)


def split(blob: bytes, version: int = HERE) -> tuple[bytes, str, bytes]:
    """Return header, label of the wrapping key, and what the key store made of a value of that version. Raises
    `UnwrapFailed`."""
    if len(blob) <= _HEADER.size:
        raise UnwrapFailed("This is not a sealed value: it is too short.")
    found, generation = _HEADER.unpack_from(blob)
    if found != version or not 1 <= generation <= MAX_GENERATION:
        raise UnwrapFailed(f"This is not a sealed value of version {version}.")
    return blob[: _HEADER.size], wrap_label(generation), blob[_HEADER.size :]
