"""One row of the route table at work: authentication, rate limit, scope, body, idempotency, handler, answer, in that
order, so that nothing is parsed for a caller who may not ask. The server assembly makes one for each route."""

import asyncio
import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import structlog
from aiohttp import web

from gateway.core.errors import Problem, ProblemCode
from gateway.core.principals import ApiKeyPrincipal, Principal
from gateway.http.auth import Authenticator, authorize
from gateway.http.edge import ANSWER_HEADERS, LOGGED, REQUEST_ID
from gateway.http.idempotency import Answer, Claim, Idempotency
from gateway.http.limits import RateLimiter, caller_at
from gateway.http.problems import problem_response
from gateway.http.routing import ApiRequest, Auth, Route
from gateway.settings import RateLimit

MAX_DEPTH = 16
BODY_TIMEOUT_S = 15.0
_TYPE_NAMES = re.compile(r"(?P<before>Expected|got) `(?P<names>[^`]*)`")
_JSON_WORDS = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
    "datetime": "a time in RFC 3339 form",
    "bytes": "a text in base64",
}
_KEPT_STATUSES = frozenset({400, 404, 409, 410, 415, 422})
_encode = msgspec.json.Encoder().encode
_log = structlog.get_logger("http")


@dataclass(frozen=True, slots=True)
class EndpointParts:
    """What endpoints share."""

    authenticator: Authenticator
    limiter: RateLimiter
    limits: Mapping[str, RateLimit]
    idempotency: Idempotency
    cors_origins: frozenset[str]


class Endpoint:
    """An aiohttp handler over a Route."""

    def __init__(self, route: Route, parts: EndpointParts) -> None:
        self._route = route
        self._parts = parts
        self._limit = parts.limits.get(route.limit) or parts.limits["default"]
        self._key_limit = parts.limits["default"]
        self._public_limit = parts.limits["public"]
        self._decode_body = msgspec.json.Decoder(route.request).decode if route.request is not None else None
        self._keeps_answers = route.method == "POST" and route.auth is not Auth.PUBLIC and not route.stream

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Serve one request. Raises Problem for whatever is wrong with it."""
        headers = cors_headers(request, self._parts.cors_origins) if self._route.cross_origin else {}
        request[ANSWER_HEADERS] = headers
        route = self._route
        principal = await self._identify(request)
        self._count(request, principal, headers)
        if principal is not None:
            authorize(principal, route)
        body = await self._read_body(request) if route.method in ("POST", "PATCH", "PUT") else b""
        api_request = ApiRequest(
            raw=request,
            request_id=request[REQUEST_ID],
            principal=principal,
            body=None,
            params=self._read_params(request),
            headers=headers,
        )
        key = request.headers.get("Idempotency-Key") if self._keeps_answers else None
        if key is None or principal is None:
            return await self._run(api_request, body)
        return await self._run_once(api_request, principal, key, body)

    def _count(self, request: web.Request, principal: Principal | None, headers: dict[str, str]) -> None:
        """Take the request from its caller's quota. A bank's key speaks for all its customers, so its guesses count by
        the thing that is guessed at; how many things there may be, by the key. Raises Problem(RATE_LIMITED)."""
        limiter, name = self._parts.limiter, self._route.limit
        caller = caller_at(request.remote) if principal is None else principal.limit_key
        if name == "guess" and isinstance(principal, ApiKeyPrincipal):
            whole = limiter.take("default", caller, self._key_limit)
            headers |= whole.headers()
            whole.check()
            caller = f"{caller} {request.path}"
        allowance = limiter.take(name, caller, self._limit)
        headers |= allowance.headers()
        allowance.check()

    async def _identify(self, request: web.Request) -> Principal | None:
        if self._route.auth is Auth.PUBLIC:
            return None
        principal = await self._parts.authenticator.authenticate(
            request.headers.get("Authorization"), asking=partial(self._counted_as_public, request)
        )
        is_key = isinstance(principal, ApiKeyPrincipal)
        request[LOGGED] = {"tenant": principal.tenant_id, "by": principal.limit_key if is_key else "page"}
        return principal

    @contextlib.contextmanager
    def _counted_as_public(self, request: web.Request) -> Iterator[None]:
        """Count the request as its address's when its credential turns out to be no good."""
        limiter, caller = self._parts.limiter, caller_at(request.remote)
        limiter.take("public", caller, self._public_limit).check()
        is_guess = False
        try:
            yield
        except Problem as problem:
            is_guess = problem.kind is ProblemCode.UNAUTHENTICATED
            raise
        finally:
            if not is_guess:
                limiter.give_back("public", caller, self._public_limit)

    async def _read_body(self, request: web.Request) -> bytes:
        if request.content.is_eof():
            body = request.content.read_nowait()
            if len(body) > request.client_max_size:
                raise web.HTTPRequestEntityTooLarge(request.client_max_size, len(body))
        else:
            try:
                async with asyncio.timeout(BODY_TIMEOUT_S):
                    body = await request.read()
            except TimeoutError as error:
                raise Problem(ProblemCode.INVALID_REQUEST, "the body did not come in time") from error
        if not body or self._route.request is None:
            return body
        is_json = request.headers.get("Content-Type") == "application/json"
        if not is_json and request.content_type != "application/json":
            raise Problem(ProblemCode.UNSUPPORTED_MEDIA_TYPE)
        check_depth(body)
        return body

    def _read_params(self, request: web.Request) -> Any:
        shape = self._route.params
        if shape is None:
            return None
        query = request.query
        if len(query) != len(set(query)):
            raise Problem(ProblemCode.INVALID_REQUEST, "a query parameter stands twice")
        try:
            return msgspec.convert(dict(query), shape, strict=False)
        except msgspec.ValidationError as error:
            raise Problem(ProblemCode.INVALID_REQUEST, describe_invalid(error)) from error

    async def _run(self, request: ApiRequest, body: bytes) -> web.StreamResponse:
        if self._decode_body is not None:
            request.body = self._parse(body)
        answer = await self._route.handler(request)
        if isinstance(answer, web.StreamResponse):
            if not answer.prepared:
                answer.headers.update(request.headers)
            return answer
        if answer is None:
            return web.Response(status=204, headers=request.headers)
        return web.Response(
            body=_encode(answer),
            status=self._route.status,
            content_type="application/json",
            headers=request.headers,
        )

    def _parse(self, body: bytes) -> Any:
        decode = self._decode_body
        if decode is None:
            return None
        try:
            return decode(body or b"{}")
        except msgspec.ValidationError as error:
            raise Problem(ProblemCode.INVALID_REQUEST, describe_invalid(error)) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Problem(ProblemCode.INVALID_REQUEST, "the body is not JSON in UTF-8") from error

    async def _run_once(
        self, request: ApiRequest, principal: Principal, key: str, body: bytes
    ) -> web.StreamResponse:
        """Run the request under its idempotency key, or give the kept answer again."""

        store = self._parts.idempotency
        claim = await store.begin(
            key=key,
            credential=request.raw.headers["Authorization"],
            tenant_id=principal.tenant_id,
            route=self._route.name,
            path=request.raw.path,
            body=body,
        )
        if isinstance(claim, Answer):
            replayed = request.headers | {"Idempotency-Replayed": "true"}
            return web.Response(
                body=claim.body, status=claim.status, content_type=claim.media_type, headers=replayed
            )
        try:
            with store.covering(claim):
                response = await self._run(request, body)
        except Problem as problem:
            if problem.kind.status not in _KEPT_STATUSES:
                await store.abandon(claim)
                raise
            response = problem_response(problem, request.request_id, request.headers)
        except BaseException:
            await store.abandon(claim)
            raise
        if isinstance(response, web.Response) and isinstance(response.body, bytes | None):
            await self._keep(claim, Answer(response.status, response.content_type, response.body or b""))
        return response

    async def _keep(self, claim: Claim, answer: Answer) -> None:
        """Keep the answer for retries. The change stands already, so its own caller gets the answer in any case."""
        try:
            await self._parts.idempotency.finish(claim, answer)
        except Problem as problem:
            _log.warning("answer not kept for retries", route=self._route.name, code=problem.kind.code)


