"""The SQL of the audit log. `append` runs inside the transaction of what it tells of; the entries of one commit are
written together, by one update of the head and one insert of many rows. The head is changed by compare-and-set, so that
two processes can never both follow the same entry. Nothing here changes or removes an entry, and triggers in the
database refuse it to everybody."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    DDL,
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    bindparam,
    desc,
    event,
    func,
    insert,
    select,
    text,
    update,
)

from gateway.audit.models import MAX_SUBJECT, MAX_WORD, AuditData, canonical_json
from gateway.core.chain import GENESIS, AuditEntry, Checkpoint, content_hash, link_hash
from gateway.core.transaction import Transaction
from gateway.storage.schema import Digest, IdText, Millis, growing_key, metadata

audit_entries = Table(
    "audit_entries",
    metadata,
    Column("sequence", growing_key(), primary_key=True, autoincrement=False),
    Column("tenant_id", IdText, nullable=False),
    Column("recorded_at", Millis, nullable=False),
    Column("word", String(MAX_WORD), nullable=False),
    Column("subject", String(MAX_SUBJECT), nullable=False),
    Column("data", Text, nullable=False),
    Column("hash", Digest, nullable=False),
    Index("ix_audit_entries_tenant_id", "tenant_id", "sequence"),
    Index("ix_audit_entries_subject", "tenant_id", "subject", "sequence"),
    Index("ix_audit_entries_word", "tenant_id", "word", "sequence"),
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, nullable=False),
    Column("hash", Digest, nullable=False),
    Column("checkpoint_sequence", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)

audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("sequence", growing_key(), primary_key=True, autoincrement=False),
    Column("previous", BigInteger, nullable=False),
    Column("hash", Digest, nullable=False),
    Column("made_at", Millis, nullable=False),
    Column("key_label", String(64), nullable=False),
    Column("signature", LargeBinary(64), nullable=False),
)

audit_vouchers = Table(
    "audit_vouchers",
    metadata,
    Column("label", String(64), primary_key=True),
    Column("point", LargeBinary(65), nullable=False),
    Column("signer", String(64), nullable=False),
    Column("signature", LargeBinary(64), nullable=False),
)
"""Public halves of retired audit keys. They prove themselves (`vouchers.py`), so nothing guards the rows."""

_REFUSE = (
    "CREATE OR REPLACE FUNCTION tessera_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$"
)


def _no_replace(table: str, key: str) -> str:
    # INSERT OR REPLACE removes a row without firing DELETE triggers.
    return (
        f"CREATE TRIGGER IF NOT EXISTS {table}_no_replace BEFORE INSERT ON {table} "  # noqa: S608
        f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {key} = NEW.{key}) "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    )


def _append_only(table: str) -> dict[str, list[str]]:
    return {
        "sqlite": [
            f"CREATE TRIGGER IF NOT EXISTS {table}_no_{action.lower()} BEFORE {action} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            for action in ("UPDATE", "DELETE")
        ]
        + [_no_replace(table, "sequence")],
        "postgresql": [
            _REFUSE,
            f"CREATE OR REPLACE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION tessera_audit_refuse()",
        ],
    }


_BACKWARD = "NEW.sequence < OLD.sequence OR NEW.checkpoint_sequence < OLD.checkpoint_sequence"
TRIGGERS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "audit_entries": _append_only("audit_entries"),
    "audit_checkpoints": _append_only("audit_checkpoints"),
    "audit_head": {
        "sqlite": [
            "CREATE TRIGGER IF NOT EXISTS audit_head_no_delete BEFORE DELETE ON audit_head "
            "BEGIN SELECT RAISE(ABORT, 'audit_head stays'); END",
            f"CREATE TRIGGER IF NOT EXISTS audit_head_forward BEFORE UPDATE ON audit_head WHEN {_BACKWARD} "
            "BEGIN SELECT RAISE(ABORT, 'audit_head only moves forward'); END",
            _no_replace("audit_head", "id"),
        ],
        "postgresql": [
            _REFUSE,
            "CREATE OR REPLACE TRIGGER audit_head_stays BEFORE DELETE OR TRUNCATE ON audit_head "
            "FOR EACH STATEMENT EXECUTE FUNCTION tessera_audit_refuse()",
            f"CREATE OR REPLACE TRIGGER audit_head_forward BEFORE UPDATE ON audit_head FOR EACH ROW WHEN ({_BACKWARD}) "
            "EXECUTE FUNCTION tessera_audit_refuse()",
        ],
    },
}
"""Statements by table and dialect that make the log append-only, for the migration and `metadata.create_all`. They
stop mistakes and stolen application credentials. Whoever owns the schema can drop them: hence the chain."""

for _table, _dialects in TRIGGERS.items():
    for _dialect, _statements in _dialects.items():
        for _statement in _statements:
            _ddl = DDL(_statement.replace("%", "%%"))  # type: ignore[no-untyped-call]
            event.listen(metadata.tables[_table], "after_create", _ddl.execute_if(dialect=_dialect))

_INSERT = insert(audit_entries)
_NEW_HEAD = text(
    "INSERT INTO audit_head (id, sequence, hash, checkpoint_sequence) VALUES (1, 0, :hash, 0) ON CONFLICT DO NOTHING"
)
_READ_HEAD = select(audit_head.c.sequence, audit_head.c.hash, audit_head.c.checkpoint_sequence)
_LOCK_HEAD = _READ_HEAD.with_for_update()
_ADVANCE = (
    update(audit_head)
    .where(audit_head.c.sequence == bindparam("old_sequence"), audit_head.c.hash == bindparam("old_hash"))
    .values(sequence=bindparam("new_sequence"), hash=bindparam("new_hash"))
)
_MARK = (
    update(audit_head)
    .where(audit_head.c.checkpoint_sequence == bindparam("old_checkpoint"))
    .values(checkpoint_sequence=bindparam("new_checkpoint"))
)
_INSERT_CHECKPOINT = insert(audit_checkpoints)
_HASH_AT = select(audit_entries.c.hash).where(audit_entries.c.sequence == bindparam("at"))
_CHECKPOINTS_FROM = (
    select(
        audit_checkpoints.c.sequence,
        audit_checkpoints.c.previous,
        audit_checkpoints.c.hash,
        audit_checkpoints.c.made_at,
        audit_checkpoints.c.key_label,
        audit_checkpoints.c.signature,
    )
    .where(audit_checkpoints.c.sequence >= bindparam("start"))
    .order_by(audit_checkpoints.c.sequence)
)
_CHECKPOINT_AFTER = _CHECKPOINTS_FROM.limit(1)
_NEWEST_CHECKPOINT = select(func.max(audit_checkpoints.c.sequence))


_Told = tuple[Mapping[str, Any], bytes]
"""An entry that has no place in the chain yet: its row, and the digest of its content."""


class AuditChain:
    """Appends to the chain. It remembers the head that it wrote last, which saves a read; the compare-and-set tells
    when that is no longer the head (another process, a unit rolled back), and then it is read anew, locked."""

    def __init__(self) -> None:
        self._head: tuple[int, bytes] | None = None

    def append(
        self, tx: Transaction, *, tenant_id: str, word: str, subject: str, data: AuditData, at_ms: int
    ) -> None:
        """Write the next entry. `at_ms` is Unix milliseconds. Raises ValueError for what cannot be an entry."""
        if not (0 < len(word) <= MAX_WORD and 0 < len(subject) <= MAX_SUBJECT and tenant_id):
            raise ValueError("an audit entry needs a tenant, a word and a subject, each within its length")
        if not 0 <= at_ms < 2**63:
            raise ValueError("an audit entry's time is milliseconds of Unix time")
        encoded = canonical_json(data)
        content = content_hash(at_ms=at_ms, tenant_id=tenant_id, word=word, subject=subject, data=encoded)
        row = {
            "tenant_id": tenant_id,
            "recorded_at": at_ms,
            "word": word,
            "subject": subject,
            "data": encoded,
        }
        tx.gather(self._write, (row, content))

    def _write(self, tx: Transaction, entries: Sequence[_Told]) -> None:
        head = self._head or _lock_head(tx)
        while True:
            rows, newest = _chained(entries, head)
            change = {
                "old_sequence": head[0],
                "old_hash": head[1],
                "new_sequence": newest[0],
                "new_hash": newest[1],
            }
            if tx.execute(_ADVANCE, change).rowcount == 1:
                break
            head = _lock_head(tx)
        tx.execute(_INSERT, rows)
        self._head = newest


def _chained(
    entries: Sequence[_Told], head: tuple[int, bytes]
) -> tuple[list[dict[str, Any]], tuple[int, bytes]]:
    """Return the rows of entries that follow a head (sequence, hash), and the head that they make."""
    rows = []
    sequence, previous = head
    for row, content in entries:
        sequence += 1
        previous = link_hash(previous, sequence=sequence, content=content)
        rows.append({**row, "sequence": sequence, "hash": previous})
    return rows, (sequence, previous)


_chain = AuditChain()
append = _chain.append
"""Write the next entry (`AuditChain.append`) by the process's own chain."""


