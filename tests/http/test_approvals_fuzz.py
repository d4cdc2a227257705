"""Outside bytes at the doors of approvals: bodies, fields, digits, queries. The answer is a problem or a success, never
a 500, and what was made is what was asked."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from devices_kit import bind
from gateway_kit import GatewayKit
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from test_face_fuzz import json_values, run

APPROVALS = "/api/v1/approvals"
FIELDS: dict[str, dict[str, str]] = {
    "login": {"browser": "Firefox", "place": ""},
    "payment": {"amount": "1.00", "currency": "EUR", "payee": "P", "account": "A", "purpose": ""},
    "contact": {"kind": "email", "value": "a@b.example", "previous": ""},
    "free": {"title": "T", "text": "T"},
    "device": {"mode": "add", "browser": "", "place": ""},
}
over_http = settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
any_text = st.text(max_size=40) | st.sampled_from(
    ["", " ", "\n", "\u202e", "0", "1.0", "EUR", "\U0001f600" * 30]
)


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[GatewayKit]:
    async with GatewayKit.running(tmp_path) as running:
        yield running


async def send(kit: GatewayKit, method: str, path: str, body: bytes) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {kit.api_key}", "Content-Type": "application/json"}
    async with kit.session.request(method, kit.now.url + path, data=body, headers=headers) as answer:
        text = await answer.read()
        return answer.status, json.loads(text) if text else None


async def test_orders_of_any_bytes(kit: GatewayKit) -> None:
    @over_http
    @given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
    @example(b'{"user":"\\ud800","type":"free","fields":{"title":"T","text":"T"}}')
    @example(b'{"user":"u","type":"free","fields":{"title":"T","text":null}}')
    @example(b'{"user":"u","type":"free","fields":[]}')
    async def order(body: bytes) -> None:
        status, answer = await send(kit, "POST", APPROVALS, body)
        assert status == 400, answer
        assert answer["code"] == "invalid-request"

    await run(order)


@pytest.mark.parametrize("kind", FIELDS)
async def test_fields_of_any_text(kit: GatewayKit, kind: str) -> None:
    await bind(kit, kit.phone())
    changes = st.dictionaries(st.sampled_from([*FIELDS[kind], "other"]), any_text, min_size=1, max_size=3)

    @over_http
    @given(changes)
    async def order(changed: dict[str, str]) -> None:
        kit.clock.advance(61)  # so that none waits, and no limit is met
        fields = {**FIELDS[kind], **changed}
        body = {"user": "user-1", "type": kind, "fields": fields}
        status, answer = await send(kit, "POST", APPROVALS, json.dumps(body).encode())
        assert status in (201, 400, 409), answer
        if status == 201:
            assert answer["approval"]["fields"] == fields
        else:
            assert answer["code"] == ("invalid-request" if status == 400 else "no-phone")

    await run(order)


async def test_users_of_any_text(kit: GatewayKit) -> None:
    @over_http
    @given(any_text)
    async def order(user: str) -> None:
        kit.clock.advance(61)
        body = {"user": user, "type": "free", "fields": FIELDS["free"]}
        status, answer = await send(kit, "POST", APPROVALS, json.dumps(body).encode())
        assert (status, answer["code"]) in ((400, "invalid-request"), (409, "no-phone"))

    await run(order)


async def test_policies_of_any_bytes(kit: GatewayKit) -> None:
    before = await kit.call("GET", "/api/v1/approval-policies")

    @over_http
    @given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
    async def change(body: bytes) -> None:
        status, answer = await send(kit, "PUT", "/api/v1/approval-policies/free", body)
        assert status == 400, answer

    await run(change)
    assert await kit.call("GET", "/api/v1/approval-policies") == before


async def test_digits_of_any_text_cost_no_try_unless_they_are_eight(kit: GatewayKit) -> None:
    await bind(kit, kit.phone())
    started = (
        await kit.call(
            "POST", APPROVALS, {"user": "user-1", "type": "free", "fields": FIELDS["free"]}, status=201
        )
    )["approval"]
    one = f"{APPROVALS}/{started['id']}"
    await kit.call("POST", f"{one}/offline-code", {})

    @over_http
    @given(st.text(max_size=12) | st.text("0123456789 -", max_size=12))
    @example("١٢٣٤٥٦٧٨")
    @example("12345678\n")
    async def answer(code: str) -> None:
        if sum(each in "0123456789" for each in code) == 8:
            return
        status, problem = await send(
            kit, "POST", f"{one}/offline-answer", json.dumps({"code": code}).encode()
        )
        assert (status, problem["code"]) == (400, "invalid-request")

    await run(answer)
    assert (await kit.call("GET", one))["tries_left"] == 5


async def test_queries_and_ids_of_any_text(kit: GatewayKit) -> None:
    @over_http
    @given(
        st.dictionaries(
            st.sampled_from(["user", "state", "type", "cursor", "limit", "x"]),
            st.text(max_size=30),
            max_size=3,
        ),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/?#."), min_size=1, max_size=30),
    )
    async def ask(query: dict[str, str], name: str) -> None:
        headers = {"Authorization": f"Bearer {kit.api_key}"}
        async with kit.session.get(kit.now.url + APPROVALS, params=query, headers=headers) as answer:
            assert answer.status in (200, 400)
        async with kit.session.get(f"{kit.now.url}{APPROVALS}/{name}", headers=headers) as answer:
            assert answer.status in (400, 404)

    await run(ask)