def cors_headers(request: web.Request, origins: frozenset[str]) -> dict[str, str]:
    """Return the CORS fields of an answer: the origin by name when it is allowed (Fetch standard, 3.2)."""
    origin = request.headers.get("Origin")
    if origin is None:
        return {"Vary": "Origin"} if origins else {}
    if origin not in origins:
        return {"Vary": "Origin"}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": "Date, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Vary": "Origin",
    }


def describe_invalid(error: msgspec.ValidationError) -> str:
    """Return which member is wrong and why, in the words of JSON, without repeating what was sent."""
    text = str(error)
    if text.startswith("Invalid enum value"):
        _, mark, place = text.rpartition(" - at ")
        return f"Not one of the allowed values{mark}{place}"
    return _TYPE_NAMES.sub(_say_types, text)[:300]


def _say_types(found: re.Match[str]) -> str:
    names = found["names"].split(" | ")
    return f"{found['before']} {' or '.join(_JSON_WORDS.get(name, name) for name in names)}"


def check_depth(body: bytes) -> None:
    """Raise Problem(INVALID_REQUEST) when JSON is nested deeper than MAX_DEPTH. Counts brackets outside strings,
    and only when there are enough of them to matter."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return
    depth = 0
    in_string = escaped = False
    for byte in body:
        if in_string:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                in_string = False
        elif byte == 0x22:
            in_string = True
        elif byte in (0x5B, 0x7B):
            depth += 1
            if depth > MAX_DEPTH:
                raise Problem(ProblemCode.INVALID_REQUEST, f"the body is nested deeper than {MAX_DEPTH}")
        elif byte in (0x5D, 0x7D):
            depth -= 1
