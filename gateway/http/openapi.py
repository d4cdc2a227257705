"""The OpenAPI 3.1 document, written from the route table, so that it cannot tell another story than the server. The
server assembly makes it once at start; the page /docs is drawn from it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.core.errors import ProblemCode
from gateway.core.events import WebhookEvent
from gateway.http.routing import Auth, Route

_VARIABLE = re.compile(r"\{([a-z_]+)(?::[^}]*)?\}")
_SECURITY: Mapping[Auth, list[dict[str, list[str]]]] = {
    Auth.PUBLIC: [],
    Auth.API_KEY: [{"apiKey": []}],
    Auth.PAGE_TOKEN: [{"pageToken": []}],
    Auth.EITHER: [{"apiKey": []}, {"pageToken": []}],
}
_ALWAYS = (ProblemCode.RATE_LIMITED, ProblemCode.INTERNAL, ProblemCode.UNAVAILABLE)
_WITH_BODY = (ProblemCode.INVALID_REQUEST, ProblemCode.PAYLOAD_TOO_LARGE, ProblemCode.UNSUPPORTED_MEDIA_TYPE)
_WITH_KEY = (
    ProblemCode.CONFLICT,
    ProblemCode.IDEMPOTENCY_MISMATCH,
    ProblemCode.IDEMPOTENCY_OUTCOME_UNKNOWN,
)


def build_openapi(routes: Sequence[Route], *, server: str, version: str) -> dict[str, Any]:
    """Return the document of all routes that are not hidden."""
    shown = [route for route in routes if not route.hidden]
    structs = list({s for r in shown for s in (r.request, r.response, r.params) if s is not None})
    structs.sort(key=lambda struct: struct.__name__)
    _, schemas = msgspec.json.schema_components(structs, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for route in shown:
        path = _VARIABLE.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tessera gateway",
            "version": version,
            "description": "Binds a bank customer's phone to the desktop banking session.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server}],
        "tags": [{"name": tag} for tag in sorted({route.tag for route in shown if route.tag})],
        "paths": paths,
        "webhooks": {event.value: {"post": _webhook(event)} for event in WebhookEvent},
        "components": {
            "schemas": {**schemas, "Problem": _problem_schema(), "WebhookMessage": _message_schema()},
            "headers": _HEADERS,
            "securitySchemes": {
                "apiKey": {"type": "http", "scheme": "bearer", "description": "A bank back end's key, tsk_…"},
                "pageToken": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A page's short-lived token, ptk_…",
                },
            },
        },
    }


def _operation(route: Route, schemas: Mapping[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary or route.name,
        "security": _SECURITY[route.auth],
        "responses": _responses(route),
    }
    described = [route.description] if route.description else []
    if route.scope and route.auth in (Auth.API_KEY, Auth.EITHER):
        described.append(f"An API key needs the scope `{route.scope}`.")
    if described:
        operation["description"] = " ".join(described)
    if route.tag:
        operation["tags"] = [route.tag]
    if parameters := _parameters(route, schemas):
        operation["parameters"] = parameters
    if route.request is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _ref(route.request)}},
        }
    return operation


def _parameters(route: Route, schemas: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _VARIABLE.findall(route.path)
    ]
    if route.params is not None:
        schema = schemas[route.params.__name__]
        for name, member in schema["properties"].items():
            row: dict[str, Any] = {"name": name, "in": "query", "schema": member}
            row["required"] = name in schema.get("required", [])
            found.append(row)
    if _takes_idempotency_key(route):
        text = {"type": "string", "minLength": 1, "maxLength": 255}
        found.append(_header_parameter("Idempotency-Key", text, required=False))
    if route.stream:
        found.append(_header_parameter("Last-Event-ID", {"type": "string"}, required=False))
    if route.subprotocol:
        offered = {"type": "string", "const": route.subprotocol}
        found.append(_header_parameter("Sec-WebSocket-Protocol", offered))
    return found


def _header_parameter(name: str, schema: Mapping[str, Any], *, required: bool = True) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": required, "schema": schema}


def _responses(route: Route) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "Done.", "headers": _headers("RateLimit", "RateLimit-Policy")}
    status = route.status
    if _takes_idempotency_key(route):
        good["headers"] |= _headers("Idempotency-Replayed")
    if route.subprotocol:
        status, good = 101, {"description": f"The WebSocket is open, under {route.subprotocol}."}
    elif route.response is not None:
        good["content"] = {"application/json": {"schema": _ref(route.response)}}
    elif route.stream:
        good["content"] = {"text/event-stream": {"schema": {"type": "string"}}}
    elif status == 200:
        status = 204
    kinds = [*route.problems, *_ALWAYS]
    if route.subprotocol:
        kinds.append(ProblemCode.UPGRADE_REQUIRED)
    if route.auth is not Auth.PUBLIC:
        kinds += [ProblemCode.UNAUTHENTICATED, ProblemCode.FORBIDDEN]
    if route.request is not None:
        kinds += _WITH_BODY
    elif route.params is not None:
        kinds.append(ProblemCode.INVALID_REQUEST)
    if "{" in route.path:
        kinds.append(ProblemCode.NOT_FOUND)
    if _takes_idempotency_key(route):
        kinds += _WITH_KEY
    titles: dict[int, list[str]] = {}
    for kind in kinds:
        codes = titles.setdefault(kind.status, [])
        if kind.code not in codes:
            codes.append(kind.code)
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    bad: dict[str, dict[str, Any]] = {
        str(s): {"description": ", ".join(codes), "content": content} for s, codes in sorted(titles.items())
    }
    for waits in (ProblemCode.RATE_LIMITED, ProblemCode.UNAVAILABLE):
        bad[str(waits.status)]["headers"] = _headers("Retry-After")
    return {str(status): good, **bad}


def _takes_idempotency_key(route: Route) -> bool:
    return route.method == "POST" and route.auth is not Auth.PUBLIC and not route.stream


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _webhook(event: WebhookEvent) -> dict[str, Any]:
    """Return what the bank's endpoint receives (Standard Webhooks 1.0.0)."""
    text = {"type": "string"}
    return {
        "operationId": "webhook" + "".join(part.capitalize() for part in re.split(r"[.-]", event)),
        "summary": f"Tell the bank: {event}",
        "tags": ["webhooks"],
        "security": [],
        "parameters": [
            _header_parameter("webhook-id", text),
            _header_parameter("webhook-timestamp", text),
            _header_parameter("webhook-signature", text),
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/WebhookMessage"}}},
        },
        "responses": {
            "2XX": {"description": "Taken. Anything else, or no answer in time, is sent again later."}
        },
    }


