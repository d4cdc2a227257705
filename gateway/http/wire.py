"""The connection below the application, where aiohttp answers by itself: bytes that are no HTTP get a problem too,
without an echo of what was sent, and a connection that never finishes its first request head is dropped.
`gateway.serve` runs the application by `GatewayRunner`. aiohttp offers no public hook for either; a test of each
tells when it changes."""

import asyncio
import secrets
from http import HTTPStatus

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest

from gateway.core.errors import Problem, ProblemCode
from gateway.http.edge import API_CSP
from gateway.http.problems import problem_response

HEAD_TIMEOUT_S = 15.0
_log = structlog.get_logger("http")


class _Connection(RequestHandler):
    """One TCP connection."""

    __slots__ = ("_head_timer",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        loop = asyncio.get_running_loop()
        self._head_timer: asyncio.TimerHandle | None = loop.call_later(HEAD_TIMEOUT_S, self._drop_silent)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        super().connection_lost(exc)

    def _drop_silent(self) -> None:
        self._head_timer = None
        if self._request_count == 0:
            self.force_close()

    def handle_error(
        self,
        request: BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP, and what failed outside of the application."""
        request_id = secrets.token_hex(8)
        is_ours = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        tell = _log.error if is_ours else _log.info
        tell("connection failed", request_id=request_id, remote=request.remote, error=type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is under way: the connection can only be dropped")
        problem = Problem(ProblemCode.INTERNAL)
        if not is_ours:
            problem = Problem(ProblemCode.INVALID_REQUEST, "these bytes are not an HTTP request")
        headers = {
            "X-Request-Id": request_id,
            "Content-Security-Policy": API_CSP,
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Server": "tessera",
        }
        response = problem_response(problem, request_id, headers)
        response.force_close()
        return response


class _Server(web.Server):
    """Makes the connections."""

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class GatewayRunner(web.AppRunner):
    """Runs the application over these connections."""

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = _Server
        return server
