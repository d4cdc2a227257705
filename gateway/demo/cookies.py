"""The demo bank's cookies: sealed by the bank (Fernet), each for one use, each with an age that the server counts."""

import json

from aiohttp import web
from cryptography.fernet import Fernet, InvalidToken

from gateway.core.clock import Clock
from gateway.core.encoding import b64url_encode
from gateway.core.secrets import Secret


class CookieSealer:
    """Seals and opens cookies with one key of 32 bytes."""

    def __init__(self, key: Secret, clock: Clock) -> None:
        self._fernet = Fernet((b64url_encode(key.reveal()) + "=").encode("ascii"))
        self._clock = clock

    def open(self, request: web.Request, name: str, *, seconds: int) -> dict[str, str] | None:
        """Return what a cookie holds; None when there is none, it is older than so many seconds, or not the bank's."""
        cookie = request.cookies.get(name, "")
        try:
            plain = self._fernet.decrypt_at_time(
                cookie.encode("utf-8", "surrogateescape"), ttl=seconds, current_time=int(self._clock.now())
            )
        except InvalidToken:
            return None
        content: dict[str, str] = json.loads(plain)
        return content if content.get("for") == name else None

    def seal(
        self, response: web.StreamResponse, *, request: web.Request, name: str, content: dict[str, str]
    ) -> None:
        """Give the browser a cookie of that content, as old as now."""
        plain = json.dumps({**content, "for": name}).encode()
        token = self._fernet.encrypt_at_time(plain, current_time=int(self._clock.now()))
        response.set_cookie(
            name,
            token.decode("ascii"),
            path="/demo/",
            httponly=True,
            secure=request.secure,
            samesite="Lax",
        )
