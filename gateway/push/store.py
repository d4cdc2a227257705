"""The SQL of subscriptions and wake-ups. A wake-up is a row of cause and phone, so there is never a second one; it is
claimed by compare-and-set before it is sent, so that two nodes never both send it."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Column,
    Executable,
    Index,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    bindparam,
    delete,
    func,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from gateway.core.transaction import Transaction
from gateway.push.models import TRANSITIONS, Subscription, Wake, WakeEvent, WakeState
from gateway.storage.schema import IdText, Millis, metadata

subscriptions = Table(
    "push_subscriptions",
    metadata,
    Column("binding_id", IdText, primary_key=True),
    Column("tenant_id", IdText, nullable=False),
    Column("endpoint", LargeBinary, nullable=False),
    Column("p256dh", LargeBinary(65), nullable=False),
    Column("auth", LargeBinary, nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("key_label", String(64), nullable=False, server_default="tessera-push-1"),
)

wakes = Table(
    "push_wakes",
    metadata,
    Column("cause", IdText, primary_key=True),
    Column("binding_id", IdText, primary_key=True),
    Column("tenant_id", IdText, nullable=False),
    Column("state", String(8), nullable=False),
    Column("attempts", SmallInteger, nullable=False),
    Column("next_at", Millis, nullable=False),
    Column("expires_at", Millis, nullable=False),
    Column("created_at", Millis, nullable=False),
    Index(None, "state", "next_at"),
    Index(None, "binding_id", "created_at"),
    Index(None, "expires_at"),
)
_s, _w = subscriptions.c, wakes.c
_mine = (_s.binding_id == bindparam("b_id"), _s.tenant_id == bindparam("b_tenant"))
_one = (_w.cause == bindparam("b_cause"), _w.binding_id == bindparam("b_binding"))

_find = select(subscriptions).where(*_mine)
_drop = delete(subscriptions).where(*_mine)
_insert = subscriptions.insert()
_is_subscribed = select(_s.binding_id).where(*_mine)
_subscribed = select(_s.binding_id).where(
    _s.binding_id.in_(bindparam("b_ids", expanding=True)), _s.tenant_id == bindparam("b_tenant")
)
_recent = select(func.count()).where(
    _w.binding_id == bindparam("b_binding"), _w.created_at > bindparam("b_since")
)
_insert_wake: dict[str, Executable] = {
    "sqlite": sqlite.insert(wakes).on_conflict_do_nothing(),
    # Without the option SQLAlchemy does not keep an INSERT's row count.
    "postgresql": postgresql.insert(wakes).on_conflict_do_nothing().execution_options(preserve_rowcount=True),
}
_due = (
    select(wakes)
    .where(_w.state == WakeState.WAITING.value, _w.next_at <= bindparam("b_now"))
    .order_by(_w.next_at)
    .limit(bindparam("b_most"))
)
_next = select(func.min(_w.next_at)).where(_w.state == WakeState.WAITING.value)
_count = select(func.count()).where(_w.state == WakeState.WAITING.value)
_move = (
    wakes.update()
    .where(*_one, _w.state == bindparam("b_from"), _w.attempts == bindparam("b_attempts"))
    .values(state=bindparam("v_state"), attempts=bindparam("v_attempts"), next_at=bindparam("v_next_at"))
)
_of_key = select(func.count()).where(_s.key_label == bindparam("b_label"))
_prune = delete(wakes).where(_w.expires_at < bindparam("b_before"))


def find(tx: Transaction, *, tenant_id: str, binding_id: str) -> Subscription | None:
    """Return a phone's subscription."""
    row = tx.execute(_find, {"b_id": binding_id, "b_tenant": tenant_id}).mappings().first()
    return None if row is None else Subscription(**row)


def put(tx: Transaction, subscription: Subscription) -> None:
    """Store a subscription in the place of the phone's older one."""
    drop(tx, tenant_id=subscription.tenant_id, binding_id=subscription.binding_id)
    tx.execute(_insert, {name: getattr(subscription, name) for name in Subscription.__slots__})


def drop(tx: Transaction, *, tenant_id: str, binding_id: str) -> bool:
    """Erase a phone's subscription; say whether there was one."""
    return tx.execute(_drop, {"b_id": binding_id, "b_tenant": tenant_id}).rowcount == 1


def find_subscribed(tx: Transaction, *, tenant_id: str, binding_ids: Sequence[str]) -> list[str]:
    """Return which of some phones have a subscription."""
    if not binding_ids:
        return []
    if len(binding_ids) == 1:  # as most customers have it; a list takes the database's driver the long way
        one = tx.execute(_is_subscribed, {"b_id": binding_ids[0], "b_tenant": tenant_id})
        return list(one.scalars())
    return list(tx.execute(_subscribed, {"b_ids": list(binding_ids), "b_tenant": tenant_id}).scalars())


def add_wake(tx: Transaction, wake: Wake, *, since_ms: int, most: int) -> bool:
    """Store a wake-up, unless there is one for its cause already or the phone has had `most` since that moment; say
    whether it was stored."""
    if tx.execute(_recent, {"b_binding": wake.binding_id, "b_since": since_ms}).scalar_one() >= most:
        return False
    row = {name: getattr(wake, name) for name in Wake.__slots__}
    statement = _insert_wake[tx.connection.dialect.name]
    return tx.execute(statement, row | {"state": wake.state.value}).rowcount == 1


def _wake(row: Mapping[str, Any]) -> Wake:
    values = dict(row)
    values["state"] = WakeState(values["state"])
    return Wake(**values)


def claim_due(tx: Transaction, *, now_ms: int, most: int) -> list[Wake]:
    """Take wake-ups that are due, each for this sender alone; those past their end are dropped."""
    claimed = []
    for row in tx.execute(_due, {"b_now": now_ms, "b_most": most}).mappings().all():
        wake = _wake(dict(row))
        event = WakeEvent.GIVE_UP if wake.expires_at <= now_ms else WakeEvent.CLAIM
        if move(tx, wake, event, attempts=wake.attempts + 1, next_ms=now_ms) and event is WakeEvent.CLAIM:
            claimed.append(wake)
    return claimed


def move(tx: Transaction, wake: Wake, event: WakeEvent, *, attempts: int, next_ms: int) -> bool:
    """Move a wake-up from where `wake` stands; say whether it still stood there."""
    values = {
        "b_cause": wake.cause,
        "b_binding": wake.binding_id,
        "b_from": wake.state.value,
        "b_attempts": wake.attempts,
        "v_state": TRANSITIONS[wake.state, event].value,
        "v_attempts": attempts,
        "v_next_at": next_ms,
    }
    return tx.execute(_move, values).rowcount == 1


def next_due(tx: Transaction) -> int | None:
    """Return when the next wake-up is due."""
    due: int | None = tx.execute(_next, {}).scalar_one()
    return due


def count_waiting(tx: Transaction) -> int:
    """Return how many wait."""
    return int(tx.execute(_count, {}).scalar_one())


def prune(tx: Transaction, before_ms: int) -> None:
    """Erase wake-ups whose cause ended before that moment."""
    tx.execute(_prune, {"b_before": before_ms})


def count_of_key(tx: Transaction, key_label: str) -> int:
    """Return how many subscriptions were made for a key of wake-ups."""
    return int(tx.execute(_of_key, {"b_label": key_label}).scalar_one())
