"""Webhooks on a real SQLite, with a receiving server on loopback: outbox, sender and list, wired."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.core.clock import ManualClock
from gateway.core.events import Fact
from gateway.core.transaction import Transaction
from gateway.storage.engine import Storage
from gateway.storage.schema import metadata, to_millis
from gateway.webhooks.models import DeliveryState
from gateway.webhooks.sender import WebhookSender
from gateway.webhooks.service import WebhookOutbox, WebhookService
from hsm_adapters.errors import HsmError, HsmUnavailable, UnwrapFailed

TENANT = "ten_test"


class CellSealer:
    """Stands for gateway/keys: opens only for the cell that was sealed, and not while the key store is away."""

    is_away = False
    outage: type[HsmError] = HsmUnavailable
    asked = 0

    async def seal(self, plaintext: bytes, *, table: str, column: str, row: str) -> bytes:
        return f"{table}|{column}|{row}|".encode() + plaintext

    async def open(self, blob: bytes, *, table: str, column: str, row: str) -> bytes:
        self.asked += 1
        if self.is_away:
            raise self.outage("the key store does not answer")
        prefix = f"{table}|{column}|{row}|".encode()
        if not blob.startswith(prefix):
            raise UnwrapFailed("made for another cell")
        return blob.removeprefix(prefix)


class ListJournal:
    """Keeps facts."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []

    def record(self, tx: Transaction, fact: Fact) -> None:
        self.facts.append(fact)


class Receiver:
    """The bank's webhook address; answers what it is told to, first to last, then 204."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.silence = asyncio.Event()

    async def keep_silent(self, _: web.Request) -> web.Response:
        await self.silence.wait()
        return web.Response(status=204)

    async def receive(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        status = self.answers.pop(0) if self.answers else 204
        headers = {"Location": "/elsewhere"} if status == 302 else {}
        return web.Response(status=status, headers=headers)


class Bench:
    """Everything a test needs, wired."""

    def __init__(self, storage: Storage, receiver: Receiver, url: str) -> None:
        self.storage, self.receiver, self.url = storage, receiver, url
        self.clock = ManualClock()
        self.journal = ListJournal()
        self.outbox = WebhookOutbox(random=os.urandom)
        self.sealer = CellSealer()
        common: dict[str, Any] = {
            "storage": storage,
            "sealer": self.sealer,
            "journal": self.journal,
            "outbox": self.outbox,
            "clock": self.clock,
            "random": os.urandom,
            "is_inside_allowed": True,
        }
        self.service = WebhookService(**common)
        self.make_sender = lambda: WebhookSender(**common)

    async def tell(self, kind: str = "activation.active", **data: str) -> None:
        def unit(tx: Transaction) -> None:
            now = to_millis(self.clock.now())
            self.outbox.enqueue(tx, tenant_id=TENANT, kind=kind, data=data, at_ms=now)

        await self.storage.write(unit)

    async def states(self) -> list[tuple[DeliveryState, int]]:
        found = await self.service.deliveries(tenant_id=TENANT, state=None, before=None, limit=50)
        return [(delivery.state, delivery.attempts) for delivery in found]

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(20):
            while not (await condition()):
                await asyncio.sleep(0.01)

    @contextlib.asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.make_sender().run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@contextlib.asynccontextmanager
async def running_bench(folder: Path) -> AsyncIterator[Bench]:
    """Open a fresh database, and serve a receiver."""
    storage = Storage(f"sqlite:///{folder}/test.db")
    await storage.write(lambda tx: metadata.create_all(tx._connection))  # type: ignore[attr-defined]
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/in", receiver.receive)
    app.router.add_post("/silent", receiver.keep_silent)
    app.router.add_route("*", "/elsewhere", receiver.receive)
    server = TestServer(app)
    await server.start_server()
    yield Bench(storage, receiver, str(server.make_url("/in")))
    await server.close()
    await storage.close()
