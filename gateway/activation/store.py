"""The SQL of activations and page tokens. Called by the services inside a unit of work. An activation changes by
compare-and-set on `version`, so that of two changes at once one is told to look again."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    and_,
    bindparam,
    delete,
    func,
    select,
)

from gateway.activation.models import TRANSITIONS, Activation, ActivationEvent, ActivationState
from gateway.core.principals import PagePrincipal
from gateway.core.subjects import DeviceFacts
from gateway.core.transaction import Transaction
from gateway.storage.schema import Digest, IdText, Millis, metadata

SWEEP_BATCH = 100
PRUNE_BATCH = 1_000

activations = Table(
    "activations",
    metadata,
    Column("id", IdText, primary_key=True),
    Column("tenant_id", IdText, nullable=False),
    Column("user_ref", String(128), nullable=False),
    Column("label", String(128), nullable=False),
    Column("state", String(16), nullable=False),
    Column("is_two_step", Boolean, nullable=False),
    Column("is_rotating", Boolean, nullable=False),
    Column("is_hybrid", Boolean, nullable=False),
    Column("platforms", String(64), nullable=False),
    Column("gateway_label", String(128), nullable=False),
    Column("seed", LargeBinary),
    Column("locator", String(5), unique=True),
    Column("typed_failures", SmallInteger, nullable=False),
    Column("binding_id", IdText, nullable=False),
    Column("phone_static", LargeBinary(65)),
    Column("phone_signing", LargeBinary(65)),
    Column("phone_rotation", Integer),
    Column("device", JSON(none_as_null=True)),
    Column("device_code", LargeBinary),
    Column("code2", LargeBinary),
    Column("tries_left", SmallInteger, nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("expires_at", Millis, nullable=False),
    Column("open_until_at", Millis),
    Column("version", Integer, nullable=False),
    Column("approval_id", IdText),
    Column("replaces", IdText),
    Index(None, "open_until_at"),
    Index(None, "expires_at"),
    Index(None, "tenant_id", "user_ref", "created_at"),
)
"""`open_until_at` is `expires_at` while the activation is not over, so that the sweep reads live rows alone."""

page_tokens = Table(
    "page_tokens",
    metadata,
    Column("digest", Digest, primary_key=True),
    Column("id", IdText, nullable=False),
    Column("tenant_id", IdText, nullable=False),
    Column("activation_id", IdText),
    Column("user_ref", String(128)),
    Column("expires_at", Millis, nullable=False),
    Column("approval_id", IdText),
    Index(None, "expires_at"),
)

_a, _t = activations.c, page_tokens.c
_DEVICE = DeviceFacts.__slots__
_OPEN = "open_until_at"
_FIXED = {
    *("id", "tenant_id", "user_ref", "label", "is_rotating", "is_hybrid", "platforms"),
    *("gateway_label", "binding_id", "created_at", "expires_at"),
    *("approval_id", "replaces"),
}
"""Columns that never change."""
_SELECT = select(*(column for column in activations.c if column.name != _OPEN))

_insert = activations.insert()
_by_id = _SELECT.where(_a.id == bindparam("b_id"))
_lock = _by_id.with_for_update()
_by_locator = _SELECT.where(_a.locator == bindparam("b_locator"))
_due = (
    select(_a.id).where(_a.open_until_at <= bindparam("b_now")).order_by(_a.open_until_at).limit(SWEEP_BATCH)
)
_old = (
    select(_a.id)
    .where(_a.expires_at < bindparam("b_before"), _a.open_until_at.is_(None))
    .order_by(_a.expires_at)
    .limit(PRUNE_BATCH)
)
_open_under_label = (
    select(func.count())
    .select_from(activations)
    # Not "is not null", for which SQLite reads the whole table.
    .where(_a.open_until_at > 0, _a.gateway_label == bindparam("b_label"))
)
_prune = delete(activations).where(_a.id.in_(_old), _a.open_until_at.is_(None))
_save = (
    activations.update()
    .where(and_(_a.id == bindparam("b_id"), _a.version == bindparam("b_version")))
    .values({c.name: bindparam(f"v_{c.name}", type_=c.type) for c in activations.c if c.name not in _FIXED})
)
_claim = (
    activations.update()
    .where(_a.id == bindparam("b_id"), _a.version == bindparam("b_version"))
    .values(
        phone_static=bindparam("b_static"),
        phone_rotation=bindparam("b_rotation"),
        version=bindparam("b_version") + 1,
    )
)
_complete = (
    activations.update()
    .where(
        _a.id == bindparam("b_id"),
        _a.state == bindparam("b_from"),
        _a.phone_static == bindparam("b_static"),
        _a.phone_signing == bindparam("b_signing"),
        _a.expires_at > bindparam("b_now"),
    )
    .values(
        state=bindparam("b_to"),
        seed=None,
        locator=None,
        device_code=None,
        code2=None,
        open_until_at=None,
        version=_a.version + 1,
    )
)
_insert_token = page_tokens.insert()
_token_by_digest = select(page_tokens).where(_t.digest == bindparam("b_digest"))
_old_tokens = delete(page_tokens).where(_t.expires_at < bindparam("b_now"))


def _row(activation: Activation) -> dict[str, Any]:
    values: dict[str, Any] = {name: getattr(activation, name) for name in Activation.__struct_fields__}
    values["user_ref"] = values.pop("user")
    values["state"] = activation.state.value
    values["platforms"] = " ".join(activation.platforms)
    device = activation.device
    values["device"] = None if device is None else {name: getattr(device, name) for name in _DEVICE}
    values[_OPEN] = None if activation.is_over else activation.expires_at
    return values


def _activation(row: Mapping[str, Any]) -> Activation:
    values = dict(row)
    values["user"] = values.pop("user_ref")
    values["state"] = ActivationState(values["state"])
    values["platforms"] = tuple(values["platforms"].split())
    device = values["device"]
    values["device"] = None if device is None else DeviceFacts(**device)
    return Activation(**values)


def insert(tx: Transaction, activation: Activation) -> None:
    """Store a new activation."""
    tx.execute(_insert, _row(activation))


def find(tx: Transaction, activation_id: str, *, is_locked: bool = False) -> Activation | None:
    """Return an activation by its id alone: a phone names no tenant. `is_locked` holds its row until the unit ends.
    Whoever asks for a tenant compares `tenant_id`."""
    row = tx.execute(_lock if is_locked else _by_id, {"b_id": activation_id}).mappings().first()
    return None if row is None else _activation(dict(row))


def find_by_locator(tx: Transaction, locator: str) -> Activation | None:
    """Return the activation of a typed code's locator (5 characters in upper case)."""
    row = tx.execute(_by_locator, {"b_locator": locator}).mappings().first()
    return None if row is None else _activation(dict(row))


