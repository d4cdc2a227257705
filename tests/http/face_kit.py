"""The HTTP face alone, on loopback: the real assembly, middleware, authentication, limits and idempotency over a real
SQLite, with a few routes of the tests' own. Time moves when told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import msgspec
from aiohttp import web
from msgspec import Meta

from gateway.bus.events import EventLog
from gateway.core.clock import ManualClock
from gateway.core.errors import Problem, ProblemCode
from gateway.core.events import Fact
from gateway.core.principals import ApiKeyPrincipal, PagePrincipal, digest_token
from gateway.core.secrets import system_random
from gateway.core.transaction import Transaction
from gateway.http.auth import Authenticator
from gateway.http.endpoint import EndpointParts
from gateway.http.health import Check, Health
from gateway.http.idempotency import Idempotency
from gateway.http.limits import RateLimiter
from gateway.http.metrics import Metrics
from gateway.http.pages import PageParams, decode_cursor, next_cursor
from gateway.http.routing import ApiRequest, Auth, Route
from gateway.http.server import ServerParts, build_app
from gateway.http.sse import EventStreams
from gateway.http.wire import GatewayRunner
from gateway.settings import DEFAULT_LIMITS, RateLimit
from gateway.storage.engine import Storage
from gateway.tables import metadata
from gateway.tenants.service import ApiKeyService, TenantService
from hsm_adapters.errors import HsmUnavailable

BANK_ORIGIN = "https://bank.example"
PAGE_TOKEN = "ptk_" + 43 * "p"


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body."""

    name: Annotated[str, Meta(min_length=1, max_length=20)]
    count: Annotated[int, Meta(ge=0, le=10)] = 1
    tree: list[Any] = []


class Receipt(msgspec.Struct, frozen=True):
    """An answer that differs each time it is made."""

    name: str
    number: int
    secret: str


class Items(msgspec.Struct, frozen=True):
    """A page of a list."""

    items: list[int]
    next_cursor: str | None


@dataclass
class Pages:
    """Page tokens of the test."""

    known: dict[bytes, PagePrincipal] = field(default_factory=dict)
    asked: int = 0

    async def find_principal(self, digest: bytes) -> PagePrincipal | None:
        self.asked += 1
        return self.known.get(digest)


class NoAudit:
    """The face alone has no audit log."""

    def record(self, tx: Transaction, fact: Fact) -> None:
        return None


