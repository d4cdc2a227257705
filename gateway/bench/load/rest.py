"""The JSON of the load benches' customers: one call to the gateway, which must come out well."""

from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec


@dataclass(frozen=True, slots=True)
class Rest:
    """Calls under one address."""

    http: aiohttp.ClientSession
    url: str

    async def post(self, path: str, body: object, headers: dict[str, str], shape: type[Any]) -> Any:
        """Post JSON; return the answer, read as `shape`. Raises as `call`."""
        return msgspec.json.decode(await self.call("POST", path, headers, body), type=shape)

    async def get(self, path: str, headers: dict[str, str], shape: type[Any]) -> Any:
        """Get JSON, read as `shape`. Raises as `call`."""
        return msgspec.json.decode(await self.call("GET", path, headers), type=shape)

    async def call(self, method: str, path: str, headers: dict[str, str], body: object = None) -> bytes:
        """Return an answer's body. Raises RuntimeError for an answer of 400 or more."""
        data = None if body is None else msgspec.json.encode(body)
        typed = headers if data is None else headers | {"Content-Type": "application/json"}
        async with self.http.request(method, self.url + path, data=data, headers=typed) as answer:
            content = await answer.read()
            if answer.status >= 400:
                raise RuntimeError(f"{method} {path.split('/')[3]}: {answer.status} {content[:200]!r}")
            return content


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a credential."""
    return {"Authorization": f"Bearer {token}"}
