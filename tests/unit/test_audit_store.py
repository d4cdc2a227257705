"""Appending to the audit chain through the real storage engine: order, rollback, two processes, append-only."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from gateway.audit import store
from gateway.audit.models import canonical_json
from gateway.core.chain import GENESIS, entry_hash
from gateway.core.errors import Problem
from gateway.core.transaction import Transaction
from gateway.storage.engine import Storage
from gateway.storage.schema import metadata

TABLES = [store.audit_entries, store.audit_head, store.audit_checkpoints]
TENANT = "ten_AAAAAAAAAAAAAAAAAAAAAA"


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/audit.db"
    engine = create_engine(url)
    metadata.create_all(engine, tables=TABLES)
    with (
        engine.connect() as connection
    ):  # as `tessera migrate` does: two that change it at once lock each other out
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    engine.dispose()
    return url


@pytest.fixture
async def storage(database_url: str) -> AsyncIterator[Storage]:
    opened = Storage(database_url)
    yield opened
    await opened.close()


def add(tx: Transaction, number: int, chain: store.AuditChain | None = None) -> None:
    (chain or store.AuditChain()).append(
        tx,
        tenant_id=TENANT,
        word="bank:activation:start",
        subject=f"act_{number}",
        data={"number": number, "name": "Zoë's phone", "two_step": True, "place": None},
        at_ms=1_800_000_000_000 + number,
    )


def assert_chained(rows: list[tuple[object, ...]], count: int) -> None:
    """Each hash is computed here anew, from the specification's words."""
    assert [row[0] for row in rows] == list(range(1, count + 1))
    previous = GENESIS
    for sequence, tenant_id, at_ms, word, subject, data, digest in rows:
        content = b"tessera audit content 2\x00" + int(at_ms).to_bytes(8, "big")  # type: ignore[call-overload]
        for part in (tenant_id, word, subject, data):
            raw = str(part).encode()
            content += len(raw).to_bytes(4, "big") + raw
        place = int(sequence).to_bytes(8, "big")  # type: ignore[call-overload]
        entry = b"tessera audit entry 2\x00" + place + previous + sha256(content).digest()
        previous = sha256(entry).digest()
        assert digest == previous


async def all_rows(storage: Storage) -> list[tuple[object, ...]]:
    return await storage.read(lambda tx: store.raw_entries(tx, start=0, until=2**62, limit=100_000))


async def test_entries_follow_one_another(storage: Storage) -> None:
    chain = store.AuditChain()
    await asyncio.gather(*(storage.write(lambda tx, n=n: add(tx, n, chain)) for n in range(200)))
    rows = await all_rows(storage)
    assert_chained(rows, 200)
    assert await storage.read(store.read_head) == (200, rows[-1][6], 0)
    assert json.loads(str(rows[0][5])) == {
        "number": 0,
        "name": "Zoë's phone",
        "two_step": True,
        "place": None,
    }


async def test_a_unit_that_fails_leaves_no_gap(storage: Storage) -> None:
    chain = store.AuditChain()

    def fail(tx: Transaction) -> None:
        add(tx, 999, chain)
        add(tx, 998, chain)
        raise ValueError("the change did not come about")

    async def attempt(n: int) -> None:
        if n % 3 == 0:
            with pytest.raises(ValueError, match="did not come about"):
                await storage.write(fail)
        else:
            await storage.write(lambda tx: add(tx, n, chain))

    await asyncio.gather(*(attempt(n) for n in range(60)))
    assert_chained(await all_rows(storage), 40)


async def test_several_facts_in_one_unit(storage: Storage) -> None:
    await storage.write(lambda tx: [add(tx, n) for n in range(5)])
    assert_chained(await all_rows(storage), 5)


async def test_two_chains_on_one_database_take_turns(database_url: str, storage: Storage) -> None:
    other = Storage(database_url)
    chains = [store.AuditChain(), store.AuditChain()]
    try:
        await asyncio.gather(
            *((storage, other)[n % 2].write(lambda tx, n=n: add(tx, n, chains[n % 2])) for n in range(120))
        )
    finally:
        await other.close()
    assert_chained(await all_rows(storage), 120)


_WRITER = """
import asyncio, sys
sys.path.insert(0, sys.argv[2])
from test_audit_store import add
from gateway.audit import store
from gateway.storage.engine import Storage

async def main() -> None:
    storage, chain = Storage(sys.argv[1]), store.AuditChain()
    for n in range(80):
        await storage.write(lambda tx: add(tx, n, chain))
    await storage.close()

asyncio.run(main())
"""