def _ref(struct: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{struct.__name__}"}


def _operation_id(route: Route) -> str:
    words = re.sub(r"[^A-Za-z0-9]+", " ", f"{route.method.lower()} {route.path}").split()
    return words[0] + "".join(word.capitalize() for word in words[1:])


_HEADERS: Mapping[str, Any] = {
    "RateLimit": {
        "description": "Requests left in the window and seconds until it begins anew, by policy "
        '(draft-ietf-httpapi-ratelimit-headers): "default";r=5999;t=60.',
        "schema": {"type": "string"},
    },
    "RateLimit-Policy": {
        "description": 'Requests in a window and its seconds, by policy: "default";q=6000;w=60.',
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds to wait before the next attempt, where they are known.",
        "schema": {"type": "integer"},
    },
    "Idempotency-Replayed": {
        "description": "true: this Idempotency-Key has been answered before, and this is that answer.",
        "schema": {"type": "string", "const": "true"},
    },
}


def _message_schema() -> dict[str, Any]:
    return {
        "title": "WebhookMessage",
        "description": "What happened. Signed: HMAC-SHA-256 under the endpoint's secret over "
        "`webhook-id.webhook-timestamp.body`, in `webhook-signature` as `v1,` and base64. `webhook-id` is the same at "
        "every attempt, so that what was seen can be dropped.",
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"type": "string"},
            "timestamp": {"type": "string", "format": "date-time"},
            "data": {
                "type": "object",
                "description": "`user`, and the id of the `activation` or `binding`; further members by type.",
                "required": ["user"],
                "properties": {
                    "user": {"type": "string"},
                    "activation": {"type": "string"},
                    "binding": {"type": "string"},
                },
            },
        },
    }


def _problem_schema() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "title": "Problem",
        "description": "RFC 9457 problem details. Some problems have further members, such as left or retry_after.",
        "type": "object",
        "required": ["type", "title", "status", "detail", "code", "next_step", "request_id"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": text,
            "status": {"type": "integer"},
            "detail": text,
            "code": {"type": "string", "enum": [kind.code for kind in ProblemCode]},
            "next_step": text,
            "request_id": text,
        },
    }
