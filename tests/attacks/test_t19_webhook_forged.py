"""T19: a webhook is forged, changed or replayed at the bank's door. The demo bank's verifier, as the bank would write
it, against deliveries that the gateway's own sender signs."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from attack_kit import gateway_without_phones
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.clock import ManualClock
from gateway.core.secrets import Secret, system_random
from gateway.demo import DemoBankConfig, create_demo_bank
from gateway.demo.webhook import TOLERANCE_SECONDS, WebhookRefused, WebhookRepeated, WebhookVerifier
from gateway.webhooks.sender import sign

SECRET = b"whsec_" + base64.b64encode(bytes(range(32)))
NOW = 1_800_000_000
BODY = json.dumps({"type": "binding.suspended", "data": {"user": "claire", "reason": "clone"}}).encode()


def delivery(
    body: bytes = BODY, *, identifier: str = "msg_1", at: int = NOW, secret: bytes = SECRET
) -> dict[str, str]:
    """Return the headers that the sender puts on a delivery."""
    return {
        "webhook-id": identifier,
        "webhook-timestamp": str(at),
        "webhook-signature": sign(secret, identifier=identifier, timestamp=at, body=body),
    }


def verifier() -> WebhookVerifier:
    return WebhookVerifier(SECRET.decode())


def refuses(headers: dict[str, str], body: bytes = BODY, *, now: float = NOW) -> None:
    with pytest.raises(WebhookRefused):
        verifier().verify(headers, body, now=now)


def test_the_genuine_one_is_taken() -> None:
    verifier().verify(delivery(), BODY, now=NOW)
    verifier().verify(delivery(), BODY, now=NOW + TOLERANCE_SECONDS)
    rotated = delivery()
    rotated["webhook-signature"] = f"v1,{base64.b64encode(bytes(32)).decode()} {rotated['webhook-signature']}"
    verifier().verify(rotated, BODY, now=NOW)


def test_a_signature_of_another_secret_version_or_length_is_refused() -> None:
    other = b"whsec_" + base64.b64encode(bytes(32))
    refuses(delivery(secret=other))
    good = delivery()["webhook-signature"]
    for forged in (
        "",
        "v1,",
        good[:-4],
        good.replace("v1,", "v2,"),
        good.replace("v1,", "v1a,"),
        good.removeprefix("v1,"),
        "v1," + base64.b64encode(b"x").decode(),
        "v1,\u00e9\u00e9\u00e9\u00e9",
        "v1,\udcff",
        " ".join(["v1,AAAA"] * 8 + [good]),
    ):
        refuses(delivery() | {"webhook-signature": forged})


@given(st.integers(0, len(BODY) - 1), st.integers(1, 255))
def test_a_changed_body_is_refused(place: int, change: int) -> None:
    body = BODY[:place] + bytes((BODY[place] ^ change,)) + BODY[place + 1 :]
    refuses(delivery(), body)


def test_a_changed_id_or_time_is_refused() -> None:
    refuses(delivery() | {"webhook-id": "msg_2"})
    refuses(delivery() | {"webhook-timestamp": str(NOW + 1)})
    # The dot between the parts does not slide: "msg_1.1" and "800…" are not "msg_1" and "1.800…".
    moved = delivery(identifier="msg_1.1", at=800_000_000)
    refuses(moved | {"webhook-id": "msg_1", "webhook-timestamp": "1.800000000"})
    arabic = "".join(chr(0x660 + int(digit)) for digit in str(NOW))
    for made_up in ("", "-1", "1e9", " ", "٣", "9" * 13, arabic):
        refuses(delivery() | {"webhook-timestamp": made_up})
    for missing in delivery():
        refuses({name: value for name, value in delivery().items() if name != missing})


def test_an_old_or_a_future_one_is_refused() -> None:
    for late in (TOLERANCE_SECONDS + 1, 86_400, -TOLERANCE_SECONDS - 1):
        refuses(delivery(), now=NOW + late)


def test_a_replay_is_dropped_and_a_refused_one_is_no_first() -> None:
    """Also when it is signed anew for a later time, as the gateway's own retries are; and a forger who guesses the next
    id does not keep the genuine delivery out."""
    bank = verifier()
    with pytest.raises(WebhookRefused):
        bank.verify(delivery() | {"webhook-signature": "v1,AAAA"}, BODY, now=NOW)
    bank.verify(delivery(), BODY, now=NOW)
    for again in (delivery(), delivery(at=NOW + 100)):
        with pytest.raises(WebhookRepeated):
            bank.verify(again, BODY, now=NOW + 100)


@given(st.dictionaries(st.sampled_from(sorted(delivery())), st.text(max_size=60)), st.binary(max_size=60))
def test_headers_of_any_text_are_refused_and_nothing_else(headers: dict[str, str], body: bytes) -> None:
    refuses(delivery(body) | headers | {"webhook-id": "other"}, body)


@pytest.fixture
async def bank() -> AsyncIterator[TestClient[Any, Any]]:
    async with gateway_without_phones() as base:
        config = DemoBankConfig(
            api_base=base,
            api_key=Secret(b"tsk_test"),
            webhook_secret=Secret(SECRET),
            session_key=Secret(system_random(32)),
            clock=ManualClock(float(NOW)),
            pages=None,
        )
        app = web.Application()
        app.add_subapp("/demo/", create_demo_bank(config))
        async with TestClient(TestServer(app)) as client:
            yield client


async def test_at_the_banks_door_a_forgery_becomes_no_notice(bank: TestClient[Any, Any]) -> None:
    forged = delivery(secret=b"whsec_" + base64.b64encode(bytes(32)))
    odd = [{"webhook-signature": "v1,\u00e9"}, {"webhook-id": "\u00e9"}, {"webhook-timestamp": "\u0663"}]
    for headers in (forged, {}, *(delivery() | change for change in odd)):
        assert (await bank.post("/demo/webhook", data=BODY, headers=headers)).status == 400
    logged = await bank.post("/demo/api/login", json={"user": "claire", "password": "tessera"})
    assert logged.status == 200
    assert (await (await bank.get("/demo/api/notices")).json())["items"] == []
    assert (await bank.post("/demo/webhook", data=BODY, headers=delivery())).status == 204
    for again in (delivery(), delivery(at=NOW + 10)):
        await bank.post("/demo/webhook", data=BODY, headers=again)
    items = (await (await bank.get("/demo/api/notices")).json())["items"]
    assert [item["type"] for item in items] == ["binding.suspended"], "once, however often it comes"
