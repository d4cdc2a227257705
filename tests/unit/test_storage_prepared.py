"""Prepared statements give what SQLAlchemy's own execution gives, for every kind of statement that stores use."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    bindparam,
    func,
    select,
)
from sqlalchemy.exc import IntegrityError

from gateway.core.errors import Problem, ProblemCode
from gateway.core.transaction import Transaction
from gateway.storage.engine import Storage
from gateway.storage.prepared import PreparedResult
from gateway.storage.schema import growing_key

metadata = MetaData()
things = Table(
    "things",
    metadata,
    Column("id", growing_key(), primary_key=True, autoincrement=True),
    Column("name", String(20), unique=True),
    Column("is_good", Boolean, nullable=False),
    Column("facts", JSON(none_as_null=True)),
    Column("blob", LargeBinary),
    Column("count", Integer, nullable=False),
    sqlite_autoincrement=True,
)
_insert = things.insert()
_by_name = select(things).where(things.c.name == bindparam("b_name"))
_names = select(things.c.name).where(things.c.count < 5).order_by(things.c.id).limit(10)
_count = select(func.count()).select_from(things)
_grow = (
    things.update()
    .where(things.c.name == bindparam("b_name"), things.c.is_good.is_(True))
    .values(count=things.c.count + bindparam("b_by"), facts={"grown": True})
)
_delete = things.delete().where(things.c.name == bindparam("b_name"))


def row(name: str, **members: Any) -> dict[str, Any]:
    return {"name": name, "is_good": True, "facts": None, "blob": b"\x00\xff", "count": 1} | members


@pytest.fixture
async def storage(tmp_path: Path) -> Any:
    opened = Storage(f"sqlite:///{tmp_path / 'things.db'}")
    await opened.write(lambda tx: metadata.create_all(tx.connection))
    yield opened
    await opened.close()


async def three_times(storage: Storage, unit: Callable[[Transaction, int], Any]) -> list[Any]:
    """Run a unit three times: by SQLAlchemy, by SQLAlchemy once more while it is prepared, prepared."""
    return [await storage.write(lambda tx, n=n: unit(tx, n)) for n in range(3)]  # type: ignore[misc]


async def test_the_third_execution_is_prepared(storage: Storage) -> None:
    results = await three_times(storage, lambda tx, n: tx.execute(_by_name, {"b_name": "x"}))
    assert [isinstance(result, PreparedResult) for result in results] == [False, False, True]


async def test_many_rows_go_in_by_one_statement(storage: Storage) -> None:
    def unit(tx: Transaction, n: int) -> int:
        return tx.execute(_insert, [row(f"{n}a"), row(f"{n}b")]).rowcount

    assert await three_times(storage, unit) == [2, 2, 2]
    names = await storage.read(lambda tx: [each.name for each in tx.execute(select(things.c.name))])
    assert names == ["0a", "0b", "1a", "1b", "2a", "2b"]


async def test_many_rows_that_one_spoils_leave_nothing(storage: Storage) -> None:
    async def spoil(n: int) -> None:
        with pytest.raises(Problem):
            await storage.write(lambda tx: tx.execute(_insert, [row(f"{n}"), row(f"{n}")]))

    for n in range(3):
        await spoil(n)
    assert await storage.read(lambda tx: tx.execute(select(things)).all()) == []


async def test_rows_read_alike(storage: Storage) -> None:
    await storage.write(lambda tx: tx.execute(_insert, row("a", facts={"é": [1, None]}, is_good=False)))

    def unit(tx: Transaction, _: int) -> list[Any]:
        run = lambda: tx.execute(_by_name, {"b_name": "a"})  # noqa: E731
        first = run().first()
        assert first is not None
        return [
            tuple(first),
            (first.is_good, first.facts, first.blob),
            dict(run().mappings().first() or {}),
            [dict(each) for each in run().mappings()],
            [tuple(each) for each in run()],
            tuple(run().one()),
            [tuple(each) for each in run().all()],
            list(run().scalars()),
            run().scalars().all(),
            run().scalar(),
            run().scalar_one(),
        ]

    first, _, prepared = await three_times(storage, unit)
    assert first == prepared
    assert prepared[1] == (False, {"é": [1, None]}, b"\x00\xff")


async def test_nothing_found_reads_alike(storage: Storage) -> None:
    def unit(tx: Transaction, _: int) -> list[Any]:
        run = lambda: tx.execute(_by_name, {"b_name": "nobody"})  # noqa: E731
        return [
            run().first(),
            run().mappings().first(),
            run().one_or_none(),
            run().scalar(),
            list(run()),
            run().all(),
            run().mappings().all(),
        ]

    first, _, prepared = await three_times(storage, unit)
    assert first == prepared == [None, None, None, None, [], [], []]


async def test_updates_and_deletes_count_alike(storage: Storage) -> None:
    def unit(tx: Transaction, n: int) -> list[Any]:
        tx.execute(_insert, row(f"u{n}", count=n))
        values = {"b_name": f"u{n}", "b_by": 10}
        grown = tx.execute(_grow, values).rowcount
        nobody = tx.execute(_grow, values | {"b_name": "nobody"}).rowcount
        found = tx.execute(_by_name, {"b_name": f"u{n}"}).mappings().first()
        assert found is not None
        gone = tx.execute(_delete, {"b_name": f"u{n}"}).rowcount
        return [grown, nobody, found["count"] - n, found["facts"], gone]

    assert await three_times(storage, unit) == [[1, 0, 10, {"grown": True}, 1]] * 3


async def test_constants_of_a_statement_stay(storage: Storage) -> None:
    for n in range(8):
        await storage.write(lambda tx, n=n: tx.execute(_insert, row(f"c{n}", count=n)))  # type: ignore[misc]
    found = await three_times(storage, lambda tx, _: tx.execute(_names).scalars().all())
    assert found == [["c0", "c1", "c2", "c3", "c4"]] * 3


async def test_functions_are_left_to_sqlalchemy(storage: Storage) -> None:
    assert await three_times(storage, lambda tx, _: tx.execute(_count).scalar()) == [0, 0, 0]


async def test_other_parameters_are_left_to_sqlalchemy(storage: Storage) -> None:
    def unit(tx: Transaction, n: int) -> Any:
        return tx.execute(_insert, row(f"o{n}"))

    await three_times(storage, unit)
    short = {name: value for name, value in row("short").items() if name != "blob"}
    other = row("other", id=99)
    del other["facts"]
    await storage.write(lambda tx: tx.execute(_insert, short))
    await storage.write(lambda tx: tx.execute(_insert, other))
    many = [row("m1"), row("m2")]
    await storage.write(lambda tx: tx.execute(_insert, many))
    names = await storage.read(lambda tx: list(tx.execute(select(things.c.name, things.c.id))))
    assert {"short", "other", "m1", "m2"} <= {name for name, _ in names}
    assert ("other", 99) in [tuple(each) for each in names]


async def test_a_duplicate_is_the_same_error(storage: Storage) -> None:
    async def twice() -> Problem:
        with pytest.raises(Problem) as caught:
            await storage.write(lambda tx: tx.execute(_insert, row("twin")))
        return caught.value

    await storage.write(lambda tx: tx.execute(_insert, row("twin")))
    errors = [await twice() for _ in range(3)]
    assert {error.kind for error in errors} == {ProblemCode.CONFLICT}

    def caught_inside(tx: Transaction) -> str:
        with pytest.raises(IntegrityError) as caught:
            tx.execute(_insert, row("twin"))
        return str(caught.value)

    assert "twin" not in await storage.write(caught_inside)


async def test_readers_prepare_at_once(storage: Storage) -> None:
    await storage.write(lambda tx: tx.execute(_insert, row("r")))
    read = lambda tx: dict(tx.execute(_by_name, {"b_name": "r"}).mappings().first() or {})["name"]  # noqa: E731
    assert set(await asyncio.gather(*(storage.read(read) for _ in range(200)))) == {"r"}
