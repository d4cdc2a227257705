"""The outermost layer of every request: request id, one access log line, metrics, and a problem answer for whatever
fails, including what no route matches. One middleware, because each costs time on every request. It logs the route's
pattern, never the path or the query, which may hold identifiers of customers."""

import ipaddress
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping

import structlog
from aiohttp import web

from gateway.core.errors import Problem, ProblemCode
from gateway.http.metrics import Metrics
from gateway.http.places import PLACE, clean_place, place_of_address
from gateway.http.problems import problem_of_hsm_error, problem_of_http_exception, problem_response
from hsm_adapters.errors import HsmError

REQUEST_ID = web.RequestKey("request_id", str)
ANSWER_HEADERS = web.RequestKey("answer_headers", dict[str, str])
"""Headers that an endpoint wants on its answer, also when that is a problem (CORS, limits)."""
LOGGED = web.RequestKey("logged", dict[str, str])
"""Members that an endpoint adds to the access log line."""

API_CSP = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"
PAGE_CSP = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; worker-src 'self'; manifest-src 'self'; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_PAGE_TYPES = frozenset({"text/html", "text/javascript"})
"""A worker is ruled by the policy that its own script came with, not by its page's."""
_STARTED = web.RequestKey("started", bool)
_QUIET = frozenset({"GET /healthz", "GET /readyz", "GET /metrics"})

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_log = structlog.get_logger("http")


class Edge:
    """The middleware, and the signal that puts the security headers on every answer."""

    def __init__(
        self,
        *,
        metrics: Metrics,
        own_pages: tuple[str, ...],
        is_secure: bool,
        trusted_proxies: frozenset[str],
        place_header: str | None = None,
    ) -> None:
        """`own_pages` are path prefixes whose refusals are their own (the demo bank); `is_secure` sends HSTS;
        `place_header` is where a trusted proxy writes where the caller is."""
        self._place_header = place_header
        self._trusted_proxies = trusted_proxies
        self._metrics = metrics
        self._own_pages = own_pages
        self._ids = _request_ids()
        self._headers: Mapping[str, str] = {
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
        } | ({"Strict-Transport-Security": "max-age=63072000; includeSubDomains"} if is_secure else {})

    def install(self, app: web.Application) -> None:
        """Add the middleware and the signal to an application."""
        app.middlewares.append(self.middleware)
        app.on_response_prepare.append(self.add_headers)

    async def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Set what the answer has not set itself, just before it is sent (streams too)."""
        headers = response.headers
        headers.update(self._headers)
        headers["X-Request-Id"] = request.get(REQUEST_ID, "")
        if "Content-Security-Policy" not in headers:
            headers["Content-Security-Policy"] = PAGE_CSP if response.content_type in _PAGE_TYPES else API_CSP
        if "Cache-Control" not in headers:
            headers["Cache-Control"] = "no-store"
        if "Cross-Origin-Resource-Policy" not in headers:
            headers["Cross-Origin-Resource-Policy"] = "same-origin"
        headers.pop("Server", None)
        request[_STARTED] = True

    @web.middleware
    async def middleware(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Answer, count, log."""
        started = time.perf_counter()
        request_id = request[REQUEST_ID] = next(self._ids)
        if self._trusted_proxies and request.remote in self._trusted_proxies:
            request = self._believe_proxy(request)
        elif (place := place_of_address(request.remote)) is not None:
            request[PLACE] = place
        try:
            response = await handler(request)
        except Exception as error:
            if _STARTED in request:  # a stream: its head has been sent, so the connection can only be dropped
                self._note_broken_stream(request, request_id, error)
                raise ConnectionResetError from error
            response = self._answer_failure(request, request_id, error)
        taken = time.perf_counter() - started
        route = _route_name(request)
        is_stream = not isinstance(response, web.Response)
        self._metrics.count(route, response.status, None if is_stream else taken)
        if route not in _QUIET:
            _log.info(
                "request",
                request_id=request_id,
                route=route,
                status=response.status,
                ms=round(taken * 1000, 2),
                remote=request.remote,
                **request.get(LOGGED, {}),
            )
        return response

    def _believe_proxy(self, request: web.Request) -> web.Request:
        """Take address and scheme from a trusted proxy, and where the caller is. The proxy's own address says nothing
        of the caller, so without the caller's the place stays unknown."""
        believed = _believe_proxy(request)
        place = clean_place(request.headers.get(self._place_header, "")) if self._place_header else None
        if place is None and believed is not request:
            place = place_of_address(believed.remote)
        if place is not None:
            believed[PLACE] = place
        return believed

    def _note_broken_stream(self, request: web.Request, request_id: str, error: Exception) -> None:
        route = _route_name(request)
        self._metrics.count(route, 499, None)
        if not isinstance(error, ConnectionError):
            _log.error("stream failed", request_id=request_id, route=route, exc_info=error)

    def _answer_failure(self, request: web.Request, request_id: str, error: Exception) -> web.StreamResponse:
        headers = request.get(ANSWER_HEADERS, {})
        if isinstance(error, web.HTTPException):
            if error.status < 400 or request.path.startswith(self._own_pages):
                return error
            problem = problem_of_http_exception(error)
            if allow := error.headers.get("Allow"):
                headers = {**headers, "Allow": allow}
            return problem_response(problem, request_id, headers)
        if isinstance(error, Problem):
            problem = error
        elif isinstance(error, HsmError):
            _log.error(
                "key store failed", request_id=request_id, route=_route_name(request), error=error.code
            )
            problem = problem_of_hsm_error(error)
        elif isinstance(error, ConnectionError):
            problem = Problem(ProblemCode.INTERNAL, "the connection was lost")
        else:
            _log.error("request failed", request_id=request_id, route=_route_name(request), exc_info=error)
            problem = Problem(ProblemCode.INTERNAL)
        return problem_response(problem, request_id, headers)


def _believe_proxy(request: web.Request) -> web.Request:
    """Take the caller's address from the last X-Forwarded-For entry, the one that the trusted proxy added."""
    address = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    scheme = request.headers.get("X-Forwarded-Proto", request.scheme)
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return request
    return request.clone(remote=address, scheme=scheme if scheme in ("http", "https") else request.scheme)


def _route_name(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return f"{request.method} {resource.canonical}" if resource is not None else "no route"


def _request_ids() -> Iterator[str]:
    """Yield random names of 16 hexadecimal digits. Random bytes are asked for by the hundred: each time, other threads
    get their turn meanwhile."""
    while True:
        fresh = secrets.token_bytes(8 * 256)
        for at in range(0, len(fresh), 8):
            yield fresh[at : at + 8].hex()
