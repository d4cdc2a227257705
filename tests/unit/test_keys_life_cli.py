"""`tessera keys rotate`, `retire`, `migrate`, `doctor` and `backup` as an operator runs them, on a folder of its
own."""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.core.errors import Problem
from gateway.keys import life_cli
from gateway.keys.doctor import find_missing
from gateway.keys.labels import parse_label, wrap_label
from gateway.keys.life import find_key
from hsm_adapters.api import KeyInfo, KeyKind
from hsm_adapters.errors import KeyNotFound, OperationUnsupported
from hsm_adapters.registry import open_store
from hsm_adapters.software import SoftwareAdapter
from hsm_adapters.uri import KeyUri

Call = Callable[..., Result]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run one command, in an environment that says only where the data lies."""
    for name in list(os.environ):
        if name.startswith("TESSERA_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TESSERA_DATA", str(tmp_path / "data"))

    def run(*arguments: str, **more: Any) -> Result:
        return CliRunner().invoke(main, list(arguments), **more)

    return run


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is under way when a key is retired."""
    monkeypatch.setattr("gateway.keys.life.UNDER_WAY_S", 0.0)


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Successors need no age."""
    monkeypatch.setattr("gateway.keys.life.SETTLED_S", -1.0)


def labels(call: Call) -> list[str]:
    return [key["label"] for key in json.loads(call("keys", "list", "--json").stdout)["keys"]]


def test_help_teaches(call: Call) -> None:
    for command, words in {
        "rotate": ["wrap", "audit", "agree", "--resume", "tessera keys retire"],
        "retire": ["for ever", "--force", "three minutes"],
        "migrate": ["hsm_previous", "Run it again"],
        "doctor": ["Exits 1"],
        "backup": ["maker's means", "keep them"],
    }.items():
        shown = call("keys", command, "--help")
        assert shown.exit_code == 0
        text = " ".join(shown.output.split())
        assert [word for word in words if word not in text] == []


def test_rotate_makes_the_next_generation(call: Call) -> None:
    tenants = [call("tenant", "create", name).stdout.strip() for name in ("Nord", "Sud")]
    assert call("keys", "rotate", "wrap").stdout == "tessera-wrap-2\n"
    assert call("keys", "rotate", "audit").stdout == "tessera-audit-2\n"
    made = call("keys", "rotate", "agree").stdout.splitlines()
    assert sorted(made) == sorted(f"tessera-{tenant}-agree-2" for tenant in tenants)
    one = call("keys", "rotate", "agree", "--tenant", tenants[0])
    assert one.stdout == f"tessera-{tenants[0]}-agree-3\n"
    assert call("keys", "rotate", "wrap", "--resume").stdout == ""
    assert {"tessera-wrap-1", "tessera-wrap-2", "tessera-audit-1"} <= set(labels(call))
    assert "tessera-wrap-3" not in labels(call)
    assert call("audit", "verify").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["wrap", "--tenant", "ten_x"], "--tenant goes with"),
        (["audit", "--resume"], "--resume goes with"),
        (["agree", "--tenant", "ten_AAAAAAAAAAAAAAAAAAAAAA"], "no such key to rotate"),
        (["push"], "is not one of"),
    ],
)
def test_odd_rotations_are_refused(call: Call, arguments: list[str], says: str) -> None:
    call("keys", "init")
    refused = call("keys", "rotate", *arguments)
    assert refused.exit_code != 0
    assert says in refused.output
    assert "Traceback" not in refused.output
    assert len(labels(call)) == 3


def test_retire_asks_and_destroys(call: Call, settled: None) -> None:
    call("tenant", "create", "Nord")
    call("keys", "rotate", "wrap")
    refused = call("keys", "retire", "tessera-wrap-1")
    assert (refused.exit_code, "--yes" in refused.output) == (2, True)
    assert "tessera-wrap-1" in labels(call)
    done = call("keys", "retire", "tessera-wrap-1", "--yes")
    assert done.stdout == "retired tessera-wrap-1\n"
    assert "tessera-wrap-1" not in labels(call)
    in_force = call("keys", "retire", "tessera-wrap-2", "--yes")
    assert (in_force.exit_code, "in force" in in_force.output) == (1, True)
    assert "tessera keys rotate wrap" in in_force.output


def test_the_log_verifies_when_its_first_key_is_gone(call: Call, settled: None) -> None:
    call("tenant", "create", "Nord")
    shown = call("keys", "show", "tessera-audit-1").stdout
    pem = shown[shown.index("-----BEGIN") :]
    uri = json.loads(call("keys", "show", "tessera-audit-1", "--json").stdout)["uri"]
    call("keys", "rotate", "audit")
    done = call("keys", "retire", uri, "--yes")
    assert done.stdout == f"retired tessera-audit-1\n{pem}"
    assert call("audit", "verify").exit_code == 0
    assert "tessera-audit-1" not in labels(call)
    told = call("audit", "keys")
    assert told.stderr.split() == ["tessera-audit-1", "tessera-audit-2"]
    assert told.stdout.startswith(pem)
    assert told.stdout.count("-----BEGIN PUBLIC KEY-----") == 2


def test_a_key_is_found_by_its_uri_or_refused(call: Call) -> None:
    call("keys", "init")
    call("keys", "rotate", "wrap")
    for key, says in (
        ("software:object=nobody", "key-not-found"),
        ("software:type=private", "neither 'object' nor 'id'"),
        ("software:object=tessera-wrap-1;id=%01", "hsm-uri"),
        ("pkcs11:object=tessera-wrap-1;id=%01", "key-not-found"),
        ("pkcs11:id=%01%02", "key-not-found"),
        ("pkcs11:object=tessera-wrap-1?pin-value=1234", "must not carry a PIN"),
    ):
        refused = call("keys", "retire", key, "--yes")
        assert refused.exit_code == 1, key
        assert says in refused.output
        assert "1234" not in refused.output
    early = call("keys", "retire", "tessera-wrap-1", "--yes")
    assert "Try again in" in early.output


def test_a_store_without_times_is_waited_for(
    call: Call, settled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("keys", "init")
    call("keys", "rotate", "wrap")
    find, waited = SoftwareAdapter.find, []

    async def timeless(self: SoftwareAdapter, label: str) -> Any:
        import dataclasses

        return dataclasses.replace(await find(self, label), created_at=None)

    async def wait(seconds: float, label: str) -> None:
        waited.append((seconds, label))

    monkeypatch.setattr(SoftwareAdapter, "find", timeless)
    monkeypatch.setattr(life_cli, "_wait", wait)
    assert call("keys", "retire", "tessera-wrap-1", "--yes").exit_code == 0
    assert [seconds for seconds, _ in waited] == [180.0]


def test_migrate_says_which_two_lines_to_set(call: Call, tmp_path: Path) -> None:
    call("keys", "init")
    old = f"software:file={tmp_path}/data/keys.tessera?key-source=file:{tmp_path}/data/keys.key"
    new = f"software:file={tmp_path}/new.tessera?key-source=file:{tmp_path}/new.key"
    told = call("keys", "migrate", "--from", old, "--to", new)
    assert told.exit_code == 2
    assert told.stdout == f'hsm = "{new}"\nhsm_previous = "{old}"\n'
    assert "one after another" in told.stderr
    assert not (tmp_path / "new.tessera").exists()
    for wrong in ("nonsense", "pkcs11:object=x?pin-value=1234"):
        refused = call("keys", "migrate", "--from", old, "--to", wrong)
        assert (refused.exit_code, "1234" in refused.output) == (1, False)
    for option, missing in (
        ("--from", [f"software:file={tmp_path}/none?key-source=file:{tmp_path}/none", new]),
        ("--to", [old, f"pkcs11:token=x?module-path={tmp_path}/none.so"]),
    ):
        refused = call("keys", "migrate", "--from", missing[0], "--to", missing[1])
        assert refused.exit_code == 1
        assert f"{option}: " in refused.output
        assert not refused.stdout


def test_migrate_moves_an_installation(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant = call("tenant", "create", "Nord").stdout.strip()
    old = f"software:file={tmp_path}/data/keys.tessera?key-source=file:{tmp_path}/data/keys.key"
    new = f"software:file={tmp_path}/new.tessera?key-source=file:{tmp_path}/new.key"
    monkeypatch.setenv("TESSERA_HSM", new)
    monkeypatch.setenv("TESSERA_HSM_PREVIOUS", old)
    assert call("keys", "init").exit_code == 0  # makes the file; the keys are those of the old store
    assert set(labels(call)) == {
        *("tessera-wrap-1", "tessera-audit-1", "tessera-push-1"),
        f"tessera-{tenant}-agree-1",
    }
    done = call("keys", "migrate", "--from", old, "--to", new, "--no-wait", "--yes")
    assert done.exit_code == 0, done.output
    assert "take hsm_previous out" in done.stderr
    assert f"stays in the old key store: tessera-{tenant}-agree-1: nothing needs it" in done.stdout
    uris = [key["uri"] for key in json.loads(call("keys", "list", "--json").stdout)["keys"]]
    assert sum("new.tessera" in uri for uri in uris) == 4
    monkeypatch.delenv("TESSERA_HSM_PREVIOUS")
    assert len(labels(call)) == 4
    assert call("audit", "verify").exit_code == 0
    assert call("tenant", "list").exit_code == 0


def test_migrate_waits_for_running_nodes(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call("tenant", "create", "Nord")
    old = f"software:file={tmp_path}/data/keys.tessera?key-source=file:{tmp_path}/data/keys.key"
    new = f"software:file={tmp_path}/new.tessera?key-source=file:{tmp_path}/new.key"
    monkeypatch.setenv("TESSERA_HSM", new)
    monkeypatch.setenv("TESSERA_HSM_PREVIOUS", old)
    call("keys", "init")
    waited: list[float] = []

    async def wait(seconds: float, label: str) -> None:
        waited.append(seconds)
        if len(waited) > 1:
            monkeypatch.setattr("gateway.keys.life.SETTLED_S", -1.0)

    monkeypatch.setattr(life_cli, "_wait", wait)
    assert call("keys", "migrate", "--from", old, "--to", new, "--yes").exit_code == 0
    assert 55 < waited[0] <= 65
    assert 170 < waited[1] <= 181


@pytest.mark.parametrize("key", ["hsm_previous"])
def test_settings_that_do_not_fit_are_named(call: Call, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESSERA_HSM_PREVIOUS", "software:file=x?key-source=env:TESSERA_OLD_KEY")
    monkeypatch.setenv("TESSERA_OLD_KEY", "00")
    said = call("check-config").output
    assert key in said
    assert "TESSERA_OLD_KEY: nothing reads" not in said
    assert "which key store comes after it" in said


# doctor and backup ----------------------------------------------------------------------------------------


def test_doctor_measures_and_leaves_nothing(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsm_adapters.examination.MEASURE_S", 0.005)
    call("keys", "init")
    before = labels(call)
    shown = call("keys", "doctor")
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.splitlines()[0].split() == ["operation", "supported", "per", "second", "how"]
    rows = json.loads(call("keys", "doctor", "--json").stdout)
    assert rows["missing"] == {}
    assert {row["operation"] for row in rows["operations"]} == {
        *("sign", "ecdh", "mac", "wrap", "unwrap", "random", "import agreement key"),
        *("generate wrapped agreement key", "ecdh by wrapped agreement key"),
        *("wrap HMAC key", "HMAC by wrapped key"),
    }
    assert all(row["supported"] and row["per_second"] > 1 for row in rows["operations"])
    quick = json.loads(call("keys", "doctor", "--json", "--no-measure").stdout)
    assert {row["per_second"] for row in quick["operations"]} == {None}
    assert labels(call) == before


def test_doctor_says_what_is_missing(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    call("keys", "init")

    async def refused(*_: Any) -> Any:
        raise OperationUnsupported("CKM_ECDH1_DERIVE is not there.")

    monkeypatch.setattr(SoftwareAdapter, "ecdh", refused)
    shown = call("keys", "doctor", "--no-measure")
    assert shown.exit_code == 1
    assert (
        "missing: ecdh (CKM_ECDH1_DERIVE is not there). The gateway needs it for the handshake"
        in shown.stdout
    )
    assert len(labels(call)) == 3


def test_doctor_of_an_adapter_without_examination(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    call("keys", "init")
    monkeypatch.setattr("gateway.keys.doctor.Examinable", type("Nothing", (), {}))
    shown = call("keys", "doctor")
    assert (shown.exit_code, "no examination" in shown.stdout) == (0, True)


async def test_keys_of_a_failed_examination_are_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"software:file={tmp_path}/k.tessera?key-source=file:{tmp_path}/k.key"
    adapter = await SoftwareAdapter.create(uri)
    generate = SoftwareAdapter.generate

    async def generating(self: SoftwareAdapter, label: str, kind: KeyKind) -> Any:
        if kind is KeyKind.WRAP_AES256:
            raise OperationUnsupported("CKM_AES_KEY_GEN is not there.")
        return await generate(self, label, kind)

    monkeypatch.setattr(SoftwareAdapter, "generate", generating)
    reports = await adapter.examine(measure=False)
    assert not any(each.is_supported for each in reports if "wrap" in each.operation)
    assert {each.operation for each in reports if each.is_supported} == {"sign", "ecdh", "mac", "random"}
    assert set(find_missing(adapter, reports)) == {
        *("wrap", "unwrap", "generate wrapped agreement key", "ecdh by wrapped agreement key"),
    }

    async def stopped(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(SoftwareAdapter, "mac", stopped)
    with pytest.raises(KeyboardInterrupt):
        await adapter.examine(measure=False)
    assert await adapter.list() == []
    await adapter.close()


def test_a_backup_opens_elsewhere(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call("keys", "init")
    monkeypatch.setenv("TESSERA_COPY", "a long passphrase")
    target = tmp_path / "copy.tessera"
    done = call("keys", "backup", "--to", str(target), "--passphrase-source", "env:COPY_SECRET")
    assert (done.exit_code, target.exists()) == (1, False)
    monkeypatch.setenv("COPY_SECRET", "short")
    monkeypatch.delenv("TESSERA_COPY")
    done = call("keys", "backup", "--to", str(target), "--passphrase-source", "env:COPY_SECRET")
    assert (done.exit_code, target.exists(), "12 characters" in done.output) == (1, False, True)
    monkeypatch.setenv("COPY_SECRET", "a long passphrase")
    done = call("keys", "backup", "--to", str(target), "--passphrase-source", "env:COPY_SECRET")
    assert done.exit_code == 0, done.output
    uri = done.stdout.strip()
    assert KeyUri.parse(uri).path["file"] == str(target)
    assert target.stat().st_mode & 0o777 == 0o600
    before = target.read_bytes()

    async def use() -> None:
        copy = await open_store(uri)
        original = await open_store(
            f"software:file={tmp_path}/data/keys.tessera?key-source=file:{tmp_path}/data/keys.key"
        )
        assert await copy.list() == await original.list()
        blob = await original.wrap(wrap_label(), b"text", b"")
        assert await copy.unwrap(wrap_label(), blob, b"") == b"text"
        await copy.close()
        await original.close()

    asyncio.run(use())
    again = call("keys", "backup", "--to", str(target), "--passphrase-source", "env:COPY_SECRET")
    assert (again.exit_code, "there already" in again.output) == (1, True)
    assert target.read_bytes() == before


def test_keys_that_cannot_leave_are_not_copied(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("keys", "init")
    monkeypatch.setattr("gateway.keys.cli.CopyableStore", type("Nothing", (), {}))
    refused = call("keys", "backup", "--to", str(tmp_path / "x"), "--passphrase-source", "prompt:")
    assert (refused.exit_code, "maker's means" in refused.output) == (1, True)


def test_keys_are_found_by_label_and_identifier() -> None:
    keys = [KeyInfo(wrap_label(n), KeyKind.WRAP_AES256, None, None, key_id=bytes([n, 0xFF])) for n in (1, 2)]
    other = KeyInfo("other", KeyKind.WRAP_AES256, None, None, key_id=b"\x09")
    for label, key_id, generation in (
        (wrap_label(2), None, 2),
        (None, b"\x01\xff", 1),
        (wrap_label(1), b"\x01\xff", 1),
    ):
        assert find_key([*keys, other], label=label, key_id=key_id).generation == generation
    for label, key_id in ((wrap_label(3), None), (wrap_label(1), b"\x02\xff"), (None, b"\x03")):
        with pytest.raises(KeyNotFound):
            find_key([*keys, other], label=label, key_id=key_id)
    with pytest.raises(Problem, match="not a key of the gateway's"):
        find_key([*keys, other], label="other", key_id=None)


def test_labels_of_the_doctors_keys_are_none_of_the_gateways() -> None:
    assert parse_label("doctor-00000000-sign-p256") is None
