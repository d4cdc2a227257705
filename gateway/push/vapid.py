"""Who sends a wake-up: a signed token for the origin of a push service (RFC 8292, VAPID), made by the key store. One
token serves an origin for hours, so that the key store is asked once. A subscription is woken by the key that it was
made for, since its push service takes no other."""

import json
from collections import OrderedDict
from collections.abc import Callable

from yarl import URL

from gateway.core.clock import Clock
from gateway.core.encoding import b64url_encode
from hsm_adapters.api import HsmAdapter, KeyInfo
from hsm_adapters.errors import KeyNotFound, WrongKeyKind

LIFE_S = 12 * 3_600
"""RFC 8292 section 2 allows 24 hours."""
FRESH_S = 3_600
"""What a token has left at least when it is used again."""
MAX_ORIGINS = 100


class Vapid:
    """Tokens of the gateway's keys of wake-ups. One for the process."""

    def __init__(
        self, *, adapter: HsmAdapter, in_force: Callable[[], KeyInfo], contact: str, clock: Clock
    ) -> None:
        """`in_force` says which key phones subscribe for, without waiting; `contact` is a mailto: or https: address."""
        self._adapter = adapter
        self._in_force = in_force
        self._contact = contact
        self._clock = clock
        self._tokens: OrderedDict[tuple[str, str], tuple[str, float]] = OrderedDict()

    @property
    def label(self) -> str:
        """Label of the key that phones subscribe for."""
        return self._in_force().label

    @property
    def public_key(self) -> bytes:
        """Its point, 65 bytes."""
        return self._in_force().public_key or b""

    async def authorization(self, endpoint: str, label: str) -> str:
        """Return the Authorization field for an endpoint (section 3) by the key of that label; by the one in force
        where that is gone. Raises HsmError."""
        origin = str(URL(endpoint).origin())
        now = self._clock.now()
        token, ends = self._tokens.get((label, origin), ("", 0.0))
        if ends - now < FRESH_S:
            ends = now + LIFE_S
            token = await self._sign(label, origin, int(ends))
            self._tokens[label, origin] = token, ends
            self._tokens.move_to_end((label, origin))
            if len(self._tokens) > MAX_ORIGINS:
                self._tokens.popitem(last=False)
        return token

    async def _sign(self, label: str, origin: str, expires: int) -> str:
        """Return a JWT (RFC 7519) by ES256 (RFC 7518 section 3.4), and the key for it."""
        try:
            key = await self._adapter.find(label)
        except KeyNotFound:
            key = self._in_force()
        if key.public_key is None:
            raise WrongKeyKind(f"'{key.label}' has no public key.")
        header = {"typ": "JWT", "alg": "ES256"}
        claims = {"aud": origin, "exp": expires, "sub": self._contact}
        signed = ".".join(b64url_encode(json.dumps(part).encode()) for part in (header, claims))
        signature = await self._adapter.sign(key.label, signed.encode("ascii"))
        return f"vapid t={signed}.{b64url_encode(signature)}, k={b64url_encode(key.public_key)}"
