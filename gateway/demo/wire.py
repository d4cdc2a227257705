"""The demo bank's JSON over HTTP: what its handlers share. Refusals are {"error": sentence}, with `code`, `field` and
`retry_after` where there are such."""

import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from gateway.core.encoding import b64url_encode


class Refusal(Exception):
    """What the bank does not do, and why. `fields` may have `code` (one of the gateway's problems, or the bank's own),
    `field` (of the form, to be mended) and `retry_after` (seconds)."""

    def __init__(self, status: int, text: str, **fields: str | int) -> None:
        super().__init__(text)
        self.status = status
        self.fields = fields


def wrong_field(name: str) -> Refusal:
    """Return the refusal of a form with one field to mend."""
    return Refusal(400, "mend this field", code="invalid-request", field=name)


def lang_of(body: dict[str, Any]) -> str:
    """Return the language of the page that asks."""
    return "fr" if body.get("lang") == "fr" else "en"


def text_of(body: dict[str, Any], name: str) -> str:
    """Return what was typed into a field, without blanks around it, its line breaks as one character."""
    return str(body.get(name, "")).replace("\r\n", "\n").strip()


def idempotency_key(request: web.Request) -> str:
    """The page's own key, so that a click sent twice is done once; a fresh one when it sends none."""
    return request.headers.get("Idempotency-Key", "")[:64] or b64url_encode(secrets.token_bytes(16))


async def read_object(request: web.Request) -> dict[str, Any]:
    """Return the JSON object of a body. Raises Refusal."""
    try:
        content = await request.json()
    except ValueError as error:
        raise Refusal(400, "send a JSON object") from error
    if request.content_type != "application/json" or not isinstance(content, dict):
        raise Refusal(400, "send a JSON object")
    return content


@web.middleware
async def answer_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer refusals of the bank's own API as {"error": sentence}."""
    try:
        return await handler(request)
    except Refusal as refusal:
        headers = {}
        if "retry_after" in refusal.fields:
            headers["Retry-After"] = str(refusal.fields["retry_after"])
        body = {"error": str(refusal), **refusal.fields}
        return web.json_response(body, status=refusal.status, headers=headers)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return web.json_response({"error": error.text}, status=error.status)
