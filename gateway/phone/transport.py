"""The network of the phone: one WebSocket to the gateway's channel, and the two public documents it reads over
HTTPS. Every failure of the network is a ConnectionLost; sizes are bounded. It knows no keys."""

import ssl
from dataclasses import dataclass
from typing import Self, TypeVar

import aiohttp
import msgspec

from gateway.phone.errors import ConnectionLost, GatewayRefused, PlainHttp, UnexpectedAnswer
from gateway.protocol.errors import ErrorCode, MalformedFrame
from gateway.protocol.frames import CHANNEL_PATH, MAX_FRAME, SUBPROTOCOL
from gateway.protocol.wiretypes import Bytes16, Bytes33, Seconds, Text64, decode_hook

_LONGEST_DOCUMENT = 65_536
# How OpenSSL's versions name an answer that is not TLS.
_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"})
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Site:
    """Where the gateway is. `host` is HOST of the protocol; `url` its origin, https://HOST unless told otherwise."""

    host: str
    url: str

    @classmethod
    def of(cls, host: str, *, scheme: str = "https") -> Self:
        """Return the site of a host."""
        return cls(host, f"{scheme}://{host}")


class TenantConfig(msgspec.Struct, frozen=True):
    """A tenant's agreement key S (33 bytes), as the phone's configuration has it."""

    id: str
    name: Text64
    s: Bytes33


class Config(msgspec.Struct, frozen=True):
    """GET /phone/v1/config."""

    host: str
    name: str
    tenants: list[TenantConfig]


class TypedAnswer(msgspec.Struct, frozen=True):
    """GET /phone/v1/typed/{locator}: which activation a typed code is for."""

    activation: Bytes16
    tenant: str
    expires: Seconds


class FrameSocket:
    """An open channel of frames."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def send(self, frame: bytes) -> None:
        """Send one frame. Raises ConnectionLost."""
        try:
            await self._socket.send_bytes(frame)
        except (ConnectionError, aiohttp.ClientError, RuntimeError):
            raise ConnectionLost("the connection broke") from None

    async def receive(self, timeout: float | None = None) -> bytes:
        """Return the next frame. Raises ConnectionLost at the end or after `timeout` seconds, MalformedFrame for what
        is not a binary frame."""
        try:
            message = await self._socket.receive(timeout)
        except (TimeoutError, ConnectionError, aiohttp.ClientError):
            raise ConnectionLost("the gateway does not answer") from None
        if message.type is aiohttp.WSMsgType.BINARY:
            data: bytes = message.data
            return data
        if message.type is aiohttp.WSMsgType.TEXT:
            await self.close()
            raise MalformedFrame("a text frame")
        raise ConnectionLost("the gateway closed the connection")

    async def close(self) -> None:
        """Close; what the other end still sends is not read."""
        await self._socket.close()


class Network:
    """Opens channels to one site over an HTTP session that the caller owns. `tls` is for a certificate of one's
    own in development."""

    def __init__(
        self,
        site: Site,
        http: aiohttp.ClientSession,
        *,
        tls: ssl.SSLContext | None = None,
        timeout: float = 15.0,
    ) -> None:
        self.site = site
        self.timeout = timeout
        self._http = http
        self._tls: ssl.SSLContext | bool = tls or True

    async def connect(self) -> FrameSocket:
        """Open the channel's WebSocket. Raises ConnectionLost."""
        url = "ws" + self.site.url.removeprefix("http") + CHANNEL_PATH
        try:
            socket = await self._http.ws_connect(
                url,
                protocols=(SUBPROTOCOL,),
                max_msg_size=MAX_FRAME,
                heartbeat=30.0,
                compress=0,
                ssl=self._tls,
                timeout=aiohttp.ClientWSTimeout(ws_close=0.5),
            )
        except aiohttp.WSServerHandshakeError as error:
            if error.status in (400, 403, 404, 426):
                raise UnexpectedAnswer("this is not a Tessera gateway") from None
            raise ConnectionLost("the gateway takes no connection now") from None
        except aiohttp.ClientSSLError as error:
            raise self._no_tls(error) from None
        except (aiohttp.ClientError, ConnectionError, TimeoutError):
            raise ConnectionLost(f"{self.site.host} can't be reached") from None
        if socket.protocol != SUBPROTOCOL:
            await socket.close()
            raise UnexpectedAnswer("this is not a Tessera gateway")
        return FrameSocket(socket)

    async def config(self) -> Config:
        """Read the host's configuration. Raises ConnectionLost, UnexpectedAnswer."""
        return await self._get("/phone/v1/config", Config)

    async def find_typed(self, locator: str) -> TypedAnswer:
        """Find the activation of a typed code by its 5 characters. Raises ConnectionLost, UnexpectedAnswer."""
        return await self._get(f"/phone/v1/typed/{locator}", TypedAnswer)

    def _no_tls(self, error: aiohttp.ClientSSLError) -> ConnectionLost:
        cause = error.os_error if isinstance(error, aiohttp.ClientConnectorSSLError) else None
        if isinstance(cause, ssl.SSLError) and cause.reason in _NOT_TLS:
            return PlainHttp(f"{self.site.host} speaks plain HTTP, not HTTPS")
        return ConnectionLost("the gateway's certificate is not trusted")

    async def _get(self, path: str, kind: type[_T]) -> _T:
        body = b""
        try:
            async with self._http.get(
                self.site.url + path, ssl=self._tls, timeout=aiohttp.ClientTimeout(total=self.timeout)
            ) as response:
                async for chunk in response.content.iter_chunked(4_096):
                    body += chunk
                    if len(body) > _LONGEST_DOCUMENT:
                        raise UnexpectedAnswer("the gateway's answer is too long")
                status = response.status
        except aiohttp.ClientSSLError as error:
            raise self._no_tls(error) from None
        except (aiohttp.ClientError, ConnectionError, TimeoutError):
            raise ConnectionLost(f"{self.site.host} can't be reached") from None
        if status == 404:
            raise GatewayRefused(ErrorCode.UNKNOWN)
        if status in (429, 503):
            raise GatewayRefused(ErrorCode.BUSY)
        if status != 200:
            raise UnexpectedAnswer(f"the gateway answered {status}")
        try:
            return msgspec.json.decode(body, type=kind, dec_hook=decode_hook)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise UnexpectedAnswer("the gateway's answer is not of the known form") from None
