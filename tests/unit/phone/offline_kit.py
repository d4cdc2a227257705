"""Codes that a scripted gateway's page shows for a phone without a network, and checking the digits that come back."""

import secrets

import scripted_requests
from scripted_gateway import ScriptedGateway

from gateway.protocol.approval import make_statement
from gateway.protocol.offline import OfflineKeys, check_offline_answer, derive_offline_keys, seal_offline

STATEMENT = make_statement(
    scripted_requests.PAYMENT,
    id=bytes(16),
    bank="Example Bank",
    user="user-1",
    created=scripted_requests.NOW,
    expires=scripted_requests.NOW + 60,
    nonce=bytes(16),
)


def code_for(gateway: ScriptedGateway, *, statement: bytes = STATEMENT) -> bytes:
    """The payload of a code for the bound phone."""
    return seal_offline(
        statement, binding_id=gateway.binding_id, keys=_held(gateway), random=secrets.token_bytes
    )


def check(gateway: ScriptedGateway, digits: str, *, following: int = 0) -> int:
    """Check digits as a gateway does; return the counter."""
    assert gateway.phone is not None
    return check_offline_answer(
        digits,
        statement=STATEMENT,
        keys=_held(gateway),
        verifier=gateway.phone.verifier,
        next_counter=following,
    )


def _held(gateway: ScriptedGateway) -> list[OfflineKeys]:
    assert gateway.phone is not None
    return [
        derive_offline_keys(psk, binding_id=gateway.binding_id, index=index)
        for index, psk in gateway.phone.ratchet.items()
    ]
