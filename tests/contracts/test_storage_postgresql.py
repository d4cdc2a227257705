"""What only PostgreSQL can do to a node: hang up, deadlock with a stranger, hand out ids that become visible late."""

import asyncio
import threading
from collections.abc import AsyncIterator

import psycopg
import pytest
from sqlalchemy import text
from storage_tables import ALL, INSERT, counters, metadata

from gateway.bus.store import events, insert_events, read_after
from gateway.core.errors import Problem, ProblemCode
from gateway.core.transaction import Transaction
from gateway.storage.engine import Storage

pytestmark = pytest.mark.postgresql


@pytest.fixture
async def storage(postgresql_url: str) -> AsyncIterator[Storage]:
    store = Storage(postgresql_url)
    await store.write(lambda tx: metadata.create_all(tx.connection))
    yield store
    await store.close()


def backend_pid(tx: Transaction) -> int:
    return int(tx.execute(text("SELECT pg_backend_pid()")).scalar_one())


def hang_up(url: str, pid: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(%s)", [pid])


async def test_connections_lost_while_idle_go_unnoticed(postgresql_url: str, storage: Storage) -> None:
    for pid in (await storage.write(backend_pid), await storage.read(backend_pid)):
        hang_up(postgresql_url, pid)
    await storage.write(lambda tx: tx.execute(INSERT, {"text": "after"}))
    assert await storage.read(lambda tx: tx.execute(ALL).scalars().all()) == ["after"]


async def test_connection_lost_in_a_unit_is_unavailable_and_leaves_nothing(
    postgresql_url: str, storage: Storage
) -> None:
    def unit(tx: Transaction) -> None:
        tx.execute(INSERT, {"text": "half"})
        hang_up(postgresql_url, backend_pid(tx))
        tx.execute(INSERT, {"text": "more"})

    with pytest.raises(Problem) as caught:
        await storage.write(unit)
    assert caught.value.kind is ProblemCode.UNAVAILABLE
    await storage.write(lambda tx: tx.execute(INSERT, {"text": "after"}))
    assert await storage.read(lambda tx: tx.execute(ALL).scalars().all()) == ["after"]


async def test_unit_that_deadlocks_with_a_stranger_runs_again(postgresql_url: str, storage: Storage) -> None:
    await storage.write(
        lambda tx: tx.execute(counters.insert(), [{"name": n, "value": 0} for n in ("a", "b")])
    )
    holds_b = threading.Event()
    runs = 0

    def stranger() -> None:
        with psycopg.connect(postgresql_url) as connection:
            connection.execute("SET deadlock_timeout = '10s'")  # so that the node is the one that is chosen
            connection.execute("UPDATE counters SET value = value + 10 WHERE name = 'b'")
            holds_b.set()
            connection.execute("UPDATE counters SET value = value + 10 WHERE name = 'a'")

    def unit(tx: Transaction) -> None:
        nonlocal runs
        runs += 1
        tx.execute(text("UPDATE counters SET value = value + 1 WHERE name = 'a'"))
        if runs == 1:
            thread.start()
        assert holds_b.wait(20)
        tx.execute(text("UPDATE counters SET value = value + 1 WHERE name = 'b'"))

    thread = threading.Thread(target=stranger)
    await storage.write(unit)
    await asyncio.to_thread(thread.join)
    assert runs >= 2
    rows = await storage.read(lambda tx: tx.execute(text("SELECT value FROM counters")).scalars().all())
    assert rows == [11, 11]


async def test_ids_of_the_event_log_become_visible_in_order(postgresql_url: str, storage: Storage) -> None:
    """Two nodes write while a third follows by id: whoever reads past an id has seen all before it."""
    await storage.write(lambda tx: events.create(tx.connection))
    nodes = [Storage(postgresql_url) for _ in range(2)]
    row = {"tenant_id": "ten", "topic": "t", "type": "x", "data": "{}", "created_at": 1}

    async def write(node: Storage) -> None:
        await asyncio.gather(*(node.write(lambda tx: insert_events(tx, [row])) for _ in range(150)))

    seen: list[int] = []

    async def follow() -> None:
        while len(seen) < 300:
            page = await storage.read(lambda tx: read_after(tx, seen[-1] if seen else 0))
            seen.extend(event.id for event in page)

    await asyncio.wait_for(asyncio.gather(follow(), *(write(node) for node in nodes)), 60)
    assert len(set(seen)) == 300
    for node in nodes:
        await node.close()


async def test_missing_server_is_unavailable() -> None:
    storage = Storage("postgresql://postgres@127.0.0.1:1/nothing")
    for operation in (storage.write, storage.read):
        with pytest.raises(Problem) as caught:
            await operation(backend_pid)
        assert caught.value.kind is ProblemCode.UNAVAILABLE
    await storage.close()
