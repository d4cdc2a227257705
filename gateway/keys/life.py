"""The life of keys after they are made: the next generation, and the end of an older one. The commands `tessera keys
rotate`, `retire` and `migrate` call it on an open installation, beside a gateway that may be serving. It destroys no
key that anything still needs."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.core.clock import Clock
from gateway.core.errors import Problem, ProblemCode
from gateway.core.events import INSTALLATION, AuditWord, Fact, Journal
from gateway.core.transaction import Transaction
from gateway.keys.labels import MAX_GENERATION, KeyName, KeyPurpose, parse_label
from gateway.keys.rewrap import SETTLED_S, Rewrapper
from gateway.keys.ring import KeyRing
from gateway.storage.engine import Storage
from hsm_adapters.api import HsmAdapter, KeyInfo
from hsm_adapters.errors import KeyExists, KeyNotFound

UNDER_WAY_S = 2.0
"""Between the last look for values under a wrapping key and its end: some node may have read one just before it was
re-wrapped, and be about to open it."""

CountUses = Callable[[Transaction, str], int]
"""Counts what names a key by its label."""
Vouch = Callable[[KeyInfo, str], Awaitable[Callable[[Transaction], None]]]
"""Has the audit key of that label sign that another is one, too; returns what keeps that."""


@dataclass(frozen=True, slots=True)
class Use:
    """Something that names keys by their labels: what it is called, and its count."""

    what: str
    count: CountUses


class KeyLife:
    """One for the process."""

    def __init__(
        self,
        *,
        adapter: HsmAdapter,
        ring: KeyRing,
        storage: Storage,
        journal: Journal,
        clock: Clock,
        rewrapper: Rewrapper,
        uses: Mapping[KeyPurpose, Sequence[Use]],
        vouch: Vouch,
    ) -> None:
        self.adapter = adapter
        self.storage = storage
        self.rewrapper = rewrapper
        self._ring = ring
        self._journal = journal
        self._clock = clock
        self._uses = uses
        self._vouch = vouch

    async def rotate(self, purpose: KeyPurpose, tenant_id: str | None = None) -> KeyInfo:
        """Make the next generation of a key. Nodes take it up within a minute; what the older ones sealed or signed
        stays readable. Raises Problem(NOT_FOUND) for a tenant or purpose without a key, `HsmError`."""
        while True:
            names = await self._names(purpose, tenant_id)
            if not names:
                raise Problem(ProblemCode.NOT_FOUND, "there is no such key to rotate")
            if names[-1].generation >= MAX_GENERATION:
                raise Problem(
                    ProblemCode.CONFLICT, f"'{names[-1].label}' is the last generation there can be"
                )
            name = KeyName(purpose, names[-1].generation + 1, tenant_id)
            try:
                info = await self.adapter.generate(name.label, purpose.kind)
            except KeyExists:  # somebody rotates at the same time
                continue
            await self._record(AuditWord.OPERATOR_KEY_ROTATE, name, {"before": names[-1].label})
            await self._ring.refresh()
            return info

    async def age_of_successor(self, name: KeyName) -> float | None:
        """Return for how many seconds there has been a later generation; None where the key store keeps no time. Raises
        Problem(CONFLICT) for the key in force, `HsmError`."""
        names = await self._names(name.purpose, name.tenant_id)
        later = [each for each in names if each.generation > name.generation]
        if not later:
            raise Problem(
                ProblemCode.CONFLICT,
                f"'{name.label}' is in force",
                next_step="Only a move to another key store makes its successor: tessera keys migrate"
                if name.purpose is KeyPurpose.PUSH
                else f"Make its successor first: tessera keys rotate {name.purpose}",
            )
        made = (await self.adapter.find(later[0].label)).created_at
        return None if made is None else self._clock.now() - made

    async def is_known_settled(self, name: KeyName) -> bool:
        """Whether every node is known to use a later generation; False where the key store keeps no times. Raises
        Problem(CONFLICT) when it is too early, and as `age_of_successor`."""
        age = await self.age_of_successor(name)
        _check_age(name, age)
        return age is not None

    async def check_unused(self, name: KeyName, *, is_forced: bool = False) -> dict[str, int]:
        """Return what still names a key, with counts: nothing, or with `is_forced` what will not find it any more.
        Raises Problem(CONFLICT); values sealed under a wrapping key are never given up."""
        if name.purpose is KeyPurpose.WRAP:
            left = await self.rewrapper.count(start=name.generation, end=name.generation + 1)
            if left:
                raise Problem(
                    ProblemCode.CONFLICT,
                    f"{left:,} values in the database are sealed under '{name.label}'",
                    next_step="Re-wrap them: tessera keys rotate wrap --resume. What it says does not open was edited: "
                    "end the bindings, activations or webhooks that it names.",
                )
        counts = await self.count_uses(name)
        if counts and not is_forced:
            told = ", ".join(f"{count:,} {what}" for what, count in counts.items())
            raise Problem(
                ProblemCode.CONFLICT,
                f"'{name.label}' is still needed: {told}",
                next_step="Phones move to the key in force with their next contacts. --force gives up those that "
                "have not: they must be bound anew.",
            )
        return counts

    async def count_uses(self, name: KeyName) -> dict[str, int]:
        """Return how many of what name a key, as far as anything does. Raises Problem."""
        uses = self._uses.get(name.purpose, ())

        def unit(tx: Transaction) -> dict[str, int]:
            return {each.what: each.count(tx, name.label) for each in uses}

        return {what: count for what, count in (await self.storage.read(unit)).items() if count}

    async def retire(self, name: KeyName, *, is_forced: bool = False, is_settled: bool = False) -> KeyInfo:
        """Destroy a key that has a successor and that nothing needs; an audit key is vouched for before, so that what
        it signed verifies. `is_settled` says that no node runs which could still use it. The audit log is told first.
        Raises Problem(CONFLICT), `HsmError`; run again after a failure, it goes on."""
        info = await self.adapter.find(name.label)
        age = await self.age_of_successor(name)
        if not is_settled:
            _check_age(name, age)
        given_up = await self.check_unused(name, is_forced=is_forced)
        keep: Callable[[Transaction], None] | None = None
        if name.purpose is KeyPurpose.AUDIT:
            newest = (await self._names(KeyPurpose.AUDIT, None))[-1]
            keep = await self._vouch(info, newest.label)
        await self._record(AuditWord.OPERATOR_KEY_RETIRE, name, {"given_up": sum(given_up.values())}, keep)
        if name.purpose is KeyPurpose.WRAP:
            await asyncio.sleep(UNDER_WAY_S)
        await self.adapter.destroy(name.label)
        await self._ring.refresh()
        return info

    async def record_migration(self, data: Mapping[str, str | int]) -> None:
        """Tell the audit log that everything opens by the keys of another store now, and the old ones go. Raises
        Problem."""
        name = KeyName(KeyPurpose.WRAP, (await self._names(KeyPurpose.WRAP, None))[-1].generation)
        await self._record(AuditWord.OPERATOR_KEY_MIGRATE, name, data)

    async def _names(self, purpose: KeyPurpose, tenant_id: str | None) -> list[KeyName]:
        names = [parse_label(info.label) for info in await self.adapter.list()]
        mine = [each for each in names if each and (each.purpose, each.tenant_id) == (purpose, tenant_id)]
        return sorted(mine, key=lambda each: each.generation)

    async def _record(
        self,
        word: AuditWord,
        name: KeyName,
        data: Mapping[str, str | int],
        keep: Callable[[Transaction], None] | None = None,
    ) -> None:
        fact = Fact(tenant_id=name.tenant_id or INSTALLATION, word=word, subject=name.label, data=data)

        def unit(tx: Transaction) -> None:
            if keep is not None:
                keep(tx)
            self._journal.record(tx, fact)

        await self.storage.write(unit)


def _check_age(name: KeyName, age: float | None) -> None:
    if age is not None and age < SETTLED_S:
        raise Problem(
            ProblemCode.CONFLICT,
            f"the successor of '{name.label}' is {max(0, int(age))} seconds old; some node may not use it yet",
            next_step=f"Try again in {int(SETTLED_S - age) + 1} seconds.",
        )


def find_key(keys: Sequence[KeyInfo], *, label: str | None, key_id: bytes | None) -> KeyName:
    """Return the name of the key of that label, or identifier, or both. Raises `KeyNotFound`, Problem(CONFLICT) for one
    that is not the gateway's."""
    for info in keys:
        if label not in (None, info.label) or key_id not in (None, info.key_id):
            continue
        name = parse_label(info.label)
        if name is None:
            raise Problem(ProblemCode.CONFLICT, f"'{info.label}' is not a key of the gateway's")
        return name
    raise KeyNotFound("There is no such key. See: tessera keys list")
