"""The verifier finds every change of the log and says where. Mutations are made by the hand of somebody who owns the
database: triggers dropped, any column written."""

# ruff: noqa: S608 - the tests write the SQL of somebody who owns the database

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from gateway.audit import service, store
from gateway.audit.models import Finding, FindingKind
from gateway.audit.vouchers import audit_public_keys
from gateway.core.chain import GENESIS, Checkpoint, entry_hash
from gateway.core.clock import ManualClock
from gateway.keys.ring import KeyRing
from gateway.keys.service import ensure_keys
from gateway.storage.backends import make_backend
from gateway.storage.engine import Storage
from gateway.storage.schema import metadata
from gateway.storage.unit import Unit
from hsm_adapters.software import SoftwareAdapter

T = TypeVar("T")
TABLES = [store.audit_entries, store.audit_head, store.audit_checkpoints, store.audit_vouchers]
ENTRIES = 30
CHECKPOINTS = (10, 20, 27)


class DirectStorage:
    """The reading half of Storage on one connection in the caller's thread: hundreds of logs are verified here."""

    def __init__(self, url: str) -> None:
        self._backend = make_backend(url)
        self._connection = self._backend.connect(read_only=True)

    async def read(self, unit: Callable[[Any], T]) -> T:
        self._backend.begin(self._connection, read_only=True)
        try:
            return unit(Unit(self._connection))
        finally:
            self._backend.run(self._connection, "ROLLBACK")

    def close(self) -> None:
        self._connection.close()
        self._backend.dispose()


@dataclass(frozen=True)
class Log:
    """A log on disk, the audit keys that signed it, and its checkpoints as kept elsewhere."""

    path: Path
    keys: dict[str, bytes]
    checkpoints: list[Checkpoint]

    def findings(self, *, known: list[Checkpoint] | None = None) -> list[Finding]:
        """Verify, and return what is wrong."""
        storage = DirectStorage(f"sqlite:///{self.path}")
        try:
            asyncio.run(service.verify_log(storage, self.keys, known=known or []))  # type: ignore[arg-type]
        except service.AuditBroken as broken:
            return list(broken.report.findings)
        finally:
            storage.close()
        return []


def tell(chain: store.AuditChain, n: int) -> Callable[[Any], None]:
    return lambda tx: chain.append(
        tx,
        tenant_id=f"ten_{n % 3}",
        word=("a:b:c", "d:e:f")[n % 2],
        subject=f"subject-{n}",
        data={"n": n},
        at_ms=1_800_000_000_000 + n,
    )


async def build(folder: Path) -> Log:
    url = f"sqlite:///{folder}/log.db"
    engine = create_engine(url)
    metadata.create_all(engine, tables=TABLES)
    engine.dispose()
    storage, chain, clock = Storage(url), store.AuditChain(), ManualClock()
    adapter = await SoftwareAdapter.create(f"software:file={folder}/k.tessera?key-source=file:{folder}/k.key")
    await ensure_keys(adapter)
    checkpointer = service.Checkpointer(
        storage=storage, adapter=adapter, ring=KeyRing(adapter, clock), clock=clock
    )
    made = []
    for n in range(1, ENTRIES + 1):
        await storage.write(tell(chain, n))
        if n in CHECKPOINTS:
            clock.advance(60)
            checkpoint = await checkpointer.checkpoint()
            assert checkpoint is not None
            made.append(checkpoint)
    public = await audit_public_keys(adapter, storage)
    await adapter.close()
    await storage.close()
    return Log(folder / "log.db", public, made)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Log:
    """A log that nobody has touched, triggers gone."""
    log = asyncio.run(build(tmp_path_factory.mktemp("audit")))
    with sqlite3.connect(log.path) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    return log


