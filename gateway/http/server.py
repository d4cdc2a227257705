"""The server assembly: makes one aiohttp application of the route table, the web files and the health routes. The
composition root calls `build_app`. What the table does not open stays closed, and every answer leaves by the edge."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from aiohttp import web

from gateway.core.errors import Problem, ProblemCode
from gateway.http.edge import Edge
from gateway.http.endpoint import Endpoint, EndpointParts, cors_headers
from gateway.http.health import Health
from gateway.http.metrics import Metrics
from gateway.http.openapi import build_openapi
from gateway.http.routing import Route
from gateway.http.static import StaticFiles

PREFLIGHT_AGE_S = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerParts:
    """What the assembly needs. `web_dist` holds phone/, demo/, embed/ and docs/; `mounts` are whole applications by
    prefix (the demo bank); `is_secure` tells that phones and pages come by HTTPS."""

    endpoint: EndpointParts
    metrics: Metrics
    health: Health
    web_dist: Path
    origin: str
    version: str
    is_secure: bool
    max_body_bytes: int
    trusted_proxies: frozenset[str] = frozenset()
    place_header: str | None = None
    mounts: Mapping[str, web.Application] = field(default_factory=dict)


def build_app(routes: Sequence[Route], parts: ServerParts) -> web.Application:
    """Return the application. Raises ValueError when two rows of the table answer the same request."""
    app = web.Application(client_max_size=parts.max_body_bytes)
    Edge(
        metrics=parts.metrics,
        own_pages=tuple(f"{prefix}/" for prefix in parts.mounts),
        is_secure=parts.is_secure,
        trusted_proxies=parts.trusted_proxies,
        place_header=parts.place_header,
    ).install(app)
    _add_routes(app, routes, parts.endpoint)
    parts.health.install(app)
    _add_documents(app, routes, parts)
    _add_web_files(app, parts.web_dist)
    for prefix, mounted in parts.mounts.items():
        app.router.add_get(prefix, _redirect_to(f"{prefix}/"))
        app.add_subapp(f"{prefix}/", mounted)
    return app


def _add_routes(app: web.Application, routes: Sequence[Route], parts: EndpointParts) -> None:
    seen: set[str] = set()
    methods: dict[str, list[str]] = {}
    for route in routes:
        if route.name in seen:
            raise ValueError(f"two routes are called {route.name}")
        seen.add(route.name)
        app.router.add_route(route.method, route.path, Endpoint(route, parts).__call__)
        if route.cross_origin:
            methods.setdefault(route.path, []).append(route.method)
    for path, allowed in methods.items():
        app.router.add_options(path, _Preflight(allowed, parts.cors_origins).__call__)


class _Preflight:
    """Answers what a browser asks before a cross-origin request (Fetch standard, 4.8)."""

    def __init__(self, methods: Sequence[str], origins: frozenset[str]) -> None:
        self._methods = ", ".join(methods)
        self._origins = origins

    async def __call__(self, request: web.Request) -> web.Response:
        headers = cors_headers(request, self._origins)
        if "Access-Control-Allow-Origin" not in headers:
            raise Problem(ProblemCode.FORBIDDEN, "this origin is not allowed: see cors_origins")
        headers["Access-Control-Allow-Methods"] = self._methods
        headers["Access-Control-Allow-Headers"] = (
            "Authorization, Content-Type, Idempotency-Key, Last-Event-ID"
        )
        headers["Access-Control-Max-Age"] = str(PREFLIGHT_AGE_S)
        return web.Response(status=204, headers=headers)


def _add_documents(app: web.Application, routes: Sequence[Route], parts: ServerParts) -> None:
    document = msgspec.json.encode(build_openapi(routes, server=parts.origin, version=parts.version))

    async def openapi(_: web.Request) -> web.Response:
        return web.Response(body=document, content_type="application/json")

    async def problem(request: web.Request) -> web.Response:
        for kind in ProblemCode:
            if kind.code == request.match_info["code"]:
                return web.Response(
                    text=f"{kind.title} ({kind.code}, HTTP {kind.status})\n{kind.next_step}\n"
                )
        raise Problem(ProblemCode.NOT_FOUND)

    app.router.add_get("/openapi.json", openapi)
    app.router.add_get("/problems/{code}", problem)


def _add_web_files(app: web.Application, dist: Path) -> None:
    app.router.add_get("/", _redirect_to("/docs/"))
    app.router.add_get("/a", _redirect_to("/phone/"))
    for name in ("phone", "docs", "embed"):
        files = StaticFiles(dist / name, cross_origin=name == "embed")
        if name != "embed":
            app.router.add_get(f"/{name}", _redirect_to(f"/{name}/"))
        app.router.add_get(f"/{name}/{{tail:.*}}", files.handle)


class _Redirect:
    """Sends the browser elsewhere on this server. A fragment survives (RFC 9110 section 10.2.2)."""

    def __init__(self, place: str) -> None:
        self._place = place

    async def __call__(self, _: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": self._place})


def _redirect_to(place: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    return _Redirect(place).__call__
