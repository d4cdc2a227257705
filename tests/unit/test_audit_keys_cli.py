"""`tessera keys` and `tessera audit` as an operator runs them: groups on real files."""

import asyncio
import json
import sqlite3
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from gateway.audit import service, store
from gateway.audit.cli import audit_group
from gateway.core.clock import ManualClock
from gateway.keys.cli import keys_group, store_uri
from gateway.keys.ring import KeyRing
from gateway.keys.service import ensure_tenant_key
from gateway.settings import Settings
from gateway.storage.engine import Storage
from gateway.storage.migrate import migrate
from hsm_adapters.registry import open_store
from hsm_adapters.uri import KeyUri


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=str(tmp_path / "var"))


def keys(settings: Settings, *arguments: str) -> Result:
    return CliRunner().invoke(keys_group, list(arguments), obj=settings)


def audit(settings: Settings, *arguments: str) -> Result:
    return CliRunner().invoke(audit_group, list(arguments), obj=settings)


def test_init_makes_the_keys_once(settings: Settings) -> None:
    first = keys(settings, "init", "--json")
    assert first.exit_code == 0, first.output
    made = ["tessera-wrap-1", "tessera-audit-1", "tessera-push-1"]
    assert [key["label"] for key in json.loads(first.stdout)["keys"]] == made
    assert keys(settings, "init", "--json").stdout == first.stdout
    assert keys(settings, "list", "--json").stdout != first.stdout  # in order of labels
    listed = {key["label"]: key for key in json.loads(keys(settings, "list", "--json").stdout)["keys"]}
    assert set(listed) == set(made)


def test_keys_are_named_by_uris_without_the_source_of_the_secret(settings: Settings) -> None:
    keys(settings, "init")
    listing = keys(settings, "list").stdout
    assert "key-source" not in listing
    (line,) = [line for line in listing.splitlines() if "audit" in line]
    uri = KeyUri.parse(line.split()[-1])
    assert (uri.path["object"], uri.path["type"]) == ("tessera-audit-1", "private")
    shown = keys(settings, "show", str(uri), "--json")
    assert json.loads(shown.stdout)["label"] == "tessera-audit-1"
    assert "BEGIN PUBLIC KEY" in keys(settings, "show", "tessera-audit-1").stdout
    assert "BEGIN" not in keys(settings, "show", "tessera-wrap-1").stdout


def test_a_tenants_key_is_told_by_its_parts(settings: Settings) -> None:
    keys(settings, "init")

    async def make() -> None:
        adapter = await open_store(store_uri(settings))
        await ensure_tenant_key(adapter, "ten_AAAAAAAAAAAAAAAAAAAAAA")
        await adapter.close()

    asyncio.run(make())
    shown = json.loads(keys(settings, "show", "tessera-ten_AAAAAAAAAAAAAAAAAAAAAA-agree-1", "--json").stdout)
    assert (shown["purpose"], shown["generation"], shown["tenant"]) == (
        "agree",
        1,
        "ten_AAAAAAAAAAAAAAAAAAAAAA",
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["list"], "tessera keys init"),
        (["show", "nobody"], "tessera keys init"),
        (["show", "software:file=x"], "tessera keys init"),
    ],
)
def test_without_a_store_the_command_says_what_to_run(
    settings: Settings, arguments: list[str], says: str
) -> None:
    result = keys(settings, *arguments)
    assert result.exit_code == 1
    assert says in result.output
    assert "Traceback" not in result.output


def test_unknown_keys_and_odd_uris_are_named_errors(settings: Settings) -> None:
    keys(settings, "init")
    for key, code in (
        ("nobody", "key-not-found"),
        ("software:file=x", "hsm-invalid-request"),
        ("a:b", "hsm-uri"),
    ):
        result = keys(settings, "show", key)
        assert result.exit_code == 1
        assert code in result.output


def test_a_passphrase_is_asked_on_the_terminal_only(settings: Settings, tmp_path: Path) -> None:
    prompting = msgspec.structs.replace(settings, hsm=f"software:file={tmp_path}/k?passphrase-source=prompt:")
    result = keys(prompting, "init")
    assert result.exit_code == 1
    assert "terminal" in result.output


