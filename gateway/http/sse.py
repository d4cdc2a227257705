"""Server-sent events (HTML standard, section 9.2) over the event log. A capability's route calls `stream_events` with
the topics its caller may hear. A stream can be taken up again by Last-Event-ID, beats every few seconds so that
proxies keep it open, and ends with the caller's credential."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol

from aiohttp import web

from gateway.core.clock import Clock
from gateway.core.errors import Problem, ProblemCode
from gateway.core.principals import PagePrincipal
from gateway.http.routing import ApiRequest

HEARTBEAT_S = 15.0
RETRY_MS = 2_000
MAX_STREAMS_A_CALLER = 8
MAX_ID = 2**63 - 1


class StreamEvent(Protocol):
    """What a stream tells: an id that grows, a type, JSON text."""

    @property
    def id(self) -> int: ...
    @property
    def type(self) -> str: ...
    @property
    def data(self) -> str: ...


Subscribe = Callable[[Sequence[str], int | None], AsyncIterator[Any]]
"""`EventLog.subscribe`."""


class EventStreams:
    """The open streams of this process."""

    def __init__(
        self, *, subscribe: Subscribe, clock: Clock, max_streams: int, heartbeat_s: float = HEARTBEAT_S
    ) -> None:
        self._subscribe = subscribe
        self._clock = clock
        self._max_streams = max_streams
        self._heartbeat_s = heartbeat_s
        self._open: dict[str, int] = {}
        self.count = 0

    async def stream_events(
        self, request: ApiRequest, topics: Sequence[str], *, from_start: bool = False
    ) -> web.StreamResponse:
        """Answer with the events of these topics until the caller leaves, its credential ends or the server stops.
        Without Last-Event-ID the stream begins now, or with the first event kept when `from_start`. Raises
        Problem(RATE_LIMITED) past 8 streams of one caller, Problem(UNAVAILABLE) past the server's bound."""
        after_id = parse_last_event_id(request.raw.headers.get("Last-Event-ID"))
        if after_id is None and from_start:
            after_id = 0
        caller = request.principal.limit_key if request.principal is not None else request.remote
        with self._place(caller):
            response = web.StreamResponse(headers=request.headers)
            response.content_type = "text/event-stream"
            response.charset = "utf-8"
            response.headers["X-Accel-Buffering"] = "no"
            await response.prepare(request.raw)
            await response.write(b"retry: %d\n\n" % RETRY_MS)
            async with contextlib.aclosing(self._subscribe(topics, after_id)) as events:  # type: ignore[type-var]
                with contextlib.suppress(ConnectionError):
                    await self._pump(response, events, self._seconds_left(request))
            return response

    @contextlib.contextmanager
    def _place(self, caller: str) -> Any:
        if self.count >= self._max_streams:
            raise Problem(ProblemCode.UNAVAILABLE, "too many streams", retry_after=5)
        if self._open.get(caller, 0) >= MAX_STREAMS_A_CALLER:
            raise Problem(ProblemCode.RATE_LIMITED, "too many streams of one caller", retry_after=5)
        self.count += 1
        self._open[caller] = self._open.get(caller, 0) + 1
        try:
            yield
        finally:
            self.count -= 1
            self._open[caller] -= 1
            if not self._open[caller]:
                del self._open[caller]

    def _seconds_left(self, request: ApiRequest) -> float | None:
        principal = request.principal
        if not isinstance(principal, PagePrincipal):
            return None
        return max(0.0, principal.expires_at / 1000 - self._clock.now())

    async def _pump(
        self, response: web.StreamResponse, events: AsyncIterator[StreamEvent], seconds_left: float | None
    ) -> None:
        """Write events, and heartbeats between them."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds_left) as limit:
                beating = asyncio.create_task(self._beat(response, limit))
                try:
                    async for event in events:
                        await response.write(format_event(event))
                finally:
                    beating.cancel()

    async def _beat(self, response: web.StreamResponse, limit: asyncio.Timeout) -> None:
        """Write heartbeats until cancelled; the first that does not come through ends the stream, which may have
        nothing to tell for hours."""
        try:
            while True:
                await asyncio.sleep(self._heartbeat_s)
                await response.write(b":\n\n")
        except ConnectionError:
            limit.reschedule(0)


def parse_last_event_id(header: str | None) -> int | None:
    """Return the id a stream goes on from. Raises Problem(INVALID_REQUEST) for anything but a decimal number."""
    if header is None or header == "":
        return None
    if not (header.isascii() and header.isdigit() and len(header) <= 19 and int(header) <= MAX_ID):
        raise Problem(ProblemCode.INVALID_REQUEST, "Last-Event-ID: not one of this stream")
    return int(header)


def format_event(event: StreamEvent) -> bytes:
    """Return one event in the stream's form. Data is JSON on one line."""
    return f"id: {event.id}\nevent: {event.type}\ndata: {event.data}\n\n".encode()