def _lock_head(tx: Transaction) -> tuple[int, bytes]:
    row = tx.execute(_LOCK_HEAD).one_or_none()
    if row is None:
        tx.execute(_NEW_HEAD, {"hash": GENESIS})
        row = tx.execute(_LOCK_HEAD).one()
    return row.sequence, bytes(row.hash)


def read_head(tx: Transaction) -> tuple[int, bytes, int]:
    """Return sequence and hash of the last entry, and the sequence of the last checkpoint; zeros for an empty log."""
    row = tx.execute(_READ_HEAD).one_or_none()
    return (row.sequence, bytes(row.hash), row.checkpoint_sequence) if row is not None else (0, GENESIS, 0)


def find_hash(tx: Transaction, sequence: int) -> bytes | None:
    """Return the hash of an entry; None when there is none. Entry 0 is what the first one follows."""
    if sequence == 0:
        return GENESIS
    found = tx.execute(_HASH_AT, {"at": sequence}).scalar()
    return None if found is None else bytes(found)


def list_checkpoints(tx: Transaction, start: int | None) -> list[Checkpoint]:
    """Return the checkpoints from the one at `start` on, or the newest alone."""
    if start is None:
        start = tx.execute(_NEWEST_CHECKPOINT).scalar() or 0
    rows = tx.execute(_CHECKPOINTS_FROM, {"start": start})
    return [Checkpoint(*tuple(row)) for row in rows]


