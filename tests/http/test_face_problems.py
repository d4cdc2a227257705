"""Every failure is a problem of the closed table, and tells nothing of what went wrong inside."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from face_kit import BANK_ORIGIN, Face, running_face

from gateway.core.errors import ProblemCode

MEMBERS = {"type", "title", "status", "detail", "code", "next_step", "request_id"}


@pytest.fixture
async def face(tmp_path: Path) -> AsyncIterator[Face]:
    async with running_face(tmp_path) as running:
        yield running


def assert_problem(answer: tuple[int, Any, Any], kind: ProblemCode) -> dict[str, Any]:
    status, body, headers = answer
    assert headers["Content-Type"].startswith("application/problem+json")
    assert body.keys() >= MEMBERS
    assert (status, body["status"], body["code"]) == (kind.status, kind.status, kind.code)
    assert body["type"] == f"/problems/{kind.code}"
    assert body["request_id"] == headers["X-Request-Id"]
    assert isinstance(body, dict)
    return body


async def test_unknown_path_is_a_problem(face: Face) -> None:
    assert_problem(await face.ask("GET", "/nowhere"), ProblemCode.NOT_FOUND)


async def test_wrong_method_is_a_problem_that_says_which_are_allowed(face: Face) -> None:
    answer = await face.ask("PUT", "/t/orders")
    assert_problem(answer, ProblemCode.METHOD_NOT_ALLOWED)
    assert answer[2]["Allow"] == "POST"


async def test_large_body_is_refused(face: Face) -> None:
    body = json.dumps({"name": "x", "tree": ["a" * 70_000]})
    answer = await face.ask("POST", "/t/orders", data=body, headers={"Content-Type": "application/json"})
    assert_problem(answer, ProblemCode.PAYLOAD_TOO_LARGE)


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"]
)
async def test_other_media_types_are_refused(face: Face, media_type: str) -> None:
    answer = await face.ask("POST", "/t/orders", data=b'{"name":"x"}', headers={"Content-Type": media_type})
    assert_problem(answer, ProblemCode.UNSUPPORTED_MEDIA_TYPE)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "name"),
        (b"{", "JSON"),
        (b"\xff\xfe", "JSON"),
        (b"[]", "object"),
        (b'{"name":""}', "name"),
        (b'{"name":"x","count":11}', "count"),
        (b'{"name":"x","extra":1}', "extra"),
        (b'{"name":"x","tree":' + 20 * b"[" + 20 * b"]" + b"}", "deeper"),
        (b'{"name":"x","tree":' + 3000 * b"[" + 3000 * b"]" + b"}", "deeper"),
    ],
)
async def test_wrong_bodies_name_what_is_wrong(face: Face, body: bytes, named: str) -> None:
    answer = await face.ask("POST", "/t/orders", data=body, headers={"Content-Type": "application/json"})
    assert named in assert_problem(answer, ProblemCode.INVALID_REQUEST)["detail"]
    assert face.made == []


async def test_brackets_inside_strings_are_not_depth(face: Face) -> None:
    status, _, _ = await face.ask("POST", "/t/orders", json={"name": "x", "tree": ["[{" * 50 + '"\\']})
    assert status == 201


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("hsm", ProblemCode.UNAVAILABLE),
        ("any", ProblemCode.INTERNAL),
        ("http", ProblemCode.INVALID_REQUEST),
        ("connection", ProblemCode.INTERNAL),
    ],
)
async def test_inner_failures_tell_nothing(face: Face, kind: str, code: ProblemCode) -> None:
    body = assert_problem(await face.ask("GET", f"/t/fail/{kind}"), code)
    for inner in ("secret", "slot", "inner text", "peer", "Runtime", "Hsm"):
        assert inner not in json.dumps(body)


async def test_problem_keeps_its_own_members(face: Face) -> None:
    answer = await face.ask("POST", "/t/orders", json={"name": "taken"})
    assert assert_problem(answer, ProblemCode.CONFLICT)["left"] == 2


async def test_problem_to_an_allowed_origin_can_be_read_there(face: Face) -> None:
    for body in ({"name": "taken"}, {"name": "broken"}):
        face.made.clear()
        _, _, headers = await face.ask("POST", "/t/page-orders", json=body, headers={"Origin": BANK_ORIGIN})
        assert headers["Access-Control-Allow-Origin"] == BANK_ORIGIN


async def test_unknown_and_repeated_query_parameters_are_refused(face: Face) -> None:
    for query in (
        "?other=1",
        "?limit=0",
        "?limit=201",
        "?limit=x",
        "?limit=1&limit=2",
        "?cursor=" + "a" * 300,
    ):
        assert_problem(await face.ask("GET", f"/t/numbers{query}"), ProblemCode.INVALID_REQUEST)


async def test_problem_type_resolves_to_what_to_do(face: Face) -> None:
    status, body, _ = await face.ask("GET", "/problems/rate-limited", token=None)
    assert status == 200
    assert ProblemCode.RATE_LIMITED.next_step in body.decode()
    assert_problem(await face.ask("GET", "/problems/other", token=None), ProblemCode.NOT_FOUND)


async def test_handler_without_an_answer_gives_204(face: Face) -> None:
    status, body, _ = await face.ask("DELETE", "/t/nothing/7")
    assert (status, body) == (204, b"")
