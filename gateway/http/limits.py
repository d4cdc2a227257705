"""Rate limits, counted in this process by the generic cell rate algorithm (one number a caller). Endpoints call
`take`. What must hold over all nodes (tries of a code, of a PIN) is counted in the database, never here. When the
table of callers is full the answer is no."""

import ipaddress
from dataclasses import dataclass
from functools import lru_cache

from gateway.core.clock import Clock
from gateway.core.errors import Problem, ProblemCode
from gateway.settings import RateLimit

MAX_CALLERS = 100_000


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left: requests, and seconds until the whole quota is there again."""

    name: str
    limit: RateLimit
    remaining: int
    reset_s: int
    retry_after_s: int = 0

    def check(self) -> None:
        """Raise Problem(RATE_LIMITED) when nothing was left, with `retry_after` in whole seconds."""
        if self.retry_after_s:
            raise Problem(
                ProblemCode.RATE_LIMITED, f"the limit is {self.name}", retry_after=self.retry_after_s
            )

    def headers(self) -> dict[str, str]:
        """Return the RateLimit fields (draft-ietf-httpapi-ratelimit-headers-10)."""
        return {
            "RateLimit-Policy": f'"{self.name}";q={self.limit.quota};w={self.limit.window_s}',
            "RateLimit": f'"{self.name}";r={self.remaining};t={self.reset_s}',
        }


@lru_cache(maxsize=4_096)
def caller_at(remote: str | None) -> str:
    """Return what a caller without a credential is counted by: his IPv4 address, or the /64 network of his IPv6
    address, since whoever has one address there has them all (RFC 6177)."""
    try:
        address = ipaddress.ip_address(remote or "")
    except ValueError:
        return remote or "unknown"
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))


class RateLimiter:
    """Buckets of this process, by limit name and caller."""

    def __init__(self, *, clock: Clock, max_callers: int = MAX_CALLERS) -> None:
        self._clock = clock
        self._max_callers = max_callers
        self._full_at: dict[tuple[str, str], float] = {}
        self._swept_at = 0.0

    def take(self, name: str, caller: str, limit: RateLimit) -> Allowance:
        """Count one request and return what is left; the caller checks it. A refused request is not counted. Raises
        Problem(UNAVAILABLE) when callers cannot be counted."""
        now = self._clock.monotonic()
        key = (name, caller)
        interval = limit.window_s / limit.quota
        full_at = max(self._full_at.get(key, now), now) + interval
        wait = full_at - now - limit.window_s
        if wait > 1e-9:
            return Allowance(name, limit, 0, int(full_at - interval - now) + 1, retry_after_s=int(wait) + 1)
        if key not in self._full_at and len(self._full_at) >= self._max_callers:
            self._sweep(now)
        self._full_at[key] = full_at
        remaining = int((limit.window_s - (full_at - now)) / interval + 1e-9)
        return Allowance(name, limit, remaining, int(full_at - now) + 1)

    def give_back(self, name: str, caller: str, limit: RateLimit) -> None:
        """Take back one request that was counted: it turned out not to be of the kind that the limit is for."""
        if (full_at := self._full_at.get((name, caller))) is not None:
            self._full_at[name, caller] = full_at - limit.window_s / limit.quota

    def _sweep(self, now: float) -> None:
        """Forget callers whose quota is whole again, at most once a second; refuse if that frees nothing."""
        if now - self._swept_at >= 1:
            self._swept_at = now
            self._full_at = {key: full_at for key, full_at in self._full_at.items() if full_at > now}
        if len(self._full_at) >= self._max_callers:
            raise Problem(ProblemCode.UNAVAILABLE, "too many callers at once", retry_after=1)
