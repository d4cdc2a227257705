"""A bank that asks a customer by HTTP, and a page that reads how the request stands."""

from typing import Any

from gateway_kit import GatewayKit

APPROVALS = "/api/v1/approvals"
POLICIES = "/api/v1/approval-policies"
OTHER_PIN = "830564"
PAYMENT = {
    "amount": "250.00",
    "currency": "EUR",
    "payee": "Zoë Müller",
    "account": "FR76 3000",
    "purpose": "Rent\nMay",
}
LOGIN = {"browser": "Firefox on Linux", "place": "Lille"}


async def ask(kit: GatewayKit, kind: str = "payment", *, status: int = 201, **wish: Any) -> Any:
    """Ask the phone of `user-1` as the bank does: the answer for its page."""
    fields = {"payment": PAYMENT, "login": LOGIN}.get(kind)
    body = {"user": "user-1", "type": kind, "fields": fields, **wish}
    return await kit.call("POST", APPROVALS, body, status=status)


async def read(kit: GatewayKit, started: dict[str, Any]) -> Any:
    """Read a request as its page does."""
    path = f"{APPROVALS}/{started['approval']['id']}"
    return await kit.call("GET", path, token=started["page_token"])
