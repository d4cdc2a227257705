"""What every capability relies on, on each database: durability before the answer, isolation of units, group commit,
readers that cannot write, recovery of lost connections. Real databases, real processes, real kills."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError
from storage_tables import ALL, COUNTER, INSERT, children, counters, metadata

from gateway.core.errors import Problem, ProblemCode
from gateway.core.transaction import Transaction
from gateway.storage import engine
from gateway.storage.engine import MAX_BATCH, Storage

WORKER = Path(__file__).with_name("storage_worker.py")


@pytest.fixture
async def storage(database_url: str) -> AsyncIterator[Storage]:
    store = Storage(database_url)
    await store.write(lambda tx: metadata.create_all(tx.connection))
    yield store
    await store.close()


def texts(tx: Transaction) -> list[str]:
    return [str(row) for row in tx.execute(ALL).scalars()]


async def note(storage: Storage, words: str) -> None:
    await storage.write(lambda tx: tx.execute(INSERT, {"text": words}))


class Statements:
    """Counts the transaction statements of a storage's writer."""

    def __init__(self, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[str] = []
        run = storage.backend.run

        def counted(connection: Connection, statement: str) -> None:
            self.sent.append(statement)
            run(connection, statement)

        monkeypatch.setattr(storage.backend, "run", counted)


async def test_write_is_there_after_reopening(database_url: str, storage: Storage) -> None:
    await note(storage, "kept")
    other = Storage(database_url)
    assert await other.read(texts) == ["kept"]
    await other.close()


@pytest.mark.parametrize("place", ["first of its batch", "beside others"])
async def test_unit_that_hides_a_database_error_is_never_answered_as_durable(
    storage: Storage, place: str
) -> None:
    def unit(tx: Transaction) -> None:
        tx.execute(INSERT, {"text": "hidden"})
        with contextlib.suppress(DBAPIError):
            tx.execute(text("SELECT no_such_function()"))

    work = [storage.write(unit)]
    if place == "beside others":
        work.insert(0, note(storage, "other"))
    *_, outcome = await asyncio.gather(*work, return_exceptions=True)
    kept = "hidden" in await storage.read(texts)
    assert kept == (outcome is None)
    assert outcome is None or isinstance(outcome, Problem)
    assert ("other" in await storage.read(texts)) == (place == "beside others")


async def test_writer_syncs_every_commit(storage: Storage) -> None:
    if storage.backend.name == "sqlite":
        modes = await storage.write(
            lambda tx: [
                tx.execute(text(f"PRAGMA {name}")).scalar() for name in ("synchronous", "journal_mode")
            ]
        )
        assert modes == [2, "wal"]  # 2: FULL
    else:
        assert await storage.write(lambda tx: tx.execute(text("SHOW synchronous_commit")).scalar()) == "on"


async def test_failed_unit_takes_no_other_along(storage: Storage) -> None:
    async def one(number: int) -> str:
        def unit(tx: Transaction) -> str:
            tx.execute(INSERT, {"text": f"n{number:03}"})
            if number % 3 == 0:
                raise LookupError(number)
            return f"n{number:03}"

        return await storage.write(unit)

    results = await asyncio.gather(*(one(n) for n in range(90)), return_exceptions=True)
    failed = [result for result in results if isinstance(result, LookupError)]
    assert len(failed) == 30
    assert sorted(await storage.read(texts)) == [result for result in results if isinstance(result, str)]


async def test_concurrent_units_share_commits(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    statements = Statements(storage, monkeypatch)
    units = 4 * MAX_BATCH
    await asyncio.gather(*(note(storage, f"n{n}") for n in range(units)))
    assert len(await storage.read(texts)) == units
    commits = statements.sent.count("COMMIT")
    assert units / MAX_BATCH <= commits < units / 4
    is_sqlite = storage.backend.name == "sqlite"
    savepoints = 0 if is_sqlite else units - commits  # on PostgreSQL the first unit of a batch needs none
    assert statements.sent.count("SAVEPOINT unit") == savepoints


async def test_units_in_company_wait_for_those_that_come_a_little_later(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "COMPANY_S", 1.0)
    await asyncio.gather(*(note(storage, f"at once {n}") for n in range(8)))
    statements = Statements(storage, monkeypatch)
    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(note(storage, f"later {number}"))
            await asyncio.sleep(0.01)
    assert statements.sent.count("COMMIT") == 1
    assert len(await storage.read(texts)) == 13


async def test_lone_unit_is_not_held_up(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "COMPANY_S", 3_600.0)
    for number in range(5):
        await note(storage, f"n{number}")
    assert len(await storage.read(texts)) == 5


async def test_on_commit_runs_after_the_commit_and_before_the_answer(
    database_url: str, storage: Storage
) -> None:
    seen: list[str] = []
    engine = create_engine(storage.backend.engine.url)

    def look() -> None:
        with engine.connect() as connection:  # another connection sees committed rows alone
            seen.append(connection.execute(ALL).scalars().one())

    def unit(tx: Transaction) -> None:
        tx.execute(INSERT, {"text": "told"})
        tx.on_commit(look)

    await storage.write(unit)
    assert seen == ["told"]
    engine.dispose()


async def test_on_commit_of_a_failed_unit_never_runs(storage: Storage) -> None:
    seen: list[str] = []

    def unit(tx: Transaction) -> None:
        tx.on_commit(lambda: seen.append("told"))
        raise LookupError

    with pytest.raises(LookupError):
        await storage.write(unit)
    await note(storage, "next")
    assert seen == []


async def test_failing_callback_stops_neither_answer_nor_neighbours(storage: Storage) -> None:
    seen: list[str] = []

    def unit(tx: Transaction) -> str:
        tx.on_commit(lambda: seen[99].strip())
        tx.on_commit(lambda: seen.append("second"))
        return "answer"

    assert await storage.write(unit) == "answer"
    assert seen == ["second"]


async def test_unit_that_fails_after_a_change_takes_no_other_along(storage: Storage) -> None:
    def spoil(tx: Transaction) -> None:
        tx.execute(INSERT, {"text": "spoilt"})
        raise Problem(ProblemCode.INVALID_REQUEST, "no")

    told: list[str] = []

    def unit(words: str) -> Callable[[Transaction], None]:
        def write(tx: Transaction) -> None:
            tx.execute(INSERT, {"text": words})
            tx.on_commit(lambda: told.append(words))

        return write

    outcomes = await asyncio.gather(
        *(storage.write(each) for each in (unit("a"), spoil, unit("b"), spoil, unit("c"))),
        return_exceptions=True,
    )
    assert [outcome is None for outcome in outcomes] == [True, False, True, False, True]
    assert await storage.read(texts) == ["a", "b", "c"]
    assert told == ["a", "b", "c"]


async def test_units_that_fail_after_a_change_have_the_others_run_again_once(storage: Storage) -> None:
    runs: list[str] = []

    def spoil(tx: Transaction) -> None:
        tx.execute(INSERT, {"text": "spoilt"})
        raise Problem(ProblemCode.INVALID_REQUEST, "no")

    def good(tx: Transaction) -> None:
        runs.append("good")
        tx.execute(INSERT, {"text": "good"})

    work = [storage.write(good), *(storage.write(spoil) for _ in range(20))]
    await asyncio.gather(*work, return_exceptions=True)
    assert await storage.read(texts) == ["good"]
    assert len(runs) <= 2


async def test_a_unit_that_fails_when_it_is_run_again_tells_nothing(storage: Storage) -> None:
    told: list[str] = []
    runs: list[str] = []

    def spoil(tx: Transaction) -> None:
        tx.execute(INSERT, {"text": "spoilt"})
        raise Problem(ProblemCode.INVALID_REQUEST, "no")

    def stands_once(tx: Transaction) -> None:
        runs.append("run")
        tx.execute(INSERT, {"text": "once"})
        tx.on_commit(lambda: told.append("told"))
        tx.gather(lambda _, items: told.extend(items), "gathered")
        if len(runs) > 1:
            raise Problem(ProblemCode.INVALID_REQUEST, "not again")

    work = [note(storage, "first"), storage.write(stands_once), storage.write(spoil), note(storage, "last")]
    _, outcome, *_ = await asyncio.gather(*work, return_exceptions=True)
    stands = ["first", "once", "last"] if outcome is None else ["first", "last"]
    assert await storage.read(texts) == stands
    assert sorted(told) == ([] if outcome is not None else ["gathered", "told"])


async def test_what_units_gather_is_written_together_before_the_commit(storage: Storage) -> None:
    together: list[Sequence[str]] = []
    told: list[str] = []

    def collect(tx: Transaction, items: Sequence[str]) -> None:
        together.append(items)
        tx.execute(INSERT, [{"text": f"gathered {item}"} for item in items])
        tx.on_commit(lambda: told.append("gathered"))

    def unit(tx: Transaction, words: str) -> None:
        tx.gather(collect, words)
        tx.on_commit(lambda: told.append(words))
        if words == "spoilt":
            raise Problem(ProblemCode.INVALID_REQUEST, "no")

    words = ("a", "spoilt", "b", "c")
    await asyncio.gather(
        *(storage.write(partial(unit, words=each)) for each in words), return_exceptions=True
    )
    assert [item for items in together for item in items] == ["a", "b", "c"]
    assert len(together) < len(words) - 1
    assert await storage.read(texts) == ["gathered a", "gathered b", "gathered c"]
    assert [each for each in told if each != "gathered"] == ["a", "b", "c"]
    assert told[-1] == "gathered"


async def test_collector_that_fails_lets_no_unit_stand(storage: Storage) -> None:
    def collect(tx: Transaction, items: Sequence[str]) -> None:
        raise ValueError

    def unit(tx: Transaction) -> None:
        tx.execute(INSERT, {"text": "lost"})
        tx.gather(collect, "x")

    with pytest.raises(Problem) as caught:
        await storage.write(unit)
    assert caught.value.kind is ProblemCode.UNAVAILABLE
    await note(storage, "kept")
    assert await storage.read(texts) == ["kept"]


async def test_duplicate_is_a_conflict_of_its_own_unit(storage: Storage) -> None:
    results = await asyncio.gather(
        *(note(storage, words) for words in ("a", "b", "a", "c")), return_exceptions=True
    )
    problems = [result for result in results if isinstance(result, Problem)]
    assert [problem.kind for problem in problems] == [ProblemCode.CONFLICT]
    assert sorted(await storage.read(texts)) == ["a", "b", "c"]


async def test_driver_errors_do_not_reach_the_caller(storage: Storage) -> None:
    def unit(tx: Transaction) -> None:
        tx.execute(text("INSERT INTO nowhere VALUES ('secret-value')"))

    with pytest.raises(Problem) as caught:
        await storage.write(unit)
    assert caught.value.kind is ProblemCode.UNAVAILABLE
    assert "secret-value" not in str(caught.value)
    await note(storage, "still works")


async def test_failed_commit_fails_the_whole_batch_and_nothing_is_told(storage: Storage) -> None:
    told: list[str] = []

    def good(tx: Transaction) -> None:
        tx.execute(INSERT, {"text": "beside"})
        tx.on_commit(lambda: told.append("beside"))

    def bad(tx: Transaction) -> None:  # the foreign key is checked at COMMIT
        tx.execute(children.insert(), {"note": 999_999})

    results = await asyncio.gather(storage.write(good), storage.write(bad), return_exceptions=True)
    stored = await storage.read(texts)
    assert isinstance(results[1], Problem)
    if isinstance(results[0], Problem):  # they shared the commit
        assert (stored, told) == ([], [])
    else:
        assert (stored, told) == (["beside"], ["beside"])
    await note(storage, "still works")


async def test_reader_cannot_write(storage: Storage) -> None:
    with pytest.raises(Problem):
        await storage.read(lambda tx: tx.execute(INSERT, {"text": "sneaked"}))
    assert await storage.read(texts) == []


async def test_reader_sees_what_was_answered_before(storage: Storage) -> None:
    async def write_and_look(number: int) -> bool:
        await note(storage, f"n{number}")
        return f"n{number}" in await storage.read(texts)

    assert all(await asyncio.gather(*(write_and_look(n) for n in range(60))))


async def test_change_of_a_cancelled_caller_stands(storage: Storage) -> None:
    task = asyncio.create_task(note(storage, "alone"))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await note(storage, "after")
    assert await storage.read(texts) == ["alone", "after"]


async def test_close_finishes_what_is_queued(database_url: str, storage: Storage) -> None:
    tasks = [asyncio.create_task(note(storage, f"n{n}")) for n in range(40)]
    await asyncio.sleep(0)
    await storage.close()
    await asyncio.gather(*tasks)
    with pytest.raises(Problem):
        await note(storage, "late")
    other = Storage(database_url)
    assert len(await other.read(texts)) == 40
    await other.close()


def start_worker(*arguments: str) -> "subprocess.Popen[bytes]":
    environment = os.environ | {"PYTHONPATH": str(WORKER.parents[2])}
    return subprocess.Popen([sys.executable, WORKER, *arguments], stdout=subprocess.PIPE, env=environment)


async def test_killed_process_loses_nothing_that_it_answered(database_url: str, storage: Storage) -> None:
    for round_number in range(3):
        worker = start_worker("write", database_url, f"round{round_number}")
        assert worker.stdout is not None
        answered = [worker.stdout.readline() for _ in range(25 + 40 * round_number)]
        worker.send_signal(signal.SIGKILL)
        answered += worker.stdout.readlines()
        worker.wait()
        worker.stdout.close()
        complete = {line.decode().strip() for line in answered if line.endswith(b"\n")}
        assert len(complete) >= 25
        assert complete <= set(await storage.read(texts))
    await note(storage, "the database still takes changes")


async def test_two_processes_never_both_win_a_compare_and_set(database_url: str, storage: Storage) -> None:
    await storage.write(lambda tx: tx.execute(counters.insert(), {"name": "c", "value": 0}))
    workers = [start_worker("count", database_url, "c", "60") for _ in range(2)]
    codes = [await asyncio.to_thread(worker.wait) for worker in workers]
    for worker in workers:
        assert worker.stdout is not None
        worker.stdout.close()
    assert codes == [0, 0]
    assert await storage.read(lambda tx: tx.execute(COUNTER, {"name": "c"}).scalar_one()) == 120