def changed(whole: Log, *statements: tuple[str, tuple[Any, ...]] | str) -> Log:
    """Return a copy of the log with the statements run on it, each of which must have hit a row."""
    copy = whole.path.with_name("copy.db")
    for leftover in whole.path.parent.glob("copy.db*"):
        leftover.unlink()
    shutil.copy(whole.path, copy)
    connection = sqlite3.connect(copy)
    with connection:
        for statement in statements:
            sql, values = (statement, ()) if isinstance(statement, str) else statement
            assert connection.execute(sql, values).rowcount != 0
    connection.close()
    return Log(copy, whole.keys, whole.checkpoints)


def test_a_whole_log_has_no_findings(whole: Log) -> None:
    assert whole.findings() == []
    assert whole.findings(known=whole.checkpoints) == []


def test_an_empty_log_has_no_findings(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/log.db")
    metadata.create_all(engine, tables=TABLES)
    engine.dispose()
    assert Log(tmp_path / "log.db", {}, []).findings() == []


# One mutation -----------------------------------------------------------------------------------------------

_places = st.integers(1, ENTRIES)
_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
_odd = st.sampled_from([b"", b"\x00", 1.5, "", -1, 2**62])
_columns = st.one_of(
    st.tuples(st.just("tenant_id"), _texts | st.just("ten_0") | st.just("ten_1")),
    st.tuples(st.just("recorded_at"), st.integers(-(2**63), 2**63 - 1) | st.sampled_from(["soon", b"x"])),
    st.tuples(st.just("word"), _texts | st.just("a:b:c")),
    st.tuples(st.just("subject"), _texts),
    st.tuples(st.just("data"), _texts | st.just('{"n": 5}') | st.just("{}")),
    st.tuples(st.just("hash"), st.binary(min_size=32, max_size=32) | st.binary(max_size=40) | _texts),
    st.tuples(st.sampled_from(["tenant_id", "recorded_at", "word", "subject", "data", "hash"]), _odd),
)
_slow = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def value_of(log: Log, table: str, column: str, sequence: int) -> Any:
    connection = sqlite3.connect(log.path)
    (value,) = connection.execute(f"SELECT {column} FROM {table} WHERE sequence = ?", (sequence,)).fetchone()
    connection.close()
    return value


@_slow
@given(place=_places, change=_columns)
def test_any_changed_column_is_found_at_its_entry(whole: Log, place: int, change: tuple[str, Any]) -> None:
    column, value = change
    log = changed(whole, (f"UPDATE audit_entries SET {column} = ? WHERE sequence = ?", (value, place)))
    before, after = (value_of(each, "audit_entries", column, place) for each in (whole, log))
    if before == after and type(before) is type(after):  # affinity may have made it the same again
        assert log.findings() == []
        return
    findings = log.findings()
    assert findings[0] == Finding(FindingKind.ALTERED, place, place)
    assert {finding.sequence for finding in findings} == {place}


@_slow
@given(place=_places, data=st.data())
def test_any_changed_bit_of_a_hash_is_found(whole: Log, place: int, data: st.DataObject) -> None:
    digest = bytearray(value_of(whole, "audit_entries", "hash", place))
    digest[data.draw(st.integers(0, 31))] ^= 1 << data.draw(st.integers(0, 7))
    log = changed(whole, ("UPDATE audit_entries SET hash = ? WHERE sequence = ?", (bytes(digest), place)))
    assert log.findings() == [Finding(FindingKind.ALTERED, place, place)]


@_slow
@given(first=_places, length=st.integers(1, ENTRIES))
def test_missing_entries_are_found(whole: Log, first: int, length: int) -> None:
    last = min(first + length - 1, ENTRIES)
    log = changed(whole, ("DELETE FROM audit_entries WHERE sequence BETWEEN ? AND ?", (first, last)))
    kind = FindingKind.MISSING if last < ENTRIES else FindingKind.CUT
    findings = log.findings()
    assert findings[0] == Finding(kind, first, last)
    assert findings[1:] == ([Finding(FindingKind.UNPROVEN, last + 1, last + 1)] if last < ENTRIES else [])


@_slow
@given(pair=st.lists(_places, min_size=2, max_size=2, unique=True))
def test_exchanged_entries_are_found(whole: Log, pair: list[int]) -> None:
    low, high = sorted(pair)
    log = changed(
        whole,
        ("UPDATE audit_entries SET sequence = -1 WHERE sequence = ?", (low,)),
        ("UPDATE audit_entries SET sequence = ? WHERE sequence = ?", (low, high)),
        ("UPDATE audit_entries SET sequence = ? WHERE sequence = -1", (high,)),
    )
    findings = log.findings()
    assert findings[0].sequence == low
    assert {low, high} <= {finding.sequence for finding in findings} <= {low, low + 1, high, high + 1}


@_slow
@given(place=_places, target=st.integers(-(2**63), 0) | st.integers(ENTRIES + 1, 2**63 - 1))
def test_an_entry_moved_away_is_found(whole: Log, place: int, target: int) -> None:
    log = changed(whole, ("UPDATE audit_entries SET sequence = ? WHERE sequence = ?", (target, place)))
    findings = log.findings()
    assert Finding(FindingKind.FOREIGN, target, target) in findings
    assert any(
        finding.kind in (FindingKind.MISSING, FindingKind.CUT) and finding.sequence == finding.until == place
        for finding in findings
    )


@_slow
@given(place=st.integers(-5, 0) | st.integers(ENTRIES + 1, ENTRIES + 5))
def test_an_entry_put_in_is_found(whole: Log, place: int) -> None:
    copy = (
        "SELECT ?, tenant_id, recorded_at, word, subject, data, hash FROM audit_entries WHERE sequence = 30"
    )
    log = changed(whole, (f"INSERT INTO audit_entries {copy}", (place,)))
    assert log.findings() == [Finding(FindingKind.FOREIGN, place, place)]


@_slow
@given(
    place=st.sampled_from(CHECKPOINTS),
    change=st.one_of(
        st.tuples(st.just("previous"), st.integers(0, 40)),
        st.tuples(st.just("made_at"), st.integers(0, 2**62)),
        st.tuples(st.just("hash"), st.binary(min_size=32, max_size=32)),
        st.tuples(st.just("signature"), st.binary(min_size=64, max_size=64) | st.binary(max_size=70)),
        st.tuples(st.just("key_label"), _texts | st.just("tessera-audit-2")),
        st.tuples(st.sampled_from(["previous", "made_at", "hash", "signature", "key_label"]), _odd),
    ),
)
def test_any_changed_column_of_a_checkpoint_is_found(whole: Log, place: int, change: tuple[str, Any]) -> None:
    column, value = change
    log = changed(whole, (f"UPDATE audit_checkpoints SET {column} = ? WHERE sequence = ?", (value, place)))
    if value_of(log, "audit_checkpoints", column, place) == value_of(
        whole, "audit_checkpoints", column, place
    ):
        return
    assert log.findings() == [Finding(FindingKind.CHECKPOINT_ALTERED, place, place)]


@pytest.mark.parametrize("place", CHECKPOINTS)
def test_a_missing_checkpoint_is_found(whole: Log, place: int) -> None:
    log = changed(whole, ("DELETE FROM audit_checkpoints WHERE sequence = ?", (place,)))
    assert log.findings() == [Finding(FindingKind.CHECKPOINT_MISSING, place, place)]


@pytest.mark.parametrize("place", CHECKPOINTS)
def test_a_moved_checkpoint_is_found(whole: Log, place: int) -> None:
    for target in (1, 15, 29, 300):
        log = changed(
            whole, ("UPDATE audit_checkpoints SET sequence = ? WHERE sequence = ?", (target, place))
        )
        assert Finding(FindingKind.CHECKPOINT_ALTERED, target, target) in log.findings()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_head SET sequence = 29",
        "UPDATE audit_head SET sequence = 31",
        "UPDATE audit_head SET sequence = 0",
        "UPDATE audit_head SET sequence = 'many'",
        "UPDATE audit_head SET hash = zeroblob(32)",
        "UPDATE audit_head SET hash = 'text'",
        "UPDATE audit_head SET hash = (SELECT hash FROM audit_entries WHERE sequence = 29)",
        "DELETE FROM audit_head",
    ],
)
def test_a_changed_head_is_found(whole: Log, change: str) -> None:
    assert Finding(FindingKind.HEAD_ALTERED, ENTRIES, ENTRIES) in changed(whole, change).findings()


