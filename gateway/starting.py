"""From bound sockets to the application, also while the key store is away: `tessera serve` calls `open_app`. It does
not end for a store that may come (restarts in a loop would spend a token's tries for its PIN), but serves what
`gateway.http.waiting` has and tries again. A PIN that was refused is not sent again by that: the adapter remembers it.

    first try → open                      → the application
              → key store away → waiting, every 2 s another try → open → the application
              → a setting that no waiting mends, or a person at the terminal is asked → raised
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog
from aiohttp import web

from gateway.core.clock import Clock
from gateway.http.waiting import build_waiting_app
from gateway.http.wire import GatewayRunner
from gateway.settings import Settings
from hsm_adapters.errors import OUTAGES, AdapterNotFound, HsmError, InvalidKeyUri, describe
from hsm_adapters.uri import KeyUri

RETRY_S = 2.0
"""Between two tries to open the key store."""
GRACE_S = 1.0
_NEVER = (InvalidKeyUri, AdapterNotFound)
"""What only another setting mends, and so another start."""

MakeApp = Callable[[], Awaitable[web.Application]]
_log = structlog.get_logger("start")


@dataclass(frozen=True, slots=True)
class Door:
    """A bound socket, and the TLS that is spoken there."""

    bound: socket.socket
    context: ssl.SSLContext | None = None


async def open_app(
    make: MakeApp,
    doors: Sequence[Door],
    *,
    settings: Settings,
    clock: Clock,
    stop: asyncio.Event,
    retry_s: float = RETRY_S,
) -> web.Application | None:
    """Return what `make` makes, once the key store opens; None when `stop` comes first. Meanwhile the doors answer that
    the gateway is not ready. Raises what `make` raises of other things."""
    try:
        return await _unless(stop, make)
    except OUTAGES as error:
        if not _may_come(error, settings):
            raise
        outage = _Outage(error)
    app = build_waiting_app(
        {"hsm": outage.check},
        clock=clock,
        is_secure=settings.is_secure,
        trusted_proxies=frozenset(settings.trusted_proxies),
    )
    async with _serving(app, doors):
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(retry_s):
                    await stop.wait()
                    return None
            try:
                opened = await _unless(stop, make)
            except OUTAGES as error:
                if not _may_come(error, settings):
                    raise
                outage.note(error)
            else:
                _log.info("the key store is open")
                return opened


class _Outage:
    """Why the key store does not open, as the last try found it."""

    def __init__(self, error: HsmError) -> None:
        self._error = error
        self._tell()

    def note(self, error: HsmError) -> None:
        is_news = describe(error) != describe(self._error)
        self._error = error
        if is_news:
            self._tell()

    async def check(self) -> None:
        """For /readyz."""
        raise self._error.with_traceback(None)

    def _tell(self) -> None:
        _log.error(
            "the key store does not open: nothing is served until it does",
            reason=describe(self._error),
        )


def _may_come(error: HsmError, settings: Settings) -> bool:
    """Whether waiting can help: not where the settings are wrong, nor where each try would ask somebody for a PIN."""
    if isinstance(error, _NEVER):
        return False
    return settings.hsm is None or not KeyUri.parse(settings.hsm).asks_person


async def _unless(stop: asyncio.Event, make: MakeApp) -> web.Application | None:
    """Return what is made, or None when told to stop before."""
    making = asyncio.ensure_future(make())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((making, stopping), return_when=asyncio.FIRST_COMPLETED)
        if making.done():
            return making.result()
        return None
    finally:
        for task in (making, stopping):
            task.cancel()
        await asyncio.wait((making, stopping))


@contextlib.asynccontextmanager
async def _serving(app: web.Application, doors: Sequence[Door]) -> AsyncIterator[None]:
    """Serve at the doors, and leave them bound and listening: who comes between this application and the next waits
    for a moment and is not refused."""
    runner = GatewayRunner(app, access_log=None, shutdown_timeout=GRACE_S)
    await runner.setup()
    try:
        for door in doors:
            await web.SockSite(runner, door.bound.dup(), ssl_context=door.context).start()
        yield
    finally:
        await runner.cleanup()
