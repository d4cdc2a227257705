"""What the demo bank makes of the gateway's webhooks: notices, and payments whose page was closed."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from demo_kit import PAYMENT, WEBHOOK_KEY, log_in


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


async def test_a_payment_whose_page_was_closed_is_carried_out_by_the_webhook(bank: Any) -> None:
    client, recording, clock = bank
    headers = {"X-CSRF-Token": await log_in(client)}
    started = await (await client.post("/demo/api/transfers", json=PAYMENT, headers=headers)).json()
    recording.approval["state"] = "approved"
    data = {"approval": started["approval"]["id"], "user": "claire", "type": "payment"}
    body = json.dumps({"type": "approval.approved", "data": data}).encode()
    answer = await client.post("/demo/webhook", data=body, headers=signed(body, at=clock.now()))
    assert answer.status == 204
    listed = await (await client.get("/demo/api/transfers")).json()
    assert [item["state"] for item in listed["items"]] == ["approved"]


async def test_a_webhook_whose_payment_could_not_be_looked_up_is_wanted_again(bank: Any) -> None:
    client, recording, clock = bank
    headers = {"X-CSRF-Token": await log_in(client)}
    started = await (await client.post("/demo/api/transfers", json=PAYMENT, headers=headers)).json()
    recording.approval["state"] = "approved"
    data = {"approval": started["approval"]["id"], "user": "claire", "type": "payment"}
    body = json.dumps({"type": "approval.approved", "data": data}).encode()
    for is_down, status in ((True, 502), (False, 204)):
        recording.is_down = is_down
        answer = await client.post("/demo/webhook", data=body, headers=signed(body, at=clock.now()))
        assert answer.status == status
    session = await (await client.get("/demo/api/session")).json()
    assert session["customer"]["accounts"][0]["balance"] == 284_217 - 1_250


async def test_a_reported_login_is_told_at_the_next_one(bank: Any) -> None:
    client, _, clock = bank
    data = {"approval": "apr_9", "user": "claire", "type": "login"}
    body = json.dumps({"type": "approval.reported", "data": data}).encode()
    await client.post("/demo/webhook", data=body, headers=signed(body, at=clock.now()))
    for expected in (True, False):
        answer = await client.post("/demo/api/login", json={"user": "claire", "password": "tessera"})
        assert (await answer.json())["reported"] is expected
