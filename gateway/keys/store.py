"""The SQL over sealed columns, whichever capability declares them. A value's first bytes name the generation of its
wrapping key and grow with it, so the database itself finds what an older key sealed; rows are walked in order of their
primary key, a batch at a time. Called by the re-wrap and by what retires keys."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Update, and_, bindparam, func, or_, select

from gateway.core.transaction import Transaction
from gateway.keys.sealed import Row, SealedColumn
from gateway.keys.sealer import HERE, header_of


def find_sealed(
    tx: Transaction, sealed: SealedColumn, *, below: int | None = None, after: str | None, limit: int
) -> list[Row]:
    """Return rows with a value, in order of their keys and beyond `after`: primary key, value and what the context
    needs. With `below`, those alone that a generation below that one sealed."""
    column, key = sealed.column, sealed.key
    wanted: list[ColumnElement[bool]] = [column.is_not(None)]
    if below is not None:
        others = (_between(sealed, version, 0, below) for version in sealed.kind.versions if version != HERE)
        wanted.append(or_(column < header_of(below), *others))
    if after is not None:
        wanted.append(key > after)
    query = select(key, column, *sealed.needs).where(*wanted).order_by(key).limit(limit)
    return [dict(row) for row in tx.execute(query).mappings()]


def count_sealed(
    tx: Transaction, sealed: SealedColumn, *, start: int, end: int, version: int | None = None
) -> int:
    """Return how many values the generations from `start` on and below `end` sealed; with `version`, those alone."""
    versions = [each for each in sealed.kind.versions if version in (None, each)]
    counts = [
        tx.execute(select(func.count()).where(_between(sealed, each, start, end))).scalar_one()
        for each in versions
    ]
    return sum(int(count) for count in counts)


def replace_values(tx: Transaction, sealed: SealedColumn, changes: Sequence[tuple[str, bytes, bytes]]) -> int:
    """Put each new value where its row still holds the old one: `changes` are primary key, old and new value. Return
    how many did."""
    statement = _replacing(sealed)
    return sum(
        tx.execute(statement, {"b_key": key, "b_old": old, "b_new": new}).rowcount
        for key, old, new in changes
    )


def _between(sealed: SealedColumn, version: int, start: int, end: int) -> ColumnElement[bool]:
    column = sealed.column
    return and_(column >= header_of(start, version), column < header_of(end, version))


def _replacing(sealed: SealedColumn) -> Update:
    column, version = sealed.column, sealed.version
    values: dict[Any, Any] = {column: bindparam("b_new", type_=column.type)}
    if version is not None:
        values[version] = version + 1
    return (
        column.table.update()
        .where(and_(sealed.key == bindparam("b_key"), column == bindparam("b_old", type_=column.type)))
        .values(values)
    )
