"""The SQL of webhooks. The journal's outbox writes deliveries here in the transaction of the change they tell of; the
sender claims them by compare-and-set, so that two nodes never send one at the same time."""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Column,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    and_,
    bindparam,
    func,
    or_,
    select,
)

from gateway.core.transaction import Transaction
from gateway.storage.schema import IdText, Millis, metadata
from gateway.webhooks.models import (
    TRANSITIONS,
    Backlog,
    Delivery,
    DeliveryEvent,
    DeliveryState,
    Endpoint,
    sources,
)

PRUNED_AT_ONCE = 500

endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("id", IdText, primary_key=True),
    Column("tenant_id", IdText, nullable=False),
    Column("url", String(2048), nullable=False),
    Column("events", Text, nullable=False),
    Column("secret", LargeBinary, nullable=False),
    Column("created_at", Millis, nullable=False),
    Index(None, "tenant_id", "created_at"),
)

deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", IdText, primary_key=True),
    Column("tenant_id", IdText, nullable=False),
    Column("endpoint_id", IdText, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Millis, nullable=False),
    Column("last_error", String(256)),
    Column("created_at", Millis, nullable=False),
    Index(None, "state", "next_at"),
    Index(None, "tenant_id", "created_at", "id"),
    Index(None, "endpoint_id"),
)

_OPEN = sources(DeliveryEvent.CLAIM)
_CLAIMED = TRANSITIONS[DeliveryState.PENDING, DeliveryEvent.CLAIM].value
_e = endpoints.c
_d = deliveries.c
_is_free = _d.endpoint_id.not_in(bindparam("full", expanding=True))
_of_tenant = select(endpoints).where(_e.tenant_id == bindparam("tenant")).order_by(_e.created_at, _e.id)
_endpoint = select(endpoints).where(_e.id == bindparam("id"), _e.tenant_id == bindparam("tenant"))
_delete_endpoint = endpoints.delete().where(_e.id == bindparam("b_id"), _e.tenant_id == bindparam("b_tenant"))
_delete_open = deliveries.delete().where(_d.endpoint_id == bindparam("b_id"), _d.state.in_(_OPEN))
_due = (
    select(deliveries)
    .where(_d.state.in_(_OPEN), _d.next_at <= bindparam("now"), _is_free)
    .order_by(_d.next_at)
    .limit(bindparam("most"))
)
_next = select(func.min(_d.next_at)).where(_d.state.in_(_OPEN), _is_free)
_backlogs = (
    select(_d.endpoint_id, func.count(), func.min(_d.created_at))
    .where(_d.state.in_(_OPEN))
    .group_by(_d.endpoint_id)
)
_claim = (
    deliveries.update()
    .where(_d.id == bindparam("b_id"), _d.state == bindparam("b_state"), _d.next_at == bindparam("b_next"))
    .values(state=_CLAIMED, next_at=bindparam("b_until"))
)
_settle = (
    deliveries.update()
    .where(
        _d.id == bindparam("b_id"),
        _d.state == _CLAIMED,
        _d.next_at == bindparam("b_until"),
    )
    .values(
        state=bindparam("b_to"),
        attempts=bindparam("b_attempts"),
        next_at=bindparam("b_next"),
        last_error=bindparam("b_error"),
    )
)
_redeliver = (
    deliveries.update()
    .where(
        _d.id == bindparam("b_id"),
        _d.tenant_id == bindparam("b_tenant"),
        _d.state.in_(sources(DeliveryEvent.REDELIVER)),
    )
    .values(
        state=TRANSITIONS[DeliveryState.FAILED, DeliveryEvent.REDELIVER].value,
        attempts=0,
        next_at=bindparam("b_now"),
    )
)
_delivery = select(deliveries).where(_d.id == bindparam("id"), _d.tenant_id == bindparam("tenant"))
_old = (
    select(_d.id)
    .where(_d.state == bindparam("state"), _d.next_at < bindparam("before"))
    .limit(PRUNED_AT_ONCE)
)
_forget = deliveries.delete().where(_d.id.in_(bindparam("ids", expanding=True)))


def _endpoint_of(row: Any) -> Endpoint:
    values = dict(row)
    return Endpoint(**values | {"events": tuple(json.loads(values["events"]))})


def _delivery_of(row: Any) -> Delivery:
    values = dict(row)
    return Delivery(**values | {"state": DeliveryState(values["state"])})


def insert_endpoint(tx: Transaction, endpoint: Endpoint) -> None:
    """Store a new endpoint."""
    values = {name: getattr(endpoint, name) for name in Endpoint.__slots__}
    tx.execute(endpoints.insert(), values | {"events": json.dumps(endpoint.events)})


def find_endpoints(tx: Transaction, tenant_id: str) -> list[Endpoint]:
    """Return a tenant's endpoints (at most MAX_ENDPOINTS), oldest first."""
    return [_endpoint_of(row) for row in tx.execute(_of_tenant, {"tenant": tenant_id}).mappings()]


