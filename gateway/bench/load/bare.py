"""The bound: a bare aiohttp server that takes the requests and WebSocket messages of an activation, or of an approval
(`bare_approvals.py`), with their sizes, runs the primitives of one, and does nothing else. `python -m
gateway.bench.load.bare PORT CODE_BYTES` serves; `BareVisitor` is who comes. What it costs is what the HTTP library and
the cryptography take, on the same core and under the same load as the gateway."""

import asyncio
import itertools
import sys

import aiohttp
import uvloop
from aiohttp import web

from gateway.bench.load.bare_approvals import add_approvals
from gateway.bench.load.customers import EVENTS, PATIENCE_S
from gateway.bench.load.primitives import ACTIVATION, operations, run_all

STARTED_BYTES, CONFIRMED_BYTES, EVENT_BYTES = 560, 420, 180
ORDER_BYTES, TYPED_BYTES = 60, 20
HELLO, ANSWER, BIND, SHORT, BLINDED, EVALUATED, COMMIT = 1_510, 1_420, 480, 50, 110, 130, 480
"""Bytes of what an activation sends (wire specification, section 4), as measured."""
WAITING = 3
"""Messages that tell what waits on a channel that has just opened."""

_TOKEN = {"Authorization": "Bearer " + 47 * "x"}
_JSON = {"Content-Type": "application/json"}


class _Visits:
    """The visits under way: what the page is to be told, and the phone's socket."""

    def __init__(self) -> None:
        self.events: dict[str, asyncio.Queue[str]] = {}
        self.sockets: dict[str, web.WebSocketResponse] = {}
        self._ids = itertools.count()

    def begin(self) -> str:
        """Return a new visit's id."""
        visit = str(next(self._ids))
        self.events[visit] = asyncio.Queue()
        self.events[visit].put_nowait(EVENTS[0])
        return visit

    def tell(self, visit: str, event: str) -> None:
        """Hand an event to the page."""
        self.events[visit].put_nowait(event)


class _Handlers:
    """What answers each request, all in memory; the answer with the code has `code_bytes`."""

    def __init__(self, code_bytes: int) -> None:
        self._visits = _Visits()
        self._code = bytes(code_bytes)
        self._confirmed = bytes(CONFIRMED_BYTES)
        self._primitives = operations(ACTIVATION)

    async def ready(self, _: web.Request) -> web.Response:
        """Say that the server answers."""
        return web.Response()

    async def start(self, request: web.Request) -> web.Response:
        """Begin a visit, as the bank's order begins an activation."""
        await request.read()
        visit = self._visits.begin().encode()
        return web.Response(body=visit.ljust(STARTED_BYTES), content_type="application/json", status=201)

    async def show(self, _: web.Request) -> web.Response:
        """Give the code."""
        return web.Response(body=self._code, content_type="application/json")

    async def confirm(self, request: web.Request) -> web.Response:
        """Take the digits, and tell page and phone."""
        await request.read()
        visit = request.match_info["visit"]
        self._visits.tell(visit, EVENTS[2])
        await self._visits.sockets[visit].send_bytes(bytes(SHORT))
        return web.Response(body=self._confirmed, content_type="application/json")

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """Stream the visit's events to the page."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        visit, event = request.match_info["visit"], ""
        queue = self._visits.events[visit]
        while event != EVENTS[-1]:
            event = await queue.get()
            await response.write(f"event: {event}\n".encode().ljust(EVENT_BYTES) + b"\n\n")
        del self._visits.events[visit]
        return response

    async def channel(self, request: web.Request) -> web.WebSocketResponse:
        """Answer the phone, and run the primitives."""
        visits, visit = self._visits, request.match_info["visit"]
        socket = web.WebSocketResponse(compress=False, heartbeat=45)
        await socket.prepare(request)
        visits.sockets[visit] = socket
        run_all(self._primitives)
        for size, event in ((ANSWER, None), (SHORT, EVENTS[1]), (EVALUATED, None), (SHORT, EVENTS[3])):
            await socket.receive_bytes()
            if event is not None:
                visits.tell(visit, event)
            await socket.send_bytes(bytes(size))
        for _ in range(WAITING):
            await socket.send_bytes(bytes(SHORT))
        await socket.receive()
        del visits.sockets[visit]
        return socket

    async def idle(self, request: web.Request) -> web.WebSocketResponse:
        """Keep a socket open, and send back what comes."""
        socket = web.WebSocketResponse(compress=False, heartbeat=45)
        await socket.prepare(request)
        async for message in socket:
            await socket.send_bytes(message.data)
        return socket


def make_app(code_bytes: int) -> web.Application:
    """Return the bare application; the answer with the code has that many bytes."""
    handlers = _Handlers(code_bytes)
    app = web.Application()
    app.router.add_get("/ready", handlers.ready)
    app.router.add_get("/idle", handlers.idle)
    app.router.add_post("/start", handlers.start)
    app.router.add_get("/{visit}/code", handlers.show)
    app.router.add_post("/{visit}/confirm", handlers.confirm)
    app.router.add_get("/{visit}/events", handlers.follow)
    app.router.add_get("/{visit}/channel", handlers.channel)
    add_approvals(app)
    return app


class BareVisitor:
    """Sends what an activation sends."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def visit(self, _: int) -> None:
        """Make one visit: five requests, one of them a stream, and a channel of four messages each way and one more
        back."""
        visit = (await self._post("/start", ORDER_BYTES)).split()[0].decode()
        stream = asyncio.create_task(self._follow(visit))
        try:
            async with self._http.get(f"{self._url}/{visit}/code", headers=_TOKEN) as answer:
                await answer.read()
            async with self._http.ws_connect(
                f"{self._url}/{visit}/channel", compress=0, heartbeat=30
            ) as socket:
                await _exchange(socket, HELLO)
                await _exchange(socket, BIND)
                await self._post(f"/{visit}/confirm", TYPED_BYTES)
                await socket.receive_bytes()
                await _exchange(socket, BLINDED)
                await _exchange(socket, COMMIT)
            async with asyncio.timeout(PATIENCE_S):
                await stream
        finally:
            stream.cancel()

    async def open_idle(self) -> aiohttp.ClientWebSocketResponse:
        """Return an open socket that has carried one message each way."""
        socket = await self._http.ws_connect(f"{self._url}/idle", compress=0, heartbeat=30)
        await _exchange(socket, BIND)
        return socket

    async def _post(self, path: str, size: int) -> bytes:
        async with self._http.post(self._url + path, data=bytes(size), headers=_TOKEN | _JSON) as answer:
            answer.raise_for_status()
            return await answer.read()

    async def _follow(self, visit: str) -> None:
        async with self._http.get(f"{self._url}/{visit}/events", headers=_TOKEN) as answer:
            async for line in answer.content:
                if EVENTS[-1].encode() in line:
                    return


async def _exchange(socket: aiohttp.ClientWebSocketResponse, size: int) -> None:
    await socket.send_bytes(bytes(size))
    await socket.receive_bytes()


async def serve(app: web.Application, port: int) -> None:
    """Serve on a loopback port until the process is stopped."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(make_app(int(sys.argv[2])), int(sys.argv[1])))
