"""A running installation moves from one key store to another, with phones that are served all the while, and a command
that dies at every step."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from approval_kit import approve, ask, asked, state
from attack_kit import ENGINES, bind_phone
from gateway_kit import PIN, GatewayKit
from hsm_modules import softhsm
from postgresql_server import postgresql_server, postgresql_url  # noqa: F401 - fixtures
from sealed_kit import bind_two, cells, fill, life_of, opens, rewrapper_of
from sqlalchemy import select

from gateway.audit.service import verify_log
from gateway.audit.store import audit_entries
from gateway.audit.vouchers import audit_public_keys
from gateway.core.clock import ManualClock
from gateway.core.errors import Problem
from gateway.core.events import AuditWord
from gateway.core.secrets import system_random
from gateway.installation import Installation, open_installation
from gateway.key_life import make_migration
from gateway.keys import life_cli, rewrap, store
from gateway.keys.labels import KeyName, KeyPurpose, agree_label, wrap_label
from gateway.keys.stores import TwoStores
from gateway.phone.client import PhoneClient
from gateway.storage.migrate import migrate
from hsm_adapters.api import WrappedKeyImport
from hsm_adapters.errors import HsmConfigurationError, KeyExists, KeyNotFound, OperationUnsupported
from hsm_adapters.software import SoftwareAdapter


class Killed(BaseException):
    """The process ends here."""


def uri(folder: Path, name: str) -> str:
    return f"software:file={folder}/{name}.tessera?key-source=file:{folder}/{name}.key"


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is under way when a key is retired."""
    monkeypatch.setattr("gateway.keys.life.UNDER_WAY_S", 0.0)