async def test_two_processes_on_one_database_take_turns(database_url: str, storage: Storage) -> None:
    command = [sys.executable, "-c", _WRITER, database_url, str(Path(__file__).parent)]
    processes = [await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE) for _ in range(2)]
    errors = [(await process.communicate())[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    assert_chained(await all_rows(storage), 160)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entries SET word = 'bank:activation:cancel' WHERE sequence = 2",
        "UPDATE audit_entries SET hash = hash",
        "DELETE FROM audit_entries WHERE sequence = 3",
        "DELETE FROM audit_entries",
        "UPDATE audit_head SET sequence = sequence - 1",
        "UPDATE audit_head SET checkpoint_sequence = -1",
        "DELETE FROM audit_head",
        "DELETE FROM audit_checkpoints",
        "UPDATE audit_checkpoints SET hash = x'00'",
        "INSERT INTO audit_head (id, sequence, hash, checkpoint_sequence) VALUES (2, 0, x'00', 0)",
        "INSERT OR REPLACE INTO audit_entries SELECT 1, tenant_id, 0, word, subject, data, hash FROM audit_entries "
        "WHERE sequence = 2",
        "INSERT OR REPLACE INTO audit_head VALUES (1, 0, zeroblob(32), 0)",
        "INSERT OR REPLACE INTO audit_checkpoints VALUES (3, 0, x'01', 0, 'tessera-audit-1', x'00')",
    ],
)
async def test_the_database_refuses_to_change_the_log(storage: Storage, statement: str) -> None:
    await storage.write(lambda tx: [add(tx, n) for n in range(3)])
    await storage.write(
        lambda tx: tx.execute(
            text("INSERT INTO audit_checkpoints VALUES (3, 0, x'00', 0, 'tessera-audit-1', x'00')")
        )
    )
    before = await all_rows(storage)
    with pytest.raises(Problem):
        await storage.write(lambda tx: tx.execute(text(statement)))
    assert await all_rows(storage) == before
    await storage.write(lambda tx: add(tx, 4))


async def test_a_head_that_is_lost_stops_the_log(database_url: str, storage: Storage) -> None:
    await storage.write(lambda tx: add(tx, 1))
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("DROP TRIGGER audit_head_no_delete"))
        connection.execute(text("DELETE FROM audit_head"))
    engine.dispose()
    with pytest.raises((Problem, DBAPIError)):
        await storage.write(lambda tx: add(tx, 2))
    assert len(await all_rows(storage)) == 1


async def test_what_cannot_be_an_entry_is_refused(storage: Storage) -> None:
    good = {"tenant_id": TENANT, "word": "a:b:c", "subject": "s", "data": {}, "at_ms": 1}
    bad = [
        {"word": ""},
        {"word": "w" * 65},
        {"subject": ""},
        {"subject": "s" * 129},
        {"tenant_id": ""},
        {"data": {"a": 1.5}},
        {"data": {"a": b"secret"}},
        {"data": {"a": ["list"]}},
        {"data": {"a": 2**63}},
        {"data": {"a": "\ud800"}},
        {"data": {"a": "x" * 16_384}},
        {"at_ms": -1},
        {"at_ms": 2**63},
    ]
    for change in bad:
        with pytest.raises(ValueError) as caught:
            await storage.write(lambda tx, change=change: store.AuditChain().append(tx, **{**good, **change}))
        assert "secret" not in str(caught.value)
    assert await all_rows(storage) == []
    await storage.write(lambda tx: store.AuditChain().append(tx, **good))


async def test_entries_are_listed_by_tenant_newest_first(storage: Storage) -> None:
    chain = store.AuditChain()

    def fill(tx: Transaction) -> None:
        for n in range(20):
            chain.append(
                tx,
                tenant_id=f"ten_{n % 2}",
                word=("a:b:c", "d:e:f")[n % 4 // 2],
                subject=f"s{n % 3}",
                data={"n": n},
                at_ms=n,
            )

    await storage.write(fill)

    async def numbers(**filters: object) -> list[int]:
        found = await storage.read(
            lambda tx: store.list_entries(tx, "ten_0", **{"before": None, "limit": 50, **filters})
        )
        assert all(entry.tenant_id == "ten_0" for entry in found)
        return [json.loads(entry.data)["n"] for entry in found]

    assert await numbers() == list(range(18, -1, -2))
    assert await numbers(limit=3) == [18, 16, 14]
    assert await numbers(before=15, limit=3) == [12, 10, 8]
    assert await numbers(subject="s0") == [18, 12, 6, 0]
    assert await numbers(words=("d:e:f",)) == [18, 14, 10, 6, 2]
    assert await numbers(subject="s0", words=("d:e:f",)) == [18, 6]


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_VALUES = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | _TEXT


@given(st.dictionaries(_TEXT, _VALUES, max_size=6))
def test_canonical_json_is_one_text_for_each_value(data: dict[str, object]) -> None:
    encoded = canonical_json(data)  # type: ignore[arg-type]
    assert json.loads(encoded) == data
    assert encoded == json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert canonical_json(dict(reversed(data.items()))) == encoded  # type: ignore[arg-type]


@given(st.tuples(_TEXT, _TEXT, _TEXT, _TEXT), st.data())
def test_no_two_entries_share_an_encoding(parts: tuple[str, str, str, str], data: st.DataObject) -> None:
    """Moving characters across the borders of two fields changes the hash."""
    joined = "".join(parts)
    cuts = sorted(data.draw(st.tuples(*[st.integers(0, len(joined))] * 3)))
    other = (joined[: cuts[0]], joined[cuts[0] : cuts[1]], joined[cuts[1] : cuts[2]], joined[cuts[2] :])
    names = ("tenant_id", "word", "subject", "data")
    first = entry_hash(GENESIS, sequence=1, at_ms=1, **dict(zip(names, parts, strict=True)))
    second = entry_hash(GENESIS, sequence=1, at_ms=1, **dict(zip(names, other, strict=True)))
    assert (first == second) is (parts == other)
