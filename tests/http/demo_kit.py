"""The demo bank over a gateway of the test's own, which answers by order and remembers what it was asked."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.core.clock import ManualClock
from gateway.core.secrets import Secret
from gateway.demo import DemoBankConfig, create_demo_bank

WEBHOOK_KEY = bytes(range(32))
IBAN = "FR76 3000 4000 0312 3456 7890 143"
PAYMENT = {"payee": "EDF", "account": IBAN, "amount": "12,50", "currency": "EUR", "purpose": ""}


class RecordingGateway:
    """Answers the calls that the bank makes, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any], str | None, str | None]] = []
        self.has_phone = False
        self.approval: dict[str, Any] = {}
        self.problem: tuple[int, dict[str, Any]] | None = None
        self.is_down = False

    async def list(self, _: web.Request) -> web.Response:
        """The customer's phones, or how a request stands."""
        return web.json_response({"items": [{"id": "bnd_1"}] if self.has_phone else []})

    async def read(self, _: web.Request) -> web.Response:
        if self.is_down:
            raise web.HTTPServiceUnavailable()
        return web.json_response(self.approval)

    async def answer(self, request: web.Request) -> web.Response:
        headers = request.headers
        self.asked.append(
            (request.path, await request.json(), headers.get("Authorization"), headers.get("Idempotency-Key"))
        )
        if self.problem is not None:
            status, problem = self.problem
            return web.json_response(problem, status=status)
        if request.path == "/api/v1/approvals":
            wish = await request.json()
            self.approval = {"id": f"apr_{len(self.asked)}", "state": "pending", **wish}
            return web.json_response({"approval": self.approval, "page_token": "ptk_a"}, status=201)
        return web.json_response({"page_token": "ptk_x"}, status=201)


class Banks:
    """Starts the bank over one gateway, as often as it is wanted, with its books in one file."""

    def __init__(self, gateway: TestServer, clock: ManualClock, ledger: Path) -> None:
        self._gateway = gateway
        self._clock = clock
        self._ledger = ledger

    @asynccontextmanager
    async def open(self) -> AsyncIterator[TestClient[Any, Any]]:
        """Serve one bank."""
        config = DemoBankConfig(
            api_base=str(self._gateway.make_url("/")),
            api_key=Secret(b"tsk_test"),
            webhook_secret=Secret(b"whsec_" + base64.b64encode(WEBHOOK_KEY)),
            session_key=Secret(bytes(32)),
            clock=self._clock,
            pages=None,
            ledger=self._ledger,
        )
        app = web.Application()
        app.add_subapp("/demo/", create_demo_bank(config))
        async with TestClient(TestServer(app)) as client:
            yield client


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[Banks, RecordingGateway, ManualClock]]:
    recording = RecordingGateway()
    gateway = web.Application()
    gateway.router.add_post("/api/v1/{rest:.*}", recording.answer)
    gateway.router.add_get("/api/v1/bindings", recording.list)
    gateway.router.add_get("/api/v1/approvals/{id}", recording.read)
    server = TestServer(gateway)
    await server.start_server()
    clock = ManualClock()
    yield Banks(server, clock, tmp_path / "ledger.json"), recording, clock
    await server.close()


@pytest.fixture
async def bank(served: Any) -> AsyncIterator[tuple[TestClient[Any, Any], RecordingGateway, ManualClock]]:
    banks, recording, clock = served
    async with banks.open() as client:
        yield client, recording, clock


async def log_in(client: TestClient[Any, Any]) -> str:
    answer = await client.post("/demo/api/login", json={"user": "claire", "password": "tessera"})
    assert answer.status == 200
    return str((await answer.json())["csrf"])
