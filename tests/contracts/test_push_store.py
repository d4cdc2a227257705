"""Wake-ups on each database: one row a cause and phone whoever writes it, one sender a row whoever claims it, and what
is over goes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.core.transaction import Transaction
from gateway.push import store
from gateway.push.models import Subscription, Wake, WakeEvent, WakeState
from gateway.storage.engine import Storage
from gateway.storage.migrate import migrate

TENANT, OTHER = "ten_1", "ten_2"
NOW = 1_800_000_000_000


@pytest.fixture
async def nodes(database_url: str) -> AsyncIterator[list[Storage]]:
    """Two nodes on one database."""
    await asyncio.to_thread(migrate, database_url)
    opened = [Storage(database_url), Storage(database_url)]
    yield opened
    for each in opened:
        await each.close()


def wake(cause: str = "apr_1", binding: str = "bnd_1", **members: Any) -> Wake:
    made = {
        "tenant_id": TENANT,
        "state": WakeState.WAITING,
        "attempts": 0,
        "next_at": NOW,
        "expires_at": NOW + 60_000,
        "created_at": NOW,
    }
    return Wake(cause=cause, binding_id=binding, **made | members)


def adding(*rows: Wake, most: int = 10) -> Any:
    """Return a unit that stores wake-ups, and says which were stored."""

    def unit(tx: Transaction) -> list[bool]:
        return [store.add_wake(tx, row, since_ms=NOW - 60_000, most=most) for row in rows]

    return unit


async def claim(node: Storage, now_ms: int = NOW, most: int = 100) -> list[Wake]:
    return await node.write(lambda tx: store.claim_due(tx, now_ms=now_ms, most=most))


async def rows(node: Storage) -> list[tuple[str, str, int]]:
    query = store.wakes.select().order_by(store.wakes.c.cause)
    return await node.read(lambda tx: [(row.cause, row.state, row.attempts) for row in tx.execute(query)])


async def test_two_nodes_that_write_one_cause_write_it_once(nodes: list[Storage]) -> None:
    done = await asyncio.gather(*(node.write(adding(wake())) for node in nodes * 5))
    assert sorted(done) == [[False]] * 9 + [[True]]
    assert await rows(nodes[0]) == [("apr_1", "waiting", 0)]


async def test_writing_a_known_cause_undoes_nothing_of_its_transaction(nodes: list[Storage]) -> None:
    assert await nodes[0].write(adding(wake())) == [True]
    assert await nodes[1].write(adding(wake("apr_2"), wake(), wake("apr_3"))) == [True, False, True]
    assert [row[0] for row in await rows(nodes[0])] == ["apr_1", "apr_2", "apr_3"]


async def test_more_than_the_limit_is_not_written(nodes: list[Storage]) -> None:
    old = [wake(f"apr_old{n}", created_at=NOW - 60_000) for n in range(3)]
    assert await nodes[0].write(adding(*old)) == [True] * 3
    new = [wake(f"apr_{n}") for n in range(3)]
    assert await nodes[0].write(adding(*new, wake("apr_o", "bnd_2"), most=2)) == [True, True, False, True]


async def test_each_wake_up_is_claimed_by_one_node(nodes: list[Storage]) -> None:
    wakes = [wake(f"apr_{n:03}", f"bnd_{n}", next_at=NOW - n) for n in range(60)]
    await nodes[0].write(adding(*wakes, wake("apr_later", next_at=NOW + 1)))
    found = await asyncio.gather(*(claim(node, most=20) for node in nodes * 5))
    claimed = [each.cause for some in found for each in some]
    assert len(claimed) == len(set(claimed))
    while more := await claim(nodes[0]):
        claimed += [each.cause for each in more]
    assert sorted(claimed) == [each.cause for each in wakes]
    assert set(await rows(nodes[0])) == {("apr_later", "waiting", 0)} | {
        (cause, "sending", 1) for cause in claimed
    }
    assert await nodes[1].read(store.next_due) == NOW + 1
    assert await nodes[1].read(store.count_waiting) == 1


async def test_the_longest_due_go_first_and_what_is_over_goes_nowhere(nodes: list[Storage]) -> None:
    await nodes[0].write(
        adding(wake("apr_2", next_at=NOW - 2), wake("apr_3", next_at=NOW - 3), wake("apr_4", expires_at=NOW))
    )
    assert [each.cause for each in await claim(nodes[0], most=1)] == ["apr_3"]
    assert [each.cause for each in await claim(nodes[0])] == ["apr_2"]
    assert await rows(nodes[0]) == [("apr_2", "sending", 1), ("apr_3", "sending", 1), ("apr_4", "dropped", 1)]


async def test_of_two_moves_from_one_place_one_is_made(nodes: list[Storage]) -> None:
    await nodes[0].write(adding(wake()))
    await claim(nodes[0])
    sending = wake(state=WakeState.SENDING, attempts=1)

    def moving(event: WakeEvent) -> Any:
        return lambda tx: store.move(tx, sending, event, attempts=1, next_ms=NOW + 5_000)

    done = await asyncio.gather(
        *(node.write(moving(event)) for node in nodes for event in (WakeEvent.AGAIN, WakeEvent.ACCEPTED))
    )
    assert sorted(done) == [False, False, False, True]


async def test_a_move_of_an_earlier_try_is_not_made(nodes: list[Storage]) -> None:
    await nodes[0].write(adding(wake()))
    await claim(nodes[0])
    first = wake(state=WakeState.SENDING, attempts=1)
    await nodes[0].write(lambda tx: store.move(tx, first, WakeEvent.AGAIN, attempts=1, next_ms=NOW))
    await claim(nodes[1])
    assert not await nodes[0].write(
        lambda tx: store.move(tx, first, WakeEvent.ACCEPTED, attempts=1, next_ms=NOW)
    )
    assert await rows(nodes[0]) == [("apr_1", "sending", 2)]


async def test_what_is_over_is_forgotten(nodes: list[Storage]) -> None:
    await nodes[0].write(adding(wake("apr_1", expires_at=NOW - 1), wake("apr_2", expires_at=NOW)))
    await nodes[0].write(lambda tx: store.prune(tx, NOW))
    assert [row[0] for row in await rows(nodes[0])] == ["apr_2"]


async def test_a_subscription_comes_back_as_it_was_kept_to_its_own_bank(nodes: list[Storage]) -> None:
    kept = Subscription("bnd_1", TENANT, b"sealed", b"\x04" * 65, b"secret", NOW)
    newer = Subscription("bnd_1", TENANT, b"sealed anew", b"\x04" * 65, b"secret", NOW + 1)
    for each in (kept, newer):
        await nodes[0].write(lambda tx, each=each: store.put(tx, each))
        found = await nodes[1].read(lambda tx: store.find(tx, tenant_id=TENANT, binding_id="bnd_1"))
        assert found == each
    assert await nodes[1].read(lambda tx: store.find(tx, tenant_id=OTHER, binding_id="bnd_1")) is None
    ids = ["bnd_1", "bnd_2"]
    for tenant, woken in ((TENANT, ["bnd_1"]), (OTHER, [])):
        found_ids = await nodes[1].read(
            lambda tx, tenant=tenant: store.find_subscribed(tx, tenant_id=tenant, binding_ids=ids)
        )
        assert found_ids == woken
    assert not await nodes[0].write(lambda tx: store.drop(tx, tenant_id=OTHER, binding_id="bnd_1"))
    assert await nodes[0].write(lambda tx: store.drop(tx, tenant_id=TENANT, binding_id="bnd_1"))
    assert await nodes[0].read(lambda tx: store.find_subscribed(tx, tenant_id=TENANT, binding_ids=[])) == []
