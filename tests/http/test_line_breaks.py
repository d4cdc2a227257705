"""A line break at the end of a text is a control character like any other: `$` in a pattern would let it through."""

from pathlib import Path
from typing import Any

from gateway_kit import GatewayKit


async def test_a_text_ends_where_it_ends(tmp_path: Path) -> None:
    async with GatewayKit.running(tmp_path, webhook_private=True) as kit:
        activation = (await kit.begin())["activation"]["id"]

        async def is_taken(method: str, path: str, body: dict[str, Any]) -> bool:
            answer = await kit.call(method, f"/api/v1/{path}", body, status=None)
            assert answer.get("code") in (None, "invalid-request", "conflict", "not-found")
            return answer.get("code") != "invalid-request"

        wishes = (
            ("POST", "activations", {"user": "user-1", "label": "Account"}, "user"),
            ("POST", "activations", {"user": "user-1", "label": "Account"}, "label"),
            ("POST", "page-tokens", {"user": "user-1"}, "user"),
            ("POST", f"activations/{activation}/confirm", {"code": "1234 5678"}, "code"),
            ("PATCH", "bindings/bnd_AAAAAAAAAAAAAAAAAAAAAA", {"name": "Phone"}, "name"),
            ("POST", "webhooks", {"url": "http://127.0.0.1:9/", "events": ["binding.active"]}, "events"),
        )
        for method, path, body, member in wishes:
            broken = {**body, member: [body[member][0] + "\n"] if member == "events" else body[member] + "\n"}
            assert not await is_taken(method, path, broken), (path, member)
            assert not await is_taken(method, path, {**body, member: "  "}), (path, member)
            assert await is_taken(method, path, body), (path, member)