@pytest.mark.parametrize("value", [0, 20, 28, 99])
def test_a_head_that_forgets_its_checkpoint_is_found(whole: Log, value: int) -> None:
    log = changed(whole, f"UPDATE audit_head SET checkpoint_sequence = {value}")
    assert log.findings() == [Finding(FindingKind.CHECKPOINT_MISSING, max(value, 27), max(value, 27))]


# Somebody who knows the rules -------------------------------------------------------------------------------


def rewrite(whole: Log, start: int, *, end: int = ENTRIES) -> Log:
    """Return a log whose entries from `start` on tell another story, chained anew, the head to match, cut at `end`."""
    connection = sqlite3.connect(whole.path)
    rows = connection.execute("SELECT * FROM audit_entries ORDER BY sequence").fetchall()
    connection.close()
    previous = rows[start - 2][6] if start > 1 else GENESIS
    statements: list[Any] = (
        ["DELETE FROM audit_entries WHERE sequence > " + str(end)] if end < ENTRIES else []
    )
    for sequence, tenant_id, at_ms, word, subject, _, _ in rows[start - 1 : end]:
        digest = entry_hash(
            previous,
            sequence=sequence,
            at_ms=at_ms,
            tenant_id=tenant_id,
            word=word,
            subject=subject,
            data='{"n":0}',
        )
        statements.append(
            ("UPDATE audit_entries SET data = ?, hash = ? WHERE sequence = ?", ('{"n":0}', digest, sequence))
        )
        previous = digest
    head = previous if end >= start else rows[end - 1][6]
    return changed(whole, *statements, ("UPDATE audit_head SET sequence = ?, hash = ?", (end, head)))


