"""The demo bank's JSON over HTTP: what its handlers share. Refusals are {"error": sentence}."""

import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from gateway.core.encoding import b64url_encode


def lang_of(body: dict[str, Any]) -> str:
    """Return the language of the page that asks."""
    return "fr" if body.get("lang") == "fr" else "en"


def passed_on(status: int, problem: dict[str, Any]) -> web.HTTPException:
    """Return what the page is told of a problem of the gateway."""
    text = str(problem.get("detail") or problem.get("title") or "the gateway refused")
    match problem.get("code"):
        case "no-phone" | "conflict":
            return web.HTTPConflict(text=text)
        case "rate-limited":
            retry = str(problem.get("retry_after", 30))
            return web.HTTPTooManyRequests(text=text, headers={"Retry-After": retry})
        case "not-found":
            return web.HTTPNotFound(text=text)
        case "invalid-request":
            return web.HTTPBadRequest(text=text)
        case _:
            return web.HTTPBadGateway(text=f"{text} ({status})")


def idempotency_key(request: web.Request) -> str:
    """The page's own key, so that a click sent twice starts one activation; a fresh one when it sends none."""
    return request.headers.get("Idempotency-Key", "")[:64] or b64url_encode(secrets.token_bytes(16))


async def read_object(request: web.Request) -> dict[str, Any]:
    """Return the JSON object of a body. Raises HTTPBadRequest."""
    try:
        content = await request.json()
    except ValueError as error:
        raise web.HTTPBadRequest(text="send a JSON object") from error
    if request.content_type != "application/json" or not isinstance(content, dict):
        raise web.HTTPBadRequest(text="send a JSON object")
    return content


@web.middleware
async def answer_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer refusals of the bank's own API as {"error": sentence}."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        headers = {name: value for name, value in error.headers.items() if name == "Retry-After"}
        return web.json_response({"error": error.text}, status=error.status, headers=headers)
