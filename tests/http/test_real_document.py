"""The OpenAPI document of the gateway itself: valid, and what it says of some doors is what they do."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gateway_kit import GatewayKit
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.core.events import WebhookEvent


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[GatewayKit]:
    async with GatewayKit.running(tmp_path) as running:
        yield running


async def document_of(kit: GatewayKit) -> dict[str, Any]:
    async with kit.session.get(kit.now.url + "/openapi.json") as answer:
        document: dict[str, Any] = await answer.json()
        return document


async def test_document_is_valid_and_names_every_webhook(kit: GatewayKit) -> None:
    document = await document_of(kit)
    OpenAPIV31SpecValidator(document).validate()
    assert set(document["webhooks"]) == {event.value for event in WebhookEvent}
    assert all(tag["name"] == tag["name"].lower() for tag in document["tags"])


async def test_phone_channel_is_told_as_the_websocket_that_it_is(kit: GatewayKit) -> None:
    channel = (await document_of(kit))["paths"]["/phone/v1/channel"]["get"]
    assert "200" not in channel["responses"]
    assert {"101", "426", "503"} <= channel["responses"].keys()
    [offered] = channel["parameters"]
    url = kit.now.url.replace("http", "ws") + "/phone/v1/channel"
    async with kit.session.ws_connect(url, protocols=(offered["schema"]["const"],)) as socket:
        assert socket.protocol == offered["schema"]["const"]


async def test_plain_request_to_the_phone_channel_is_a_problem_of_the_table(kit: GatewayKit) -> None:
    async with kit.session.get(kit.now.url + "/phone/v1/channel") as answer:
        assert answer.status == 426
        assert answer.headers["Upgrade"] == "websocket"
        assert answer.content_type == "application/problem+json"
        problem = await answer.json()
        assert problem["code"] == "upgrade-required"
        assert "tessera.v1" in problem["detail"]


async def test_headers_that_answers_carry_are_described(kit: GatewayKit) -> None:
    document = await document_of(kit)
    start = document["paths"]["/api/v1/activations"]["post"]["responses"]
    assert {"RateLimit", "RateLimit-Policy", "Idempotency-Replayed"} == start["201"]["headers"].keys()
    for status in ("429", "503"):
        assert "Retry-After" in start[status]["headers"]
    assert start["201"]["headers"].keys() <= document["components"]["headers"].keys()
    read = document["paths"]["/api/v1/bindings/{id}"]["get"]["responses"]
    assert "409" not in read
