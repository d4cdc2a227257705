"""`tessera` as an operator uses it, in this process: every command on a folder of its own."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.storage.migrate import newest_revision

Call = Callable[..., Result]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run one command, in an environment that says only where the data lies."""
    import os

    for name in list(os.environ):
        if name.startswith("TESSERA_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TESSERA_DATA", str(tmp_path / "data"))

    def run(*arguments: str, **more: Any) -> Result:
        return CliRunner().invoke(main, list(arguments), **more)

    return run


def test_every_command_is_listed_and_has_help(call: Call) -> None:
    listed = call("--help").output
    for name in (
        "serve",
        "migrate",
        "check-config",
        "tenant",
        "api-key",
        "keys",
        "audit",
        "phone",
        "bench",
    ):
        assert re.search(rf"^  {name}\s+\S", listed, re.MULTILINE), name
        assert call(name, "--help").exit_code == 0, name


def test_help_is_there_while_the_settings_are_broken(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESSERA_LISTEN_PORT", "abc")
    for arguments in (("serve",), ("keys", "init"), ("audit", "verify"), ("api-key", "create")):
        assert call(*arguments, "--help").exit_code == 0, arguments
    refused = call("migrate")
    assert refused.exit_code == 1
    assert "listen_port" in refused.output


def test_bench_help_names_every_bench(call: Call) -> None:
    from gateway.bench import BENCHES
    from gateway.bench.cli import load_benches

    load_benches()
    told = call("bench", "--help").output
    assert [name for name in BENCHES if not re.search(rf"\b{name}\b", told)] == []


def test_tenant_and_key_from_making_to_revoking(call: Call) -> None:
    tenant = call("tenant", "create", "Banque du Nord").stdout.strip()
    assert re.fullmatch(r"ten_[A-Za-z0-9_-]{22}", tenant)
    assert "Banque du Nord" in call("tenant", "list").output
    made = call(
        "api-key", "create", "--tenant", tenant, "--name", "back end", "--scope", "audit:read", "--days", "30"
    )
    assert re.fullmatch(r"tsk_[A-Za-z0-9_-]{43}", made.stdout.strip()), "alone on standard output"
    listed = call("api-key", "list", "--tenant", tenant).output
    assert made.stdout.strip() not in listed
    key_id = re.search(r"key_[A-Za-z0-9_-]{22}", listed)
    assert key_id is not None
    assert re.search(r"active\s+audit:read", listed)
    assert call("api-key", "revoke", key_id.group()).exit_code == 0
    assert "revoked" in call("api-key", "list", "--tenant", tenant).output
    again = call("api-key", "revoke", key_id.group())
    assert (again.exit_code, "revoked already" in again.output) == (1, True)
    verified = call("audit", "verify")
    assert verified.exit_code == 0, verified.output


def test_second_tenant_of_a_name_is_made_on_purpose_alone(call: Call) -> None:
    first = call("tenant", "create", "Banque du Nord").stdout.strip()
    refused = call("tenant", "create", " Banque du Nord ")
    assert refused.exit_code == 1
    assert first in refused.output
    assert call("tenant", "create", "Banque du Nord", "--same-name").exit_code == 0
    assert call("tenant", "list").output.count("Banque du Nord") == 2


def test_short_helps_are_whole(call: Call) -> None:
    for group in ((), ("tenant",), ("api-key",), ("keys",), ("audit",), ("phone",)):
        listed = call(*group, "--help").output.partition("Commands:")[2]
        assert "..." not in listed, group


def test_phone_asks_for_no_passphrase_where_it_needs_none(call: Call, tmp_path: Path) -> None:
    store = ("phone", "--store", str(tmp_path / "phone.keys"), "--host", "bank.example")
    listed = call(*store, "list")
    assert (listed.exit_code, "bound to nothing yet" in listed.output) == (0, True)
    short = call(*store, "typed", "ABCD")
    assert (short.exit_code, "20 letters" in short.output) == (1, True)
    assert "passphrase" not in listed.output + short.output


def test_passphrase_that_nobody_can_type_unseen_is_refused_in_words(tmp_path: Path) -> None:
    arguments = ["--store", str(tmp_path / "phone.keys"), "open"]
    command = [sys.executable, "-m", "gateway", "phone", *arguments]
    run = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, start_new_session=True
    )
    assert run.returncode == 1
    assert "--passphrase-file" in run.stderr
    assert "Warning" not in run.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("api-key", "revoke", "key_nothing"), "no such key"),
        (("api-key", "create", "--tenant", "ten_x", "--name", "n", "--scope", "*"), "no such tenant"),
        (("tenant", "create", ""), "1 to 64"),
        (("tenant", "create", "   "), "1 to 64"),
        (("api-key", "list", "--tenant", "typo"), "no such tenant"),
        (("api-key", "create", "--tenant", "ten_x", "--name", "n", "--scope", "all"), "'all' is not one of"),
    ],
)
def test_mistakes_are_one_sentence(call: Call, arguments: tuple[str, ...], said: str) -> None:
    result = call(*arguments)
    assert result.exit_code != 0
    assert said in result.output
    assert "Traceback" not in result.output


