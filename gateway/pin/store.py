"""The SQL of the PIN: one row a binding. Called by the service inside a unit of work; changes are compare-and-set on
`version`, so that two nodes never both take the same try."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Boolean, Column, Integer, LargeBinary, SmallInteger, String, Table, bindparam, select

from gateway.core.transaction import Transaction
from gateway.pin.models import Pin, PinState
from gateway.storage.schema import IdText, Millis, metadata

pins = Table(
    "pins",
    metadata,
    Column("binding_id", IdText, primary_key=True),
    Column("tenant_id", IdText, nullable=False),
    Column("state", String(8), nullable=False),
    Column("digits", SmallInteger, nullable=False),
    Column("tries_left", SmallInteger, nullable=False),
    Column("blocks", SmallInteger, nullable=False),
    Column("blocked_until_at", Millis),
    Column("told", Boolean, nullable=False),
    Column("oprf_blob", LargeBinary, nullable=False),
    Column("oprf_public", LargeBinary(65), nullable=False),
    Column("pin_key", LargeBinary(65), nullable=False),
    Column("version", Integer, nullable=False),
    Column("verifier", LargeBinary),
)

_SPELT = {"left": "tries_left", "round": "blocks", "blocked_until_ms": "blocked_until_at"}
"""Members that SQL spells otherwise."""

_insert = pins.insert()
_by_binding = select(pins).where(
    pins.c.binding_id == bindparam("b_id"), pins.c.tenant_id == bindparam("b_tenant")
)
_lock = _by_binding.with_for_update()
_verifier = select(pins.c.verifier).where(
    pins.c.binding_id == bindparam("b_id"), pins.c.tenant_id == bindparam("b_tenant")
)
_by_bindings = select(pins).where(
    pins.c.binding_id.in_(bindparam("b_ids", expanding=True)), pins.c.tenant_id == bindparam("b_tenant")
)
_update = pins.update().where(
    pins.c.binding_id == bindparam("b_id"), pins.c.version == bindparam("b_version")
)
_delete = pins.delete().where(
    pins.c.binding_id == bindparam("b_id"), pins.c.tenant_id == bindparam("b_tenant")
)


def _row(pin: Pin) -> dict[str, object]:
    values: dict[str, object] = {name: getattr(pin, name) for name in Pin.__slots__}
    for member, column in _SPELT.items():
        values[column] = values.pop(member)
    values["state"] = pin.state.value
    return values


def insert(tx: Transaction, pin: Pin) -> None:
    """Store a new PIN."""
    tx.execute(_insert, _row(pin))


def _pin(row: Mapping[str, Any]) -> Pin:
    values = dict(row)
    for member, column in _SPELT.items():
        values[member] = values.pop(column)
    values["state"] = PinState(values["state"])
    return Pin(**values)


def find(tx: Transaction, *, tenant_id: str, binding_id: str, is_locked: bool = True) -> Pin | None:
    """Return a binding's PIN, or None, and hold its row until the unit ends. A unit that only reads may not lock."""
    row = (
        tx.execute(_lock if is_locked else _by_binding, {"b_id": binding_id, "b_tenant": tenant_id})
        .mappings()
        .first()
    )
    return None if row is None else _pin(dict(row))


def find_verifier(tx: Transaction, *, tenant_id: str, binding_id: str) -> bytes | None:
    """Return the sealed check of offline answers of a binding's PIN."""
    verifier: bytes | None = tx.execute(_verifier, {"b_id": binding_id, "b_tenant": tenant_id}).scalar()
    return verifier


def find_many(tx: Transaction, *, tenant_id: str, binding_ids: Sequence[str]) -> list[Pin]:
    """Return the PINs of some bindings, in any order."""
    rows = tx.execute(_by_bindings, {"b_ids": list(binding_ids), "b_tenant": tenant_id}).mappings()
    return [_pin(dict(row)) for row in rows]


def replace_row(tx: Transaction, old: Pin, new: Pin) -> bool:
    """Write `new` where the row is still `old`; say whether it was."""
    values = _row(new) | {"version": old.version + 1, "b_id": old.binding_id, "b_version": old.version}
    return tx.execute(_update, values).rowcount == 1


def delete(tx: Transaction, *, tenant_id: str, binding_id: str) -> None:
    """Erase a binding's PIN."""
    tx.execute(_delete, {"b_id": binding_id, "b_tenant": tenant_id})
