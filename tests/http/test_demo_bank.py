"""The demo bank's back end against a gateway of the test's own on loopback."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.core.clock import ManualClock
from gateway.core.secrets import Secret
from gateway.demo import DemoBankConfig, create_demo_bank

WEBHOOK_KEY = bytes(range(32))


class RecordingGateway:
    """Answers the two calls the bank makes, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any], str | None, str | None]] = []

    async def answer(self, request: web.Request) -> web.Response:
        headers = request.headers
        self.asked.append(
            (request.path, await request.json(), headers.get("Authorization"), headers.get("Idempotency-Key"))
        )
        return web.json_response({"page_token": "ptk_x"}, status=201)


@pytest.fixture
async def bank() -> AsyncIterator[tuple[TestClient[Any, Any], RecordingGateway, ManualClock]]:
    recording = RecordingGateway()
    gateway = web.Application()
    gateway.router.add_post("/api/v1/{rest:.*}", recording.answer)
    server = TestServer(gateway)
    await server.start_server()
    clock = ManualClock()
    config = DemoBankConfig(
        api_base=str(server.make_url("/")),
        api_key=Secret(b"tsk_test"),
        webhook_secret=Secret(b"whsec_" + base64.b64encode(WEBHOOK_KEY)),
        session_key=Secret(bytes(32)),
        clock=clock,
        pages=None,
    )
    app = web.Application()
    app.add_subapp("/demo/", create_demo_bank(config))
    async with TestClient(TestServer(app)) as client:
        yield client, recording, clock
    await server.close()


async def log_in(client: TestClient[Any, Any]) -> str:
    answer = await client.post("/demo/api/login", json={"user": "claire", "password": "tessera"})
    assert answer.status == 200
    return str((await answer.json())["csrf"])


async def test_wrong_password_is_refused_and_gives_no_session(bank: Any) -> None:
    client, _, _ = bank
    answer = await client.post("/demo/api/login", json={"user": "claire", "password": "guess"})
    assert answer.status == 401
    assert (await (await client.get("/demo/api/session")).json())["customer"] is None


async def test_activation_is_started_for_the_customer_who_is_logged_in(bank: Any) -> None:
    client, recording, _ = bank
    csrf = await log_in(client)
    answer = await client.post(
        "/demo/api/activations",
        json={"two_step": True, "user": "thomas"},
        headers={"X-CSRF-Token": csrf, "Idempotency-Key": "click-1"},
    )
    assert answer.status == 201
    path, body, authorization, key = recording.asked[0]
    assert path == "/api/v1/activations"
    assert body == {"user": "claire", "label": "Claire Martin", "two_step": True}
    assert (authorization, key) == ("Bearer tsk_test", "click-1")


async def test_post_without_the_csrf_token_is_refused(bank: Any) -> None:
    client, recording, _ = bank
    await log_in(client)
    assert (await client.post("/demo/api/activations", json={})).status == 403
    assert recording.asked == []


async def test_session_ends_after_fifteen_minutes(bank: Any) -> None:
    client, _, clock = bank
    await log_in(client)
    clock.advance(15 * 60 + 1)
    assert (await client.get("/demo/api/notices")).status == 401


def signed(body: bytes, *, at: float, identifier: str = "msg_1") -> dict[str, str]:
    message = f"{identifier}.{int(at)}.".encode() + body
    signature = base64.b64encode(hmac.digest(WEBHOOK_KEY, message, hashlib.sha256)).decode()
    return {
        "webhook-id": identifier,
        "webhook-timestamp": str(int(at)),
        "webhook-signature": f"v1,{signature}",
    }


async def test_signed_webhook_becomes_a_notice_once(bank: Any) -> None:
    client, _, clock = bank
    body = json.dumps({"type": "activation.active", "data": {"user": "claire"}}).encode()
    headers = signed(body, at=clock.now())
    for _ in range(2):
        assert (await client.post("/demo/webhook", data=body, headers=headers)).status == 204
    await log_in(client)
    items = (await (await client.get("/demo/api/notices")).json())["items"]
    assert [item["type"] for item in items] == ["activation.active"]


@pytest.mark.parametrize("change", ["body", "signature", "time"])
async def test_webhook_that_is_not_the_gateways_is_refused(bank: Any, change: str) -> None:
    client, _, clock = bank
    body = json.dumps({"type": "activation.active", "data": {"user": "claire"}}).encode()
    headers = signed(body, at=clock.now() - (301 if change == "time" else 0))
    if change == "signature":
        headers["webhook-signature"] = "v1," + base64.b64encode(bytes(32)).decode()
    if change == "body":
        body = body.replace(b"claire", b"thomas")
    assert (await client.post("/demo/webhook", data=body, headers=headers)).status == 400
