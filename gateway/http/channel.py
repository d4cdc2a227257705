"""The door of the phone channel: one WebSocket, binary frames of bounded size, whose first frame says what it is
(wire specification, section 2). The capabilities register a handler a kind of contact and get a `PhoneSocket`.
It knows no cryptography and keeps no frame; whatever a handler raises, the phone hears a code of the closed list."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Protocol

import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from gateway.core.errors import Problem, ProblemCode
from gateway.http.hosts import Hosts
from gateway.http.places import PLACE
from gateway.protocol.errors import ContactRefused, ErrorCode, MalformedFrame, UnsupportedSuite
from gateway.protocol.frames import MAX_FRAME, SUBPROTOCOL, Hello, Kind, error_frame, parse_hello
from hsm_adapters.errors import OUTAGES, HsmError

HELLO_TIMEOUT_S = 10.0
SEND_TIMEOUT_S = 10.0
HEARTBEAT_S = 45.0
CLOSE_TIMEOUT_S = 2.0

_log = structlog.get_logger("phone-channel")


class SocketClosed(Exception):
    """The phone has gone, or spoke something else than binary frames."""


class PhoneSocket:
    """Frames in, frames out. One task receives; any may send, and frames leave in the order of the calls."""

    __slots__ = ("_ws", "host", "place")

    def __init__(self, ws: web.WebSocketResponse, *, host: str, place: str | None) -> None:
        """`host` is the HOST under which the phone came, `place` where it is in words, where known."""
        self._ws = ws
        self.host = host
        self.place = place

    async def receive(self, seconds: float | None = None) -> bytes:
        """Return the next frame. Raises `SocketClosed`, and TimeoutError after `seconds`."""
        message = await self._ws.receive(seconds)
        if message.type is WSMsgType.BINARY:
            data: bytes = message.data
            return data
        if message.type is WSMsgType.TEXT:
            await self.close(WSCloseCode.UNSUPPORTED_DATA)
        raise SocketClosed

    async def send(self, frame: bytes) -> None:
        """Send one frame; it is in the socket's buffer before the first suspension. Raises `SocketClosed`."""
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._ws.send_bytes(frame)
        except (ConnectionError, RuntimeError, TimeoutError) as error:
            raise SocketClosed from error

    async def close(self, code: int = WSCloseCode.OK) -> None:
        """Close the socket; a task that waits in `receive` gets `SocketClosed`."""
        with contextlib.suppress(ConnectionError, RuntimeError):
            await self._ws.close(code=code)


class ContactHandler(Protocol):
    """Serves one kind of contact, from hello to the end of the socket."""

    async def serve(self, socket: PhoneSocket, hello: Hello) -> None:
        """Run the contact. Raises `ContactRefused` before the channel is encrypted, `SocketClosed` at its end."""
        ...


class PhoneDoor:
    """Accepts phones. `channels` bounds how many sockets are open at once; beyond it the answer is 503."""

    def __init__(
        self, handlers: Mapping[Kind, ContactHandler], *, hosts: Hosts, channels: int = 20_000
    ) -> None:
        self._handlers = handlers
        self._hosts = hosts
        self._limit = channels
        self._open: set[PhoneSocket] = set()

    @property
    def open_channels(self) -> int:
        """How many sockets are open now."""
        return len(self._open)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer `GET /phone/v1/channel`: upgrade, read the hello, hand over. Raises Problem(UPGRADE_REQUIRED) for a
        caller that does not offer our subprotocol, Problem(UNAVAILABLE) past the bound."""
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        if SUBPROTOCOL not in (part.strip() for part in offered.split(",")):
            raise Problem(ProblemCode.UPGRADE_REQUIRED, f"the subprotocol {SUBPROTOCOL} is needed")
        if len(self._open) >= self._limit:
            raise Problem(ProblemCode.UNAVAILABLE, "too many channels are open", retry_after=5)
        ws = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,),
            max_msg_size=MAX_FRAME + 1,  # aiohttp refuses what is as long as this
            heartbeat=HEARTBEAT_S,
            compress=False,
            timeout=CLOSE_TIMEOUT_S,
            writer_limit=MAX_FRAME,
        )
        await ws.prepare(request)
        host = self._hosts.named(request.headers.get("Host"))
        socket = PhoneSocket(ws, host=host, place=request.get(PLACE))
        self._open.add(socket)
        try:
            await self._serve(socket)
        finally:
            self._open.discard(socket)
            await socket.close()
        return ws

    async def close(self) -> None:
        """Close every socket, at shutdown: phones come again by themselves."""
        await asyncio.gather(*(socket.close(WSCloseCode.GOING_AWAY) for socket in list(self._open)))

    async def _serve(self, socket: PhoneSocket) -> None:
        try:
            hello = parse_hello(await socket.receive(HELLO_TIMEOUT_S))
            serving = self._handlers[hello.kind].serve(socket, hello)
            del hello  # not kept by this frame while the channel lives
            await serving
        except (SocketClosed, TimeoutError):
            return
        except ContactRefused as refused:
            await _refuse(socket, refused.code)
        except MalformedFrame:
            await _refuse(socket, ErrorCode.REFUSED)
        except UnsupportedSuite:
            await _refuse(socket, ErrorCode.SUITE)
        except HsmError as error:
            _log.warning("contact not served", error=error.code)
            # A key or sealed value that is gone or was changed is no better when the phone comes again.
            await _refuse(socket, ErrorCode.BUSY if isinstance(error, OUTAGES) else ErrorCode.REFUSED)
        except Problem as problem:
            _log.warning("contact not served", error=problem.kind.code)
            await _refuse(socket, ErrorCode.BUSY)


async def _refuse(socket: PhoneSocket, code: ErrorCode) -> None:
    with contextlib.suppress(SocketClosed):
        await socket.send(error_frame(code))
