"""The SQL of tenants and API keys."""

from typing import Any

from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    String,
    Table,
    UniqueConstraint,
    bindparam,
    func,
    select,
    update,
)

from gateway.core.transaction import Transaction
from gateway.storage.schema import Digest, IdText, Millis, metadata
from gateway.tenants.models import MAX_NAME, ApiKey, Tenant

tenants = Table(
    "tenants",
    metadata,
    Column("tenant_id", IdText, primary_key=True),
    Column("name", String(MAX_NAME), nullable=False),
    Column("created_at", Millis, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", IdText, primary_key=True),
    Column("tenant_id", IdText, ForeignKey(tenants.c.tenant_id), nullable=False),
    Column("name", String(MAX_NAME), nullable=False),
    Column("digest", Digest, nullable=False),
    Column("scopes", String(400), nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("expires_at", Millis, nullable=True),
    Column("revoked_at", Millis, nullable=True),
    Column("last_used_at", Millis, nullable=True),
    UniqueConstraint("digest"),
    Index("ix_api_keys_tenant_id", "tenant_id"),
)

_k = api_keys.c
_KEY = (_k.id, _k.tenant_id, _k.name, _k.scopes, _k.created_at, _k.expires_at, _k.revoked_at, _k.last_used_at)
_TENANTS = select(tenants.c.tenant_id, tenants.c.name, tenants.c.created_at).order_by(tenants.c.created_at)
_TENANT = _TENANTS.where(tenants.c.tenant_id == bindparam("id"))
_KEYS = select(*_KEY).where(_k.tenant_id == bindparam("tenant")).order_by(_k.created_at)
_KEY_BY_DIGEST = select(*_KEY).where(_k.digest == bindparam("digest"))
_KEY_BY_ID = select(*_KEY).where(_k.id == bindparam("id"))
_COUNT = select(func.count()).where(_k.tenant_id == bindparam("tenant"), _k.revoked_at.is_(None))
_REVOKE = (
    update(api_keys)
    .where(_k.id == bindparam("b_id"), _k.revoked_at.is_(None))
    .values(revoked_at=bindparam("b_now"))
)
_TOUCH = update(api_keys).where(_k.id == bindparam("b_id")).values(last_used_at=bindparam("b_now"))
_INSERT_TENANT = tenants.insert()
_INSERT_KEY = api_keys.insert()


def insert_tenant(tx: Transaction, tenant: Tenant) -> None:
    """Store a tenant."""
    row = {"tenant_id": tenant.id, "name": tenant.name, "created_at": tenant.created_at}
    tx.execute(_INSERT_TENANT, row)


def find_tenant(tx: Transaction, tenant_id: str) -> Tenant | None:
    """Return a tenant."""
    row = tx.execute(_TENANT, {"id": tenant_id}).one_or_none()
    return None if row is None else _tenant(row)


def list_tenants(tx: Transaction) -> list[Tenant]:
    """Return all tenants, oldest first."""
    return [_tenant(row) for row in tx.execute(_TENANTS)]


def insert_key(tx: Transaction, key: ApiKey, digest: bytes) -> None:
    """Store a key under the SHA-256 of its text."""
    row = {name: getattr(key, name) for name in ApiKey.__slots__}
    tx.execute(_INSERT_KEY, row | {"scopes": " ".join(sorted(key.scopes)), "digest": digest})


def count_keys(tx: Transaction, tenant_id: str) -> int:
    """Return how many keys of a tenant are not revoked."""
    return int(tx.execute(_COUNT, {"tenant": tenant_id}).scalar_one())


def find_key(tx: Transaction, digest: bytes) -> ApiKey | None:
    """Return the key of that SHA-256, whatever its state."""
    row = tx.execute(_KEY_BY_DIGEST, {"digest": digest}).one_or_none()
    return None if row is None else _key(row)


def find_key_by_id(tx: Transaction, key_id: str) -> ApiKey | None:
    """Return the key of that id, whatever its state."""
    row = tx.execute(_KEY_BY_ID, {"id": key_id}).one_or_none()
    return None if row is None else _key(row)


def list_keys(tx: Transaction, tenant_id: str) -> list[ApiKey]:
    """Return all keys of a tenant, oldest first."""
    return [_key(row) for row in tx.execute(_KEYS, {"tenant": tenant_id})]


def revoke_key(tx: Transaction, key_id: str, now_ms: int) -> bool:
    """Mark a key as revoked; say whether it was not yet."""
    return tx.execute(_REVOKE, {"b_id": key_id, "b_now": now_ms}).rowcount == 1


def touch_key(tx: Transaction, key_id: str, now_ms: int) -> None:
    """Note when a key was used."""
    tx.execute(_TOUCH, {"b_id": key_id, "b_now": now_ms})


def _tenant(row: Any) -> Tenant:
    return Tenant(row.tenant_id, row.name, row.created_at)


def _key(row: Any) -> ApiKey:
    return ApiKey(
        row.id,
        row.tenant_id,
        row.name,
        frozenset(row.scopes.split()),
        row.created_at,
        row.expires_at,
        row.revoked_at,
        row.last_used_at,
    )
