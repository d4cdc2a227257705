"""What is served while the gateway cannot open its key store: `/healthz` says that the process lives, `/readyz` why it
is not ready, and everything else is refused as unavailable. `gateway.starting` makes one and drops it for the real
application. It holds no route of that and reads no body."""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from gateway.core.clock import Clock
from gateway.core.errors import Problem, ProblemCode
from gateway.http.edge import Edge
from gateway.http.health import Check, Health
from gateway.http.metrics import Metrics
from gateway.http.problems import RETRY_S

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build_waiting_app(
    checks: Mapping[str, Check], *, clock: Clock, is_secure: bool, trusted_proxies: frozenset[str]
) -> web.Application:
    """Return the application; `checks` say on `/readyz` what it waits for."""
    metrics = Metrics()
    health = Health(checks=checks, metrics=metrics, metrics_token=None, clock=clock)
    app = web.Application()
    Edge(metrics=metrics, own_pages=(), is_secure=is_secure, trusted_proxies=trusted_proxies).install(app)
    app.middlewares.append(_once_each)
    app.router.add_get("/healthz", health.alive)
    app.router.add_get("/readyz", health.ready)
    app.router.add_route("*", "/{tail:.*}", _refuse)
    return app


@web.middleware
async def _once_each(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """One answer a connection: the next one may already belong to the real application."""
    response = await handler(request)
    response.force_close()
    return response


async def _refuse(_: web.Request) -> web.StreamResponse:
    raise Problem(
        ProblemCode.UNAVAILABLE,
        "the gateway starts: its key store does not answer yet",
        next_step="Try again shortly; whoever runs the gateway finds the reason at /readyz.",
        retry_after=RETRY_S,
    )
