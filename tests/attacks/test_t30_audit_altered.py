"""T30: an insider who writes to the database, but not to the key store, alters, cuts or reorders the audit log."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gateway_kit import GatewayKit
from sqlalchemy import create_engine, text

from gateway.audit import service, store
from gateway.audit.models import FindingKind
from gateway.audit.vouchers import Voucher, audit_public_keys, keep_voucher, make_voucher, with_vouched
from gateway.core.chain import Checkpoint, entry_hash
from gateway.core.clock import ManualClock
from gateway.core.errors import Problem
from gateway.core.transaction import Transaction
from gateway.keys.ring import KeyRing
from gateway.keys.service import default_store_uri, ensure_keys
from gateway.storage.engine import Storage
from gateway.storage.schema import metadata
from hsm_adapters.api import KeyKind
from hsm_adapters.software import SoftwareAdapter

STORY = [
    ("phone:activation:present", "act_1", {"device": "a thief's phone"}),
    ("customer:activation:confirm", "act_1", {}),
    ("phone:activation:complete", "act_1", {"binding": "bnd_1"}),
    ("bank:binding:suspend", "bnd_1", {"by": "key_7"}),
    ("bank:binding:resume", "bnd_1", {"by": "key_7"}),
    ("phone:pin:wrong", "bnd_1", {"left": 4}),
    ("phone:pin:prove", "bnd_1", {}),
    ("phone:binding:remove", "bnd_1", {}),
]
SIGNED = 6
"""Entries under the last checkpoint; the rest came after it."""


class Insider:
    """Owns the database file, and nothing else."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path = path
        self.folder = folder
        self.connection = sqlite3.connect(path, isolation_level=None)
        for (name,) in self.run("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            self.run(f"DROP TRIGGER {name}")

    def run(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        return self.connection.execute(sql, values).fetchall()

    def chain_anew(self, start: int) -> None:
        """Recompute all hashes from an entry on, and the head: whoever can read this file knows how."""
        rows = self.run("SELECT * FROM audit_entries ORDER BY sequence")
        previous = next((row[6] for row in rows if row[0] == start - 1), bytes(32))
        for sequence, tenant_id, at_ms, word, subject, data, _ in rows[start - 1 :]:
            previous = entry_hash(
                previous,  # type: ignore[arg-type]
                sequence=sequence,  # type: ignore[arg-type]
                at_ms=at_ms,  # type: ignore[arg-type]
                tenant_id=tenant_id,  # type: ignore[arg-type]
                word=word,  # type: ignore[arg-type]
                subject=subject,  # type: ignore[arg-type]
                data=data,  # type: ignore[arg-type]
            )
            self.run("UPDATE audit_entries SET hash = ? WHERE sequence = ?", previous, sequence)
        self.run("UPDATE audit_head SET sequence = ?, hash = ?", rows[-1][0], previous)

    def verify(self, known: list[Checkpoint] | None = None) -> list[tuple[FindingKind, int, int]]:
        """What the operator's `tessera audit verify` finds."""

        async def verify() -> list[tuple[FindingKind, int, int]]:
            storage = Storage(f"sqlite:///{self.path}")
            adapter = await SoftwareAdapter.open(default_store_uri(str(self.folder)))
            keys = await audit_public_keys(adapter, storage)
            try:
                await service.verify_log(storage, keys, known=known or [])
            except service.AuditBroken as broken:
                return [(each.kind, each.sequence, each.until) for each in broken.report.findings]
            finally:
                await adapter.close()
                await storage.close()
            return []

        return asyncio.run(verify())

    def checkpoints(self) -> list[Checkpoint]:
        return [Checkpoint(*row) for row in self.run("SELECT * FROM audit_checkpoints ORDER BY sequence")]  # type: ignore[arg-type]


def told(word: str, subject: str, data: dict[str, str | int | bool | None]) -> Callable[[Transaction], None]:
    return lambda tx: store.append(
        tx, tenant_id="ten_1", word=word, subject=subject, data=data, at_ms=1_800_000_000_000
    )


async def write_story(folder: Path) -> Path:
    path = folder / "tessera.db"
    engine = create_engine(f"sqlite:///{path}")
    metadata.create_all(
        engine, tables=[store.audit_entries, store.audit_head, store.audit_checkpoints, store.audit_vouchers]
    )
    engine.dispose()
    storage = Storage(f"sqlite:///{path}")
    adapter = await SoftwareAdapter.create(default_store_uri(str(folder)))
    await ensure_keys(adapter)
    checkpointer = service.Checkpointer(
        storage=storage, adapter=adapter, ring=KeyRing(adapter, ManualClock()), clock=ManualClock()
    )
    for number, (word, subject, data) in enumerate(STORY, start=1):
        await storage.write(told(word, subject, data))
        if number in (3, SIGNED):
            await checkpointer.checkpoint()
    await adapter.close()
    await storage.close()
    return path


@pytest.fixture
def insider(tmp_path: Path) -> Iterator[Insider]:
    attacker = Insider(asyncio.run(write_story(tmp_path)), tmp_path)
    assert attacker.verify() == []
    yield attacker
    attacker.connection.close()


async def test_the_gateways_own_credentials_cannot_change_the_log(tmp_path: Path) -> None:
    """Injected SQL, or a stolen connection, meets the triggers."""
    storage = Storage(f"sqlite:///{await write_story(tmp_path)}")
    for statement in (
        "UPDATE audit_entries SET word = 'bank:binding:resume' WHERE sequence = 4",
        "DELETE FROM audit_entries WHERE sequence = 4",
        "UPDATE audit_head SET sequence = 3",
        "DELETE FROM audit_checkpoints",
    ):
        with pytest.raises(Problem):
            await storage.write(lambda tx, statement=statement: tx.execute(text(statement)))
    await storage.close()


def test_an_altered_entry_is_named(insider: Insider) -> None:
    insider.run("""UPDATE audit_entries SET data = '{"by":"key_8"}' WHERE sequence = 4""")
    assert insider.verify() == [(FindingKind.ALTERED, 4, 4)]


def test_an_altered_entry_with_its_hash_is_named(insider: Insider) -> None:
    insider.run("UPDATE audit_entries SET word = 'phone:pin:prove', hash = zeroblob(32) WHERE sequence = 6")
    assert insider.verify()[0] == (FindingKind.ALTERED, 6, 6)


def test_a_removed_entry_is_named(insider: Insider) -> None:
    insider.run("DELETE FROM audit_entries WHERE sequence = 4")
    assert insider.verify()[0] == (FindingKind.MISSING, 4, 4)


def test_exchanged_entries_are_named(insider: Insider) -> None:
    for old, new in ((4, -1), (5, 4), (-1, 5)):
        insider.run("UPDATE audit_entries SET sequence = ? WHERE sequence = ?", new, old)
    assert insider.verify()[0] == (FindingKind.ALTERED, 4, 4)


def test_a_history_rewritten_with_all_hashes_breaks_on_the_signature(insider: Insider) -> None:
    insider.run("""UPDATE audit_entries SET data = '{"by":"key_8"}' WHERE sequence = 4""")
    insider.chain_anew(4)
    assert insider.verify() == [(FindingKind.REWRITTEN, 4, SIGNED)]


def test_a_rewritten_history_cannot_be_signed_by_another_key(insider: Insider, tmp_path: Path) -> None:
    """The insider brings a key store of his own, with a key of the same label."""
    insider.run("""UPDATE audit_entries SET data = '{"by":"key_8"}' WHERE sequence = 4""")
    insider.chain_anew(4)
    (digest,) = insider.run("SELECT hash FROM audit_entries WHERE sequence = ?", SIGNED)[0]

    async def forge() -> bytes:
        own = await SoftwareAdapter.create(default_store_uri(str(tmp_path / "insider")))
        label = (await ensure_keys(own)).audit.label
        message = Checkpoint(SIGNED, 3, digest, 1, label, b"").signed_bytes()  # type: ignore[arg-type]
        return await own.sign(label, message)

    insider.run(
        "UPDATE audit_checkpoints SET hash = ?, made_at = 1, signature = ? WHERE sequence = ?",
        digest,
        asyncio.run(forge()),
        SIGNED,
    )
    assert insider.verify() == [(FindingKind.CHECKPOINT_ALTERED, SIGNED, SIGNED)]


def test_an_old_signature_does_not_stand_for_another_place(insider: Insider) -> None:
    insider.run(
        "UPDATE audit_checkpoints SET signature = (SELECT signature FROM audit_checkpoints WHERE sequence = 3)"
    )
    assert insider.verify() == [(FindingKind.CHECKPOINT_ALTERED, SIGNED, SIGNED)]


def test_a_tail_cut_under_a_checkpoint_is_named(insider: Insider) -> None:
    insider.run("DELETE FROM audit_entries WHERE sequence > 4")
    insider.chain_anew(4)
    assert insider.verify() == [(FindingKind.CUT, 5, SIGNED)]


def test_a_tail_cut_with_its_checkpoint_is_named(insider: Insider) -> None:
    insider.run("DELETE FROM audit_entries WHERE sequence > 4")
    insider.run("DELETE FROM audit_checkpoints WHERE sequence > 4")
    insider.chain_anew(4)
    assert insider.verify() == [(FindingKind.CHECKPOINT_MISSING, SIGNED, SIGNED)]


def test_a_tail_cut_without_the_head_is_named(insider: Insider) -> None:
    insider.run("DELETE FROM audit_entries WHERE sequence > 7")
    assert insider.verify() == [(FindingKind.CUT, 8, 8)]


def test_what_remains_is_known(insider: Insider) -> None:
    """The limit that THREAT_MODEL.md admits: what came after the last checkpoint can be cut, and a log cut back with
    its checkpoints and head shows nothing by itself. Checkpoints shipped away end the second."""
    shipped = insider.checkpoints()
    insider.run("DELETE FROM audit_entries WHERE sequence > ?", SIGNED)
    insider.chain_anew(SIGNED)
    assert insider.verify() == []
    insider.run("DELETE FROM audit_entries WHERE sequence > 3")
    insider.run("DELETE FROM audit_checkpoints WHERE sequence > 3")
    insider.run("UPDATE audit_head SET checkpoint_sequence = 3")
    insider.chain_anew(3)
    assert insider.verify() == []
    assert insider.verify(known=shipped) == [(FindingKind.CUT, 4, SIGNED)]


def test_forged_entries_are_named(insider: Insider) -> None:
    insider.run(
        "INSERT INTO audit_entries SELECT 9, tenant_id, recorded_at, 'bank:pin:unblock', subject, data, hash "
        "FROM audit_entries WHERE sequence = 8"
    )
    assert insider.verify() == [(FindingKind.FOREIGN, 9, 9)]


async def test_the_gateway_signs_no_log_that_was_rolled_back(tmp_path: Path) -> None:
    path = await write_story(tmp_path)
    storage = Storage(f"sqlite:///{path}")
    adapter = await SoftwareAdapter.open(default_store_uri(str(tmp_path)))
    await ensure_keys(adapter)
    checkpointer = service.Checkpointer(
        storage=storage, adapter=adapter, ring=KeyRing(adapter, ManualClock()), clock=ManualClock()
    )
    await checkpointer.look()
    attacker = Insider(path, tmp_path)
    attacker.run("DELETE FROM audit_entries WHERE sequence > 2")
    attacker.run("DELETE FROM audit_checkpoints")
    attacker.run(
        "UPDATE audit_head SET sequence = 2, checkpoint_sequence = 0, "
        "hash = (SELECT hash FROM audit_entries WHERE sequence = 2)"
    )
    for _ in range(12):  # the log grows past what it was
        await storage.write(told("phone:pin:prove", "bnd_1", {}))
    for _ in range(2):
        with pytest.raises(service.AuditRolledBack):
            await checkpointer.checkpoint()
    assert attacker.checkpoints() == []
    attacker.connection.close()
    await adapter.close()
    await storage.close()


async def test_a_running_gateway_is_not_ready_once_its_log_lost_what_no_checkpoint_covers(
    tmp_path: Path,
) -> None:
    async with GatewayKit.running(tmp_path) as kit:
        for _ in range(3):
            await kit.begin()
        await asyncio.sleep(1.5)  # the gateway looks once a second
        assert (await kit.call("GET", "/readyz"))["checks"]["audit"] == "ok"
        path = kit.settings.resolved_database_url.removeprefix("sqlite:///")
        attacker = Insider(Path(path), tmp_path)
        attacker.run("DELETE FROM audit_entries WHERE sequence > 2")
        attacker.run(
            "UPDATE audit_head SET sequence = 2, hash = (SELECT hash FROM audit_entries WHERE sequence = 2)"
        )
        attacker.connection.close()
        async with asyncio.timeout(20):
            while (await kit.call("GET", "/readyz", status=None))["checks"]["audit"] == "ok":
                await asyncio.sleep(0.2)
                kit.clock.advance(1)
        await kit.call("GET", "/readyz", status=503)


@pytest.mark.parametrize("restarted", [False, True])
async def test_the_gateway_signs_nothing_after_a_checkpoint_that_is_not_its_own(
    tmp_path: Path, restarted: bool
) -> None:
    path = await write_story(tmp_path)
    storage = Storage(f"sqlite:///{path}")
    adapter = await SoftwareAdapter.open(default_store_uri(str(tmp_path)))
    await ensure_keys(adapter)
    common = {
        "storage": storage,
        "adapter": adapter,
        "ring": KeyRing(adapter, ManualClock()),
        "clock": ManualClock(),
    }
    checkpointer = service.Checkpointer(**common)  # type: ignore[arg-type]
    await checkpointer.look()
    attacker = Insider(path, tmp_path)
    attacker.run("UPDATE audit_entries SET data = '{}' WHERE sequence = 1")
    attacker.chain_anew(1)
    attacker.run(
        "UPDATE audit_checkpoints SET hash = (SELECT hash FROM audit_entries WHERE sequence = ?)", SIGNED
    )
    if restarted:
        checkpointer = service.Checkpointer(**common)  # type: ignore[arg-type]
    before = len(attacker.checkpoints())
    with pytest.raises(service.AuditRolledBack):
        await checkpointer.checkpoint()
    assert len(attacker.checkpoints()) == before
    attacker.connection.close()
    await adapter.close()
    await storage.close()


# After an audit key was retired: its public half lies in the database, under the word of the key in force.


async def retire_first_key(folder: Path) -> bytes:
    """Retire `tessera-audit-1` as the operator does; return its point."""
    adapter = await SoftwareAdapter.open(default_store_uri(str(folder)))
    storage = Storage(f"sqlite:///{folder / 'tessera.db'}")
    retired = await adapter.find("tessera-audit-1")
    await adapter.generate("tessera-audit-2", KeyKind.SIGN_P256)
    voucher = await make_voucher(adapter, retired, signer="tessera-audit-2")
    await storage.write(lambda tx: keep_voucher(tx, voucher))
    await adapter.destroy("tessera-audit-1")
    await storage.close()
    await adapter.close()
    return voucher.point


@pytest.fixture
def after(insider: Insider) -> Insider:
    """The insider, when the key of both checkpoints has been retired."""
    asyncio.run(retire_first_key(insider.folder))
    assert insider.verify() == []
    return insider


BOTH_UNSIGNED = [(FindingKind.CHECKPOINT_ALTERED, 3, 3), (FindingKind.CHECKPOINT_ALTERED, SIGNED, SIGNED)]


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM audit_vouchers",
        "UPDATE audit_vouchers SET signature = zeroblob(64)",
        "UPDATE audit_vouchers SET signature = x'00'",
        "UPDATE audit_vouchers SET point = zeroblob(65)",
        "UPDATE audit_vouchers SET point = NULL",
        "UPDATE audit_vouchers SET signer = 'tessera-audit-3'",
        "UPDATE audit_vouchers SET signer = 'tessera-audit-1'",
        "UPDATE audit_vouchers SET signer = 7",
        "UPDATE audit_vouchers SET label = 'tessera-audit-0'",
        "UPDATE audit_vouchers SET label = 'tessera-push-1'",
    ],
)
def test_a_voucher_that_was_changed_vouches_for_nothing(after: Insider, change: str) -> None:
    after.run("CREATE TABLE copy AS SELECT * FROM audit_vouchers")
    after.run("DROP TABLE audit_vouchers")
    after.run("ALTER TABLE copy RENAME TO audit_vouchers")  # without its constraints
    after.run(change)
    assert after.verify() == BOTH_UNSIGNED


