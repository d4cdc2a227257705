"""Who calls: bearer API keys (`tsk_…`) and page tokens (`ptk_…`). Endpoints call `Authenticator.authenticate`, then
`authorize`; the stores behind see only SHA-256 digests. A credential found good is believed for a few seconds without
asking the database again, and never past its own end; so a revoked key dies within that time on every node, even where
somebody sets the clock back. A credential that was not good before is counted before the database is asked."""

import re
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from gateway.core.clock import Clock
from gateway.core.errors import Problem, ProblemCode
from gateway.core.principals import ApiKeyPrincipal, PagePrincipal, Principal, digest_token
from gateway.http.routing import Auth, Route

BELIEVED_S = 5.0
MAX_BELIEVED = 20_000
_BEARER = re.compile(r"\A[Bb]earer ((tsk|ptk)_[A-Za-z0-9_-]{43})\Z")


class ApiKeys(Protocol):
    """Port of the tenants: API keys by digest."""

    async def find_principal(self, digest: bytes) -> tuple[ApiKeyPrincipal, int | None] | None:
        """Return the key's owner and scopes and its end (Unix milliseconds or None); None when there is no
        such key, or it is revoked or over."""
        ...


class PageTokens(Protocol):
    """Port of the activations: page tokens by digest."""

    async def find_principal(self, digest: bytes) -> PagePrincipal | None:
        """Return whom the token speaks for; None when there is no such token or it is over."""
        ...


@dataclass(frozen=True, slots=True)
class _Belief:
    """Whom a credential speaks for; until when that is believed (monotonic), and its own end (Unix seconds)."""

    principal: Principal
    until: float
    ends: float | None


class Authenticator:
    """Turns an Authorization header into a principal."""

    def __init__(self, *, api_keys: ApiKeys, page_tokens: PageTokens, clock: Clock) -> None:
        self._api_keys = api_keys
        self._page_tokens = page_tokens
        self._clock = clock
        self._believed: OrderedDict[bytes, _Belief] = OrderedDict()

    async def authenticate(
        self, header: str | None, *, asking: Callable[[], AbstractContextManager[None]]
    ) -> Principal:
        """Return the caller. Raises Problem(UNAUTHENTICATED) without a good credential. Whatever was not good
        before is looked up, or refused for its form, inside `asking`, which may raise a Problem itself."""
        match = _BEARER.match(header) if header is not None else None
        if match is None:
            with asking():
                raise Problem(
                    ProblemCode.UNAUTHENTICATED, "send Authorization: Bearer and a key or page token"
                )
        digest = digest_token(match.group(1))
        known = self._believed.get(digest)
        if known is None:
            with asking():
                return await self._ask(digest, kind=match.group(2))
        is_over = known.ends is not None and known.ends <= self._clock.now()
        if is_over or known.until <= self._clock.monotonic():
            return await self._ask(digest, kind=match.group(2))
        return known.principal

    def forget(self, digest: bytes) -> None:
        """Believe this credential no longer: it was revoked here."""
        self._believed.pop(digest, None)

    async def _ask(self, digest: bytes, *, kind: str) -> Principal:
        asked_at = self._clock.monotonic()
        ends_ms: float | None = None
        principal: Principal | None = None
        if kind == "tsk":
            found = await self._api_keys.find_principal(digest)
            if found is not None:
                principal, ends_ms = found
        else:
            page = await self._page_tokens.find_principal(digest)
            if page is not None:
                principal, ends_ms = page, page.expires_at
        ends = ends_ms / 1000 if ends_ms is not None else None
        if principal is None or (ends is not None and ends <= self._clock.now()):
            self.forget(digest)
            raise Problem(ProblemCode.UNAUTHENTICATED, "the credential is unknown, revoked or over")
        self._believed[digest] = _Belief(principal, asked_at + BELIEVED_S, ends)
        self._believed.move_to_end(digest)
        if len(self._believed) > MAX_BELIEVED:
            self._believed.popitem(last=False)
        return principal


def authorize(principal: Principal, route: Route) -> None:
    """Raise Problem(FORBIDDEN) when the route wants another kind of credential, or a scope that the key lacks."""
    if isinstance(principal, PagePrincipal):
        if route.auth is Auth.API_KEY:
            raise Problem(ProblemCode.FORBIDDEN, "this needs an API key")
        return
    if route.auth is Auth.PAGE_TOKEN:
        raise Problem(ProblemCode.FORBIDDEN, "this needs a page token")
    if route.scope and route.scope not in principal.scopes and "*" not in principal.scopes:
        raise Problem(ProblemCode.FORBIDDEN, f"the key lacks the scope {route.scope}")
