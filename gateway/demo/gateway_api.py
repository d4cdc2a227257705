"""How the demo bank's back end calls the gateway: over HTTP, with its API key, which no page ever sees."""

import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
from aiohttp import web

from gateway.core.encoding import b64url_encode
from gateway.core.secrets import Secret
from gateway.demo.wire import Refusal


class GatewayApi:
    """The gateway at one address, with one key."""

    def __init__(self, base: str, key: Secret) -> None:
        self._base = base
        self._key = key
        self._http: aiohttp.ClientSession | None = None

    async def connect(self, _: web.Application) -> AsyncIterator[None]:
        """Hold one HTTP client while the application runs."""
        async with aiohttp.ClientSession(
            base_url=self._base,
            headers={"Authorization": f"Bearer {self._key.reveal().decode('ascii')}"},
            timeout=aiohttp.ClientTimeout(total=10),
        ) as self._http:
            yield

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Read. Raises Refusal."""
        return await self._call("GET", path, params=params)

    async def post(self, path: str, body: dict[str, Any], *, key: str | None = None) -> dict[str, Any]:
        """Have something done, once for each idempotency key (a fresh one unless given). Raises Refusal."""
        headers = {"Idempotency-Key": key or b64url_encode(secrets.token_bytes(16))}
        return await self._call("POST", path, json=body, headers=headers)

    async def _call(self, method: str, path: str, **call: Any) -> dict[str, Any]:
        if self._http is None:
            raise Refusal(503, "the bank is starting")
        try:
            async with self._http.request(method, path, **call) as answer:
                content = await answer.json(content_type=None)
                if answer.status >= 400:
                    raise _passed_on(answer.status, content if isinstance(content, dict) else {})
                return dict(content)
        except (aiohttp.ClientError, TimeoutError, ValueError, TypeError) as error:
            raise Refusal(502, "the gateway does not answer; try again shortly") from error


def _passed_on(status: int, problem: dict[str, Any]) -> Refusal:
    """Return what the page is told of a problem of the gateway. What the customer can do something about keeps its
    code; anything else is the bank's trouble."""
    code = str(problem.get("code"))
    text = str(problem.get("detail") or problem.get("title") or "the gateway refused")
    match code:
        case "no-phone" | "conflict":
            return Refusal(409, text, code=code)
        case "rate-limited":
            return Refusal(429, text, code=code, retry_after=int(problem.get("retry_after", 30)))
        case "not-found":
            return Refusal(404, text, code=code)
        case "invalid-request":
            place, _, _ = text.partition(":")
            return Refusal(400, text, code=code, field=place.removeprefix("$.fields."))
        case _:
            return Refusal(502, f"{text} ({status})")