@pytest.mark.parametrize(
    "signer", ["tessera-audit-1", "tessera-audit-2", "tessera-audit-3", "tessera-wrap-1"]
)
def test_the_insider_cannot_vouch_for_a_key_of_his_own(after: Insider, signer: str) -> None:
    """He writes history anew, signs it by a key of his, and puts its public half where the retired one's was."""

    async def forge() -> None:
        own = await SoftwareAdapter.create(default_store_uri(str(after.folder / "own")))
        mine = await own.generate("tessera-audit-1", KeyKind.SIGN_P256)
        voucher = Voucher("tessera-audit-1", mine.public_key or b"", signer, b"")
        signature = await own.sign("tessera-audit-1", voucher.signed_bytes())
        after.run(
            "UPDATE audit_vouchers SET point = ?, signer = ?, signature = ?",
            mine.public_key,
            signer,
            signature,
        )
        for checkpoint in after.checkpoints():
            signed = await own.sign("tessera-audit-1", checkpoint.signed_bytes())
            after.run(
                "UPDATE audit_checkpoints SET signature = ? WHERE sequence = ?", signed, checkpoint.sequence
            )
        await own.close()

    asyncio.run(forge())
    assert after.verify() == BOTH_UNSIGNED


async def test_a_retired_key_from_an_old_backup_brings_in_no_newer_one(tmp_path: Path) -> None:
    """Whoever finds it may not vouch for a key of his that is to sign from now on, nor for one in the key store."""
    old = await SoftwareAdapter.create(default_store_uri(str(tmp_path)))
    found = await old.generate("tessera-audit-1", KeyKind.SIGN_P256)
    mine = await old.generate("tessera-audit-9", KeyKind.SIGN_P256)
    trusted = {"tessera-audit-1": found.public_key or b"", "tessera-audit-2": bytes(65)}
    for label in ("tessera-audit-9", "tessera-audit-2", "tessera-audit-1"):
        unsigned = Voucher(label, mine.public_key or b"", "tessera-audit-1", b"")
        signature = await old.sign("tessera-audit-1", unsigned.signed_bytes())
        row = (unsigned.label, unsigned.point, unsigned.signer, signature)
        assert with_vouched(trusted, [row]) == trusted
    await old.close()
