"""Re-wrapping: puts every sealed value under the wrapping key in force, while the gateway serves. A node runs it in the
background, `tessera keys rotate` in the foreground, several at once; killed at any point it goes on where it was, since
what is left is told by the values themselves. A value is changed by compare-and-set alone, so a change that comes
between stands."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from gateway.core.clock import Clock
from gateway.core.errors import Problem
from gateway.keys import store
from gateway.keys.labels import wrap_label
from gateway.keys.ring import KeyRing
from gateway.keys.sealed import Row, SealedColumn, SealedKind
from gateway.keys.sealer import SealedAgreementKeys, Sealer
from gateway.keys.seeds import SeedKeeper
from gateway.storage.engine import Storage
from hsm_adapters.errors import HsmError, UnwrapFailed

BATCH = 64
"""Values that are re-wrapped at once and written in one transaction."""
LOOK_S = 60.0
SETTLED_S = 180.0
"""So long after a rotation every node has taken the new key up (`ring.USED_S`), and what it sealed before is
written."""

Progress = Callable[[int, int], None]
"""Told how many values of how many are done."""
_log = structlog.get_logger("keys")


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """What a re-wrap did: how many values it changed, and the places (`table.column primary-key`) of those that open
    by no key: somebody edited them. They stay as they are."""

    done: int
    unopened: tuple[str, ...]


class Rewrapper:
    """One for the process."""

    def __init__(
        self,
        *,
        storage: Storage,
        sealer: Sealer,
        keys: SealedAgreementKeys,
        seeds: SeedKeeper,
        ring: KeyRing,
        columns: Sequence[SealedColumn],
        clock: Clock,
    ) -> None:
        self._storage = storage
        self._sealer = sealer
        self._keys = keys
        self._seeds = seeds
        self._ring = ring
        self._columns = columns
        self._clock = clock

    async def count_left(self) -> int:
        """Return how many values an older generation sealed. Raises `HsmError`, Problem."""
        generation = await self._ring.wrapping_generation()
        return await self.count(start=1, end=generation)

    async def count(self, *, start: int, end: int, version: int | None = None) -> int:
        """Return how many values the generations from `start` on and below `end` sealed; with `version`, those alone.
        Raises Problem."""
        counts = [
            await self._storage.read(
                lambda tx, each=each: store.count_sealed(  # type: ignore[misc]
                    tx, each, start=start, end=end, version=version
                )
            )
            for each in self._columns
        ]
        return sum(counts)

    async def run(self, progress: Progress | None = None) -> Rewrapped:
        """Re-wrap until nothing is left that opens, also what other nodes seal under the old key meanwhile. Raises
        `HsmError`, Problem: what is done by then stays done."""
        done = 0
        total = await self.count_left()
        while True:
            changed, unopened = 0, list[str]()
            for each in self._columns:
                changed += await self._walk(each, unopened, done + changed, total, progress)
            done += changed
            if changed == 0:
                for place in unopened:
                    _log.error("a sealed value opens by no key: its row was edited", place=place)
                return Rewrapped(done, tuple(unopened))

    async def run_forever(self) -> None:
        """Look once a minute whether something is left, until cancelled. A generation in which nothing was left for
        three minutes is done with, and costs nothing any more."""
        settled, seen_at = 0, dict[int, float]()
        while True:
            try:
                generation = await self._ring.wrapping_generation()
                begun = self._clock.monotonic()
                first_seen = seen_at.setdefault(generation, begun)
                if generation != settled and await self._ring.has_older_wrapping():
                    result = await self.run()
                    if result.done:
                        _log.info("sealed values were re-wrapped", count=result.done, generation=generation)
                    elif begun - first_seen >= SETTLED_S:
                        settled = generation
            except (HsmError, Problem) as error:
                _log.warning("re-wrapping waits", error=type(error).__name__)
            await asyncio.sleep(LOOK_S)

    async def _walk(
        self, sealed: SealedColumn, unopened: list[str], done: int, total: int, progress: Progress | None
    ) -> int:
        """Go once through a column; return how many values were changed."""
        after, changed = None, 0
        while True:
            generation = await self._ring.wrapping_generation()
            rows = await self._storage.read(
                lambda tx, after=after, below=generation: store.find_sealed(  # type: ignore[misc]
                    tx, sealed, below=below, after=after, limit=BATCH
                )
            )
            fresh = await asyncio.gather(*(self._rewrap(sealed, row) for row in rows))
            changes = []
            for row, new in zip(rows, fresh, strict=True):
                key = row[sealed.key.name]
                if new is None:
                    unopened.append(f"{sealed.name} {key}")
                else:
                    changes.append((key, bytes(row[sealed.column.name]), new))
            if changes:
                changed += await self._storage.write(
                    lambda tx, changes=changes: store.replace_values(tx, sealed, changes)  # type: ignore[misc]
                )
            if progress is not None and rows:
                progress(done + changed, max(total, done + changed))
            if len(rows) < BATCH:
                return changed
            after = rows[-1][sealed.key.name]

    async def _rewrap(self, sealed: SealedColumn, row: Row) -> bytes | None:
        """Return the value under the key in force; None for one that does not open."""
        blob, context = bytes(row[sealed.column.name]), sealed.context(row)
        try:
            if sealed.kind is SealedKind.SECRET:
                return await self._sealer.seal_for(await self._sealer.open_for(blob, context), context)
            if sealed.kind is SealedKind.SEED:
                return await self._seeds.rewrap(blob, context)
            label = wrap_label(await self._ring.wrapping_generation())
            return await self._keys.rewrap(label, blob, context, new_label=label, new_context=context)
        except UnwrapFailed:
            return None
