"""The move of a running installation from one key store to another, in steps that each can be run again: `tessera keys
migrate` takes them in order. It adds keys to the new store and re-wraps; the old store's keys go last, once every
sealed value has been opened by the new store alone."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from gateway.core.clock import Clock
from gateway.core.errors import Problem, ProblemCode
from gateway.core.transaction import Transaction
from gateway.keys import store
from gateway.keys.doctor import examine, find_missing
from gateway.keys.labels import MAX_GENERATION, KeyName, KeyPurpose, parse_label, wrap_label
from gateway.keys.life import KeyLife
from gateway.keys.rewrap import BATCH, Progress
from gateway.keys.ring import KeyRing
from gateway.keys.sealed import Row, SealedColumn, SealedKind
from gateway.keys.sealer import INSIDE, SealedAgreementKeys, Sealer
from gateway.keys.seeds import SeedKeeper
from gateway.keys.service import newest
from gateway.keys.stores import TwoStores
from hsm_adapters.api import HashName, WrappedKeyImport, WrappedKeyRelease
from hsm_adapters.errors import OperationUnsupported, UnwrapFailed

_ENDING = (KeyPurpose.WRAP, KeyPurpose.AUDIT)
"""Purposes whose old keys the migration itself retires; phones hold on to the others for a while."""
_OF_THE_INSTALLATION = (KeyPurpose.WRAP, KeyPurpose.AUDIT, KeyPurpose.PUSH)
"""Purposes whose keys are no tenant's."""


_IMPORT = "import agreement key"


@dataclass(frozen=True, slots=True)
class Staying:
    """A key that stays in the old store, and what still names it."""

    name: KeyName
    uses: dict[str, int]


@dataclass(frozen=True, slots=True)
class LifeDesk:
    """What the commands work with, over an open installation; `migration` raises Problem where its settings name one
    key store alone."""

    life: KeyLife
    migration: Callable[[], "Migration"]
    tenants: Callable[[], Awaitable[Sequence[str]]]


class Migration:
    """One move."""

    def __init__(
        self,
        *,
        life: KeyLife,
        stores: TwoStores,
        columns: Sequence[SealedColumn],
        tenants: Callable[[], Awaitable[Sequence[str]]],
        clock: Clock,
    ) -> None:
        self.life = life
        self._stores = stores
        self._columns = columns
        self._tenants = tenants
        self._clock = clock

    async def check(self) -> None:
        """Raise Problem(CONFLICT) that names what the new store cannot do, before anything is changed; `HsmError`."""
        newer, older = self._stores.newer, self._stores.older
        reports = await examine(newer, measure=False)
        missing = find_missing(newer, reports)
        imports = [each for each in reports or () if each.operation == _IMPORT]
        if not isinstance(newer, WrappedKeyImport):
            missing[_IMPORT] = "the new store takes in no keys of PINs"
        elif imports and not imports[0].is_supported:
            missing[_IMPORT] = imports[0].how
        if not isinstance(older, WrappedKeyRelease):
            missing["release agreement key"] = "the old store lets no keys of PINs out"
        if staying := await self._count_seeds_inside():
            missing["release seeds of tokens"] = (
                f"{staying:,} are inside the old store, which lets none out: import these tokens anew under the new one"
            )
        if missing:
            told = "; ".join(f"{operation} ({why.rstrip('.')})" for operation, why in missing.items())
            raise Problem(
                ProblemCode.CONFLICT,
                f"the gateway cannot move there: {told}",
                next_step="See `tessera keys doctor`. Nothing was changed.",
            )

    async def _count_seeds_inside(self) -> int:
        """Return how many seeds the old store's module wrapped."""
        generations = [name.generation for name in await self._old_names() if name.purpose is KeyPurpose.WRAP]
        counts = [
            await self.life.rewrapper.count(start=each, end=each + 1, version=INSIDE) for each in generations
        ]
        return sum(counts)

    async def list_wanted(self) -> list[tuple[KeyPurpose, str | None]]:
        """Return the purposes and tenants whose key in force is not in the new store: rotating them makes it there.
        Once each has been, nothing is left. Raises `HsmError`."""
        owners: list[tuple[KeyPurpose, str | None]] = [(purpose, None) for purpose in _OF_THE_INSTALLATION]
        owners += [(KeyPurpose.AGREE, tenant_id) for tenant_id in await self._tenants()]
        both, new = await self._stores.list(), await self._stores.newer.list()
        return [owner for owner in owners if newest(both, *owner) != newest(new, *owner)]

    async def age(self) -> float:
        """Return for how many seconds the youngest key of the new store has been there; 0 where it keeps no times, or
        has none. Raises `HsmError`."""
        times = [info.created_at for info in await self._stores.newer.list() if parse_label(info.label)]
        known = [time for time in times if time is not None]
        return max(0.0, self._clock.now() - max(known)) if known and len(known) == len(times) else 0.0

    async def verify(self, progress: Progress | None = None) -> list[str]:
        """Open every sealed value with the new store alone; return the places of those that do not open. Raises
        `HsmError`, Problem."""
        alone = self._stores.newer
        ring = KeyRing(alone, self._clock)
        sealer, keys = Sealer(alone, ring), SealedAgreementKeys(alone)
        seeds = SeedKeeper(alone, ring, inside=False)
        peer = newest(await alone.list(), KeyPurpose.AUDIT)
        point = b"" if peer is None or peer.public_key is None else peer.public_key
        total = await self.life.rewrapper.count(start=1, end=MAX_GENERATION)
        closed, done = [], 0

        async def opens(sealed: SealedColumn, row: Row) -> bool:
            blob, context = bytes(row[sealed.column.name]), sealed.context(row)
            try:
                if sealed.kind is SealedKind.SECRET:
                    await sealer.open_for(blob, context)
                elif sealed.kind is SealedKind.SEED:
                    await seeds.macs_for(blob, [b"\x00"], hash_name=HashName.SHA256, context=context)
                else:
                    await keys.ecdh_wrapped(wrap_label(), blob, context, [point])
            except (UnwrapFailed, OperationUnsupported):
                return False
            return True

        for sealed in self._columns:
            after = None
            while True:

                def read(
                    tx: Transaction, each: SealedColumn = sealed, after: str | None = after
                ) -> list[Row]:
                    return store.find_sealed(tx, each, after=after, limit=BATCH)

                rows = await self.life.storage.read(read)
                are_open = await asyncio.gather(*(opens(sealed, row) for row in rows))
                closed += [
                    f"{sealed.name} {row[sealed.key.name]}"
                    for row, is_open in zip(rows, are_open, strict=True)
                    if not is_open
                ]
                done += len(rows)
                if progress is not None and rows:
                    progress(done, max(total, done))
                if len(rows) < BATCH:
                    break
                after = rows[-1][sealed.key.name]
        return closed

    async def ending(self) -> list[KeyName]:
        """Return the old store's wrapping and audit keys, which the migration retires. Raises `HsmError`."""
        return [name for name in await self._old_names() if name.purpose in _ENDING]

    async def staying(self) -> list[Staying]:
        """Return the old store's other keys and what still names each. Raises `HsmError`, Problem."""
        names = [name for name in await self._old_names() if name.purpose not in _ENDING]
        return [Staying(name, await self.life.count_uses(name)) for name in names]

    async def _old_names(self) -> list[KeyName]:
        names = [parse_label(info.label) for info in await self._stores.older.list()]
        return [name for name in names if name is not None]
