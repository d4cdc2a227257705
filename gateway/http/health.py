"""Health for whoever runs the gateway: `/healthz` says that the process answers, `/readyz` that it can serve (each
check by name, with the reason when it fails), `/metrics` tells numbers to loopback callers or to a bearer of the
token."""

import asyncio
import hmac
import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from gateway.core.clock import Clock
from gateway.core.errors import Problem, ProblemCode
from gateway.http.metrics import Metrics
from hsm_adapters.errors import HsmError, describe

CHECK_TIMEOUT_S = 3.0
FRESH_S = 1.0
"""How long what was found is told again: anybody may ask, and each look takes a turn of the database's writer."""

Check = Callable[[], Awaitable[None]]
"""Raises what is wrong."""


class Health:
    """The three handlers."""

    def __init__(
        self, *, checks: Mapping[str, Check], metrics: Metrics, metrics_token: str | None, clock: Clock
    ) -> None:
        self._checks = checks
        self._clock = clock
        self._look: asyncio.Task[list[str]] | None = None
        self._looked_at = 0.0
        self._since: dict[str, float] = {}
        self._metrics = metrics
        self._metrics_token = metrics_token
        self.is_stopping = False

    def install(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/healthz", self.alive)
        app.router.add_get("/readyz", self.ready)
        app.router.add_get("/metrics", self.metrics)

    async def alive(self, _: web.Request) -> web.Response:
        """GET /healthz."""
        return web.Response(text="ok\n")

    async def ready(self, _: web.Request) -> web.Response:
        """GET /readyz: 200 or 503, with every check's state, and since when each was found failing."""
        found = await self._find_states()
        states = dict(zip(self._checks, found, strict=True))
        if self.is_stopping:
            states["server"] = "stopping"
        return readiness(states, since=self._since)

    async def metrics(self, request: web.Request) -> web.Response:
        """GET /metrics. Raises Problem(UNAUTHENTICATED) or Problem(FORBIDDEN)."""
        if self._metrics_token is not None:
            wanted = f"Bearer {self._metrics_token}".encode()
            given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
            if not hmac.compare_digest(given, wanted):
                raise Problem(ProblemCode.UNAUTHENTICATED)
        elif not _is_loopback(request.remote):
            raise Problem(ProblemCode.FORBIDDEN, "set metrics_token to read the metrics from elsewhere")
        return self._metrics.response()

    async def _find_states(self) -> list[str]:
        """Return every check's state, at most a second old. Whoever asks during a look waits for that one."""
        now = self._clock.monotonic()
        if self._look is None or (self._look.done() and now >= self._looked_at + FRESH_S):
            self._looked_at = now
            self._look = asyncio.create_task(self._look_around())
        return await asyncio.shield(self._look)

    async def _look_around(self) -> list[str]:
        found = await asyncio.gather(*(self._try(check) for check in self._checks.values()))
        now = self._clock.now()
        failing = [name for name, state in zip(self._checks, found, strict=True) if state != "ok"]
        self._since = {name: self._since.get(name, now) for name in failing}
        return found

    async def _try(self, check: Check) -> str:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                await check()
        except Problem as problem:
            return problem.detail or problem.kind.title
        except HsmError as error:
            return describe(error)
        except TimeoutError:
            return f"no answer within {CHECK_TIMEOUT_S:g} s"
        except Exception as error:
            return f"failed: {type(error).__name__}"
        return "ok"


def readiness(states: Mapping[str, str], *, since: Mapping[str, float]) -> web.Response:
    """Return the answer of /readyz: the checks' states by name, and the Unix times since when those that are not "ok"
    have been found so."""
    is_ready = all(state == "ok" for state in states.values())
    body: dict[str, object] = {"ready": is_ready, "checks": states}
    if since:
        body["failing_since"] = {
            name: datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            for name, at in since.items()
        }
    encoded = msgspec.json.encode(body)
    return web.Response(body=encoded, status=200 if is_ready else 503, content_type="application/json")


def _is_loopback(remote: str | None) -> bool:
    try:
        return ipaddress.ip_address(remote or "").is_loopback
    except ValueError:
        return False
