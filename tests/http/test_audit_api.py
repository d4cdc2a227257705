"""`GET /api/v1/audit` through the whole application: a bank reads its own tenant's entries, and no other's."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from gateway.app import INSTALLATION, create_app
from gateway.audit import service
from gateway.audit.vouchers import audit_public_keys
from gateway.core.clock import ManualClock
from gateway.core.events import Fact
from gateway.core.secrets import system_random
from gateway.installation import Installation
from gateway.keys.service import default_store_uri
from gateway.settings import Settings
from gateway.storage.engine import Storage
from hsm_adapters.registry import open_store


@dataclass
class Bank:
    """A tenant and a key of its own."""

    tenant_id: str
    key: str


@dataclass
class World:
    """A running gateway with two banks, the first with 25 entries of its own story."""

    http: TestClient[Any, Any]
    installation: Installation
    banks: list[Bank]
    reader: str

    async def get(self, bank: int = 0, *, key: str | None = None, **query: str) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {key or self.banks[bank].key}"}
        async with self.http.get("/api/v1/audit", params=query, headers=headers) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    app = await create_app(
        Settings(data=str(tmp_path), web_dist=str(tmp_path)), clock=ManualClock(), random=system_random
    )
    installation = app[INSTALLATION]
    banks = []
    for name in ("Banque du Nord", "Banque du Sud"):
        tenant = await installation.tenants.create(name)
        _, key = await installation.api_keys.create(tenant_id=tenant.id, name="all", scopes=["*"])
        banks.append(Bank(tenant.id, key.reveal().decode()))
    _, reader = await installation.api_keys.create(
        tenant_id=banks[0].tenant_id, name="reader", scopes=["audit:read"]
    )
    for n in range(25):
        word = ("phone:pin:prove", "phone:pin:wrong")[n % 5 == 0]
        fact = Fact(banks[0].tenant_id, word, f"bnd_{n % 2}", {"left": n, "name": "Zoë <b>"})
        await installation.storage.write(lambda tx, fact=fact: installation.journal.record(tx, fact))
    async with TestClient(TestServer(app)) as http:
        yield World(http, installation, banks, reader.reveal().decode())


async def test_pages_give_every_entry_once_newest_first(world: World) -> None:
    seen: list[dict[str, Any]] = []
    query = {"limit": "7"}
    while True:
        status, page = await world.get(key=world.reader, **query)
        assert status == 200
        assert len(page["items"]) <= 7
        seen += page["items"]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    sequences = [item["sequence"] for item in seen]
    assert sequences == sorted(set(sequences), reverse=True)
    assert [item["data"]["left"] for item in seen[:25]] == list(range(24, -1, -1))
    assert seen[-1]["word"] == "operator:tenant:create"
    first = seen[0]
    assert set(first) == {"sequence", "at", "word", "subject", "data", "hash"}
    assert first["at"] == "2027-01-15T08:00:00.000Z"
    assert len(bytes.fromhex(first["hash"])) == 32
    assert first["data"]["name"] == "Zoë <b>"


async def test_entries_are_found_by_subject_and_word(world: World) -> None:
    _, page = await world.get(subject="bnd_1", word="phone:pin:wrong")
    assert [item["data"]["left"] for item in page["items"]] == [15, 5]
    _, page = await world.get(subject="nobody")
    assert page == {"items": [], "next_cursor": None}


async def test_another_tenants_entries_are_not_seen(world: World) -> None:
    _, page = await world.get(1, limit="200")
    assert {item["word"] for item in page["items"]} <= {"operator:tenant:create", "operator:api-key:create"}
    _, page = await world.get(1, subject="bnd_1")
    assert page["items"] == []


@pytest.mark.parametrize(
    "query",
    [
        {"cursor": "x"},
        {"cursor": ""},
        {"cursor": "_" * 11},
        {"cursor": "A" * 17},
        {"limit": "0"},
        {"limit": "201"},
        {"limit": "many"},
        {"word": "phone:pin:forget"},
        {"subject": ""},
        {"subject": "s" * 129},
        {"tenant": "ten_1"},
    ],
)
async def test_odd_queries_are_refused(world: World, query: dict[str, str]) -> None:
    status, problem = await world.get(**query)
    assert (status, problem["code"]) == (400, "invalid-request")


async def test_without_the_scope_nothing_is_read(world: World) -> None:
    _, key = await world.installation.api_keys.create(
        tenant_id=world.banks[0].tenant_id, name="other", scopes=["bindings:read"]
    )
    status, problem = await world.get(key=key.reveal().decode())
    assert (status, problem["code"]) == (403, "forbidden")
    async with world.http.get("/api/v1/audit") as answer:
        assert answer.status == 401


async def test_a_running_gateways_log_verifies_and_ends_with_a_checkpoint(world: World) -> None:
    keys = await audit_public_keys(world.installation.adapter, world.installation.storage)
    report = await service.verify_log(world.installation.storage, keys)
    assert report.entries >= 25
    settings = world.installation.settings
    await world.http.close()
    storage = Storage(settings.resolved_database_url)
    adapter = await open_store(default_store_uri(settings.data))
    report = await service.verify_log(storage, await audit_public_keys(adapter, storage))
    assert report.checkpoints >= 1
    await storage.close()
    await adapter.close()