def find_due(tx: Transaction, now_ms: int) -> list[str]:
    """Return ids of activations that are not over but past their end, the longest due first."""
    return list(tx.execute(_due, {"b_now": now_ms}).scalars())


def count_open_under_label(tx: Transaction, label: str) -> int:
    """Return how many activations that are not over were begun under a gateway key S, by its label: their codes hold
    its point, and their phones come under it."""
    return int(tx.execute(_open_under_label, {"b_label": label}).scalar_one())


def save(tx: Transaction, old: Activation, new: Activation) -> bool:
    """Write `new` where the row still has `old`'s version; say whether it had."""
    values = {f"v_{name}": value for name, value in _row(new).items() if name not in _FIXED}
    values |= {"v_version": old.version + 1, "b_id": old.id, "b_version": old.version}
    return tx.execute(_save, values).rowcount == 1


def claim(tx: Transaction, activation: Activation, *, static_key: bytes, rotation: int) -> bool:
    """Write the phone's key (65 bytes) and its n where the row still has that version; say whether it had."""
    values = {"b_id": activation.id, "b_version": activation.version}
    return tx.execute(_claim, values | {"b_static": static_key, "b_rotation": rotation}).rowcount == 1


def complete(
    tx: Transaction, activation_id: str, *, static_key: bytes, signing_key: bytes, now_ms: int
) -> bool:
    """Make an activation active and erase its secrets, if it is confirmed for the phone of these keys (65 bytes each)
    and not past its end; say whether it was."""
    values = {
        "b_id": activation_id,
        "b_from": ActivationState.CONFIRMED.value,
        "b_to": TRANSITIONS[ActivationState.CONFIRMED, ActivationEvent.COMMIT].value,
        "b_static": static_key,
        "b_signing": signing_key,
        "b_now": now_ms,
    }
    return tx.execute(_complete, values).rowcount == 1


def prune(tx: Transaction, before_ms: int) -> None:
    """Erase activations that are over and whose end was before that moment, PRUNE_BATCH at most."""
    tx.execute(_prune, {"b_before": before_ms})


def insert_page_token(tx: Transaction, digest: bytes, principal: PagePrincipal) -> None:
    """Store whom a page token speaks for; `digest` is its SHA-256."""
    row = {
        "digest": digest,
        "id": principal.token_id,
        "tenant_id": principal.tenant_id,
        "activation_id": principal.activation_id,
        "approval_id": principal.approval_id,
        "user_ref": principal.user,
        "expires_at": principal.expires_at,
    }
    tx.execute(_insert_token, row)


def find_page_token(tx: Transaction, digest: bytes) -> PagePrincipal | None:
    """Return whom a page token speaks for, whether it is over or not."""
    row = tx.execute(_token_by_digest, {"b_digest": digest}).mappings().first()
    if row is None:
        return None
    return PagePrincipal(
        tenant_id=row["tenant_id"],
        token_id=row["id"],
        activation_id=row["activation_id"],
        approval_id=row["approval_id"],
        user=row["user_ref"],
        expires_at=row["expires_at"],
    )


def delete_old_page_tokens(tx: Transaction, now_ms: int) -> None:
    """Erase page tokens that are over."""
    tx.execute(_old_tokens, {"b_now": now_ms})
