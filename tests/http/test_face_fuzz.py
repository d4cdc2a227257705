"""Outside bytes of any kind: bodies, queries, cursors, headers. The answer is a problem or a success, never a 500."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from face_kit import PAGE_TOKEN, Face, running_face
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.core.errors import Problem, ProblemCode
from gateway.http.endpoint import MAX_DEPTH, check_depth
from gateway.http.pages import MAX_CURSOR, decode_cursor, encode_cursor
from gateway.http.sse import parse_last_event_id
from gateway.settings import RateLimit

ROOMY = {name: RateLimit(1_000_000, 1) for name in ("default", "public", "stream")}
over_http = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@pytest.fixture
async def face(tmp_path: Path) -> AsyncIterator[Face]:
    async with running_face(tmp_path, limits=ROOMY) as running:
        yield running


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max((depth_of(inner) for inner in value.values()), default=0)
    return 1 + max((depth_of(inner) for inner in value), default=0) if isinstance(value, list) else 0


async def test_bodies_of_any_bytes(face: Face) -> None:
    @over_http
    @given(st.binary(max_size=300) | json_values.map(lambda value: json.dumps(value).encode()))
    @example(b'{"name":' * 5000)
    @example(b'{"name":"\\ud800"}')
    @example(b'{"name":"x","name":"y"}')
    @example(b'{"name":"x","count":1e400}')
    async def send(body: bytes) -> None:
        headers = {"Content-Type": "application/json"}
        status, answer, _ = await face.ask("POST", "/t/orders", data=body, headers=headers)
        assert status in (201, 400, 409), answer
        if status != 201:
            assert answer["code"] in ("invalid-request", "conflict")

    await run(send)


async def run(test: Any) -> None:
    """Run a hypothesis test of a coroutine on this loop: hypothesis is synchronous, so it works in a thread."""
    loop = asyncio.get_running_loop()
    inner = test.hypothesis.inner_test

    def call(*args: Any, **kwargs: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(inner(*args, **kwargs), loop).result(60)

    test.hypothesis.inner_test = call
    await asyncio.to_thread(test)


async def test_queries_of_any_text(face: Face) -> None:
    @over_http
    @given(st.dictionaries(st.sampled_from(["cursor", "limit", "x"]), st.text(max_size=40), max_size=3))
    async def send(query: dict[str, str]) -> None:
        status, answer, _ = await face.ask("GET", "/t/numbers", params=query)
        assert status in (200, 400), answer

    await run(send)


async def test_headers_of_any_text(face: Face) -> None:
    visible = st.text(
        st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=60
    )

    @over_http
    @given(visible, visible, visible)
    async def send(authorization: str, key: str, last: str) -> None:
        headers = {"Authorization": authorization.strip(), "Idempotency-Key": key, "Last-Event-ID": last}
        status, _, _ = await face.ask("POST", "/t/orders", token=None, json={"name": "x"}, headers=headers)
        assert status == 401
        headers["Authorization"] = f"Bearer {PAGE_TOKEN}"
        status, _, _ = await face.ask(
            "POST", "/t/page-orders", token=None, json={"name": "x"}, headers=headers
        )
        assert status in (200, 400)

    await run(send)


async def test_list_is_walked_by_its_cursors(face: Face) -> None:
    seen: list[int] = []
    query: dict[str, str] = {"limit": "10"}
    while True:
        _, page, _ = await face.ask("GET", "/t/numbers", params=query)
        seen += page["items"]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == list(range(25))


@given(st.tuples(st.integers(0, 2**53), st.text(max_size=20)))
def test_cursor_comes_back_as_it_was(place: tuple[int, str]) -> None:
    cursor = encode_cursor(place, of="list:a")
    assert decode_cursor(cursor, of="list:a", shape=tuple[int, str]) == place
    for wrong in ("list:b", ""):
        with pytest.raises(Problem):
            decode_cursor(cursor, of=wrong, shape=tuple[int, str])
    with pytest.raises(Problem):
        decode_cursor(cursor, of="list:a", shape=tuple[str, int, int])


@given(st.text(max_size=MAX_CURSOR + 10) | st.binary(max_size=40).map(lambda raw: raw.hex()))
def test_made_up_cursors_are_refused(cursor: str) -> None:
    with pytest.raises(Problem) as caught:
        decode_cursor(cursor, of="list", shape=tuple[int])
    assert caught.value.kind is ProblemCode.INVALID_REQUEST


@given(json_values)
def test_depth_is_counted_as_json_counts_it(value: Any) -> None:
    for _ in range(MAX_DEPTH - 8):
        value = [value]
    body = json.dumps(value).encode()
    if depth_of(value) <= MAX_DEPTH:
        check_depth(body)
    else:
        with pytest.raises(Problem):
            check_depth(body)


@given(st.text(max_size=30))
def test_last_event_id_is_a_number_or_refused(text: str) -> None:
    try:
        parsed = parse_last_event_id(text)
    except Problem as problem:
        assert problem.kind is ProblemCode.INVALID_REQUEST
    else:
        assert parsed is None or str(parsed) == text.lstrip("0") or parsed == 0
