"""Failures as RFC 9457 problem details. The edge middleware calls `problem_response` for every failure; whatever an
exception's text says, the caller reads only the closed table of gateway/core/errors.py."""

from collections.abc import Mapping

import msgspec
from aiohttp import web

from gateway.core.errors import Problem, ProblemCode
from hsm_adapters.errors import OUTAGES, HsmError

MEDIA_TYPE = "application/problem+json"
RETRY_S = 5
"""When to come again while the key store is away."""
_encode = msgspec.json.Encoder().encode

_BY_STATUS = {
    400: ProblemCode.INVALID_REQUEST,
    401: ProblemCode.UNAUTHENTICATED,
    403: ProblemCode.FORBIDDEN,
    404: ProblemCode.NOT_FOUND,
    405: ProblemCode.METHOD_NOT_ALLOWED,
    413: ProblemCode.PAYLOAD_TOO_LARGE,
    415: ProblemCode.UNSUPPORTED_MEDIA_TYPE,
    426: ProblemCode.UPGRADE_REQUIRED,
    429: ProblemCode.RATE_LIMITED,
    503: ProblemCode.UNAVAILABLE,
}


def problem_response(
    problem: Problem, request_id: str, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return the answer to a problem. `retry_after` among its fields becomes a header too."""
    kind = problem.kind
    body: dict[str, object] = {
        "type": f"/problems/{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": problem.detail or kind.title,
        "code": kind.code,
        "next_step": problem.next_step,
        "request_id": request_id,
    }
    for name, value in problem.fields.items():
        body.setdefault(name, value)
    response = web.Response(body=_encode(body), status=kind.status, content_type=MEDIA_TYPE, headers=headers)
    if "retry_after" in problem.fields:
        response.headers["Retry-After"] = str(problem.fields["retry_after"])
    if kind is ProblemCode.UNAUTHENTICATED:
        response.headers["WWW-Authenticate"] = 'Bearer realm="tessera"'
    if kind is ProblemCode.UPGRADE_REQUIRED:
        response.headers["Upgrade"] = "websocket"
    return response


def problem_of_http_exception(error: web.HTTPException) -> Problem:
    """Return the problem that aiohttp's own refusal stands for."""
    if error.status == 404:
        return Problem(
            ProblemCode.NOT_FOUND, "there is no such address", next_step="See /docs for those that there are."
        )
    kind = _BY_STATUS.get(error.status)
    if kind is None:
        kind = ProblemCode.INVALID_REQUEST if error.status < 500 else ProblemCode.INTERNAL
    return Problem(kind)


def problem_of_hsm_error(error: HsmError) -> Problem:
    """Return the problem that a failure of the key store stands for: an outage is waited for; one key or sealed value
    that is gone or was changed (damage) is not mended by trying again."""
    if isinstance(error, OUTAGES):
        return Problem(
            ProblemCode.UNAVAILABLE,
            "the key store does not answer",
            next_step="Try again shortly; whoever runs the gateway finds the reason at /readyz.",
            retry_after=RETRY_S,
        )
    return Problem(ProblemCode.INTERNAL)
