"""A whole gateway on loopback for tests: the real route table and middlewares, SQLite on disk, the software key store,
a clock that moves when told. `restart` makes it anew over the same database and keys, as after a kill."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp
from aiohttp import web

from gateway.audit.store import AuditChain
from gateway.bus.events import EventLog
from gateway.bus.journal import RecordingJournal
from gateway.capabilities import Capabilities, Ground, build_capabilities
from gateway.core.clock import ManualClock
from gateway.core.secrets import system_random
from gateway.http.auth import Authenticator
from gateway.http.endpoint import EndpointParts
from gateway.http.health import Health
from gateway.http.idempotency import Idempotency
from gateway.http.limits import RateLimiter
from gateway.http.metrics import Metrics
from gateway.http.server import ServerParts, build_app
from gateway.http.sse import EventStreams
from gateway.keys.service import ensure_keys, ensure_tenant_key
from gateway.phone.client import Person, PhoneClient
from gateway.phone.errors import ConnectionLost
from gateway.phone.store import MemoryStore
from gateway.phone.transport import Network, Site
from gateway.settings import DEFAULT_LIMITS, RateLimit, Settings
from gateway.storage.engine import Storage
from gateway.storage.migrate import migrate
from gateway.tenants.service import ApiKeyService, TenantService
from hsm_adapters.software import SoftwareAdapter

HOST = "bank.example"
PIN = "749205"


@dataclass
class Running:
    """One run of the gateway."""

    storage: Storage
    capabilities: Capabilities
    runner: web.AppRunner
    stack: contextlib.AsyncExitStack
    url: str


@dataclass
class GatewayKit:
    """The gateway, its bank's credentials, and a factory of phones."""

    folder: Path
    clock: ManualClock = field(default_factory=ManualClock)
    settings: Settings = field(default_factory=lambda: Settings(public_host=HOST, production=True))
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

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.folder / 'tessera.db'}"

    @property
    def key_uri(self) -> str:
        return f"software:file={self.folder}/keys.tessera?key-source=file:{self.folder}/keys.key"

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, folder: Path, **settings: Any) -> AsyncIterator[Self]:
        """Set up an installation with one bank, and serve it."""
        kit = cls(folder, settings=Settings(public_host=HOST, production=True, **settings))
        await asyncio.to_thread(migrate, kit.database_url)
        await (await SoftwareAdapter.create(kit.key_uri)).close()
        async with aiohttp.ClientSession() as kit.http:
            await kit.start()
            try:
                yield kit
            finally:
                await kit.stop()

    async def start(self) -> None:
        """Serve."""
        stack = contextlib.AsyncExitStack()
        storage = Storage(self.database_url)
        stack.push_async_callback(storage.close)
        adapter = await SoftwareAdapter.open(self.key_uri)
        stack.push_async_callback(adapter.close)
        events = EventLog(storage=storage, clock=self.clock, retention_s=3600, shared=False)
        journal = RecordingJournal(audit=AuditChain().append, events=events, outbox=None, clock=self.clock)
        common: dict[str, Any] = {"storage": storage, "journal": journal, "clock": self.clock}

        async def make_key(tenant_id: str) -> object:
            return await ensure_tenant_key(adapter, tenant_id)

        tenants = TenantService(**common, make_key=make_key, random=system_random)
        api_keys = ApiKeyService(**common, random=system_random)
        streams = EventStreams(subscribe=events.subscribe, clock=self.clock, max_streams=50)
        capabilities = build_capabilities(
            Ground(
                settings=self.settings,
                random=system_random,
                events=events,
                streams=streams,
                adapter=adapter,
                installation_keys=await ensure_keys(adapter),
                tenants=tenants,
                **common,
            )
        )
        await stack.enter_async_context(events.running())
        await stack.enter_async_context(capabilities.running())
        if not self.tenant_id:
            self.tenant_id = (await tenants.create("Banque du Nord")).id
            _, key = await api_keys.create(tenant_id=self.tenant_id, name="test", scopes=["*"])
            self.api_key = key.reveal().decode()
        runner = web.AppRunner(self._app(capabilities, api_keys, storage))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        self.run = Running(storage, capabilities, runner, stack, f"http://127.0.0.1:{port}")

    def _app(self, capabilities: Capabilities, api_keys: ApiKeyService, storage: Storage) -> web.Application:
        metrics = Metrics()
        limits = dict.fromkeys(DEFAULT_LIMITS, RateLimit(1_000_000, 60))
        return build_app(
            capabilities.routes,
            ServerParts(
                endpoint=EndpointParts(
                    authenticator=Authenticator(
                        api_keys=api_keys, page_tokens=capabilities.page_tokens, clock=self.clock
                    ),
                    limiter=RateLimiter(clock=self.clock),
                    limits=limits | dict(self.settings.limits),
                    idempotency=Idempotency(storage=storage, clock=self.clock, random=system_random),
                    cors_origins=frozenset(),
                ),
                metrics=metrics,
                health=Health(checks={}, metrics=metrics, metrics_token=None),
                web_dist=self.folder,
                origin=self.settings.origin,
                version="0",
                is_secure=True,
                max_body_bytes=65_536,
            ),
        )

    async def stop(self) -> None:
        """Stop serving; the database and the keys stay."""
        if self.run is None:
            return
        run, self.run = self.run, None
        await run.capabilities.door.close()
        await run.runner.cleanup()
        await run.stack.aclose()

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
