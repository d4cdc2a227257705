"""From bound sockets to the application, also while the key store is away: `tessera serve` calls `open_app`. It does
not end for a store that may come (restarts in a loop would spend a token's tries for its PIN), but serves what
`gateway.http.waiting` has and tries again. A PIN that was refused is not sent again by that: the adapter remembers it.

    first try → open                      → the application
              → no answer for 2 s → waiting, while it goes on
              → key store away → waiting, every 2 s another try → open → the application
              → a setting that no waiting mends, or a person at the terminal is asked → raised
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from aiohttp import web

from gateway.core.clock import Clock
from gateway.http.waiting import build_waiting_app
from gateway.http.wire import GatewayRunner
from gateway.settings import Settings
from hsm_adapters.errors import OUTAGES, AdapterNotFound, HsmError, HsmUnavailable, InvalidKeyUri, describe
from hsm_adapters.uri import KeyUri

RETRY_S = 2.0
"""Between two tries to open the key store."""
PATIENCE_S = 2.0
"""A first try that takes longer goes on while the doors say that the gateway waits for it."""
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
    patience_s: float = PATIENCE_S,
) -> web.Application | None:
    """Return what `make` makes, once the key store opens; None when `stop` comes first. Meanwhile the doors answer that
    the gateway is not ready. Raises what `make` raises of other things."""
    async with _trying(make, stop, settings) as tries:
        found = await tries.look(None if _asks_person(settings) else patience_s)
        if not isinstance(found, HsmError):
            return found
        outage = _Outage(found)
        app = build_waiting_app(
            {"hsm": outage.check},
            clock=clock,
            is_secure=settings.is_secure,
            trusted_proxies=frozenset(settings.trusted_proxies),
        )
        async with _serving(app, doors):
            while True:
                if not tries.is_under_way:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(retry_s):
                            await stop.wait()
                            return None
                found = await tries.look()
                if not isinstance(found, HsmError):
                    if found is not None:
                        _log.info("the key store is open")
                    return found
                outage.note(found)


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


class _Tries:
    """Tries to open the key store, never two at once."""

    def __init__(self, make: MakeApp, stopping: asyncio.Task[Any], settings: Settings) -> None:
        self._make = make
        self._stopping = stopping
        self._settings = settings
        self._making: asyncio.Future[web.Application] | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether a try has had no result yet."""
        return self._making is not None

    async def look(self, patience_s: float | None = None) -> web.Application | HsmError | None:
        """Begin a try unless one is under way, and return what it makes, or the outage that it met or still is in after
        `patience_s`; None when told to stop. Raises what waiting does not mend."""
        if self._making is None:
            self._making = asyncio.ensure_future(self._make())
        both = (self._making, self._stopping)
        await asyncio.wait(both, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
        if not self._making.done():
            return None if self._stopping.done() else HsmUnavailable("The key store has not answered yet.")
        done, self._making = self._making, None
        try:
            return done.result()
        except OUTAGES as error:
            if not _may_come(error, self._settings):
                raise
            return error

    async def give_up(self) -> None:
        """Cancel the try that is under way, and wait a moment for it to close what it opened: it may hang for good."""
        if self._making is not None:
            self._making.cancel()
            await asyncio.wait((self._making,), timeout=GRACE_S)


@contextlib.asynccontextmanager
async def _trying(make: MakeApp, stop: asyncio.Event, settings: Settings) -> AsyncIterator[_Tries]:
    stopping = asyncio.create_task(stop.wait())
    tries = _Tries(make, stopping, settings)
    try:
        yield tries
    finally:
        stopping.cancel()
        await tries.give_up()


def _may_come(error: HsmError, settings: Settings) -> bool:
    """Whether waiting can help: not where the settings are wrong, nor where each try would ask somebody for a PIN."""
    return not (isinstance(error, _NEVER) or _asks_person(settings))


def _asks_person(settings: Settings) -> bool:
    """Whether somebody at the terminal is asked for what opens a key store. Raises `InvalidKeyUri`."""
    return any(KeyUri.parse(uri).asks_person for uri in (settings.hsm, settings.hsm_previous) if uri)


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