def test_migrate_says_what_it_did(call: Call) -> None:
    assert call("migrate").output.strip() == f"schema none -> {newest_revision()}"
    assert call("migrate").output.strip() == f"schema {newest_revision()}"


def test_unreachable_database_is_said_in_a_sentence_without_the_password(call: Call) -> None:
    result = call(
        "migrate", env={"TESSERA_DATABASE_URL": "postgresql://u:telling-password@127.0.0.1:1/nothing"}
    )
    assert result.exit_code == 1
    assert "database_url" in result.output
    assert "telling-password" not in result.output


@pytest.mark.parametrize(
    ("arguments", "variable", "value", "said"),
    [
        (("migrate",), "DATA", "/dev/null/x", "Not a directory: /dev/null/x"),
        (("keys", "init"), "DATA", "/dev/null/x", "/dev/null/x"),
        (("tenant", "list"), "DATA", "/dev/null/x", "/dev/null/x"),
        (("audit", "verify"), "DATABASE_URL", "nonsense", "sqlite:///FILE"),
        (("serve", "--lan"), "LAN_ADDRESS", "nonsense", "not an IPv4 address"),
        (("check-config",), "LAN_ADDRESS", "nonsense", "not an IPv4 address"),
        (("check-config",), "PRODUCTON", "true", "nothing reads this variable"),
        (("serve",), "PRODUCTON", "true", "nothing reads this variable"),
        (("serve",), "LISTEN_HOST", "192.0.2.1", "listen_host: cannot listen"),
    ],
)
def test_bad_settings_end_in_a_sentence(
    call: Call, arguments: tuple[str, ...], variable: str, value: str, said: str
) -> None:
    if arguments == ("audit", "verify"):
        assert call("keys", "init").exit_code == 0
    result = call(*arguments, env={f"TESSERA_{variable}": value})
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit), result.exception
    assert said in result.output


def test_what_is_logged_stays_out_of_the_output(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    import structlog

    from gateway.audit import cli as audit_cli

    assert call("tenant", "create", "Banque du Nord").exit_code == 0
    verify = audit_cli.verify_log

    def loud(*arguments: Any, **more: Any) -> Any:
        structlog.get_logger("loud").warning("a warning on the way")
        return verify(*arguments, **more)

    monkeypatch.setattr(audit_cli, "verify_log", loud)
    result = call("audit", "verify", "--json")
    assert json.loads(result.stdout)["whole"] is True
    assert json.loads(result.stderr)["event"] == "a warning on the way"


def test_check_config_lists_keys_and_problems(call: Call, tmp_path: Path) -> None:
    assert call("check-config").output.strip() == "The settings are good."
    keys = call("check-config", "--keys").output
    assert "TESSERA_PUBLIC_HOST" in keys
    file = tmp_path / "bad.toml"
    file.write_text('listen_port = "x"\n')
    result = call("--config", str(file), "check-config")
    assert (result.exit_code, "listen_port" in result.output) == (1, True)
    result = call("check-config", env={"TESSERA_PRODUCTION": "yes", "TESSERA_DEMO": "true"})
    assert result.exit_code == 1
    result = call("check-config", env={"TESSERA_PRODUCTION": "true", "TESSERA_DEMO": "true"})
    assert {"demo:", "hsm:", "public_host:"} <= set(result.output.split())


def test_serve_refuses_settings_with_problems(call: Call) -> None:
    result = call("serve", env={"TESSERA_PRODUCTION": "true"})
    assert result.exit_code == 1
    assert "production names its key store" in result.output
    result = call("serve", "--lan", env={"TESSERA_PRODUCTION": "true"})
    assert (result.exit_code, "--lan is for development" in result.output) == (1, True)


def test_command_whose_library_is_missing_says_so_and_stops_no_other(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "gateway.bench.cli", None)
    result = call("bench", "codes")
    assert result.exit_code == 1
    assert "not installed" in result.output
    assert call("check-config").exit_code == 0