def test_no_option_takes_a_secret() -> None:
    for group in (keys_group, audit_group):
        for command in group.commands.values():
            names = {name for parameter in command.params for name in parameter.opts}
            assert names <= {"--json", "--known", "--no-measure", "--to", "--passphrase-source", "key"}


# audit ------------------------------------------------------------------------------------------------------


@pytest.fixture
def log(settings: Settings) -> Path:
    """A log of 20 entries with checkpoints at 10 and 20."""
    assert keys(settings, "init").exit_code == 0
    path = Path(settings.data) / "tessera.db"
    migrate(settings.resolved_database_url)

    async def fill() -> None:
        storage = Storage(settings.resolved_database_url)
        adapter = await open_store(store_uri(settings))
        checkpointer = service.Checkpointer(
            storage=storage, adapter=adapter, ring=KeyRing(adapter, ManualClock()), clock=ManualClock()
        )
        for n in range(1, 21):
            await storage.write(
                lambda tx, n=n: store.append(
                    tx, tenant_id="ten_a", word="a:b:c", subject=f"s{n}", data={"n": n}, at_ms=n
                )
            )
            if n % 10 == 0:
                await checkpointer.checkpoint()
        await adapter.close()
        await storage.close()

    asyncio.run(fill())
    return path


def tamper(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_a_whole_log_verifies(settings: Settings, log: Path) -> None:
    result = audit(settings, "verify")
    assert result.exit_code == 0, result.output
    assert "whole: 20 entries, 2 checkpoints, 0 findings" in result.stdout
    report = json.loads(audit(settings, "verify", "--json").stdout)
    assert report == {"whole": True, "entries": 20, "checkpoints": 2, "last": 20, "findings": []}


def test_an_altered_entry_is_named(settings: Settings, log: Path) -> None:
    tamper(log, "UPDATE audit_entries SET data = '{\"n\":5000}' WHERE sequence = 5")
    result = audit(settings, "verify")
    assert result.exit_code == 1
    assert "entry 5: not what was written" in result.stdout
    report = json.loads(audit(settings, "verify", "--json").stdout)
    assert report["whole"] is False
    assert [(f["kind"], f["sequence"]) for f in report["findings"]] == [("altered", 5)]


def test_checkpoints_kept_elsewhere_catch_a_cut_log(settings: Settings, log: Path, tmp_path: Path) -> None:
    kept = audit(settings, "checkpoints")
    assert len(kept.stdout.splitlines()) == 2
    logged = [
        json.dumps({**json.loads(line), "event": "audit checkpoint"}) for line in kept.stdout.splitlines()
    ]
    known = tmp_path / "gateway.log"
    known.write_text("\n".join(["something else", '{"event": "listening"}', *logged]) + "\n")
    assert audit(settings, "verify", "--known", str(known)).exit_code == 0
    tamper(
        log,
        "UPDATE audit_head SET sequence = 10, checkpoint_sequence = 10, "
        "hash = (SELECT hash FROM audit_entries WHERE sequence = 10)",
        "DELETE FROM audit_entries WHERE sequence > 10",
        "DELETE FROM audit_checkpoints WHERE sequence > 10",
    )
    assert audit(settings, "verify").exit_code == 0
    result = audit(settings, "verify", "--known", str(known))
    assert result.exit_code == 1
    assert "entries 11 to 20: missing from the end" in result.stdout


def test_a_file_without_checkpoints_is_no_proof(settings: Settings, log: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"\xff\x00" * 100_000)
    result = audit(settings, "verify", "--known", str(tmp_path / "empty"))
    assert result.exit_code == 1
    assert "holds no checkpoint" in result.output


def test_without_a_key_store_nothing_is_verified(settings: Settings, log: Path) -> None:
    (log.parent / "keys.tessera").unlink()
    result = audit(settings, "verify")
    assert result.exit_code == 1
    assert "tessera keys init" in result.output


def test_without_a_log_nothing_is_called_whole(settings: Settings) -> None:
    keys(settings, "init")
    for arguments in (["verify"], ["verify", "--json"], ["checkpoints"]):
        result = audit(settings, *arguments)
        assert result.exit_code == 1
        assert "no audit log" in result.output
    assert not (Path(settings.data) / "tessera.db").exists()
    (Path(settings.data) / "tessera.db").touch()
    assert "no audit log" in audit(settings, "verify").output