def find_endpoint(tx: Transaction, *, tenant_id: str, endpoint_id: str) -> Endpoint | None:
    """Return one endpoint of a tenant."""
    row = tx.execute(_endpoint, {"id": endpoint_id, "tenant": tenant_id}).mappings().first()
    return None if row is None else _endpoint_of(row)


def delete_endpoint(tx: Transaction, *, tenant_id: str, endpoint_id: str) -> bool:
    """Remove an endpoint and what is still to be sent there; say whether it existed."""
    if tx.execute(_delete_endpoint, {"b_id": endpoint_id, "b_tenant": tenant_id}).rowcount == 0:
        return False
    tx.execute(_delete_open, {"b_id": endpoint_id})
    return True


def insert_deliveries(tx: Transaction, rows: Sequence[Delivery]) -> None:
    """Store deliveries to be sent."""
    tx.execute(
        deliveries.insert(),
        [
            {name: getattr(row, name) for name in Delivery.__slots__} | {"state": row.state.value}
            for row in rows
        ],
    )


def claim_due(
    tx: Transaction, *, now_ms: int, until_ms: int, most: int, each: int, busy: Mapping[str, int]
) -> list[Delivery]:
    """Claim at most `most` due deliveries until `until_ms`, those of a node that died among them, and of each endpoint
    at most `each` with those that it is `busy` with."""
    claimed: list[Delivery] = []
    counts = Counter(busy)
    full = [endpoint for endpoint, count in counts.items() if count >= each]
    for row in tx.execute(_due, {"now": now_ms, "most": most, "full": full}).mappings().all():
        if counts[row["endpoint_id"]] >= each:
            continue
        values = {
            "b_id": row["id"],
            "b_state": row["state"],
            "b_next": row["next_at"],
            "b_until": until_ms,
        }
        if tx.execute(_claim, values).rowcount == 1:
            fresh = {"state": _CLAIMED, "next_at": until_ms}
            claimed.append(_delivery_of(dict(row) | fresh))
            counts[row["endpoint_id"]] += 1
    return claimed


def next_due(tx: Transaction, full: Collection[str]) -> int | None:
    """Return when the next delivery is due (Unix milliseconds), those to the endpoints `full` left out, or None."""
    due = tx.execute(_next, {"full": list(full)}).scalar()
    return None if due is None else int(due)


def find_backlogs(tx: Transaction) -> list[Backlog]:
    """Return what waits, by endpoint, where anything does."""
    return [Backlog(*tuple(row)) for row in tx.execute(_backlogs)]


def settle(
    tx: Transaction, claimed: Delivery, *, to: DeliveryState, attempts: int, next_ms: int, error: str | None
) -> bool:
    """End a claim; say whether it was still ours."""
    values = {
        "b_id": claimed.id,
        "b_until": claimed.next_at,
        "b_to": to.value,
        "b_attempts": attempts,
        "b_next": next_ms,
        "b_error": error,
    }
    return tx.execute(_settle, values).rowcount == 1


def redeliver(tx: Transaction, *, tenant_id: str, delivery_id: str, now_ms: int) -> bool:
    """Put a failed delivery back in line; say whether there was one."""
    values = {"b_id": delivery_id, "b_tenant": tenant_id, "b_now": now_ms}
    return tx.execute(_redeliver, values).rowcount == 1


def find_delivery(tx: Transaction, *, tenant_id: str, delivery_id: str) -> Delivery | None:
    """Return one delivery of a tenant."""
    row = tx.execute(_delivery, {"id": delivery_id, "tenant": tenant_id}).mappings().first()
    return None if row is None else _delivery_of(row)


def find_deliveries(
    tx: Transaction,
    *,
    tenant_id: str,
    state: DeliveryState | None,
    before: tuple[int, str] | None,
    limit: int,
) -> list[Delivery]:
    """Return up to `limit` deliveries, newest first, that come after `before` (created_at, id) in that order."""
    query = select(deliveries).where(_d.tenant_id == tenant_id)
    if state is not None:
        query = query.where(_d.state == state.value)
    if before is not None:
        query = query.where(
            or_(_d.created_at < before[0], and_(_d.created_at == before[0], _d.id < before[1]))
        )
    rows = tx.execute(query.order_by(_d.created_at.desc(), _d.id.desc()).limit(limit)).mappings()
    return [_delivery_of(row) for row in rows]


def prune(tx: Transaction, *, state: DeliveryState, before_ms: int) -> int:
    """Forget a page of deliveries that came to that final state before that moment, and return how many."""
    found = tx.execute(_old, {"state": state.value, "before": before_ms}).scalars().all()
    if found:
        tx.execute(_forget, {"ids": found})
    return len(found)
