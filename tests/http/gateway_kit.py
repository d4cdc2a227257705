"""A whole gateway on loopback for tests: the real route table and middlewares, SQLite on disk, the software key store,
a clock that moves when told. `restart` makes it anew over the same database and keys, as after a kill."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp
from aiohttp import web

from gateway.app import CAPABILITIES, INSTALLATION, create_app
from gateway.capabilities import Capabilities
from gateway.core.clock import ManualClock
from gateway.core.secrets import system_random
from gateway.installation import Installation
from gateway.phone.client import Person, PhoneClient
from gateway.phone.errors import ConnectionLost
from gateway.phone.store import MemoryStore
from gateway.phone.transport import Network, Site
from gateway.settings import DEFAULT_LIMITS, RateLimit, Settings

HOST = "bank.example"
PIN = "749205"


def settings_in(folder: Path, **settings: Any) -> Settings:
    """Return settings of a gateway in a folder, whose rate limits are out of the way."""
    generous = {name: RateLimit(1_000_000, 60) for name in DEFAULT_LIMITS}
    return Settings(
        **{"data": str(folder), "public_host": HOST, "tls_cert": None, "limits": generous, **settings}
    )


@dataclass
class Running:
    """One run of the gateway."""

    capabilities: Capabilities
    installation: Installation
    runner: web.AppRunner
    url: str


@dataclass
class GatewayKit:
    """The gateway, its bank's credentials, and a factory of phones."""

    settings: Settings
    clock: ManualClock = field(default_factory=ManualClock)
    api_key: str = ""
    tenant_id: str = ""
    run: Running | None = None
    http: aiohttp.ClientSession | None = None

    @property
    def now(self) -> Running:
        assert self.run is not None
        return self.run

    @property
    def session(self) -> aiohttp.ClientSession:
        assert self.http is not None
        return self.http

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, folder: Path, **settings: Any) -> AsyncIterator[Self]:
        """Set up an installation with one bank, and serve it."""
        kit = cls(settings_in(folder, **settings))
        async with aiohttp.ClientSession() as kit.http:
            await kit.start()
            try:
                yield kit
            finally:
                await kit.stop()

    async def start(self) -> None:
        """Serve."""
        app = await create_app(self.settings, clock=self.clock, random=system_random)
        installation = app[INSTALLATION]
        if not self.tenant_id:
            self.tenant_id = (await installation.tenants.create("Banque du Nord")).id
            _, key = await installation.api_keys.create(tenant_id=self.tenant_id, name="test", scopes=["*"])
            self.api_key = key.reveal().decode()
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        self.run = Running(app[CAPABILITIES], installation, runner, f"http://127.0.0.1:{port}")

    async def stop(self) -> None:
        """Stop serving; the database and the keys stay."""
        if self.run is None:
            return
        run, self.run = self.run, None
        await run.runner.cleanup()

    async def restart(self) -> None:
        """Stop, and serve anew over the same database and keys, at another port."""
        await self.stop()
        await self.start()

    # What the bank does ------------------------------------------------------------------------------------

    async def call(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, status: int | None = 200
    ) -> Any:
        """Call the API and return the JSON; the status must be `status`."""
        headers = {"Authorization": f"Bearer {token or self.api_key}"}
        async with self.session.request(method, self.now.url + path, json=body, headers=headers) as answer:
            text = await answer.text()
            assert status is None or answer.status == status, (answer.status, text)
            return await answer.json(content_type=None) if text else None

    async def begin(self, **wish: Any) -> dict[str, Any]:
        """Start an activation; the answer's JSON."""
        body = {"user": "user-1", "label": "Compte courant", **wish}
        started: dict[str, Any] = await self.call("POST", "/api/v1/activations", body, status=201)
        return started

    async def code(self, activation: str, *, form: str = "qr", token: str | None = None) -> dict[str, Any]:
        """Return the code to show."""
        shown: dict[str, Any] = await self.call(
            "GET", f"/api/v1/activations/{activation}/code?form={form}", token=token
        )
        return shown

    async def confirm(self, activation: str, code: str, *, status: int | None = 200) -> Any:
        """Type the device code at the desktop."""
        path = f"/api/v1/activations/{activation}/confirm"
        return await self.call("POST", path, {"code": code}, status=status)

    async def activation(self, activation: str) -> dict[str, Any]:
        """Read an activation."""
        found: dict[str, Any] = await self.call("GET", f"/api/v1/activations/{activation}")
        return found

    async def bindings(self, query: str = "") -> list[dict[str, Any]]:
        """List bindings."""
        page = await self.call("GET", f"/api/v1/bindings{query}")
        items: list[dict[str, Any]] = page["items"]
        return items

    # What the customer does ---------------------------------------------------------------------------------

    def phone(
        self, name: str = "Téléphone de Zoé", *, store: MemoryStore | None = None, cut: Cut | None = None
    ) -> PhoneClient:
        """Make a phone that talks to this gateway over sockets of its own, and loses what `cut` says."""

        def url() -> str:
            return self.now.url

        network = MovingNetwork(url, self.session) if cut is None else CuttingNetwork(url, self.session, cut)
        return PhoneClient(
            store=store or MemoryStore(),
            network=network,
            random=system_random,
            clock=self.clock,
            person=Person(name, "fr"),
        )


class MovingNetwork(Network):
    """Finds the gateway where it serves now, since a restart takes another port."""

    def __init__(self, url: Callable[[], str], http: aiohttp.ClientSession) -> None:
        super().__init__(Site(HOST, url()), http)
        self._url = url

    async def connect(self) -> Any:
        self.site = Site(HOST, self._url())
        return await super().connect()


class Cut:
    """Loses one frame: the `number`th that the phone sends (from 1), or, `is_answer`, what comes back for it. Then
    `happens` runs, while the phone has no connection."""

    def __init__(self, number: int, *, is_answer: bool, happens: Callable[[], Awaitable[None]]) -> None:
        self.left = number
        self.is_answer = is_answer
        self.happens = happens
        self.is_done = False


class CuttingNetwork(MovingNetwork):
    """Loses what its Cut says, once."""

    def __init__(self, url: Callable[[], str], http: aiohttp.ClientSession, cut: Cut) -> None:
        super().__init__(url, http)
        self.cut = cut

    async def connect(self) -> Any:
        return CutSocket(await super().connect(), self.cut)


class CutSocket:
    """A frame socket that may break."""

    def __init__(self, inner: Any, cut: Cut) -> None:
        self._inner = inner
        self._cut = cut

    async def send(self, frame: bytes) -> None:
        cut = self._cut
        cut.left -= 1
        if cut.left != 0 or cut.is_done:
            await self._inner.send(frame)
            return
        cut.is_done = True
        if cut.is_answer:
            await self._inner.send(frame)
            await self._inner.receive(10)
        await self._inner.close()
        await cut.happens()
        raise ConnectionLost("cut")

    async def receive(self, timeout: float | None = None) -> bytes:
        frame: bytes = await self._inner.receive(timeout)
        return frame

    async def close(self) -> None:
        await self._inner.close()
