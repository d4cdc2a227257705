"""What attackers do to requests for approval: ask, read what the phone reads, and send answers of any making on its
channel, or digits of any making on the page."""

import asyncio
from typing import Any, Literal

from attack_kit import bind_phone
from gateway_kit import PIN, GatewayKit
from msgspec import UNSET, UnsetType

from gateway.approvals.answers import AnswerService
from gateway.approvals.channel import ApprovalPart
from gateway.core.ids import decode_id
from gateway.phone.channel import Channel
from gateway.phone.client import PhoneClient
from gateway.phone.errors import GatewayProblem
from gateway.phone.pin_exchange import EvaluatedPin
from gateway.protocol.approval import answer_input, pin_input
from gateway.protocol.code import read_link
from gateway.protocol.keys import sign
from gateway.protocol.messages import (
    Answer,
    Answered,
    AnswerWrong,
    Assertion,
    Decision,
    Factor,
    Ping,
    Pong,
    Settled,
)
from gateway.protocol.offline import OfflineKeys, derive_offline_keys, offline_answer
from gateway.protocol.pin import offline_verifier
from gateway.protocol.wiretypes import Bytes16, Bytes64

PAYMENT = {
    "amount": "250.00",
    "currency": "EUR",
    "payee": "Zoé Martin",
    "account": "FR76 3000 6000 0112",
    "purpose": "Loyer",
}
LOGIN = {"browser": "Firefox", "place": "Lyon"}
DEVICE = {"mode": "add", "browser": "Firefox", "place": "Lyon"}
FIELDS = {"payment": PAYMENT, "login": LOGIN, "device": DEVICE}
WRONG_PIN = "483910"
Step = Literal[1, 2, 3, 4, 5, 6, 7, 8, 9]


async def ask(kit: GatewayKit, type: str = "payment", **wish: Any) -> dict[str, Any]:
    """Ask the customer; return the request, with its page token beside."""
    body = {"user": "user-1", "type": type, "fields": FIELDS.get(type), **wish}
    started = await kit.call("POST", "/api/v1/approvals", body, status=201)
    return {**started["approval"], "page_token": started["page_token"]}


async def state(kit: GatewayKit, request: dict[str, Any]) -> str:
    """Where a request stands."""
    found: str = (await kit.call("GET", f"/api/v1/approvals/{request['id']}"))["state"]
    return found


async def set_policy(kit: GatewayKit, type: str, **policy: Any) -> None:
    """Change the policy of one type."""
    path = f"/api/v1/approval-policies/{type}"
    await kit.call("PUT", path, {**await kit.call("GET", path), **policy})


async def asked(channel: Channel, request: dict[str, Any]) -> Any:
    """Wait until a request has come to the phone; return it as the phone keeps it."""
    wanted = decode_id("apr", request["id"])
    async with asyncio.timeout(10):
        while (found := await channel.next_ask()).id != wanted:
            pass
    return found


def make(
    channel: Channel,
    statement: bytes,
    *,
    id: bytes,
    decision: Decision = "approve",
    factor: Factor = "pin",
    number: int | None = None,
    evaluated: EvaluatedPin | None = None,
    h: bytes | None = None,
    assertion: Assertion | UnsetType = UNSET,
) -> Answer:
    """Make an answer with the phone's own keys, over whatever is given. `h` is another channel's."""
    binding = channel.binding
    h = channel._conversation.session.handshake_hash if h is None else h
    signed = answer_input(
        statement,
        decision=decision,
        factor=factor,
        number=number,
        binding_id=binding.binding_id,
        handshake_hash=h,
    )
    by_pin: Bytes64 | UnsetType = UNSET
    if evaluated is not None:
        claim = pin_input(signed, handshake_hash=h, nonce=evaluated.nonce)
        by_pin = Bytes64(sign(evaluated.key, claim))
    return Answer(
        id=Bytes16(id),
        decision=decision,
        factor=factor,
        number=number,
        signature=Bytes64(sign(binding.keys.signing_key(), signed)),
        pin_signature=by_pin,
        assertion=assertion,
    )


async def exchange(channel: Channel, answer: Answer) -> Answered | AnswerWrong | Settled:
    """Send an answer; return what the gateway says of it. That a request is over is told to every phone, also to the
    one that answered, before or after its answer's answer: a ping shows where that is. Raises GatewayProblem."""
    conversation = channel._conversation
    await conversation.send(answer)
    await conversation.send(Ping())
    got: Answered | AnswerWrong | Settled | None = None
    problem: GatewayProblem | None = None
    async with asyncio.timeout(10):
        while True:
            try:
                message = await conversation.hear(10)
            except GatewayProblem as error:
                problem = error
                continue
            if isinstance(message, Pong):
                break
            if isinstance(message, Answered | AnswerWrong) and message.id == answer.id:
                got = message
            if isinstance(message, Settled) and message.id == answer.id:
                got = got or message
    if got is None or problem is not None:
        raise problem or AssertionError("no answer")
    return got


async def approve(channel: Channel, found: Any, *, pin: str = PIN, **changes: Any) -> Any:
    """Approve on a channel by PIN, as the real phone would but for `changes`; return what the gateway says."""
    evaluated = await channel._evaluate(pin) if changes.get("factor", "pin") == "pin" else None
    wish = {"id": found.id, "evaluated": evaluated, **changes}
    return await exchange(channel, make(channel, wish.pop("statement", found.raw), **wish))


async def two_phones(kit: GatewayKit) -> tuple[Channel, Channel]:
    """Bind two phones of one customer; return their channels."""
    _, first = await bind_phone(kit)
    _, second = await bind_phone(kit)
    return first, second


def answers_of(kit: GatewayKit) -> AnswerService:
    """The service that all channels share."""
    [part] = [each for each in kit.now.capabilities.approving.parts if isinstance(each, ApprovalPart)]
    return part._answers


# Without a network


async def show_code(kit: GatewayKit, request: dict[str, Any], **wish: Any) -> dict[str, Any]:
    """Draw a code for a phone without a network."""
    path = f"/api/v1/approvals/{request['id']}/offline-code"
    shown: dict[str, Any] = await kit.call("POST", path, {"form": "qr", **wish})
    return shown


def payload_of(shown: dict[str, Any]) -> bytes:
    """What a code carries."""
    return read_link(shown["link"])[1]


async def type_digits(
    kit: GatewayKit, request: dict[str, Any], digits: str, *, status: int | None = 200
) -> Any:
    """Type digits on the page."""
    path = f"/api/v1/approvals/{request['id']}/offline-answer"
    return await kit.call("POST", path, {"code": digits}, status=status)


def keys_of(phone: PhoneClient) -> list[OfflineKeys]:
    """The offline keys that a phone's storage holds."""
    [binding] = phone.store.bindings()
    held = [(binding.index, binding.psk)]
    if binding.next_psk is not None:
        held.append((binding.index + 1, binding.next_psk))
    return [derive_offline_keys(psk, binding_id=binding.binding_id, index=n) for n, psk in held]


def digits_by(
    phone: PhoneClient, statement: bytes, *, keys: OfflineKeys, counter: int = 0, pin: str = PIN
) -> str:
    """The digits that a storage makes of a statement."""
    [binding] = phone.store.bindings()
    verifier = offline_verifier(binding.keys.device_secret, binding_id=binding.binding_id, pin=pin)
    return offline_answer(statement, answer_key=keys.answer_key, counter=counter, verifier=verifier)


def other_digits(digits: str, step: Step = 1) -> str:
    """Digits of the same counter that are another answer."""
    return digits[:2] + f"{(int(digits[2:]) + step) % 1_000_000:06d}"
