"""The store of webhooks on each database: pages of deliveries, claims and their ends, sending again, forgetting."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.core.transaction import Transaction
from gateway.storage.engine import Storage
from gateway.storage.migrate import migrate
from gateway.webhooks import store
from gateway.webhooks.models import Backlog, Delivery, DeliveryState, Endpoint

TENANT, OTHER = "ten_1", "ten_2"
NOW = 1_800_000_000_000


@pytest.fixture
async def storage(database_url: str) -> AsyncIterator[Storage]:
    await asyncio.to_thread(migrate, database_url)
    opened = Storage(database_url)
    yield opened
    await opened.close()


def delivery(identifier: str, **members: Any) -> Delivery:
    """Return a delivery, pending and due, unless the members say otherwise."""
    state = members.pop("state", DeliveryState.PENDING)
    made = {
        "tenant_id": TENANT,
        "endpoint_id": "whk_1",
        "kind": "binding.active",
        "body": '{"name":"Zoë"}',
        "attempts": 0,
        "next_at": NOW,
        "last_error": None,
        "created_at": NOW,
    }
    return Delivery(id=identifier, state=state, **made | members)


async def keep(storage: Storage, *rows: Delivery) -> None:
    await storage.write(lambda tx: store.insert_deliveries(tx, rows))


async def page(storage: Storage, before: tuple[int, str] | None = None, **wish: Any) -> list[Delivery]:
    wanted = {"tenant_id": TENANT, "state": None, "limit": 3} | wish
    return await storage.read(lambda tx: store.find_deliveries(tx, before=before, **wanted))


async def ids(storage: Storage, **wish: Any) -> list[str]:
    return [row.id for row in await page(storage, **{"limit": 1_000} | wish)]


async def claim(storage: Storage, now_ms: int = NOW, **wish: Any) -> list[Delivery]:
    wanted = {"now_ms": now_ms, "until_ms": now_ms + 60_000, "most": 10, "each": 10, "busy": {}} | wish
    return await storage.write(lambda tx: store.claim_due(tx, **wanted))


# Pages -------------------------------------------------------------------------------------------------------


async def test_what_is_kept_comes_back(storage: Storage) -> None:
    kept = delivery("msg_1", state=DeliveryState.FAILED, attempts=9, last_error="HTTP 500", next_at=NOW + 1)
    await keep(storage, kept)
    assert await page(storage) == [kept]


async def test_pages_hold_every_delivery_once_newest_first(storage: Storage) -> None:
    # Three of each moment, so that pages end amid those that were made at the same time.
    rows = [delivery(f"msg_{n:02}", created_at=NOW + n // 3) for n in range(20)]
    await keep(storage, *reversed(rows))
    await keep(storage, *(delivery(f"msg_other{n}", tenant_id=OTHER) for n in range(5)))
    seen: list[Delivery] = []
    before = None
    while found := await page(storage, before):
        assert len(found) <= 3
        seen += found
        assert len(seen) <= len(rows)
        before = found[-1].created_at, found[-1].id
        # What is made meanwhile is newer than every page to come, and moves none.
        await keep(storage, delivery(f"msg_later{len(seen)}", created_at=NOW + 1_000))
    assert seen == sorted(rows, key=lambda row: (row.created_at, row.id), reverse=True)


async def test_pages_of_one_state(storage: Storage) -> None:
    states = [DeliveryState.FAILED, DeliveryState.DELIVERED, DeliveryState.PENDING]
    rows = [delivery(f"msg_{n}", state=states[n % 3], created_at=NOW + n) for n in range(9)]
    await keep(storage, *rows)
    first = await page(storage, state=DeliveryState.FAILED, limit=2)
    last = first[-1].created_at, first[-1].id
    rest = await page(storage, last, state=DeliveryState.FAILED, limit=2)
    assert [row.id for row in first + rest] == ["msg_6", "msg_3", "msg_0"]


# Claims ------------------------------------------------------------------------------------------------------


async def test_claims_take_the_longest_due_first_and_of_each_endpoint_its_share(storage: Storage) -> None:
    rows = [delivery(f"msg_{n}", endpoint_id=f"whk_{n % 2}", next_at=NOW - n) for n in range(8)]
    await keep(
        storage, *rows, delivery("msg_early", next_at=NOW + 1), delivery("msg_full", endpoint_id="whk_f")
    )
    claimed = await claim(storage, each=3, busy={"whk_0": 1, "whk_f": 3})
    assert [row.id for row in claimed] == ["msg_7", "msg_6", "msg_5", "msg_4", "msg_3"]
    assert {(row.state, row.next_at) for row in claimed} == {(DeliveryState.SENDING, NOW + 60_000)}
    assert await storage.read(lambda tx: store.next_due(tx, ["whk_0", "whk_f"])) == NOW - 1
    assert await storage.read(lambda tx: store.next_due(tx, ["whk_0", "whk_1", "whk_f"])) is None


async def test_end_of_a_claim_that_was_taken_over_changes_nothing(storage: Storage) -> None:
    await keep(storage, delivery("msg_1"))
    [dead] = await claim(storage)
    assert await claim(storage, NOW + 59_999) == []
    [taken] = await claim(storage, NOW + 60_000)
    ending = {"attempts": 1, "next_ms": NOW + 70_000, "error": None, "to": DeliveryState.DELIVERED}
    failing = ending | {"error": "HTTP 500", "to": DeliveryState.PENDING}
    assert not await storage.write(lambda tx: store.settle(tx, dead, **failing))  # type: ignore[arg-type]
    assert await storage.write(lambda tx: store.settle(tx, taken, **ending))  # type: ignore[arg-type]
    assert not await storage.write(lambda tx: store.settle(tx, taken, **failing))  # type: ignore[arg-type]
    [row] = await page(storage)
    assert (row.state, row.attempts, row.next_at) == (DeliveryState.DELIVERED, 1, NOW + 70_000)


async def test_backlogs_are_told_by_endpoint(storage: Storage) -> None:
    await keep(
        storage,
        delivery("msg_1", created_at=NOW + 5),
        delivery("msg_2", created_at=NOW + 3, state=DeliveryState.SENDING),
        delivery("msg_3", created_at=NOW, state=DeliveryState.DELIVERED),
        delivery("msg_4", created_at=NOW, state=DeliveryState.FAILED),
        delivery("msg_5", created_at=NOW + 9, endpoint_id="whk_2", tenant_id=OTHER),
    )
    found = await storage.read(store.find_backlogs)
    assert sorted(found, key=lambda backlog: backlog.endpoint_id) == [
        Backlog("whk_1", 2, NOW + 3),
        Backlog("whk_2", 1, NOW + 9),
    ]


# Sending again -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", list(DeliveryState))
async def test_only_what_has_failed_is_sent_again(storage: Storage, state: DeliveryState) -> None:
    kept = delivery("msg_1", state=state, attempts=9, last_error="HTTP 500")
    await keep(storage, kept)

    def again(tx: Transaction, tenant_id: str = TENANT) -> bool:
        return store.redeliver(tx, tenant_id=tenant_id, delivery_id="msg_1", now_ms=NOW + 7)

    assert not await storage.write(lambda tx: again(tx, OTHER))
    assert await page(storage) == [kept]
    assert await storage.write(again) == (state is DeliveryState.FAILED)
    [row] = await page(storage)
    if state is DeliveryState.FAILED:
        assert (row.state, row.attempts, row.next_at) == (DeliveryState.PENDING, 0, NOW + 7)
        assert row.last_error == "HTTP 500", "shown until it is known better"
        assert not await storage.write(again), "once"
    else:
        assert row == kept


async def test_two_who_send_again_do_it_once(database_url: str, storage: Storage) -> None:
    await keep(storage, delivery("msg_1", state=DeliveryState.FAILED))
    other = Storage(database_url)
    try:
        done = await asyncio.gather(
            *(
                node.write(lambda tx: store.redeliver(tx, tenant_id=TENANT, delivery_id="msg_1", now_ms=NOW))
                for node in (storage, other) * 5
            )
        )
    finally:
        await other.close()
    assert sorted(done) == [False] * 9 + [True]


# Forgetting --------------------------------------------------------------------------------------------------


async def test_what_came_to_its_end_long_ago_is_forgotten(storage: Storage) -> None:
    await keep(
        storage,
        # Made long ago, and told a moment ago: it is the end that counts.
        delivery("msg_late", state=DeliveryState.DELIVERED, created_at=NOW - 900, next_at=NOW),
        delivery("msg_old", state=DeliveryState.DELIVERED, created_at=NOW - 900, next_at=NOW - 1),
        delivery("msg_failed", state=DeliveryState.FAILED, next_at=NOW - 1),
        delivery("msg_waits", state=DeliveryState.PENDING, next_at=NOW - 1),
        delivery("msg_sent", state=DeliveryState.SENDING, next_at=NOW - 1),
    )

    def forget(tx: Transaction) -> int:
        return store.prune(tx, state=DeliveryState.DELIVERED, before_ms=NOW)

    assert await storage.write(forget) == 1
    assert await storage.write(forget) == 0
    assert sorted(await ids(storage)) == ["msg_failed", "msg_late", "msg_sent", "msg_waits"]


async def test_forgetting_goes_page_by_page(storage: Storage) -> None:
    count = 2 * store.PRUNED_AT_ONCE + 1
    rows = [delivery(f"msg_{n:04}", state=DeliveryState.FAILED, next_at=NOW - 1) for n in range(count)]
    await keep(storage, *rows, delivery("msg_young", state=DeliveryState.FAILED, next_at=NOW))
    forgotten = [
        await storage.write(lambda tx: store.prune(tx, state=DeliveryState.FAILED, before_ms=NOW))
        for _ in range(4)
    ]
    assert forgotten == [store.PRUNED_AT_ONCE, store.PRUNED_AT_ONCE, 1, 0]
    assert await ids(storage) == ["msg_young"]


async def test_endpoint_takes_along_what_is_still_to_be_sent_there(storage: Storage) -> None:
    endpoint = Endpoint("whk_1", TENANT, "https://bank.example/", ("binding.active",), b"sealed", NOW)
    await storage.write(lambda tx: store.insert_endpoint(tx, endpoint))
    await keep(storage, *(delivery(f"msg_{state.value}", state=state) for state in DeliveryState))
    await keep(storage, delivery("msg_elsewhere", endpoint_id="whk_2"))

    def remove(tx: Transaction, tenant_id: str = TENANT) -> bool:
        return store.delete_endpoint(tx, tenant_id=tenant_id, endpoint_id="whk_1")

    assert not await storage.write(lambda tx: remove(tx, OTHER))
    assert await storage.read(lambda tx: store.find_endpoints(tx, TENANT)) == [endpoint]
    assert await storage.write(remove)
    assert not await storage.write(remove)
    assert sorted(await ids(storage)) == ["msg_delivered", "msg_elsewhere", "msg_failed"]
