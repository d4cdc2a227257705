"""Who sends a wake-up: a signed token for the origin of a push service (RFC 8292, VAPID), made by the key store. One
token serves an origin for hours, so that the key store is asked once."""

import json
from collections import OrderedDict

from yarl import URL

from gateway.core.clock import Clock
from gateway.core.encoding import b64url_encode
from hsm_adapters.api import HsmAdapter

LIFE_S = 12 * 3_600
"""RFC 8292 section 2 allows 24 hours."""
FRESH_S = 3_600
"""What a token has left at least when it is used again."""
MAX_ORIGINS = 100


class Vapid:
    """Tokens of one key. One for the process."""

    def __init__(
        self, *, adapter: HsmAdapter, label: str, public_key: bytes, contact: str, clock: Clock
    ) -> None:
        """`public_key` is the point of the key (65 bytes), `contact` a mailto: or https: address."""
        self._adapter = adapter
        self._label = label
        self._contact = contact
        self._clock = clock
        self._tokens: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self.public_key = public_key

    async def authorization(self, endpoint: str) -> str:
        """Return the Authorization field for an endpoint (section 3). Raises HsmError."""
        origin = str(URL(endpoint).origin())
        now = self._clock.now()
        token, ends = self._tokens.get(origin, ("", 0.0))
        if ends - now < FRESH_S:
            ends = now + LIFE_S
            token = await self._sign(origin, int(ends))
            self._tokens[origin] = token, ends
            self._tokens.move_to_end(origin)
            if len(self._tokens) > MAX_ORIGINS:
                self._tokens.popitem(last=False)
        return f"vapid t={token}, k={b64url_encode(self.public_key)}"

    async def _sign(self, origin: str, expires: int) -> str:
        """Return a JWT (RFC 7519) by ES256 (RFC 7518 section 3.4)."""
        header = {"typ": "JWT", "alg": "ES256"}
        claims = {"aud": origin, "exp": expires, "sub": self._contact}
        signed = ".".join(b64url_encode(json.dumps(part).encode()) for part in (header, claims))
        return f"{signed}.{b64url_encode(await self._adapter.sign(self._label, signed.encode('ascii')))}"
