"""The SQL of bindings. Called by the service and the channel inside a unit of work; every query of the bank's carries
the tenant, and the phone's ratchet moves by compare-and-set on its index and the number of its turns, which stay as
they are when its sealed keys are wrapped anew."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    LargeBinary,
    String,
    Table,
    and_,
    bindparam,
    func,
    or_,
    select,
)

from gateway.core.subjects import BindingRef, DeviceFacts
from gateway.core.transaction import Transaction
from gateway.devices.models import Binding, BindingState, SuspendedBy, Turn
from gateway.storage.schema import IdText, Millis, metadata

MAX_OF_USER = 50
"""Phones of one customer that are looked at together."""

_DEVICE = ("name", "model", "platform", "os", "app", "lang", "place")
_SPELT = {"user": "user_ref", "index": "ratchet_index"}
"""Members whose names SQL reserves."""

bindings = Table(
    "bindings",
    metadata,
    Column("id", IdText, primary_key=True),
    Column("tenant_id", IdText, nullable=False),
    Column("user_ref", String(128), nullable=False),
    Column("label", String(128), nullable=False),
    Column("name", String(64), nullable=False),
    Column("model", String(64), nullable=False),
    Column("platform", String(16), nullable=False),
    Column("os", String(64), nullable=False),
    Column("app", String(64), nullable=False),
    Column("lang", String(8), nullable=False),
    Column("place", String(128)),
    Column("state", String(16), nullable=False),
    Column("suspended_by", String(16)),
    Column("is_hybrid", Boolean, nullable=False),
    Column("gateway_label", String(128), nullable=False),
    Column("signing_key", LargeBinary(65), nullable=False),
    Column("static_key", LargeBinary(65), nullable=False),
    Column("ratchet_index", BigInteger, nullable=False),
    Column("psk", LargeBinary),
    Column("psk_next", LargeBinary),
    Column("added_at", Millis, nullable=False),
    Column("hybrid_at", Millis, nullable=False),
    Column("last_seen_at", Millis, nullable=False),
    Column("next_gateway_label", String(128)),
    Column("turns", BigInteger, nullable=False, server_default="0"),
    Index(None, "tenant_id", "user_ref", "added_at"),
    Index(None, "tenant_id", "added_at", "id"),
    Index(None, "gateway_label"),
    Index(None, "next_gateway_label"),
)
_c = bindings.c
_mine = and_(_c.id == bindparam("b_id"), _c.tenant_id == bindparam("b_tenant"))

_insert = bindings.insert()
_by_id = select(bindings).where(_c.id == bindparam("b_id"))
_by_tenant_and_id = select(bindings).where(_mine)
_lock = _by_tenant_and_id.with_for_update()
_state = select(_c.state).where(_mine)
_of_user = (
    select(bindings)
    .where(
        _c.tenant_id == bindparam("b_tenant"),
        _c.user_ref == bindparam("b_user"),
        _c.state != BindingState.REMOVED.value,
    )
    .order_by(_c.added_at)  # with the id behind it, SQLite walks through all of the tenant's bindings
    .limit(MAX_OF_USER)
)
_set_state = (
    bindings.update()
    .where(_mine, _c.state == bindparam("b_state"))
    .values(state=bindparam("b_to"), suspended_by=bindparam("b_by"))
)
_erase_psks = bindings.update().where(_mine).values(psk=None, psk_next=None, next_gateway_label=None)
_rename = bindings.update().where(_mine).values(name=bindparam("b_name"))
_seen = bindings.update().where(_mine).values(last_seen_at=bindparam("b_now"))
_turn = (
    bindings.update()
    .where(
        _mine,
        _c.ratchet_index == bindparam("b_index"),
        _c.turns == bindparam("b_turns"),
        _c.state == BindingState.ACTIVE.value,
    )
    .values(
        ratchet_index=bindparam("b_counter"),
        turns=bindparam("b_turns") + 1,
        psk=bindparam("b_psk"),
        psk_next=bindparam("b_next"),
        last_seen_at=bindparam("b_now"),
        hybrid_at=bindparam("b_hybrid"),
    )
)
_settle = (
    bindings.update()
    .where(
        _mine,
        _c.ratchet_index == bindparam("b_index"),
        _c.turns == bindparam("b_turns"),
        _c.psk_next.is_not(None),
        _c.state == BindingState.ACTIVE.value,
    )
    .values(ratchet_index=bindparam("b_counter"), psk=_c.psk_next, psk_next=None)
)
# Both labels have an index, which these alone write: nearly every contact leaves its phone under the same key.
_turn_and_label = _turn.values(
    gateway_label=bindparam("b_label"), next_gateway_label=bindparam("b_next_label")
)
_settle_and_move = _settle.values(
    gateway_label=func.coalesce(_c.next_gateway_label, _c.gateway_label), next_gateway_label=None
)
_under_label = (
    select(func.count())
    .select_from(bindings)
    .where(
        or_(_c.gateway_label == bindparam("b_label"), _c.next_gateway_label == bindparam("b_label")),
        _c.psk.is_not(None),
    )
)


def insert(tx: Transaction, binding: Binding) -> None:
    """Store a new binding."""
    members = (name for name in Binding.__slots__ if name != "device")
    values: dict[str, Any] = {_SPELT.get(name, name): getattr(binding, name) for name in members}
    values |= {name: getattr(binding.device, name) for name in _DEVICE}
    values |= _standing(binding)
    tx.execute(_insert, values)


def _standing(binding: Binding) -> dict[str, str | None]:
    by = binding.suspended_by
    return {"state": binding.state.value, "suspended_by": None if by is None else by.value}


def _binding(row: Mapping[str, Any]) -> Binding:
    values = dict(row)
    device = DeviceFacts(**{name: values.pop(name) for name in _DEVICE})
    values |= {member: values.pop(column) for member, column in _SPELT.items()}
    values["state"] = BindingState(values["state"])
    by = values["suspended_by"]
    values["suspended_by"] = None if by is None else SuspendedBy(by)
    return Binding(device=device, **values)


def find_for_phone(tx: Transaction, binding_id: str) -> Binding | None:
    """Return a binding by its id alone: a phone names no tenant, and proves itself afterwards."""
    row = tx.execute(_by_id, {"b_id": binding_id}).mappings().first()
    return None if row is None else _binding(dict(row))


def find(tx: Transaction, *, tenant_id: str, binding_id: str, is_locked: bool = False) -> Binding | None:
    """Return a tenant's binding; `is_locked` holds its row until the unit ends."""
    statement = _lock if is_locked else _by_tenant_and_id
    row = tx.execute(statement, {"b_id": binding_id, "b_tenant": tenant_id}).mappings().first()
    return None if row is None else _binding(dict(row))


