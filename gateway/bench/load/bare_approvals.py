"""The bound of approvals: what the bare server answers, and who comes (`BareApprovers`). The phones compute what real
ones do, so that both servers are waited for by the same load. `/typed` takes JSON as it is, for the bench `offline`."""

import asyncio
import time
from collections import deque

import aiohttp
from aiohttp import web

from gateway.bench.load.approvers import APPROVED, CREATED
from gateway.bench.load.customers import PATIENCE_S
from gateway.bench.load.primitives import APPROVAL, operations, run_all
from gateway.core.secrets import system_random
from gateway.phone.models import PhoneKeys
from gateway.protocol import oprf
from gateway.protocol.keys import sign

ORDER_BYTES, STARTED_BYTES, EVENT_BYTES = 210, 770, 300
ASK, BLINDED, EVALUATED, ANSWER, ANSWERED, SETTLED = 720, 110, 130, 370, 90, 90
"""Bytes of what an approval sends (wire specification, section 12), as measured."""
TYPED = {
    "id": "apr_" + 26 * "x",
    "user": "bnd_" + 26 * "x",
    "type": "payment",
    "fields": {
        "amount": "249.90",
        "currency": "EUR",
        "payee": 21 * "x",
        "account": 33 * "x",
        "purpose": 16 * "x",
    },
    "state": "approved",
    "number": None,
    "number_match": "none",
    "created_at": "2026-01-01T00:00:00.000000Z",
    "expires_at": "2026-01-01T00:01:00.000000Z",
    "answered_at": "2026-01-01T00:00:30.000000Z",
    "binding": "bnd_" + 26 * "x",
    "factor": "pin",
    "via": "offline",
    "tries_left": 5,
    "online": True,
    "offline": True,
}
"""An answer to the eight digits."""
_TOKEN = {"Authorization": "Bearer " + 47 * "x"}
_JSON = {"Content-Type": "application/json"}


class _Handlers:
    """What answers each request, all in memory. A request of a phone takes the place of the one before."""

    def __init__(self) -> None:
        self._events: dict[str, asyncio.Queue[str]] = {}
        self._sockets: dict[str, web.WebSocketResponse] = {}
        self._started = bytes(STARTED_BYTES)
        self._primitives = operations(APPROVAL)

    async def ask(self, request: web.Request) -> web.Response:
        """Take the bank's order, and ask the phone."""
        await request.read()
        phone = request.match_info["phone"]
        self._events[phone] = asyncio.Queue()
        self._events[phone].put_nowait(CREATED)
        await self._sockets[phone].send_bytes(bytes(ASK))
        return web.Response(body=self._started, content_type="application/json", status=201)

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """Stream a request's events to the page."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        queue, event = self._events[request.match_info["phone"]], ""
        while event != APPROVED:
            event = await queue.get()
            await response.write(f"event: {event}\n".encode().ljust(EVENT_BYTES) + b"\n\n")
        return response

    async def channel(self, request: web.Request) -> web.WebSocketResponse:
        """Keep a phone's socket open, take its answers, and run the primitives for each."""
        phone = request.match_info["phone"]
        self._sockets[phone] = socket = web.WebSocketResponse(compress=False, heartbeat=45)
        await socket.prepare(request)
        async for _ in socket:
            await socket.send_bytes(bytes(EVALUATED))
            await socket.receive_bytes()
            run_all(self._primitives)
            self._events[phone].put_nowait(APPROVED)
            await socket.send_bytes(bytes(ANSWERED))
            await socket.send_bytes(bytes(SETTLED))
        return socket

    async def typed(self, request: web.Request) -> web.Response:
        """Take JSON and answer with JSON, as aiohttp itself does."""
        await request.json()
        return web.json_response(TYPED)


def add_approvals(app: web.Application) -> None:
    """Add the routes of approvals to the bare application."""
    handlers = _Handlers()
    app.router.add_post("/typed", handlers.typed)
    app.router.add_post("/phones/{phone}/ask", handlers.ask)
    app.router.add_get("/phones/{phone}/events", handlers.follow)
    app.router.add_get("/phones/{phone}/socket", handlers.channel)


class BareApprovers:
    """Sends what approvals send: one phone a customer, on a socket that stays open."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.latencies: list[float] = []
        """Seconds from each phone's answer to the event on the page."""
        self._http = http
        self._url = url
        self._free: deque[tuple[int, aiohttp.ClientWebSocketResponse]] = deque()
        self._keys = PhoneKeys.generate(system_random)

    async def open(self, phones: int) -> None:
        """Open that many sockets."""
        for number in range(phones):
            url = f"{self._url}/phones/{number}/socket"
            self._free.append((number, await self._http.ws_connect(url, compress=0, heartbeat=30)))

    async def approve(self, _: int) -> None:
        """Make one visit: two requests, one of them a stream, two messages from the phone and four back."""
        number, socket = self._free.popleft()
        place = f"{self._url}/phones/{number}"
        async with self._http.post(f"{place}/ask", data=bytes(ORDER_BYTES), headers=_TOKEN | _JSON) as answer:
            answer.raise_for_status()
            await answer.read()
        stream = asyncio.create_task(self._follow(f"{place}/events"))
        try:
            await socket.receive_bytes()
            blinded = oprf.blind(bytes(33), system_random)
            await socket.send_bytes(bytes(BLINDED))
            await socket.receive_bytes()
            blinded.finalize(blinded.element)
            key = self._keys.signing_key()
            sign(key, sign(key, bytes(ANSWER)))
            sent_at = time.perf_counter()
            await socket.send_bytes(bytes(ANSWER))
            await socket.receive_bytes()
            await socket.receive_bytes()
            async with asyncio.timeout(PATIENCE_S):
                self.latencies.append(await stream - sent_at)
        finally:
            stream.cancel()
        self._free.append((number, socket))

    async def type(self, _: int) -> None:
        """Post a code of eight digits, and read the answer."""
        async with self._http.post(
            f"{self._url}/typed", data=b'{"code":"12345678"}', headers=_TOKEN | _JSON
        ) as answer:
            answer.raise_for_status()
            await answer.read()

    async def _follow(self, url: str) -> float:
        async with self._http.get(url, headers=_TOKEN) as answer:
            async for line in answer.content:
                if APPROVED.encode() in line:
                    break
            return time.perf_counter()
