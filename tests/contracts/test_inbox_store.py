"""The store of messages on each database: pages, the count of the unread, reading by two nodes at once, ends."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.inbox import store
from gateway.inbox.models import Message, Text
from gateway.storage.engine import Storage
from gateway.storage.migrate import migrate

TENANT, OTHER = "ten_1", "ten_2"
NOW = 1_800_000_000_000


@pytest.fixture
async def storage(database_url: str) -> AsyncIterator[Storage]:
    await asyncio.to_thread(migrate, database_url)
    opened = Storage(database_url)
    yield opened
    await opened.close()


def message(identifier: str, **members: Any) -> Message:
    made = {
        "tenant_id": TENANT,
        "user": "Zoë",
        "texts": {"fr": Text("Été", "Deux\nlignes \U0001f600")},
        "created_at": NOW,
        "expires_at": None,
        "read_at": None,
    }
    return Message(id=identifier, **made | members)


async def keep(storage: Storage, *rows: Message) -> None:
    def unit(tx: Any) -> None:
        for row in rows:
            store.insert(tx, row)

    await storage.write(unit)


async def page(storage: Storage, before: tuple[int, str] | None = None, **wish: Any) -> list[Message]:
    wanted = {"tenant_id": TENANT, "user": "Zoë", "now_ms": NOW, "limit": 3} | wish
    return await storage.read(lambda tx: store.find_page(tx, before=before, **wanted))


async def unread(storage: Storage, user: str = "Zoë", tenant_id: str = TENANT) -> int:
    return await storage.read(lambda tx: store.count_unread(tx, tenant_id=tenant_id, user=user, now_ms=NOW))


async def test_what_is_kept_comes_back_to_its_own_bank(storage: Storage) -> None:
    kept = message("msg_1", expires_at=NOW + 1, read_at=NOW - 1)
    both = message("msg_2", texts={"fr": Text("a", "b"), "en": Text("c", "d")})
    await keep(storage, kept, both)
    for each in (kept, both):
        assert (
            await storage.read(lambda tx, e=each: store.find(tx, tenant_id=TENANT, message_id=e.id)) == each
        )
        assert await storage.read(lambda tx, e=each: store.find(tx, tenant_id=OTHER, message_id=e.id)) is None


async def test_pages_hold_every_message_once_newest_first(storage: Storage) -> None:
    rows = [message(f"msg_{n:02}", created_at=NOW + n // 3) for n in range(20)]
    await keep(storage, *reversed(rows), message("msg_o", tenant_id=OTHER), message("msg_u", user="other"))
    seen: list[Message] = []
    before = None
    while found := await page(storage, before):
        seen += found
        assert len(seen) <= len(rows)
        before = found[-1].created_at, found[-1].id
    assert seen == sorted(rows, key=lambda row: (row.created_at, row.id), reverse=True)
    assert len(await page(storage, user=None, limit=100)) == 21


async def test_only_what_is_unread_and_not_over_counts(storage: Storage) -> None:
    await keep(
        storage,
        message("msg_1"),
        message("msg_2", expires_at=NOW + 1),
        message("msg_3", expires_at=NOW),
        message("msg_4", read_at=NOW),
        message("msg_5", user="other"),
        message("msg_6", tenant_id=OTHER),
    )
    assert (await unread(storage), await unread(storage, "other"), await unread(storage, "Zoe")) == (2, 1, 0)
    assert await unread(storage, tenant_id=OTHER) == 1
    assert [row.id for row in await page(storage, limit=9)] == ["msg_4", "msg_2", "msg_1"]


async def test_two_phones_that_read_at_once_read_it_once(database_url: str, storage: Storage) -> None:
    await keep(storage, message("msg_1"))
    other = Storage(database_url)
    try:
        done = await asyncio.gather(
            *(
                node.write(
                    lambda tx, n=n: store.mark_read(tx, tenant_id=TENANT, message_id="msg_1", now_ms=NOW + n)
                )
                for n, node in enumerate((storage, other) * 5)
            )
        )
    finally:
        await other.close()
    assert sorted(done) == [False] * 9 + [True]
    assert not await storage.write(
        lambda tx: store.mark_read(tx, tenant_id=OTHER, message_id="msg_1", now_ms=NOW)
    )


async def test_what_is_over_is_erased(storage: Storage) -> None:
    over = [message(f"msg_{n}", expires_at=NOW - n, read_at=NOW if n % 2 else None) for n in range(5)]
    await keep(storage, *over, message("msg_kept"), message("msg_later", expires_at=NOW + 1))
    await storage.write(lambda tx: store.prune(tx, NOW - 1))
    found = await storage.read(lambda tx: [row.id for row in tx.execute(store.messages.select())])
    assert sorted(found) == ["msg_0", "msg_kept", "msg_later"]


async def test_a_message_is_taken_back_by_its_own_bank(storage: Storage) -> None:
    await keep(storage, message("msg_1"))
    for tenant, left in ((OTHER, 1), (TENANT, 0)):
        await storage.write(lambda tx, t=tenant: store.erase(tx, tenant_id=t, message_id="msg_1"))
        assert len(await page(storage)) == left
