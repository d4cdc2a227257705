"""A whole installation on each database, with two nodes where that matters: tenants and keys, idempotent answers, and
webhooks that are sent by one node only."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from gateway.core.clock import ManualClock, SystemClock
from gateway.core.errors import Problem, ProblemCode
from gateway.core.events import AuditWord, Fact
from gateway.core.principals import digest_token
from gateway.core.secrets import system_random
from gateway.http.idempotency import LEASE_S, Answer, Claim, Idempotency
from gateway.installation import Installation, open_installation
from gateway.settings import Settings
from gateway.storage.migrate import migrate
from gateway.webhooks.sender import WebhookSender

Node = Installation


@pytest.fixture
async def nodes(database_url: str, tmp_path: Path) -> AsyncIterator[list[Node]]:
    """Two nodes over one database and one key store."""
    await asyncio.to_thread(migrate, database_url)
    settings = Settings(data=str(tmp_path / "data"), database_url=database_url, webhook_private=True)
    async with contextlib.AsyncExitStack() as stack:
        opened = []
        for _ in range(2):
            opening = open_installation(settings, clock=SystemClock(), random=system_random)
            opened.append(await stack.enter_async_context(opening))
        yield opened


async def test_key_made_on_one_node_opens_the_other(nodes: list[Node]) -> None:
    tenant = await nodes[0].tenants.create("Banque du Nord")
    assert await nodes[1].tenants.find(tenant.id) == tenant
    assert await nodes[1].tenants.list() == [tenant]
    key, text = await nodes[0].api_keys.create(tenant_id=tenant.id, name="k", scopes=["audit:read"])
    digest = digest_token(text.reveal().decode())
    found = await nodes[1].api_keys.find_principal(digest)
    assert found is not None
    assert (found[0].tenant_id, found[0].scopes) == (tenant.id, {"audit:read"})
    await nodes[1].api_keys.revoke(key.id)
    assert await nodes[0].api_keys.find_principal(digest) is None
    with pytest.raises(Problem) as caught:
        await nodes[0].api_keys.revoke(key.id)
    assert caught.value.kind is ProblemCode.CONFLICT


async def test_same_request_on_two_nodes_runs_on_one(nodes: list[Node]) -> None:
    stores = [Idempotency(storage=node.storage, clock=node.clock, random=system_random) for node in nodes]

    async def begin(store: Idempotency) -> Claim | Answer | Problem:
        try:
            return await store.begin(
                key="one", credential="c", tenant_id="ten_x", route="POST /x", path="/x", body=b"{}"
            )
        except Problem as problem:
            return problem

    got = await asyncio.gather(*(begin(store) for store in stores * 10))
    claims = [each for each in got if isinstance(each, Claim)]
    assert len(claims) == 1
    assert all(each.kind is ProblemCode.CONFLICT for each in got if isinstance(each, Problem))
    answer = Answer(201, "application/json", b'{"a":1}')
    await stores[0].finish(claims[0], answer)
    assert [await begin(store) for store in stores] == [answer, answer]


async def test_change_of_a_node_that_died_before_its_answer_is_made_on_no_other(nodes: list[Node]) -> None:
    clock = ManualClock()
    stores = [Idempotency(storage=node.storage, clock=clock, random=system_random) for node in nodes]

    async def begin(store: Idempotency) -> Claim:
        claim = await store.begin(
            key="one", credential="c", tenant_id="ten_x", route="POST /x", path="/x", body=b""
        )
        assert isinstance(claim, Claim)
        return claim

    late = await begin(stores[0])
    clock.advance(LEASE_S + 1)
    dead = await begin(stores[1])
    with stores[0].covering(late), pytest.raises(Problem, match="taken this request's place"):
        await nodes[0].tenants.create("Banque du Nord")
    with stores[1].covering(dead):
        await nodes[1].tenants.create("Banque du Sud")
    await stores[1].abandon(dead)
    for store in stores:
        with pytest.raises(Problem) as caught:
            await begin(store)
        assert caught.value.kind is ProblemCode.IDEMPOTENCY_OUTCOME_UNKNOWN
    assert [tenant.name for tenant in await nodes[0].tenants.list()] == ["Banque du Sud"]


async def test_each_webhook_is_sent_by_one_node(nodes: list[Node]) -> None:
    received: list[str] = []

    async def receive(request: web.Request) -> web.Response:
        received.append(request.headers["webhook-id"])
        await asyncio.sleep(0.01)
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", receive)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    tenant = await nodes[0].tenants.create("Banque du Nord")
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    await nodes[0].webhooks.create(tenant_id=tenant.id, url=url, events=())
    tasks = [
        asyncio.create_task(
            WebhookSender(
                storage=node.storage,
                sealer=node.sealer,
                journal=node.journal,
                outbox=node.outbox,
                clock=node.clock,
                random=system_random,
                is_inside_allowed=True,
            ).run()
        )
        for node in nodes
    ]
    fact = Fact(tenant.id, AuditWord.BANK_WEBHOOK_CREATE, "s", {}, event="binding.active", webhook=True)
    for _ in range(30):
        await asyncio.gather(
            *(node.storage.write(lambda tx, n=node: n.journal.record(tx, fact)) for node in nodes)
        )
    for _ in range(400):
        if len(set(received)) >= 60:
            break
        await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await runner.cleanup()
    assert len(received) == len(set(received)) == 60
