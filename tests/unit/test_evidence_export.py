"""Writing evidence: what goes in, when there is none, and the two commands as an operator and a court run them."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from evidence_kit import OTHER, TENANT, Bank, Phone

from gateway.audit import trail
from gateway.audit.store import read_head
from gateway.core.errors import Problem, ProblemCode
from gateway.evidence.cli import evidence_group
from gateway.evidence.sentences import describe, fingerprint
from gateway.evidence.service import EvidenceService
from gateway.evidence.verify import verify_evidence
from gateway.keys.cli import keys_group
from gateway.keys.service import default_store_uri, ensure_keys
from gateway.settings import Settings
from hsm_adapters.software import SoftwareAdapter


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncIterator[Bank]:
    async with Bank.open(tmp_path) as opened:
        yield opened


async def refusal(work: Awaitable[bytes]) -> Problem:
    with pytest.raises(Problem) as refused:
        await work
    return refused.value


async def test_evidence_of_an_answer_of_this_second_waits_for_its_signature(bank: Bank) -> None:
    record = await bank.story(Phone(), "pin")
    sequence, _, signed = await bank.storage.read(read_head)
    assert signed < sequence
    found = verify_evidence(await bank.service.export(record.id, tenant_id=TENANT))
    assert found.checkpoints[-1][0] == sequence == (await bank.storage.read(read_head))[2]
    again = await bank.service.export(record.id, tenant_id=TENANT)
    assert verify_evidence(again).checkpoints == found.checkpoints


async def test_a_file_stays_the_same_while_the_log_grows(bank: Bank) -> None:
    record = await bank.story(Phone(), "biometric")
    first = await bank.service.export_any(record.id)
    await bank.bustle(5)
    await bank.checkpointer.checkpoint()
    assert await bank.service.export(record.id, tenant_id=TENANT) == first


@pytest.mark.parametrize("decision", ["refuse", "report"])
async def test_refusals_are_evidence_too(bank: Bank, decision: Any) -> None:
    record = await bank.story(Phone(), "possession", decision=decision)
    found = verify_evidence(await bank.service.export(record.id, tenant_id=TENANT))
    assert found.evidence.approval.proof.decision == decision
    assert ("refused" if decision == "refuse" else "I did not ask") in describe(found)


async def test_a_credential_made_anew_since_does_not_matter(bank: Bank) -> None:
    phone = Phone()
    record = await bank.story(phone, "biometric")
    phone.device.__post_init__()
    await bank.enrol(phone)
    verify_evidence(await bank.service.export(record.id, tenant_id=TENANT))


async def test_what_has_no_answer_is_not_evidence(bank: Bank) -> None:
    record = await bank.ask()
    assert (await refusal(bank.service.export(record.id, tenant_id=TENANT))).kind is ProblemCode.CONFLICT
    answered = await bank.story(Phone(), "pin")
    for attempt in (
        bank.service.export("apr_AAAAAAAAAAAAAAAAAAAAAA", tenant_id=TENANT),
        bank.service.export(answered.id, tenant_id=OTHER),
        bank.service.export_any('apr_"; filename=x'),
    ):
        assert (await refusal(attempt)).kind is ProblemCode.NOT_FOUND


async def test_a_record_that_was_edited_gives_no_evidence(bank: Bank) -> None:
    """An insider who writes to the database alters what was approved, or who answered."""
    phone = Phone()
    record = await bank.story(phone, "pin")
    good_statement, good_proof = record.statement, record.proof
    assert good_proof is not None
    for statement, proof in (
        (good_statement.replace(b'"1250.00"', b'"9250.00"'), good_proof),
        (good_statement, good_proof.replace(b'"pin"', b'"possession"', 1)),
        (good_statement, b"{}"),
    ):
        record.statement, record.proof = statement, proof
        problem = await refusal(bank.service.export(record.id, tenant_id=TENANT))
        assert problem.kind is ProblemCode.UNAVAILABLE
        assert "audit verify" in problem.next_step


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_entries SET data = '{}' WHERE word = 'phone:approval:approve'",
        "UPDATE audit_entries SET data = '{}' WHERE word = 'phone:binding:add'",
        "DELETE FROM audit_entries WHERE word = 'bank:approval:create'",
        "DELETE FROM audit_entries WHERE word = 'phone:approval:wrong'",
        "UPDATE audit_checkpoints SET made_at = made_at + 1",
    ],
)
async def test_a_log_that_was_edited_gives_no_evidence(bank: Bank, change: str) -> None:
    record = await bank.story(Phone(), "pin")
    await bank.checkpointer.checkpoint()
    with contextlib.closing(sqlite3.connect(bank.path)) as insider, insider:
        for (name,) in insider.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            insider.execute(f"DROP TRIGGER {name}")
        insider.execute(change)
    assert (await refusal(bank.service.export(record.id, tenant_id=TENANT))).kind is ProblemCode.UNAVAILABLE


async def test_a_log_that_was_cut_back_is_not_signed_for_evidence(bank: Bank) -> None:
    record = await bank.story(Phone(), "pin")
    await bank.checkpointer.look()
    with contextlib.closing(sqlite3.connect(bank.path)) as insider, insider:
        for (name,) in insider.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            insider.execute(f"DROP TRIGGER {name}")
        insider.execute("UPDATE audit_head SET hash = zeroblob(32)")
        insider.execute("UPDATE audit_entries SET hash = zeroblob(32) WHERE word = 'phone:approval:approve'")
        insider.execute("DELETE FROM audit_checkpoints")
    problem = await refusal(bank.service.export(record.id, tenant_id=TENANT))
    assert problem.kind is ProblemCode.UNAVAILABLE


async def test_entries_far_from_their_checkpoint_are_not_read(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = await bank.story(Phone(), "pin")
    monkeypatch.setattr(trail, "MAX_PART", 3)
    assert "too far" in (await refusal(bank.service.export(record.id, tenant_id=TENANT))).detail


async def test_many_wrong_answers_do_not_make_the_file_long(bank: Bank) -> None:
    phone, record = Phone(), await bank.ask()
    await bank.bind(phone)
    for n in range(40):
        await bank.tell("phone:approval:wrong", record.id, left=n)
        await bank.checkpointer.checkpoint()
    await bank.take(record, phone.answer(record.statement))
    assert len(verify_evidence(await bank.service.export(record.id, tenant_id=TENANT)).evidence.log) < 16


async def test_the_report_says_who_what_when_and_by_what(bank: Bank) -> None:
    record = await bank.story(Phone(), "biometric", number=47)
    text = describe(verify_evidence(await bank.service.export(record.id, tenant_id=TENANT)))
    for said in (
        "Banque du Nord",
        "user-1",
        record.id,
        "1250.00",
        "EUR",
        "Zoë Müller",
        "Rent\n            May",
        "approved, 2027-01-15 08:0",
        "fingerprint or face",
        "number 47",
        "https://bank.example",
        "--audit-key FILE",
        "Who held the phone",
    ):
        assert said in text
    offline = await bank.story(Phone(), None)
    text = describe(verify_evidence(await bank.service.export(offline.id, tenant_id=TENANT)))
    assert "eight digits" in text
    assert "as good as the bank's log" in text


# The commands -----------------------------------------------------------------------------------------------


class Desk:
    """A bank between two commands, and a court that has only files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bank_folder = folder / "bank"
        self.bank_folder.mkdir()

    def run(self, work: Callable[[EvidenceService], Awaitable[Any]]) -> Any:
        async def inside() -> Any:
            async with Bank.open(self.bank_folder) as bank:
                record = await bank.story(Phone(), "pin")
                self.approval = record.id
                bank.records[TENANT, "apr_this"] = record
                return await work(bank.service)

        return asyncio.run(inside())

    def evidence(self, *arguments: str) -> Result:
        return CliRunner().invoke(evidence_group(self.run), list(arguments))

    def nothing_opened(self, *arguments: str) -> Result:
        def run(_: Any) -> Any:
            raise AssertionError("verifying opens no installation")

        return CliRunner().invoke(evidence_group(run), list(arguments))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_export_and_verify_by_command(desk: Desk) -> None:
    file = desk.folder / "e.json"
    result = desk.evidence("export", "apr_this", "--output", str(file))
    assert result.exit_code == 0, result.output
    assert "evidence verify" in result.stderr
    result = desk.evidence("export", "apr_this", "--output", str(file))
    assert result.exit_code == 1
    assert "another name" in result.output
    result = desk.nothing_opened("verify", str(file))
    assert result.exit_code == 0, result.output
    assert "The evidence holds" in result.stdout
    altered = file.read_bytes().replace(b'"approve"', b'"refuse"', 1)
    (desk.folder / "altered.json").write_bytes(altered)
    result = desk.nothing_opened("verify", str(desk.folder / "altered.json"))
    assert result.exit_code == 1
    assert "does NOT hold.\napproval.proof.decision: " in result.stdout