@dataclass
class Face:
    """What a test holds."""

    url: str
    clock: ManualClock
    storage: Storage
    events: EventLog
    streams: EventStreams
    session: aiohttp.ClientSession
    api_keys: ApiKeyService
    pages: Pages
    limiter: RateLimiter
    tenant: str
    key: str
    made: list[str]
    gate: asyncio.Event
    runner: GatewayRunner
    idempotency: Idempotency

    def bearer(self, token: str | None = None) -> dict[str, str]:
        return {"Authorization": f"Bearer {token or self.key}"}

    async def ask(
        self,
        method: str,
        path: str,
        *,
        token: str | None = "",
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> tuple[int, Any, Any]:
        """Return status, body (decoded when JSON) and headers. `token` None sends none, empty the API key."""
        sent = dict(headers or {})
        if token is not None:
            sent |= self.bearer(token or None)
        async with self.session.request(
            method, f"{self.url}{path}", headers=sent, allow_redirects=False, **more
        ) as answer:
            raw = await answer.read()
            is_json = "json" in answer.headers.get("Content-Type", "")
            return answer.status, msgspec.json.decode(raw) if is_json else raw, answer.headers

    async def new_key(self, *scopes: str, life_days: int | None = None) -> tuple[str, str]:
        """Return id and text of a fresh API key."""
        key, text = await self.api_keys.create(
            tenant_id=self.tenant, name="test", scopes=scopes, life_days=life_days
        )
        return key.id, text.reveal().decode()


def table(
    made: list[str], gate: asyncio.Event, streams: Callable[[], EventStreams], storage: Storage
) -> list[Route]:
    """Return the table: one route of each kind."""

    async def hello(request: ApiRequest) -> Receipt:
        return Receipt(str(request.remote), 0, "")

    async def order(request: ApiRequest) -> Receipt:
        wish: Order = request.body
        if wish.name == "slow":
            await gate.wait()
        if wish.name == "broken" and not made:
            made.append("broken")
            raise RuntimeError("a secret in an exception's text")
        if wish.name.startswith("stored"):
            await storage.write(lambda _: made.append(wish.name))
            if wish.name == "stored, then slow":
                await gate.wait()
            if wish.name == "stored, then broken":
                raise RuntimeError("after the change")
            return Receipt(wish.name, len(made), "")
        made.append(wish.name)
        if wish.name == "taken":
            raise Problem(ProblemCode.CONFLICT, "taken already", left=2)
        return Receipt(wish.name, len(made), "ptk_" + 43 * "s")

    async def fail(request: ApiRequest) -> Receipt:
        kind = request.match["kind"]
        if kind == "hsm":
            raise HsmUnavailable("slot 4 of token XYZ")
        if kind == "http":
            raise web.HTTPNotAcceptable(text="inner text")
        if kind == "connection":
            raise ConnectionResetError("peer")
        raise RuntimeError("a secret in an exception's text")

    async def browse(request: ApiRequest) -> Items:
        params: PageParams = request.params
        start = 0
        if params.cursor is not None:
            (start,) = decode_cursor(params.cursor, of="numbers", shape=tuple[int])
        found = list(range(start, min(start + params.limit + 1, 25)))
        shown = found[: params.limit]
        place = (shown[-1] + 1,) if shown else None
        return Items(shown, next_cursor(found, params.limit, place=place, of="numbers"))

    async def follow(request: ApiRequest) -> web.StreamResponse:
        return await streams().stream_events(
            request, ["topic:1"], from_start=request.query.get("from") == "start"
        )

    async def nothing(_: ApiRequest) -> None:
        return None

    def who(kind: str) -> Callable[[ApiRequest], Awaitable[Receipt]]:
        async def tell(request: ApiRequest) -> Receipt:
            key = request.principal.key_id if isinstance(request.principal, ApiKeyPrincipal) else kind
            return Receipt(key, 0, request.tenant_id)

        return tell

    page = {"auth": Auth.EITHER, "cross_origin": True}
    return [
        Route("GET", "/t/hello", hello, auth=Auth.PUBLIC, response=Receipt, limit="public"),
        Route(
            "POST", "/t/orders", order, request=Order, response=Receipt, status=201, scope="activations:write"
        ),
        Route("POST", "/t/page-orders", order, **page, request=Order, response=Receipt),  # type: ignore[arg-type]
        Route("GET", "/t/fail/{kind}", fail, auth=Auth.PUBLIC, response=Receipt),
        Route("GET", "/t/numbers", browse, params=PageParams, response=Items),
        Route("GET", "/t/stream", follow, auth=Auth.PAGE_TOKEN, stream=True, cross_origin=True),
        Route("DELETE", "/t/nothing/{id}", nothing),
        Route("GET", "/t/key-only", who("key"), response=Receipt, scope="audit:read"),
        Route("GET", "/t/page-only", who("page"), auth=Auth.PAGE_TOKEN, response=Receipt),
        Route("GET", "/t/either", who("either"), **page, response=Receipt),  # type: ignore[arg-type]
        Route("GET", "/t/tight", who("tight"), response=Receipt, limit="tight"),
        Route("GET", "/t/tight-scope", who("tight"), response=Receipt, limit="tight", scope="audit:read"),
        Route("POST", "/t/guess/{id}", nothing, auth=Auth.EITHER, limit="guess"),
    ]


@contextlib.asynccontextmanager
async def running_face(
    folder: Path,
    *,
    checks: dict[str, Check] | None = None,
    web_dist: Path | None = None,
    metrics_token: str | None = None,
    trusted_proxies: Sequence[str] = (),
    retention_s: int = 3600,
    heartbeat_s: float = 15.0,
    limits: dict[str, RateLimit] | None = None,
) -> AsyncIterator[Face]:
    """Serve the face with one tenant, one key for everything and one page token."""
    clock, pages, metrics = ManualClock(), Pages(), Metrics()
    made: list[str] = []
    gate = asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        storage = Storage(f"sqlite:///{folder / 'face.db'}")
        stack.push_async_callback(storage.close)
        await storage.write(lambda tx: metadata.create_all(tx.connection))
        events = EventLog(storage=storage, clock=clock, retention_s=retention_s, shared=False)
        await stack.enter_async_context(events.running())
        streams = EventStreams(
            subscribe=events.subscribe, clock=clock, max_streams=12, heartbeat_s=heartbeat_s
        )
        common: dict[str, Any] = {
            "storage": storage,
            "journal": NoAudit(),
            "clock": clock,
            "random": system_random,
        }
        api_keys = ApiKeyService(**common)

        async def no_key(tenant_id: str) -> None:
            return None

        tenant = await TenantService(**common, make_key=no_key).create("Banque du Test")
        limiter = RateLimiter(clock=clock, max_callers=50)
        idempotency = Idempotency(storage=storage, clock=clock, random=system_random)
        app = build_app(
            table(made, gate, lambda: streams, storage),
            ServerParts(
                endpoint=EndpointParts(
                    authenticator=Authenticator(api_keys=api_keys, page_tokens=pages, clock=clock),
                    limiter=limiter,
                    limits=DEFAULT_LIMITS | {"tight": RateLimit(3, 60)} | (limits or {}),
                    idempotency=idempotency,
                    cors_origins=frozenset({BANK_ORIGIN}),
                ),
                metrics=metrics,
                health=Health(checks=checks or {}, metrics=metrics, metrics_token=metrics_token, clock=clock),
                web_dist=web_dist or folder / "no-dist",
                origin="https://gateway.example",
                version="0.0.0",
                is_secure=True,
                max_body_bytes=65_536,
                trusted_proxies=frozenset(trusted_proxies),
            ),
        )

        async def stop_streams(_: web.Application) -> None:
            events.close()

        app.on_shutdown.append(stop_streams)
        runner = GatewayRunner(app, access_log=None, shutdown_timeout=5)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        session = await stack.enter_async_context(aiohttp.ClientSession())
        _, key = await api_keys.create(tenant_id=tenant.id, name="all", scopes=["*"])
        pages.known[digest_token(PAGE_TOKEN)] = PagePrincipal(
            tenant.id, "pag_1", "act_1", None, int(clock.now() * 1000) + 900_000
        )
        yield Face(
            url=f"http://127.0.0.1:{runner.addresses[0][1]}",
            clock=clock,
            storage=storage,
            events=events,
            streams=streams,
            session=session,
            api_keys=api_keys,
            pages=pages,
            limiter=limiter,
            tenant=tenant.id,
            key=key.reveal().decode(),
            made=made,
            gate=gate,
            runner=runner,
            idempotency=idempotency,
        )
        gate.set()