def find_checkpoint_after(tx: Transaction, sequence: int) -> Checkpoint | None:
    """Return the first checkpoint that covers an entry, or None."""
    row = tx.execute(_CHECKPOINT_AFTER, {"start": sequence}).one_or_none()
    return None if row is None else Checkpoint(*tuple(row))


def insert_checkpoint(tx: Transaction, checkpoint: Checkpoint) -> bool:
    """Write a checkpoint after the one it names as previous. Returns False, and writes nothing, when another process
    has made one since."""
    marked = tx.execute(_MARK, {"old_checkpoint": checkpoint.previous, "new_checkpoint": checkpoint.sequence})
    if marked.rowcount != 1:
        return False
    tx.execute(
        _INSERT_CHECKPOINT,
        {
            "sequence": checkpoint.sequence,
            "previous": checkpoint.previous,
            "hash": checkpoint.hash,
            "made_at": checkpoint.made_at,
            "key_label": checkpoint.key_label,
            "signature": checkpoint.signature,
        },
    )
    return True


def list_entries(
    tx: Transaction,
    tenant_id: str,
    *,
    before: int | None,
    limit: int,
    subject: str | None = None,
    words: Sequence[str] = (),
) -> list[AuditEntry]:
    """Return a tenant's entries, newest first, with sequences below `before`; of these words alone, when there are
    any."""
    query = select(audit_entries).where(audit_entries.c.tenant_id == tenant_id)
    if before is not None:
        query = query.where(audit_entries.c.sequence < before)
    if subject is not None:
        query = query.where(audit_entries.c.subject == subject)
    if words:
        query = query.where(audit_entries.c.word.in_(words))
    rows = tx.execute(query.order_by(desc(audit_entries.c.sequence)).limit(limit))
    return [
        AuditEntry(
            sequence=row.sequence,
            tenant_id=row.tenant_id,
            at_ms=row.recorded_at,
            word=row.word,
            subject=row.subject,
            data=row.data,
            hash=bytes(row.hash),
        )
        for row in rows
    ]


# For the verifier: values as the database holds them, past the column types, since an altered row may hold anything.
_RAW_ENTRIES = text(
    "SELECT sequence, tenant_id, recorded_at, word, subject, data, hash FROM audit_entries "
    "WHERE sequence BETWEEN :start AND :until ORDER BY sequence LIMIT :limit"
)
_RAW_CHECKPOINTS = text(
    "SELECT sequence, previous, hash, made_at, key_label, signature FROM audit_checkpoints "
    "WHERE sequence BETWEEN :start AND :until ORDER BY sequence LIMIT :limit"
)
_RAW_HEAD = text("SELECT sequence, hash, checkpoint_sequence FROM audit_head")


def raw_entries(tx: Transaction, *, start: int, until: int, limit: int) -> list[tuple[Any, ...]]:
    """Return rows of entries in order of `sequence`, in the order of AuditEntry's fields."""
    rows = tx.execute(_RAW_ENTRIES, {"start": start, "until": until, "limit": limit})
    return [tuple(row) for row in rows]


def raw_checkpoints(tx: Transaction, *, start: int, until: int, limit: int) -> list[tuple[Any, ...]]:
    """Return rows of checkpoints in order of `sequence`, in the order of Checkpoint's fields."""
    rows = tx.execute(_RAW_CHECKPOINTS, {"start": start, "until": until, "limit": limit})
    return [tuple(row) for row in rows]


def raw_head(tx: Transaction) -> tuple[Any, ...] | None:
    """Return the head's row, or None."""
    row = tx.execute(_RAW_HEAD).one_or_none()
    return tuple(row) if row is not None else None


_DROP_VOUCHER = audit_vouchers.delete().where(audit_vouchers.c.label == bindparam("b_label"))
_INSERT_VOUCHER = insert(audit_vouchers)
_RAW_VOUCHERS = text("SELECT label, point, signer, signature FROM audit_vouchers ORDER BY label")


def put_voucher(tx: Transaction, *, label: str, point: bytes, signer: str, signature: bytes) -> None:
    """Store a voucher in the place of an older one for that label."""
    tx.execute(_DROP_VOUCHER, {"b_label": label})
    row = {"label": label, "point": point, "signer": signer, "signature": signature}
    tx.execute(_INSERT_VOUCHER, row)


def raw_vouchers(tx: Transaction) -> list[tuple[Any, ...]]:
    """Return rows of vouchers, in the order of Voucher's fields, as the database holds them."""
    return [tuple(row) for row in tx.execute(_RAW_VOUCHERS)]
