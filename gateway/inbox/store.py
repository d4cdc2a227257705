"""The SQL of messages. Called by the service inside a unit of work; every query carries tenant and customer, but for
the sweep."""

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Column, Index, String, Table, Text, and_, bindparam, delete, func, or_, select

from gateway.core.transaction import Transaction
from gateway.inbox.models import Lang, Message
from gateway.inbox.models import Text as MessageText
from gateway.storage.schema import IdText, Millis, metadata

SWEEP_BATCH = 1_000

messages = Table(
    "inbox_messages",
    metadata,
    Column("id", IdText, primary_key=True),
    Column("tenant_id", IdText, nullable=False),
    Column("user_ref", String(128), nullable=False),
    Column("texts", Text, nullable=False),
    Column("created_at", Millis, nullable=False),
    Column("expires_at", Millis),
    Column("read_at", Millis),
    Index(None, "tenant_id", "user_ref", "created_at", "id"),
    Index(None, "tenant_id", "created_at", "id"),
    Index(None, "expires_at"),
)
_m = messages.c
_one = and_(_m.id == bindparam("b_id"), _m.tenant_id == bindparam("b_tenant"))
_live = or_(_m.expires_at.is_(None), _m.expires_at > bindparam("b_now"))

_insert = messages.insert()
_by_id = select(messages).where(_one)
_unread = select(func.count()).where(
    _m.tenant_id == bindparam("b_tenant"), _m.user_ref == bindparam("b_user"), _m.read_at.is_(None), _live
)
_read = messages.update().where(_one, _m.read_at.is_(None)).values(read_at=bindparam("b_read"))
_delete = delete(messages).where(_one)
_old = select(_m.id).where(_m.expires_at <= bindparam("b_now")).limit(SWEEP_BATCH)


def insert(tx: Transaction, message: Message) -> None:
    """Store a message."""
    texts = msgspec.json.encode(message.texts).decode()
    row = {
        "id": message.id,
        "tenant_id": message.tenant_id,
        "user_ref": message.user,
        "texts": texts,
        "created_at": message.created_at,
        "expires_at": message.expires_at,
        "read_at": message.read_at,
    }
    tx.execute(_insert, row)


def _message(row: Mapping[str, Any]) -> Message:
    values = dict(row)
    values["user"] = values.pop("user_ref")
    values["texts"] = msgspec.json.decode(values["texts"], type=dict[Lang, MessageText])
    return Message(**values)


def find(tx: Transaction, *, tenant_id: str, message_id: str) -> Message | None:
    """Return a tenant's message; whoever asks for a customer compares."""
    row = tx.execute(_by_id, {"b_id": message_id, "b_tenant": tenant_id}).mappings().first()
    return None if row is None else _message(dict(row))


def find_page(
    tx: Transaction,
    *,
    tenant_id: str,
    user: str | None,
    now_ms: int,
    before: tuple[int, str] | None,
    limit: int,
) -> list[Message]:
    """Return up to `limit` messages that are not past their end, newest first, that come after `before` (created_at,
    id) in that order."""
    query = select(messages).where(_m.tenant_id == tenant_id)
    query = query.where(or_(_m.expires_at.is_(None), _m.expires_at > now_ms))
    if user is not None:
        query = query.where(_m.user_ref == user)
    if before is not None:
        query = query.where(
            or_(_m.created_at < before[0], and_(_m.created_at == before[0], _m.id < before[1]))
        )
    rows = tx.execute(query.order_by(_m.created_at.desc(), _m.id.desc()).limit(limit)).mappings()
    return [_message(dict(row)) for row in rows]


def count_unread(tx: Transaction, *, tenant_id: str, user: str, now_ms: int) -> int:
    """Return how many of a customer's messages are unread."""
    wanted = {"b_tenant": tenant_id, "b_user": user, "b_now": now_ms}
    return int(tx.execute(_unread, wanted).scalar_one())


def mark_read(tx: Transaction, *, tenant_id: str, message_id: str, now_ms: int) -> bool:
    """Note when a message was first read; say whether it was unread."""
    names = {"b_id": message_id, "b_tenant": tenant_id, "b_read": now_ms}
    return tx.execute(_read, names).rowcount == 1


def erase(tx: Transaction, *, tenant_id: str, message_id: str) -> None:
    """Erase a message."""
    tx.execute(_delete, {"b_id": message_id, "b_tenant": tenant_id})


def prune(tx: Transaction, now_ms: int) -> None:
    """Erase messages that are past their end, SWEEP_BATCH at most."""
    ids = list(tx.execute(_old, {"b_now": now_ms}).scalars())
    if ids:
        tx.execute(delete(messages).where(_m.id.in_(ids)))
