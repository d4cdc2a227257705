"""The OpenAPI 3.1 document, written from the route table, so that it cannot tell another story than the server. The
server assembly makes it once at start; the page /docs is drawn from it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.core.errors import ProblemCode
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
        "components": {
            "schemas": {**schemas, "Problem": _problem_schema()},
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
        found.append({"name": "Idempotency-Key", "in": "header", "required": False, "schema": text})
    if route.stream and route.auth is not Auth.PUBLIC:
        found.append(
            {"name": "Last-Event-ID", "in": "header", "required": False, "schema": {"type": "string"}}
        )
    return found


def _responses(route: Route) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "Done."}
    status = route.status
    if route.response is not None:
        good["content"] = {"application/json": {"schema": _ref(route.response)}}
    elif route.stream:
        good["content"] = {"text/event-stream": {"schema": {"type": "string"}}}
    elif status == 200:
        status = 204
    kinds = [*route.problems, *_ALWAYS]
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
    bad = {
        str(s): {"description": ", ".join(codes), "content": content} for s, codes in sorted(titles.items())
    }
    return {str(status): good, **bad}


def _takes_idempotency_key(route: Route) -> bool:
    return route.method == "POST" and route.auth is not Auth.PUBLIC and not route.stream


def _ref(struct: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{struct.__name__}"}


def _operation_id(route: Route) -> str:
    words = re.sub(r"[^A-Za-z0-9]+", " ", f"{route.method.lower()} {route.path}").split()
    return words[0] + "".join(word.capitalize() for word in words[1:])


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
