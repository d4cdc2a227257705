"""Seeds of one-time code tokens at rest, and the HMACs under them. Policy (`otp_inside`) says where these are computed:
in the key store's module, so that no seed is in this process's memory once it has been sealed, or here, from a seed
that is opened for the moment. Each seed remembers how it was sealed, and a re-wrap leaves it so.

    sealed seed = 1 | generation u16 | what the key store's wrap made: any sealed value of `Sealer`'s
                | 2 | generation u16 | what the module made of the HMAC key
"""

import hmac
from collections.abc import Awaitable, Callable, Sequence

from gateway.keys.labels import wrap_label
from gateway.keys.ring import KeyRing
from gateway.keys.sealer import HERE, INSIDE, Sealer, cell_context, header_of, split
from hsm_adapters.api import MAX_WRAPPED, HashName, HsmAdapter, WrappedMacKeys
from hsm_adapters.errors import KeyNotFound, OperationUnsupported, UnwrapFailed


class SeedKeeper:
    """Seals seeds and computes under them. `check` at start tells whether the store can do what policy asks."""

    def __init__(self, adapter: HsmAdapter, ring: KeyRing, *, inside: bool) -> None:
        self._adapter = adapter
        self._ring = ring
        self._sealer = Sealer(adapter, ring)
        self._inside = inside

    async def check(self) -> None:
        """Raises `OperationUnsupported` when policy asks for HMAC in the module and the store has none."""
        if self._inside:
            await _inside(self._adapter)

    async def seal(self, seed: bytes, *, table: str, column: str, row: str) -> bytes:
        """Return the sealed form of a seed (10 to 64 bytes), for that cell alone. Raises `HsmError`."""
        context = cell_context(table, column, row)
        if not self._inside:
            return await self._sealer.seal_for(seed, context)
        keys = await _inside(self._adapter)

        async def wrap() -> bytes:
            generation = await self._ring.wrapping_generation()
            header = header_of(generation, INSIDE)
            return header + await keys.wrap_mac_key(wrap_label(generation), seed, header + context)

        return await self._by_key_in_force(wrap)

    async def macs(
        self,
        sealed: bytes,
        messages: Sequence[bytes],
        *,
        hash_name: HashName,
        table: str,
        column: str,
        row: str,
    ) -> list[bytes]:
        """Return the HMAC of each of 1 to 256 messages under a sealed seed. Raises `UnwrapFailed` for a seed of another
        cell or a changed one, `OperationUnsupported` for one that policy wants in the module and that is not,
        `HsmUnavailable`."""
        context = cell_context(table, column, row)
        return await self.macs_for(sealed, messages, hash_name=hash_name, context=context)

    async def macs_for(
        self, sealed: bytes, messages: Sequence[bytes], *, hash_name: HashName, context: bytes
    ) -> list[bytes]:
        """The same for a cell whose `cell_context` is given."""
        if sealed[:1] == bytes([HERE]):
            if self._inside:
                raise OperationUnsupported(
                    "This seed is not sealed for the module, as otp_inside asks. Import it anew."
                )
            seed = await self._sealer.open_for(sealed, context)
            return [hmac.digest(seed, message, hash_name.value) for message in messages]
        header, label, blob = _split_inside(sealed)
        try:
            return await _macs(self._adapter).mac_wrapped(
                label, blob, header + context, messages, hash_name=hash_name
            )
        except KeyNotFound as error:
            raise UnwrapFailed("The seed names a key that is not there.") from error

    async def rewrap(self, sealed: bytes, context: bytes) -> bytes:
        """Return a seed under the wrapping key in force, sealed the same way as before: one that is inside the module
        does not come out. Raises `UnwrapFailed`, `OperationUnsupported` for one inside a key store that is left,
        `HsmError`."""
        if sealed[:1] == bytes([HERE]):
            return await self._sealer.seal_for(await self._sealer.open_for(sealed, context), context)
        header, label, blob = _split_inside(sealed)
        keys = _macs(self._adapter)

        async def move() -> bytes:
            generation = await self._ring.wrapping_generation()
            new_header = header_of(generation, INSIDE)
            return new_header + await keys.rewrap_mac_key(
                label,
                blob,
                header + context,
                new_label=wrap_label(generation),
                new_context=new_header + context,
            )

        try:
            return await self._by_key_in_force(move)
        except KeyNotFound as error:
            raise UnwrapFailed("The seed names a key that is not there.") from error

    async def _by_key_in_force(self, work: Callable[[], Awaitable[bytes]]) -> bytes:
        try:
            return await work()
        except KeyNotFound:  # retired before this process had heard of its successor
            await self._ring.refresh()
            return await work()


def _split_inside(sealed: bytes) -> tuple[bytes, str, bytes]:
    header, label, blob = split(sealed, INSIDE)
    if len(blob) > MAX_WRAPPED:
        raise UnwrapFailed("This is not a sealed seed: it is too long.")
    return header, label, blob


async def _inside(adapter: HsmAdapter) -> WrappedMacKeys:
    if isinstance(adapter, WrappedMacKeys) and await adapter.macs_inside():
        return adapter
    raise OperationUnsupported(
        "otp_inside asks that HMAC runs inside the key store's module, and this store cannot. "
        "Run: tessera keys doctor - or set otp_inside to false."
    )


def _macs(adapter: HsmAdapter) -> WrappedMacKeys:
    """Return what uses seeds that are inside already: with two key stores also those of the old one."""
    if isinstance(adapter, WrappedMacKeys):
        return adapter
    raise OperationUnsupported("This seed is inside the module of another key store. Import it anew.")
