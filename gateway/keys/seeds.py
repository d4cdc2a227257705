"""Seeds of one-time code tokens at rest, and the HMACs under them. Policy (`otp_inside`) says where these are computed:
in the key store's module, so that no seed is in this process's memory once it has been sealed, or here, from a seed
that is opened for the moment. Each seed remembers how it was sealed.

    sealed seed = way u8: 1 in the module, 2 here | what `Sealer` or the module made of it
"""

import hmac
from collections.abc import Sequence

from gateway.keys.labels import MAX_GENERATION, wrap_label
from gateway.keys.ring import KeyRing
from gateway.keys.sealer import Sealer, cell_context
from hsm_adapters.api import HashName, HsmAdapter, WrappedMacKeys
from hsm_adapters.errors import KeyNotFound, OperationUnsupported, UnwrapFailed

_INSIDE, _HERE = 1, 2
_GENERATION_BYTES = 2


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
        if not self._inside:
            return bytes([_HERE]) + await self._sealer.seal(seed, table=table, column=column, row=row)
        keys = await _inside(self._adapter)
        generation = await self._ring.wrapping_generation()
        header = bytes([_INSIDE]) + generation.to_bytes(_GENERATION_BYTES, "big")
        context = header + cell_context(table, column, row)
        return header + await keys.wrap_mac_key(wrap_label(generation), seed, context)

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
        way = sealed[:1]
        if way == bytes([_HERE]):
            if self._inside:
                raise OperationUnsupported(
                    "This seed is not sealed for the module, as otp_inside asks. Import it anew."
                )
            seed = await self._sealer.open(sealed[1:], table=table, column=column, row=row)
            return [hmac.digest(seed, message, hash_name.value) for message in messages]
        if way != bytes([_INSIDE]) or len(sealed) <= 1 + _GENERATION_BYTES:
            raise UnwrapFailed("This is not a sealed seed.")
        header, blob = sealed[: 1 + _GENERATION_BYTES], sealed[1 + _GENERATION_BYTES :]
        generation = int.from_bytes(header[1:], "big")
        if not 1 <= generation <= MAX_GENERATION:
            raise UnwrapFailed("This is not a sealed seed.")
        keys = await _inside(self._adapter)
        context = header + cell_context(table, column, row)
        try:
            return await keys.mac_wrapped(
                wrap_label(generation), blob, context, messages, hash_name=hash_name
            )
        except KeyNotFound as error:
            raise UnwrapFailed("The seed names a key that is not there.") from error


async def _inside(adapter: HsmAdapter) -> WrappedMacKeys:
    if isinstance(adapter, WrappedMacKeys) and await adapter.macs_inside():
        return adapter
    raise OperationUnsupported(
        "otp_inside asks that HMAC runs inside the key store's module, and this store cannot. "
        "Run: tessera keys doctor - or set otp_inside to false."
    )
