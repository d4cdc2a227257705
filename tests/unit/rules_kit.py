"""What the rules are tested on: a real database (a SQLite file, unless told otherwise), a clock that moves when told, a
journal that remembers, and sealing that binds a value to its cell without hiding it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from gateway.core.clock import ManualClock
from gateway.core.errors import Problem, ProblemCode
from gateway.core.events import Fact
from gateway.core.transaction import Transaction
from gateway.storage.engine import Storage
from gateway.storage.migrate import migrate

TENANT = "ten_AAAAAAAAAAAAAAAAAAAAAA"


@dataclass
class MemoryJournal:
    """Remembers facts whose transaction was committed."""

    facts: list[Fact] = field(default_factory=list)

    def record(self, tx: Transaction, fact: Fact) -> None:
        tx.on_commit(lambda: self.facts.append(fact))

    @property
    def words(self) -> list[str]:
        return [str(fact.word) for fact in self.facts]

    @property
    def events(self) -> list[str]:
        return [fact.event for fact in self.facts if fact.event is not None]


class OpenSealer:
    """Seals by writing the cell before the value; a value of another cell does not open."""

    async def seal(self, plaintext: bytes, *, table: str, column: str, row: str) -> bytes:
        return f"{table}.{column}.{row}|".encode() + plaintext

    async def open(self, blob: bytes, *, table: str, column: str, row: str) -> bytes:
        prefix = f"{table}.{column}.{row}|".encode()
        if not blob.startswith(prefix):
            raise AssertionError("a value of another cell")
        return blob[len(prefix) :]


class NoFurtherPhones:
    """No request that allows a further phone."""

    def consume_device(self, tx: Transaction, *, tenant_id: str, user: str, approval_id: str) -> str | None:
        raise Problem(ProblemCode.NOT_FOUND, "there is no such request")


class FixedKeys:
    """Agreement keys that only have names."""

    async def current_label(self, tenant_id: str) -> str:
        return f"tessera-{tenant_id}-agree-1"

    async def public_key(self, label: str) -> bytes:
        raise AssertionError("no test of the rules gets here")

    async def agree(self, label: str, peer: bytes) -> bytes:
        raise AssertionError("no test of the rules gets here")


@dataclass
class Rules:
    """The ground of one test."""

    storage: Storage
    clock: ManualClock
    journal: MemoryJournal

    @classmethod
    @contextlib.asynccontextmanager
    async def on(cls, folder: Path) -> "AsyncIterator[Rules]":
        """Open a fresh database."""
        async with cls.nodes_on(f"sqlite:///{folder / 'rules.db'}", count=1) as [rules]:
            yield rules

    @classmethod
    @contextlib.asynccontextmanager
    async def nodes_on(cls, url: str, *, count: int) -> "AsyncIterator[list[Rules]]":
        """Open a fresh database on so many nodes, which share clock and journal."""
        await asyncio.to_thread(migrate, url)
        clock, journal = ManualClock(), MemoryJournal()
        storages = [Storage(url) for _ in range(count)]
        try:
            yield [cls(storage, clock, journal) for storage in storages]
        finally:
            for storage in storages:
                await storage.close()