def find_state(tx: Transaction, *, tenant_id: str, binding_id: str) -> BindingState | None:
    """Return where a tenant's binding stands."""
    state = tx.execute(_state, {"b_id": binding_id, "b_tenant": tenant_id}).scalar()
    return None if state is None else BindingState(state)


def find_of_user(tx: Transaction, *, tenant_id: str, user: str) -> list[Binding]:
    """Return a customer's phones that are not removed, oldest first, MAX_OF_USER at most."""
    rows = tx.execute(_of_user, {"b_tenant": tenant_id, "b_user": user}).mappings()
    return sorted((_binding(dict(row)) for row in rows), key=lambda each: (each.added_at, each.id))


def find_page(
    tx: Transaction,
    *,
    tenant_id: str,
    user: str | None,
    state: BindingState | None,
    before: tuple[int, str] | None,
    limit: int,
) -> list[Binding]:
    """Return up to `limit` bindings, newest first, that come after `before` (added_at, id) in that order."""
    query = select(bindings).where(_c.tenant_id == tenant_id)
    if user is not None:
        query = query.where(_c.user_ref == user)
    if state is not None:
        query = query.where(_c.state == state.value)
    if before is not None:
        query = query.where(or_(_c.added_at < before[0], and_(_c.added_at == before[0], _c.id < before[1])))
    rows = tx.execute(query.order_by(_c.added_at.desc(), _c.id.desc()).limit(limit)).mappings()
    return [_binding(dict(row)) for row in rows]


def set_state(tx: Transaction, binding: Binding, moved: Binding) -> bool:
    """Move a binding from the state it was read in to where `moved` stands; say whether it was still there. Removal
    and a copy found out erase its ratchet keys."""
    names = {"b_id": binding.id, "b_tenant": binding.tenant_id}
    to = _standing(moved)
    values = names | {"b_state": binding.state.value, "b_to": to["state"], "b_by": to["suspended_by"]}
    result = tx.execute(_set_state, values)
    is_over = moved.state is BindingState.REMOVED or moved.suspended_by is SuspendedBy.CLONE
    if result.rowcount == 1 and is_over:
        tx.execute(_erase_psks, names)
    return result.rowcount == 1


def rename(tx: Transaction, *, tenant_id: str, binding_id: str, name: str) -> None:
    """Give a phone another name."""
    tx.execute(_rename, {"b_id": binding_id, "b_tenant": tenant_id, "b_name": name})


def touch(tx: Transaction, *, tenant_id: str, binding_id: str, now_ms: int) -> None:
    """Note that the phone was seen."""
    tx.execute(_seen, {"b_id": binding_id, "b_tenant": tenant_id, "b_now": now_ms})


def turn_ratchet(
    tx: Transaction,
    binding: Binding,
    *,
    counter: int,
    psk_next: bytes,
    next_label: str,
    now_ms: int,
    hybrid_ms: int,
) -> bool:
    """Make `counter` the index in force, with `psk_next` (sealed) beside it, which runs under the gateway key of
    `next_label`. `binding` was read in this unit; say whether it still stands there."""
    label = binding.gateway_label_of(counter)
    labels = (label, None if next_label == label else next_label)
    is_same = labels == (binding.gateway_label, binding.next_gateway_label)
    values: dict[str, Any] = {
        "b_id": binding.id,
        "b_tenant": binding.tenant_id,
        "b_index": binding.index,
        "b_turns": binding.turns,
        "b_counter": counter,
        "b_psk": binding.psk_of(counter),
        "b_next": psk_next,
        "b_now": now_ms,
        "b_hybrid": hybrid_ms,
    }
    if not is_same:
        values |= {"b_label": labels[0], "b_next_label": labels[1]}
    return tx.execute(_turn if is_same else _turn_and_label, values).rowcount == 1


def settle_ratchet(tx: Transaction, ref: BindingRef, turn: Turn) -> bool:
    """Make the key of a turn the one in force and erase the one before it; say whether the turn was still the last."""
    values = {
        "b_id": ref.binding_id,
        "b_tenant": ref.tenant_id,
        "b_index": turn.index,
        "b_turns": turn.number,
        "b_counter": turn.index + 1,
    }
    return tx.execute(_settle_and_move if turn.is_move else _settle, values).rowcount == 1


def count_under_label(tx: Transaction, label: str) -> int:
    """Return how many phones may still come under a gateway key S, by its label: for their next contact or the one
    after. Removed ones and those of which a copy was found, which never come again, do not count."""
    return int(tx.execute(_under_label, {"b_label": label}).scalar_one())
