"""The route table's language: what a capability's routes.py returns, and what its handlers receive. The server
assembly reads the table to enforce authentication, scope, limits and body shapes, and to write the OpenAPI
document; a route that says nothing is closed to everybody without a credential."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import msgspec
from aiohttp import web

from gateway.core.errors import Problem, ProblemCode
from gateway.core.principals import ApiKeyPrincipal, Principal


class Auth(Enum):
    """Which credential opens a route."""

    API_KEY = "api-key"
    PAGE_TOKEN = "page-token"  # noqa: S105 - the name of a kind
    EITHER = "either"
    PUBLIC = "public"


@dataclass(slots=True)
class ApiRequest:
    """A request that has passed authentication, scope, limits and shape. `body` and `params` are instances of the
    structs that the route names (or None). `headers` may be filled with further headers of the answer."""

    raw: web.Request
    request_id: str
    principal: Principal | None
    body: Any
    params: Any
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def tenant_id(self) -> str:
        """The caller's tenant. Raises Problem(UNAUTHENTICATED) on a public route."""
        if self.principal is None:
            raise Problem(ProblemCode.UNAUTHENTICATED)
        return self.principal.tenant_id

    @property
    def match(self) -> Mapping[str, str]:
        """The variable parts of the path."""
        return self.raw.match_info

    @property
    def query(self) -> Mapping[str, str]:
        """The query parameters as text; prefer `params`."""
        return self.raw.query

    @property
    def remote(self) -> str:
        """The caller's address, as the limits count it."""
        return self.raw.remote or "unknown"


Handler = Callable[[ApiRequest], Awaitable[msgspec.Struct | web.StreamResponse | None]]
"""Answers a struct (encoded as JSON with the route's status), None (204), or a response of its own (streams)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    auth: Auth = Auth.API_KEY
    scope: str = ""
    """Scope that an API key needs; page tokens are checked by the handler against its own resource."""
    summary: str = ""
    description: str = ""
    request: type[msgspec.Struct] | None = None
    params: type[msgspec.Struct] | None = None
    """Query parameters as a struct with defaults; unknown parameters are refused."""
    response: type[msgspec.Struct] | None = None
    status: int = 200
    limit: str = "default"
    """Name of a rate limit in the settings: default, start, guess, stream, phone."""
    problems: tuple[ProblemCode, ...] = ()
    """Problems of its own, beside those that any route may answer; for the OpenAPI document."""
    tag: str = ""
    cross_origin: bool = False
    """May a page of an allowed origin call it? True for what the elements use."""
    stream: bool = False
    """Answers server-sent events: no body, no idempotency."""
    subprotocol: str = ""
    """Answers a WebSocket under this subprotocol, and nothing else."""
    hidden: bool = False
    """Not in the OpenAPI document."""


@dataclass(frozen=True, slots=True)
class Route(_Options):
    """One row of the route table."""

    method: str = field(kw_only=False)
    path: str = field(kw_only=False)
    handler: Handler = field(kw_only=False)

    @property
    def name(self) -> str:
        """Method and path, for logs, metrics and messages."""
        return f"{self.method} {self.path}"


def api_key_of(request: ApiRequest) -> ApiKeyPrincipal:
    """Return the API key of a request. Raises Problem(FORBIDDEN) for a page token."""
    if not isinstance(request.principal, ApiKeyPrincipal):
        raise Problem(ProblemCode.FORBIDDEN, "this needs an API key")
    return request.principal