@_slow
@given(start=st.integers(1, 27))
def test_a_chain_made_anew_is_found_by_the_next_checkpoint(whole: Log, start: int) -> None:
    """Nobody without the key store can sign what he rewrote."""
    findings = rewrite(whole, start).findings()
    assert findings[0].kind is FindingKind.REWRITTEN
    assert findings[0].sequence <= start <= findings[0].until
    assert findings[0].until == min(place for place in CHECKPOINTS if place >= start)


@_slow
@given(end=st.integers(1, 26))
def test_a_tail_cut_with_its_head_is_found_by_a_checkpoint(whole: Log, end: int) -> None:
    assert rewrite(whole, end + 1, end=end).findings()[0] == Finding(FindingKind.CUT, end + 1, 27)


def test_checkpoints_kept_elsewhere_find_what_the_database_cannot_tell(whole: Log) -> None:
    """The database's owner cuts the log, its checkpoints and its head back to entry 20, and nothing inside shows it."""
    log = rewrite(whole, 21, end=20)
    connection = sqlite3.connect(log.path)
    with connection:
        connection.execute("DELETE FROM audit_checkpoints WHERE sequence = 27")
        connection.execute("UPDATE audit_head SET checkpoint_sequence = 20")
    connection.close()
    assert log.findings() == []
    assert log.findings(known=whole.checkpoints) == [Finding(FindingKind.CUT, 21, 27)]
    assert log.findings(known=whole.checkpoints[-1:]) == [Finding(FindingKind.CUT, 21, 27)]


def test_a_forged_checkpoint_of_elsewhere_is_no_proof(whole: Log) -> None:
    forged = Checkpoint(25, 20, bytes(32), 1, "tessera-audit-1", bytes(64))
    assert whole.findings(known=[forged]) == [Finding(FindingKind.CHECKPOINT_ALTERED, 25, 25)]


def test_checkpoints_by_another_key_are_no_proof(whole: Log) -> None:
    other = Log(whole.path, {"tessera-audit-1": bytes([4]) + bytes(64)}, [])
    assert [finding.sequence for finding in other.findings()] == list(CHECKPOINTS)