@pytest.fixture
async def kit(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[GatewayKit]:
    """A gateway with customers that knows both stores; the new one is empty yet."""
    settings: dict[str, Any] = {"hsm": uri(tmp_path, "old")}
    if getattr(request, "param", "sqlite") == "postgresql":
        settings["database_url"] = request.getfixturevalue("postgresql_url")
        migrate(settings["database_url"])
    for name in ("old", "new"):
        await (await SoftwareAdapter.create(uri(tmp_path, name))).close()
    async with GatewayKit.running(tmp_path, **settings) as running:
        yield running


async def know_both(kit: GatewayKit, folder: Path) -> None:
    kit.settings = msgspec.structs.replace(
        kit.settings, hsm=uri(folder, "new"), hsm_previous=uri(folder, "old")
    )
    await kit.restart()


@contextlib.asynccontextmanager
async def beside(kit: GatewayKit) -> AsyncIterator[Installation]:
    """Open the installation as the command does, beside the gateway."""
    async with open_installation(kit.settings, clock=ManualClock(), random=system_random) as installation:
        yield installation


async def run_command(kit: GatewayKit) -> None:
    async with beside(kit) as installation:
        await life_cli._move(make_migration(installation), is_waiting=False, yes=True)


async def labels(folder: Path, name: str) -> list[str]:
    adapter = await SoftwareAdapter.open(uri(folder, name))
    found = [info.label for info in await adapter.list()]
    await adapter.close()
    return found


async def audit_words(kit: GatewayKit) -> list[str]:
    query = select(audit_entries.c.word)
    return list(await kit.now.installation.storage.read(lambda tx: tx.execute(query).scalars().all()))


async def log_in(kit: GatewayKit, phone: PhoneClient, user: str) -> None:
    [binding] = phone.store.bindings()
    channel = await phone.open(binding.binding_id)
    request = await ask(kit, user=user)
    await approve(channel, await asked(channel, request))
    assert await state(kit, request) == "approved"
    await channel.prove_pin(PIN)
    await channel.close()


@ENGINES
async def test_everything_moves_while_phones_are_served(
    kit: GatewayKit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phones = await bind_two(kit)
    await know_both(kit, tmp_path)
    await fill(kit, phones)
    await run_command(kit)
    tenant = kit.tenant_id
    assert await labels(tmp_path, "new") == sorted(
        ["tessera-wrap-2", "tessera-audit-2", "tessera-push-2", agree_label(tenant, 2)]
    )
    assert await labels(tmp_path, "old") == sorted(["tessera-push-1", agree_label(tenant)])
    told = capsys.readouterr()
    assert f"stays in the old key store: {agree_label(tenant)}: 2 bound phones" in told.out
    assert "tessera-push-1: 2 subscriptions" in told.out
    assert "BEGIN PUBLIC KEY" in told.out
    assert "Leave hsm_previous" in told.err
    kit.clock.advance(61)
    for number, phone in enumerate(phones, 1):
        await log_in(kit, phone, f"user-{number}")
    assert {cell.generation for cell in await cells(kit)} == {2}
    installation = kit.now.installation
    keys = await audit_public_keys(installation.adapter, installation.storage)
    assert set(keys) == {"tessera-audit-1", "tessera-audit-2"}
    await verify_log(installation.storage, keys)
    _, channel = await bind_phone(kit, user="user-9")
    await channel.close()
    await run_command(kit)  # nothing is left to do
    assert await labels(tmp_path, "new") == [
        *("tessera-audit-2", "tessera-push-2"),
        *(agree_label(tenant, 2), "tessera-wrap-2"),
    ]


async def test_a_gateway_moves_from_a_file_into_an_hsm(
    kit: GatewayKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SoftHSM: keys that do not leave, and no times kept with them."""
    phones = await bind_two(kit)
    with softhsm(tmp_path) as stand:
        for name, value in stand.environment.items():
            monkeypatch.setenv(name, value)
        kit.settings = msgspec.structs.replace(kit.settings, hsm=stand.uri, hsm_previous=uri(tmp_path, "old"))
        await kit.restart()
        await fill(kit, phones)
        await run_command(kit)
        assert await labels(tmp_path, "old") == sorted(["tessera-push-1", agree_label(kit.tenant_id)])
        kit.clock.advance(61)
        for number, phone in enumerate(phones, 1):
            await log_in(kit, phone, f"user-{number}")
        phone, channel = await bind_phone(kit, user="user-9")
        await channel.close()
        assert {cell.generation for cell in await cells(kit)} == {2}
        assert all([await opens(kit, cell) for cell in await cells(kit)])
        await life_of(kit).rotate(KeyPurpose.WRAP)
        assert (await rewrapper_of(kit).run()).unopened == ()
        await life_of(kit).retire(KeyName(KeyPurpose.WRAP, 2))
        kit.settings = msgspec.structs.replace(kit.settings, hsm_previous=None)
        await kit.restart()
        await log_in(kit, phone, "user-9")
        await kit.stop()


async def test_a_command_that_dies_after_each_step_gets_there(
    kit: GatewayKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run makes one change and dies: a key, a batch, a destroyed key. Everything opens after each of them."""
    phones = await bind_two(kit)
    await know_both(kit, tmp_path)
    await fill(kit, phones)
    monkeypatch.setattr(rewrap, "BATCH", 3)
    changes = 0

    def dying(original: Any) -> Any:
        async def once(adapter: SoftwareAdapter, label: str, *rest: Any) -> Any:
            nonlocal changes
            result = await original(adapter, label, *rest)
            if label.startswith("doctor-"):  # the examination before any change
                return result
            changes += 1
            raise Killed

        return once

    replace, writing = store.replace_values, False

    def replaced(*arguments: Any) -> int:
        nonlocal writing
        writing = True
        return replace(*arguments)

    async def run_and_die() -> bool:
        """Whether the command came to its end."""
        nonlocal writing, changes
        writing = False
        with monkeypatch.context() as patch:
            patch.setattr(SoftwareAdapter, "generate", dying(SoftwareAdapter.generate))
            patch.setattr(SoftwareAdapter, "destroy", dying(SoftwareAdapter.destroy))
            patch.setattr(store, "replace_values", replaced)
            async with beside(kit) as installation:
                write = installation.storage.write

                async def write_and_die(unit: Any) -> Any:
                    nonlocal changes
                    result = await write(unit)
                    if writing:
                        changes += 1
                        raise Killed
                    return result

                patch.setattr(installation.storage, "write", write_and_die)
                try:
                    await life_cli._move(make_migration(installation), is_waiting=False, yes=True)
                except Killed:
                    return False
                return True

    runs = 1
    while not await run_and_die():
        runs += 1
        assert runs < 60
        assert all([await opens(kit, cell) for cell in await cells(kit)])
    assert runs == changes + 1 > 10
    assert await labels(tmp_path, "old") == sorted(["tessera-push-1", agree_label(kit.tenant_id)])
    assert len(await labels(tmp_path, "new")) == 4
    assert AuditWord.OPERATOR_KEY_MIGRATE in await audit_words(kit)
    kit.clock.advance(61)
    for number, phone in enumerate(phones, 1):
        await log_in(kit, phone, f"user-{number}")


async def test_an_edited_value_stops_the_move_before_any_key_is_destroyed(
    kit: GatewayKit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await know_both(kit, tmp_path)
    await fill(kit, await bind_two(kit))
    [edited, *_] = [cell for cell in await cells(kit) if cell.sealed.name == "pins.oprf_blob"]
    changes = [(edited.key, edited.blob, edited.blob[:-1] + bytes([edited.blob[-1] ^ 1]))]
    await kit.now.installation.storage.write(lambda tx: store.replace_values(tx, edited.sealed, changes))
    with pytest.raises(Problem, match="no old key was retired"):
        await run_command(kit)
    assert f"pins.oprf_blob {edited.key}" in capsys.readouterr().err
    assert {"tessera-wrap-1", "tessera-audit-1"} <= set(await labels(tmp_path, "old"))


async def test_a_store_that_cannot_take_the_pins_is_refused_before_anything_changes(
    kit: GatewayKit, tmp_path: Path
) -> None:
    await know_both(kit, tmp_path)
    async with beside(kit) as installation:
        adapter = installation.adapter
        assert isinstance(adapter, TwoStores)

        class Half(SoftwareAdapter):
            async def examine(self, *, measure: bool) -> Any:
                del measure
                return []

        adapter.newer.__class__ = Half
        with pytest.raises(Problem, match="generate wrapped agreement key"):
            await make_migration(installation).check()
    assert await labels(tmp_path, "new") == []


async def test_a_terminal_is_asked_before_keys_are_destroyed(kit: GatewayKit, tmp_path: Path) -> None:
    await know_both(kit, tmp_path)
    async with beside(kit) as installation:
        with pytest.raises(click.UsageError, match="--yes"):
            await life_cli._move(make_migration(installation), is_waiting=False, yes=False)
    assert "tessera-wrap-1" in await labels(tmp_path, "old")


async def test_two_stores_answer_as_one(tmp_path: Path) -> None:
    older = await SoftwareAdapter.create(uri(tmp_path, "old"))
    newer = await SoftwareAdapter.create(uri(tmp_path, "new"))
    both = TwoStores(newer, older)
    await older.generate(wrap_label(), KeyPurpose.WRAP.kind)
    with pytest.raises(KeyExists):
        await both.generate(wrap_label(), KeyPurpose.WRAP.kind)
    await both.generate(wrap_label(2), KeyPurpose.WRAP.kind)
    assert [info.label for info in await newer.list()] == [wrap_label(2)]
    assert [info.label for info in await both.list()] == [wrap_label(1), wrap_label(2)]
    for label, one in ((wrap_label(), older), (wrap_label(2), newer)):
        blob = await both.wrap(label, b"text", b"context")
        assert await one.unwrap(label, blob, b"context") == b"text"
        assert await both.unwrap(label, blob, b"context") == b"text"
    made = await both.generate_wrapped(wrap_label(), b"a")
    moved = await both.rewrap(wrap_label(), made.blob, b"a", new_label=wrap_label(2), new_context=b"b")
    audit = await both.generate("tessera-audit-1", KeyPurpose.AUDIT.kind)
    assert audit.public_key is not None
    shared = await both.ecdh_wrapped(wrap_label(), made.blob, b"a", [audit.public_key])
    assert await newer.ecdh_wrapped(wrap_label(2), moved, b"b", [audit.public_key]) == shared
    again = await both.rewrap(wrap_label(2), moved, b"b", new_label=wrap_label(2), new_context=b"c")
    assert await both.ecdh_wrapped(wrap_label(2), again, b"c", [audit.public_key]) == shared
    await older.destroy(wrap_label())  # as another process does
    with pytest.raises(KeyNotFound):
        await both.unwrap(wrap_label(), b"x" * 40, b"context")
    with pytest.raises(HsmConfigurationError):
        await TwoStores.open("software:file=x")
    await both.close()


async def test_keys_go_into_no_store_that_takes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = await SoftwareAdapter.create(uri(tmp_path, "old"))
    newer = await SoftwareAdapter.create(uri(tmp_path, "new"))
    both = TwoStores(newer, older)
    await older.generate(wrap_label(), KeyPurpose.WRAP.kind)
    await newer.generate(wrap_label(2), KeyPurpose.WRAP.kind)
    made = await both.generate_wrapped(wrap_label(2), b"a")
    monkeypatch.setattr("gateway.keys.stores.WrappedKeyImport", type("Nothing", (), {}))
    with pytest.raises(OperationUnsupported):
        await both.rewrap(wrap_label(2), made.blob, b"a", new_label=wrap_label(), new_context=b"a")
    assert issubclass(SoftwareAdapter, WrappedKeyImport)
    await both.close()


async def test_a_new_store_that_was_set_up_on_its_own_is_refused(kit: GatewayKit, tmp_path: Path) -> None:
    """Its labels would hide the old store's keys, and nothing would open."""
    adapter = await SoftwareAdapter.open(uri(tmp_path, "new"))
    await adapter.generate(wrap_label(), KeyPurpose.WRAP.kind)
    await adapter.close()
    with pytest.raises(HsmConfigurationError, match="tessera-wrap-1"):
        await know_both(kit, tmp_path)