def test_export_writes_the_same_bytes_to_standard_output(desk: Desk) -> None:
    result = desk.evidence("export", "apr_this")
    assert result.exit_code == 0
    assert verify_evidence(result.stdout_bytes).evidence.approval.id == desk.approval


def test_the_banks_published_key_is_compared(desk: Desk) -> None:
    file, published = desk.folder / "e.json", desk.folder / "audit.txt"
    assert desk.evidence("export", "apr_this", "--output", str(file)).exit_code == 0
    settings = Settings(data=str(desk.bank_folder))
    shown = CliRunner().invoke(keys_group, ["show", "tessera-audit-1"], obj=settings)
    published.write_text(shown.stdout)
    result = desk.nothing_opened("verify", str(file), "--audit-key", str(published))
    assert result.exit_code == 0, result.output
    row = json.loads(
        CliRunner().invoke(keys_group, ["show", "tessera-audit-1", "--json"], obj=settings).stdout
    )
    assert row["public_key_sha256"] in result.stdout
    assert "--audit-key FILE" not in result.stdout

    async def stranger() -> None:
        adapter = await SoftwareAdapter.create(default_store_uri(str(desk.folder / "other")))
        keys = await ensure_keys(adapter)
        assert keys.audit.public_key is not None
        assert fingerprint(keys.audit.public_key) != row["public_key_sha256"]
        await adapter.close()

    asyncio.run(stranger())
    other = Settings(data=str(desk.folder / "other"))
    published.write_text(CliRunner().invoke(keys_group, ["show", "tessera-audit-1"], obj=other).stdout)
    result = desk.nothing_opened("verify", str(file), "--audit-key", str(published))
    assert result.exit_code == 1
    assert "log[0].key: is not an audit key that was given" in result.stdout


ED25519 = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no public key"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "not a public key"),
        (f"-----BEGIN PUBLIC KEY-----\n{ED25519}\n-----END PUBLIC KEY-----\n", "P-256"),
    ],
)
def test_a_key_file_that_holds_none_pins_nothing(desk: Desk, text: str, says: str) -> None:
    key, file = desk.folder / "key.pem", desk.folder / "e.json"
    key.write_text(text)
    file.write_text("{}")
    result = desk.nothing_opened("verify", str(file), "--audit-key", str(key))
    assert result.exit_code == 1
    assert says in result.output
    assert "holds" in result.output
