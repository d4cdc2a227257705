"""Queries over tables that only grow find their rows by an index: no plan reads a table, or all that a bank has there.
Taken from the statements that the stores really send, on SQLite, whose plans do not hang on what is in the tables."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.activation import store as activations
from gateway.audit import store as audit
from gateway.core.transaction import Transaction
from gateway.devices import store as devices
from gateway.http import idempotency
from gateway.inbox import store as inbox
from gateway.push import store as push
from gateway.storage.engine import Storage
from gateway.storage.migrate import migrate
from gateway.webhooks import store as webhooks
from gateway.webhooks.models import DeliveryState


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    url = f"sqlite:///{tmp_path}/plans.db"
    await asyncio.to_thread(migrate, url)
    opened = Storage(url)
    yield opened
    await opened.close()


def plans(tx: Transaction, ask: Callable[[Transaction], Any]) -> list[str]:
    """Return the plan of each statement that `ask` sends."""
    driver: Any = tx.connection.connection.driver_connection
    sent: list[str] = []
    driver.set_trace_callback(sent.append)
    try:
        ask(tx)
    finally:
        driver.set_trace_callback(None)
    found = []
    for statement in sent:
        rows = driver.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
        found += [str(row[3]) for row in rows if not str(row[3]).startswith("LIST SUBQUERY")]
    return found


QUERIES: dict[str, tuple[Callable[[Transaction], Any], str]] = {
    "audit": (
        lambda tx: audit.list_entries(tx, "ten_1", before=9, limit=5),
        "tenant_id=? AND sequence<?",
    ),
    "audit of a subject": (
        lambda tx: audit.list_entries(tx, "ten_1", before=9, limit=5, subject="act_1"),
        "tenant_id=? AND subject=? AND sequence<?",
    ),
    "audit of a word": (
        lambda tx: audit.list_entries(tx, "ten_1", before=9, limit=5, words=("phone:binding:rename",)),
        "tenant_id=? AND word=? AND sequence<?",
    ),
    "old deliveries": (
        lambda tx: webhooks.prune(tx, state=DeliveryState.DELIVERED, before_ms=5),
        "state=? AND next_at<?",
    ),
    "old answers": (lambda tx: idempotency._prune(tx, 5), "created_at<?"),
    "messages of a customer": (
        lambda tx: inbox.find_page(tx, tenant_id="ten_1", user="u", now_ms=5, before=(9, "m"), limit=5),
        "tenant_id=? AND user_ref=? AND created_at<?",
    ),
    "messages of a bank": (
        lambda tx: inbox.find_page(tx, tenant_id="ten_1", user=None, now_ms=5, before=(9, "m"), limit=5),
        "tenant_id=? AND created_at<?",
    ),
    "unread messages": (
        lambda tx: inbox.count_unread(tx, tenant_id="ten_1", user="u", now_ms=5),
        "tenant_id=? AND user_ref=?",
    ),
    "messages that are over": (lambda tx: inbox.prune(tx, 5), "expires_at<?"),
    "due wake-ups": (lambda tx: push.claim_due(tx, now_ms=5, most=5), "state=? AND next_at<?"),
    "next wake-up": (push.next_due, "state=?"),
    "due activations": (lambda tx: activations.find_due(tx, 5), "open_until_at<?"),
    "activations under a key": (lambda tx: activations.count_open_under_label(tx, "s"), "open_until_at>?"),
}


async def test_phones_under_a_key_are_counted_by_two_indexes(storage: Storage) -> None:
    [whole, *parts] = await storage.read(lambda tx: plans(tx, lambda tx: devices.count_under_label(tx, "s")))
    assert whole == "MULTI-INDEX OR"
    found = [re.search(r"\((\w+)=\?\)$", part) for part in parts if part.startswith("SEARCH")]
    assert {match[1] for match in found if match} == {"gateway_label", "next_gateway_label"}
    assert len(found) == 2


@pytest.mark.parametrize("name", QUERIES)
async def test_rows_are_found_by_an_index(storage: Storage, name: str) -> None:
    ask, terms = QUERIES[name]
    [plan] = await storage.read(lambda tx: plans(tx, ask))
    match = re.fullmatch(r"SEARCH \w+ USING (?:COVERING )?INDEX \w+ \((.*)\)", plan)
    assert match is not None, plan
    assert match[1] == terms
