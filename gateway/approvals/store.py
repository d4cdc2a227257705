"""The SQL of approvals. Called by the services inside a unit of work. A request changes by compare-and-set on its state
and version, so that of two answers at once one is told that it came second."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    func,
    or_,
    select,
)

from gateway.approvals.models import Approval, ApprovalState, Counter, Customer, Via
from gateway.approvals.policy import Factors
from gateway.core.transaction import Transaction
from gateway.storage.schema import IdText, Millis, metadata

SWEEP_BATCH = 100
PRUNE_BATCH = 1_000

approvals = Table(
    "approvals",
    metadata,
    Column("id", IdText, primary_key=True),
    Column("tenant_id", IdText, nullable=False),
    Column("user_ref", String(128), nullable=False),
    Column("type", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("statement", LargeBinary, nullable=False),
    Column("factors", String(16), nullable=False),
    Column("is_online", Boolean, nullable=False),
    Column("is_offline", Boolean, nullable=False),
    Column("number_match", String(8), nullable=False),
    Column("number", SmallInteger),
    Column("numbers", String(8), nullable=False),
    Column("binding_id", IdText),
    Column("asked", Text, nullable=False),
    Column("tries_left", SmallInteger, nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("expires_at", Millis, nullable=False),
    Column("open_until_at", Millis),
    Column("ended_at", Millis),
    Column("answered_by", IdText),
    Column("factor", String(16)),
    Column("via", String(8)),
    Column("proof", LargeBinary),
    Column("served", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Index(None, "open_until_at"),
    Index(None, "tenant_id", "user_ref", "created_at", "id"),
    Index(None, "tenant_id", "created_at", "id"),
    Index(None, "answered_by", "state"),
    Index(None, "created_at"),
)
"""`open_until_at` is `expires_at` while the request is pending, so that the sweep reads live rows alone."""

offline_codes = Table(
    "approval_codes",
    metadata,
    Column("approval_id", IdText, primary_key=True),
    Column("binding_id", IdText, nullable=False),
    Column("keys", LargeBinary, nullable=False),
    Column("expires_at", Millis, nullable=False),
    Index(None, "expires_at"),
)
"""The sealed answer keys of the code that was shown last, until its request's end."""

