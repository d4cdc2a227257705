"""A database that meets another key store than its own: it is refused before any key is made."""

import asyncio
import os
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.audit.service import Checkpointer
from gateway.cli import main
from gateway.core.clock import SystemClock
from gateway.core.secrets import system_random
from gateway.installation import Installation, open_installation
from gateway.keys.labels import wrap_label
from gateway.settings import Settings
from hsm_adapters.errors import HsmConfigurationError
from hsm_adapters.registry import create_store, open_store

HOOK = "https://bank.example/hook"


def uri(folder: Path, name: str) -> str:
    return f"software:file={folder}/{name}.tessera?key-source=file:{folder}/{name}.key"


def opening(folder: Path, name: str) -> AbstractAsyncContextManager[Installation]:
    settings = Settings(data=str(folder / "data"), hsm=uri(folder, name))
    return open_installation(settings, clock=SystemClock(), random=system_random)


async def labels(folder: Path, name: str) -> list[str]:
    adapter = await open_store(uri(folder, name))
    found = [info.label for info in await adapter.list()]
    await adapter.close()
    return found


@pytest.fixture
async def stores(tmp_path: Path) -> Path:
    """Two empty key stores; returns their folder."""
    for name in ("own", "other"):
        await (await create_store(uri(tmp_path, name))).close()
    return tmp_path


async def sign(folder: Path) -> None:
    """Let a gateway write a signed checkpoint."""
    async with opening(folder, "own") as installation:
        await installation.tenants.create("Banque du Nord")
        signer = Checkpointer(
            storage=installation.storage,
            adapter=installation.adapter,
            ring=installation.ring,
            clock=installation.clock,
        )
        assert await signer.checkpoint() is not None


async def test_an_empty_store_under_a_signed_log_is_refused(stores: Path) -> None:
    await sign(stores)
    for _ in range(2):
        with pytest.raises(HsmConfigurationError, match="not the key store of this database: its audit log"):
            async with opening(stores, "other"):
                pass
    assert await labels(stores, "other") == []
    async with opening(stores, "own"):
        pass


async def test_a_store_without_the_wrapping_key_of_secrets_is_refused(stores: Path) -> None:
    async with opening(stores, "own") as installation:
        tenant = await installation.tenants.create("Banque du Nord")
        await installation.webhooks.create(tenant_id=tenant.id, url=HOOK, events=())
        await installation.adapter.destroy(wrap_label())
    before = await labels(stores, "own")
    with pytest.raises(HsmConfigurationError, match="its secrets are sealed"):
        async with opening(stores, "own"):
            pass
    assert await labels(stores, "own") == before


async def test_a_database_that_was_only_set_up_takes_another_store(stores: Path) -> None:
    async with opening(stores, "own") as installation:
        await installation.tenants.create("Banque du Nord")
    async with opening(stores, "other"):
        pass
    assert wrap_label() in await labels(stores, "other")


async def test_keys_init_refuses_the_same(stores: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("TESSERA_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TESSERA_DATA", str(stores / "data"))
    monkeypatch.setenv("TESSERA_HSM", uri(stores, "own"))

    async def init() -> tuple[int, str]:
        done = await asyncio.to_thread(CliRunner().invoke, main, ["keys", "init"])
        return done.exit_code, done.output

    assert (await init())[0] == 0, "there is no database yet"
    await sign(stores)
    assert (await init())[0] == 0
    monkeypatch.setenv("TESSERA_HSM", uri(stores, "other"))
    code, output = await init()
    assert (code, "not the key store of this database" in output) == (1, True)
    assert "Traceback" not in output
    assert await labels(stores, "other") == []
