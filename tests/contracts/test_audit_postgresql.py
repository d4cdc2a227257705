"""The audit log on PostgreSQL: two nodes, triggers, and every kind of damage found. What is the same on SQLite
stands in tests/unit/test_audit_store.py and test_audit_verify.py."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from postgresql_server import postgresql_server, postgresql_url  # noqa: F401 - fixtures
from sqlalchemy import text

from gateway.audit import service, store
from gateway.audit.models import FindingKind
from gateway.audit.vouchers import audit_public_keys
from gateway.core.chain import Checkpoint
from gateway.core.clock import ManualClock
from gateway.core.errors import Problem
from gateway.core.transaction import Transaction
from gateway.keys.ring import KeyRing
from gateway.keys.service import default_store_uri, ensure_keys
from gateway.storage.engine import Storage
from gateway.storage.migrate import migrate
from hsm_adapters.software import SoftwareAdapter

pytestmark = pytest.mark.postgresql


@dataclass
class Nodes:
    """Two nodes on one database, and the audit key."""

    url: str
    storages: list[Storage]
    chains: list[store.AuditChain]
    adapter: SoftwareAdapter
    label: str

    async def write(self, first: int, last: int) -> None:
        """Write entries, every other one by the other node, all at once."""
        await asyncio.gather(
            *(self.storages[n % 2].write(entry(self.chains[n % 2], n)) for n in range(first, last + 1))
        )

    async def checkpoint(self) -> list[Checkpoint | None]:
        """Have both nodes make one."""
        return await asyncio.gather(
            *(
                service.Checkpointer(
                    storage=storage,
                    adapter=self.adapter,
                    ring=KeyRing(self.adapter, ManualClock()),
                    clock=ManualClock(),
                ).checkpoint()
                for storage in self.storages
            )
        )

    async def findings(self, known: list[Checkpoint] | None = None) -> list[tuple[FindingKind, int, int]]:
        """Verify on the second node."""
        keys = await audit_public_keys(self.adapter, self.storages[1])
        try:
            await service.verify_log(self.storages[1], keys, known=known or [])
        except service.AuditBroken as broken:
            return [(each.kind, each.sequence, each.until) for each in broken.report.findings]
        return []

    def attack(self, *statements: str) -> None:
        """Run SQL as the database's owner, past the triggers."""
        with psycopg.connect(self.url) as connection:
            connection.execute("SET session_replication_role = replica")
            for statement in statements:
                assert connection.execute(statement.encode()).rowcount > 0


def entry(chain: store.AuditChain, n: int) -> Callable[[Transaction], None]:
    return lambda tx: chain.append(
        tx,
        tenant_id="ten_1",
        word="a:b:c",
        subject=f"s{n}",
        data={"n": n, "name": "Zoë"},
        at_ms=1_800_000_000_000,
    )


@pytest.fixture
async def nodes(postgresql_url: str, tmp_path: Path) -> AsyncIterator[Nodes]:  # noqa: F811 - the fixture
    await asyncio.to_thread(migrate, postgresql_url)
    adapter = await SoftwareAdapter.create(default_store_uri(str(tmp_path)))
    label = (await ensure_keys(adapter)).audit.label
    pair = [Storage(postgresql_url) for _ in range(2)]
    yield Nodes(postgresql_url, pair, [store.AuditChain(), store.AuditChain()], adapter, label)
    for storage in pair:
        await storage.close()
    await adapter.close()


async def test_two_nodes_keep_one_chain(nodes: Nodes) -> None:
    for last in (100, 200, 300):
        await nodes.write(last - 99, last)
        made = await nodes.checkpoint()
        assert len([checkpoint for checkpoint in made if checkpoint]) == 1
    assert await nodes.findings() == []
    assert await nodes.storages[0].read(store.read_head) == await nodes.storages[1].read(store.read_head)
    entries = await nodes.storages[0].read(
        lambda tx: store.list_entries(tx, "ten_1", before=None, limit=1_000)
    )
    assert [each.sequence for each in entries] == list(range(300, 0, -1))
    assert {each.subject for each in entries} == {f"s{n}" for n in range(1, 301)}


async def test_a_unit_that_fails_leaves_no_gap(nodes: Nodes) -> None:
    def fail(tx: Transaction) -> None:
        entry(nodes.chains[0], 0)(tx)
        raise ValueError("the change did not come about")

    outcomes = await asyncio.gather(
        *(nodes.storages[0].write(fail if n % 2 else entry(nodes.chains[0], n)) for n in range(40)),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, ValueError) for outcome in outcomes) == 20
    assert (await nodes.storages[0].read(store.read_head))[0] == 20
    assert await nodes.findings() == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entries SET word = 'x' WHERE sequence = 2",
        "DELETE FROM audit_entries WHERE sequence = 2",
        "TRUNCATE audit_entries",
        "UPDATE audit_checkpoints SET made_at = 1",
        "DELETE FROM audit_checkpoints",
        "TRUNCATE audit_checkpoints",
        "UPDATE audit_head SET sequence = sequence - 1",
        "UPDATE audit_head SET checkpoint_sequence = checkpoint_sequence - 1",
        "DELETE FROM audit_head",
        "TRUNCATE audit_head",
        "INSERT INTO audit_head VALUES (2, 0, '', 0)",
        "INSERT INTO audit_entries SELECT * FROM audit_entries WHERE sequence = 2 "
        "ON CONFLICT (sequence) DO UPDATE SET word = 'x'",
    ],
)
async def test_the_database_refuses_to_change_the_log(nodes: Nodes, statement: str) -> None:
    await nodes.write(1, 3)
    await nodes.checkpoint()
    with pytest.raises(Problem):
        await nodes.storages[0].write(lambda tx: tx.execute(text(statement)))
    await nodes.write(4, 5)
    assert await nodes.findings() == []


@pytest.mark.parametrize(
    ("attack", "first"),
    [
        (["UPDATE audit_entries SET data = '{}' WHERE sequence = 7"], (FindingKind.ALTERED, 7, 7)),
        (["UPDATE audit_entries SET hash = '\\x00' WHERE sequence = 7"], (FindingKind.ALTERED, 7, 7)),
        (["UPDATE audit_entries SET recorded_at = -1 WHERE sequence = 7"], (FindingKind.ALTERED, 7, 7)),
        (["DELETE FROM audit_entries WHERE sequence BETWEEN 7 AND 9"], (FindingKind.MISSING, 7, 9)),
        (["DELETE FROM audit_entries WHERE sequence > 18"], (FindingKind.CUT, 19, 20)),
        (["UPDATE audit_entries SET sequence = 99 WHERE sequence = 20"], (FindingKind.FOREIGN, 99, 99)),
        (["UPDATE audit_checkpoints SET made_at = 1"], (FindingKind.CHECKPOINT_ALTERED, 10, 10)),
        (["DELETE FROM audit_checkpoints"], (FindingKind.CHECKPOINT_MISSING, 10, 10)),
        (["UPDATE audit_head SET hash = '\\x00'"], (FindingKind.HEAD_ALTERED, 20, 20)),
    ],
)
async def test_damage_is_found_at_its_place(
    nodes: Nodes, attack: list[str], first: tuple[FindingKind, int, int]
) -> None:
    await nodes.write(1, 10)
    await nodes.checkpoint()
    await nodes.write(11, 20)
    assert await nodes.findings() == []
    await asyncio.to_thread(nodes.attack, *attack)
    assert (await nodes.findings())[0] == first
