"""The event log over two nodes that share one PostgreSQL: what one writes, subscribers of both hear, once, in order."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.bus.events import EventLog
from gateway.bus.journal import RecordingJournal
from gateway.bus.store import Event, events
from gateway.core.clock import ManualClock
from gateway.core.events import AuditWord, Fact
from gateway.core.transaction import Transaction
from gateway.storage.engine import Storage

pytestmark = pytest.mark.postgresql


class Node:
    """One process's half."""

    def __init__(self, storage: Storage, log: EventLog) -> None:
        self.storage = storage
        self.log = log
        self.heard: list[int] = []
        self._journal = RecordingJournal(audit=no_audit, events=log, outbox=None, clock=ManualClock())
        log.listen(lambda event: self.heard.append(event.id))

    async def tell(self, topic: str, number: int) -> None:
        fact = Fact(
            "ten_x", AuditWord.BANK_WEBHOOK_CREATE, "s", {"n": number}, event="x.told", topics=(topic,)
        )
        await self.storage.write(lambda tx: self._journal.record(tx, fact))


def no_audit(tx: Transaction, **_: Any) -> None:
    return None


@pytest.fixture
async def nodes(postgresql_url: str) -> AsyncIterator[list[Node]]:
    async with contextlib.AsyncExitStack() as stack:
        found = []
        for number in range(2):
            storage = Storage(postgresql_url)
            stack.push_async_callback(storage.close)
            if number == 0:
                await storage.write(lambda tx: events.create(tx.connection))
            log = EventLog(storage=storage, clock=ManualClock(), retention_s=3600, shared=True)
            await stack.enter_async_context(log.running())
            found.append(Node(storage, log))
        yield found


async def collect(node: Node, topic: str, count: int) -> list[Event]:
    got: list[Event] = []
    async with contextlib.aclosing(node.log.subscribe([topic], 0)) as subscription:  # type: ignore[type-var]
        async for event in subscription:
            got.append(event)
            if len(got) == count:
                return got
    return got


async def test_subscribers_of_both_nodes_hear_both(nodes: list[Node]) -> None:
    listening = [asyncio.create_task(collect(node, "t", 120)) for node in nodes]
    for number in range(60):
        await asyncio.gather(*(node.tell("t", number) for node in nodes), nodes[0].tell("other", number))
    first, second = await asyncio.wait_for(asyncio.gather(*listening), 60)
    assert first == second
    ids = [event.id for event in first]
    assert ids == sorted(set(ids))


async def test_listeners_of_both_nodes_hear_every_event_once(nodes: list[Node]) -> None:
    await asyncio.gather(*(nodes[number % 2].tell(f"t{number}", number) for number in range(80)))
    for _ in range(600):
        if all(len(node.heard) >= 80 for node in nodes):
            break
        await asyncio.sleep(0.05)
    assert nodes[0].heard == nodes[1].heard == sorted(set(nodes[0].heard))
    assert len(nodes[0].heard) == 80


async def test_log_goes_on_after_the_database_hung_up(nodes: list[Node], postgresql_url: str) -> None:
    import psycopg

    def hang_up_on_everybody() -> None:
        with psycopg.connect(postgresql_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    listening = asyncio.create_task(collect(nodes[1], "t", 2))
    await nodes[0].tell("t", 1)
    await asyncio.to_thread(hang_up_on_everybody)
    await nodes[0].tell("t", 2)
    got = await asyncio.wait_for(listening, 60)
    assert [event.data for event in got] == ['{"n":1}', '{"n":2}']
