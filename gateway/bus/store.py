"""The SQL of the event log. An event is one row a topic; ids only grow, and become visible in that order because
the batches of all nodes follow one another (gateway/storage)."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Column, Index, String, Table, Text, bindparam, delete, select

from gateway.storage.engine import Transaction
from gateway.storage.schema import IdText, Millis, growing_key, metadata

PAGE = 500

events = Table(
    "events",
    metadata,
    Column("id", growing_key(), primary_key=True, autoincrement=True),
    Column("tenant_id", IdText, nullable=False),
    Column("topic", String(256), nullable=False),
    Column("type", String(64), nullable=False),
    Column("data", Text, nullable=False),
    Column("created_at", Millis, nullable=False),
    Index("ix_events_topic_id", "topic", "id"),
    sqlite_autoincrement=True,
)


class Event(msgspec.Struct, frozen=True):
    """One row: what happened, on one topic. `data` is JSON text; `created_at` Unix milliseconds."""

    id: int
    tenant_id: str
    topic: str
    type: str
    data: str
    created_at: int


_INSERT = events.insert()
_COLUMNS = (
    events.c.id,
    events.c.tenant_id,
    events.c.topic,
    events.c.type,
    events.c.data,
    events.c.created_at,
)
_AFTER = select(*_COLUMNS).where(events.c.id > bindparam("after")).order_by(events.c.id).limit(PAGE)
_AFTER_IN_TOPIC = (
    select(*_COLUMNS)
    .where(events.c.id > bindparam("after"), events.c.topic == bindparam("topic"))
    .order_by(events.c.id)
    .limit(PAGE)
)
_AFTER_IN_TOPICS = (
    select(*_COLUMNS)
    .where(events.c.id > bindparam("after"), events.c.topic.in_(bindparam("topics", expanding=True)))
    .order_by(events.c.id)
    .limit(PAGE)
)
_NEWEST = select(events.c.id).order_by(events.c.id.desc()).limit(1)
_OLDEST = select(events.c.id).order_by(events.c.id).limit(1)
_EARLIEST = select(events.c.id, events.c.created_at).order_by(events.c.id).limit(PAGE)
_DELETE = delete(events).where(events.c.id.in_(bindparam("ids", expanding=True)))


def insert_events(tx: Transaction, rows: Sequence[dict[str, Any]]) -> list[Event]:
    """Append rows (all columns but id) and return them as the events they have become. Nobody else appends while this
    transaction is open, so their ids are the newest, one after another."""
    tx.execute(_INSERT, list(rows))
    first = newest_id(tx) - len(rows) + 1
    return [Event(id=first + place, **row) for place, row in enumerate(rows)]


def read_after(tx: Transaction, after_id: int) -> list[Event]:
    """Return at most PAGE events of all topics past an id, in order."""
    return [_event(row) for row in tx.execute(_AFTER, {"after": after_id})]


def read_topics_after(tx: Transaction, topics: Sequence[str], after_id: int) -> list[Event]:
    """Return at most PAGE events of these topics past an id, in order."""
    if len(topics) == 1:  # most streams have one, and a statement of one form can be prepared
        rows = tx.execute(_AFTER_IN_TOPIC, {"after": after_id, "topic": topics[0]})
    else:
        rows = tx.execute(_AFTER_IN_TOPICS, {"after": after_id, "topics": list(topics)})
    return [_event(row) for row in rows]


def newest_id(tx: Transaction) -> int:
    """Return the last id given, or 0."""
    return int(tx.execute(_NEWEST).scalar() or 0)


def oldest_id(tx: Transaction) -> int:
    """Return the first id still kept, or 0."""
    return int(tx.execute(_OLDEST).scalar() or 0)


def prune(tx: Transaction, before_ms: int) -> int:
    """Delete at most PAGE events from before that moment; the newest stays, so that ids are never told twice. Ids grow
    with time, so the earliest rows are the oldest: that takes no index on the time."""
    newest = newest_id(tx)
    old = [row.id for row in tx.execute(_EARLIEST) if row.created_at < before_ms and row.id < newest]
    if old:
        tx.execute(_DELETE, {"ids": old})
    return len(old)


def _event(row: Any) -> Event:
    return Event(*row)