counters = Table(
    "approval_counters",
    metadata,
    Column("binding_id", IdText, primary_key=True),
    Column("tenant_id", IdText, nullable=False),
    Column("wrong", SmallInteger, nullable=False),
    Column("blocks", SmallInteger, nullable=False),
    Column("is_blocked", Boolean, nullable=False),
    Column("blocked_until_at", Millis),
    Column("offline_next", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
)

customers = Table(
    "approval_customers",
    metadata,
    Column("tenant_id", IdText, primary_key=True),
    Column("user_ref", String(128), primary_key=True),
    Column("unwanted", Integer, nullable=False),
    Column("unwanted_at", Millis, nullable=False),
    Column("is_reported", Boolean, nullable=False),
)

_a, _o, _n, _u = approvals.c, offline_codes.c, counters.c, customers.c
_OPEN = "open_until_at"
_SELECT = select(*(column for column in _a if column.name != _OPEN))
_CHANGING = ("state", "tries_left", "ended_at", "answered_by", "factor", "via", "proof", "served")
_MAX_PENDING = 20

_insert = approvals.insert()
_by_id = _SELECT.where(_a.id == bindparam("b_id"))
_lock = _by_id.with_for_update()
_pending = (
    _SELECT.where(
        _a.tenant_id == bindparam("b_tenant"),
        _a.user_ref == bindparam("b_user"),
        _a.state == ApprovalState.PENDING.value,
        _a.created_at > bindparam("b_since"),
        _a.expires_at > bindparam("b_now"),
    )
    .order_by(_a.created_at, _a.id)
    .limit(_MAX_PENDING)
)
_due = (
    select(_a.id).where(_a.open_until_at <= bindparam("b_now")).order_by(_a.open_until_at).limit(SWEEP_BATCH)
)
_approved_by = select(func.count()).where(
    _a.answered_by == bindparam("b_binding"),
    _a.state == ApprovalState.APPROVED.value,
    _a.type == bindparam("b_type"),
)
_save = (
    approvals.update()
    .where(_a.id == bindparam("b_id"), _a.version == bindparam("b_version"))
    .values(
        {name: bindparam(f"v_{name}", type_=_a[name].type) for name in (*_CHANGING, _OPEN)}
        | {"version": bindparam("b_version") + 1}
    )
)
_old = (
    select(_a.id).where(_a.created_at < bindparam("b_before"), _a.open_until_at.is_(None)).limit(PRUNE_BATCH)
)
_code = select(_o.binding_id, _o["keys"]).where(_o.approval_id == bindparam("b_approval"))
_drop_code = delete(offline_codes).where(_o.approval_id == bindparam("b_approval"))
_drop_code_in_force = delete(offline_codes).where(
    _o.approval_id == bindparam("b_approval"), _o["keys"] == bindparam("b_keys")
)
_drop_old_codes = delete(offline_codes).where(_o.expires_at < bindparam("b_now"))
_insert_code = offline_codes.insert()
_counters = select(counters).where(
    _n.binding_id.in_(bindparam("b_ids", expanding=True)), _n.tenant_id == bindparam("b_tenant")
)
_counter_of_one = select(counters).where(
    _n.binding_id == bindparam("b_id"), _n.tenant_id == bindparam("b_tenant")
)
_lock_counter = _counter_of_one.with_for_update()
_insert_counter = counters.insert()
_save_counter = (
    counters.update()
    .where(_n.binding_id == bindparam("b_id"), _n.version == bindparam("b_version"))
    .values(
        wrong=bindparam("v_wrong"),
        blocks=bindparam("v_blocks"),
        is_blocked=bindparam("v_is_blocked"),
        blocked_until_at=bindparam("v_blocked_until_at"),
        offline_next=bindparam("v_offline_next"),
        version=bindparam("b_version") + 1,
    )
)
_drop_counter = delete(counters).where(
    _n.binding_id == bindparam("b_id"), _n.tenant_id == bindparam("b_tenant")
)
_customer = select(customers).where(_u.tenant_id == bindparam("b_tenant"), _u.user_ref == bindparam("b_user"))
_lock_customer = _customer.with_for_update()
_insert_customer = customers.insert()
_save_customer = (
    customers.update()
    .where(_u.tenant_id == bindparam("b_tenant"), _u.user_ref == bindparam("b_user"))
    .values(
        unwanted=bindparam("v_unwanted"),
        unwanted_at=bindparam("v_unwanted_at"),
        is_reported=bindparam("v_is_reported"),
    )
)


def _row(approval: Approval) -> dict[str, Any]:
    values: dict[str, Any] = {name: getattr(approval, name) for name in Approval.__struct_fields__}
    values["user_ref"] = values.pop("user")
    values["state"] = approval.state.value
    values["factors"] = approval.factors.value
    values["numbers"] = " ".join(str(number) for number in approval.numbers)
    values["asked"] = " ".join(approval.asked)
    values["via"] = None if approval.via is None else approval.via.value
    values[_OPEN] = _open_until(approval)
    return values


def _open_until(approval: Approval) -> int | None:
    return None if approval.is_over else approval.expires_at


def _approval(row: Mapping[str, Any]) -> Approval:
    values = dict(row)
    values["user"] = values.pop("user_ref")
    values["state"] = ApprovalState(values["state"])
    values["factors"] = Factors(values["factors"])
    values["numbers"] = tuple(int(number) for number in values["numbers"].split())
    values["asked"] = tuple(values["asked"].split())
    values["via"] = None if values["via"] is None else Via(values["via"])
    return Approval(**values)


def insert(tx: Transaction, approval: Approval) -> None:
    """Store a new request."""
    tx.execute(_insert, _row(approval))


def find(tx: Transaction, approval_id: str, *, is_locked: bool = False) -> Approval | None:
    """Return a request by its id alone; whoever asks for a tenant or a customer compares. `is_locked` holds its row
    until the unit ends."""
    row = tx.execute(_lock if is_locked else _by_id, {"b_id": approval_id}).mappings().first()
    return None if row is None else _approval(dict(row))


def find_pending(tx: Transaction, *, tenant_id: str, user: str, now_ms: int, life_ms: int) -> list[Approval]:
    """Return a customer's requests that wait, oldest first; none lives longer than `life_ms`."""
    wanted = {"b_tenant": tenant_id, "b_user": user, "b_now": now_ms, "b_since": now_ms - life_ms - 1}
    return [_approval(dict(row)) for row in tx.execute(_pending, wanted).mappings()]


def find_due(tx: Transaction, now_ms: int) -> list[str]:
    """Return ids of requests that wait past their end, the longest due first."""
    return list(tx.execute(_due, {"b_now": now_ms}).scalars())


def find_page(
    tx: Transaction,
    *,
    tenant_id: str,
    user: str | None = None,
    state: ApprovalState | None = None,
    kind: str | None = None,
    shown_to: str | None = None,
    before: tuple[int, str] | None = None,
    limit: int,
) -> list[Approval]:
    """Return up to `limit` requests, newest first, that come after `before` (created_at, id) in that order;
    with `shown_to` those that are over and asked this phone, or were answered on it."""
    query = _SELECT.where(_a.tenant_id == tenant_id)
    if user is not None:
        query = query.where(_a.user_ref == user)
    if state is not None:
        query = query.where(_a.state == state.value)
    if kind is not None:
        query = query.where(_a.type == kind)
    if shown_to is not None:
        was_asked = and_(_a.is_online, _a.asked.contains(shown_to, autoescape=True))
        query = query.where(_a.open_until_at.is_(None), or_(was_asked, _a.answered_by == shown_to))
    if before is not None:
        query = query.where(
            or_(_a.created_at < before[0], and_(_a.created_at == before[0], _a.id < before[1]))
        )
    rows = tx.execute(query.order_by(_a.created_at.desc(), _a.id.desc()).limit(limit)).mappings()
    return [_approval(dict(row)) for row in rows]


def count_approved(tx: Transaction, binding_id: str, *, kind: str) -> int:
    """Return how many requests of a type a phone has approved."""
    return int(tx.execute(_approved_by, {"b_binding": binding_id, "b_type": kind}).scalar_one())


def save(tx: Transaction, old: Approval, new: Approval) -> bool:
    """Write what of `new` may change where the row still has `old`'s version; say whether it had."""
    values = {
        "b_id": old.id,
        "b_version": old.version,
        "v_state": new.state.value,
        "v_tries_left": new.tries_left,
        "v_ended_at": new.ended_at,
        "v_answered_by": new.answered_by,
        "v_factor": new.factor,
        "v_via": None if new.via is None else new.via.value,
        "v_proof": new.proof,
        "v_served": new.served,
        f"v_{_OPEN}": _open_until(new),
    }
    return tx.execute(_save, values).rowcount == 1


def prune(tx: Transaction, before_ms: int) -> None:
    """Erase requests that are over and were made before that moment, PRUNE_BATCH at most."""
    ids = list(tx.execute(_old, {"b_before": before_ms}).scalars())
    if ids:
        tx.execute(delete(approvals).where(_a.id.in_(ids), _a.open_until_at.is_(None)))


def put_code(tx: Transaction, *, approval_id: str, binding_id: str, keys: bytes, expires_at: int) -> None:
    """Store the sealed answer keys of a code for one phone, in the place of those of an older code."""
    drop_code(tx, approval_id)
    row = {"approval_id": approval_id, "binding_id": binding_id, "keys": keys, "expires_at": expires_at}
    tx.execute(_insert_code, row)


def find_code(tx: Transaction, approval_id: str) -> tuple[str, bytes] | None:
    """Return the phone that the last code was for, and its sealed answer keys."""
    row = tx.execute(_code, {"b_approval": approval_id}).mappings().first()
    return None if row is None else (row["binding_id"], row["keys"])


def drop_code(tx: Transaction, approval_id: str) -> None:
    """Erase the answer keys of a request."""
    tx.execute(_drop_code, {"b_approval": approval_id})


def drop_code_in_force(tx: Transaction, approval_id: str, *, keys: bytes) -> bool:
    """Erase the answer keys of a request where they are these; say whether they were."""
    return tx.execute(_drop_code_in_force, {"b_approval": approval_id, "b_keys": keys}).rowcount == 1


def drop_old_codes(tx: Transaction, now_ms: int) -> None:
    """Erase answer keys whose request is past its end."""
    tx.execute(_drop_old_codes, {"b_now": now_ms})


def _counter(row: Mapping[str, Any]) -> Counter:
    values = dict(row)
    return Counter(round=values.pop("blocks"), blocked_until_ms=values.pop("blocked_until_at"), **values)


def find_counters(tx: Transaction, *, tenant_id: str, binding_ids: Sequence[str]) -> dict[str, Counter]:
    """Return the counts of some phones by binding id; a phone that never answered wrongly may have none."""
    if len(binding_ids) == 1:  # as most customers have it; a list takes the database's driver the long way
        result = tx.execute(_counter_of_one, {"b_id": binding_ids[0], "b_tenant": tenant_id})
    else:
        result = tx.execute(_counters, {"b_ids": list(binding_ids), "b_tenant": tenant_id})
    rows = result.mappings()
    return {row["binding_id"]: _counter(dict(row)) for row in rows}


def lock_counter(tx: Transaction, *, tenant_id: str, binding_id: str) -> Counter:
    """Return the count of one phone, a fresh one (version 0) when there is none, and hold its row until the unit
    ends."""
    row = tx.execute(_lock_counter, {"b_id": binding_id, "b_tenant": tenant_id}).mappings().first()
    return Counter(binding_id, tenant_id) if row is None else _counter(dict(row))


def save_counter(tx: Transaction, old: Counter, new: Counter) -> bool:
    """Write a count where the row is still `old`; say whether it was."""
    values = {
        "wrong": new.wrong,
        "blocks": new.round,
        "is_blocked": new.is_blocked,
        "blocked_until_at": new.blocked_until_ms,
        "offline_next": new.offline_next,
    }
    if old.version == 0:
        names = {"binding_id": old.binding_id, "tenant_id": old.tenant_id, "version": 1}
        tx.execute(_insert_counter, values | names)
        return True
    changed = {f"v_{name}": value for name, value in values.items()}
    return (
        tx.execute(_save_counter, changed | {"b_id": old.binding_id, "b_version": old.version}).rowcount == 1
    )


def drop_counter(tx: Transaction, *, tenant_id: str, binding_id: str) -> None:
    """Erase the count of a phone."""
    tx.execute(_drop_counter, {"b_id": binding_id, "b_tenant": tenant_id})


def find_customer(tx: Transaction, *, tenant_id: str, user: str, is_locked: bool = False) -> Customer | None:
    """Return what is remembered of a customer."""
    statement = _lock_customer if is_locked else _customer
    row = tx.execute(statement, {"b_tenant": tenant_id, "b_user": user}).mappings().first()
    if row is None:
        return None
    return Customer(
        row["tenant_id"], row["user_ref"], row["unwanted"], row["unwanted_at"], row["is_reported"]
    )


def save_customer(tx: Transaction, customer: Customer, *, is_new: bool) -> None:
    """Write what is remembered of a customer."""
    values = {
        "unwanted": customer.unwanted,
        "unwanted_at": customer.unwanted_at,
        "is_reported": customer.is_reported,
    }
    if is_new:
        tx.execute(_insert_customer, values | {"tenant_id": customer.tenant_id, "user_ref": customer.user})
        return
    changed = {f"v_{name}": value for name, value in values.items()}
    tx.execute(_save_customer, changed | {"b_tenant": customer.tenant_id, "b_user": customer.user})
