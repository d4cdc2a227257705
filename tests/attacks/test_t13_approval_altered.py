"""T13: what the customer approves is altered: amount or payee, on any leg between the bank and the answer, in the
colour code, or in the stored row."""

from typing import Any

import pytest
from approval_kit import (
    PAYMENT,
    approve,
    ask,
    asked,
    digits_by,
    exchange,
    keys_of,
    make,
    payload_of,
    show_code,
    state,
    type_digits,
)
from attack_kit import WireNetwork, bind_phone, flip, phone_over
from gateway_kit import GatewayKit
from sqlalchemy import text

from gateway.phone.errors import PhoneError
from gateway.protocol.approval import parse_statement
from gateway.protocol.errors import ProtocolError
from gateway.protocol.messages import Answered, AnswerWrong
from gateway.protocol.offline import open_offline, parse_offline

CHANGES = {
    "amount": (b'"250.00"', b'"950.00"'),
    "payee": ("Zoé Martin".encode(), b"Max Martin "),
    "account": (b"0112", b"0113"),
    "currency": (b'"EUR"', b'"GBP"'),
}


@pytest.mark.parametrize("what", CHANGES)
async def test_a_phone_that_was_shown_something_else_approves_nothing(kit: GatewayKit, what: str) -> None:
    """Between gateway and customer: whoever shows other bytes gets a signature over those, which the gateway's own
    bytes do not fit. The same means, with the bytes that were asked, approve."""
    _, channel = await bind_phone(kit)
    request = await ask(kit)
    found = await asked(channel, request)
    old, new = CHANGES[what]
    shown = found.raw.replace(old, new)
    assert shown != found.raw
    assert isinstance(await approve(channel, found, statement=shown), AnswerWrong)
    assert await state(kit, request) == "pending"
    assert isinstance(await approve(channel, found), Answered)
    assert await state(kit, request) == "approved"


async def test_what_the_phone_reads_is_what_the_bank_wrote(kit: GatewayKit) -> None:
    _, channel = await bind_phone(kit)
    found = await asked(channel, await ask(kit))
    statement = parse_statement(found.raw)
    fields: Any = statement.fields
    assert {name: getattr(fields, name) for name in PAYMENT} == PAYMENT


@pytest.mark.parametrize("number", [2, 3, 4, 5, 6])
async def test_bytes_altered_between_gateway_and_phone_are_never_shown(kit: GatewayKit, number: int) -> None:
    """A channel whose frame was altered is dead, be it one that opens it or the request itself (the sixth): the phone
    shows nothing of it."""
    phone, channel = await bind_phone(kit)
    await channel.close()
    request = await ask(kit)

    def alter(count: int, frame: bytes) -> list[bytes]:
        return [flip(frame, 40) if count == number else frame]

    altered = phone_over(kit, WireNetwork(kit, received=alter, attacked=1), store=phone.store)
    with pytest.raises((PhoneError, ProtocolError)):
        opened = await altered.open(channel.binding.binding_id)
        await asked(opened, request)
    again = await phone.open(channel.binding.binding_id)
    found = await asked(again, request)
    assert isinstance(await approve(again, found), Answered)


@pytest.mark.parametrize("member", ["decision", "number", "factor"])
async def test_a_decision_altered_on_its_way_back_counts_for_nothing(kit: GatewayKit, member: str) -> None:
    """Between phone and gateway, by somebody inside the channel who has no key of the phone."""
    from msgspec.structs import replace

    _, channel = await bind_phone(kit)
    request = await ask(kit)
    found = await asked(channel, request)
    refusal = make(channel, found.raw, id=found.id, decision="refuse", factor="possession")
    other = {"decision": "approve", "number": 47, "factor": "pin"}[member]
    assert isinstance(await exchange(channel, replace(refusal, **{member: other})), AnswerWrong)
    assert await state(kit, request) == "pending"
    assert isinstance(await exchange(channel, refusal), Answered)
    assert await state(kit, request) == "refused"


async def test_every_byte_of_the_colour_code_is_under_its_seal(kit: GatewayKit) -> None:
    phone, channel = await bind_phone(kit)
    await channel.close()
    request = await ask(kit)
    payload = payload_of(await show_code(kit, request))
    binding_id = channel.binding.binding_id
    raw, held = open_offline(parse_offline(payload), binding_id=binding_id, keys=keys_of(phone))
    for place in range(len(payload)):
        with pytest.raises(ProtocolError):
            open_offline(parse_offline(flip(payload, place)), binding_id=binding_id, keys=keys_of(phone))
    altered = raw.replace(b'"250.00"', b'"950.00"')
    wrong = digits_by(phone, altered, keys=held)
    refused = await type_digits(kit, request, wrong, status=422)
    assert refused["code"] == "offline-answer-wrong"
    await type_digits(kit, request, digits_by(phone, raw, keys=held))
    assert await state(kit, request) == "approved"


async def test_a_row_edited_in_the_database_gets_no_signature_of_what_was_shown(kit: GatewayKit) -> None:
    """After the phone was asked, an insider writes another payee into the row: the answer fits it no more."""
    _, channel = await bind_phone(kit)
    request = await ask(kit)
    found = await asked(channel, request)
    edited = found.raw.replace(b'"250.00"', b'"950.00"')

    async def write(value: bytes) -> None:
        await kit.now.installation.storage.write(
            lambda tx: tx.execute(
                text("UPDATE approvals SET statement = :value WHERE id = :id"),
                {"value": value, "id": request["id"]},
            )
        )

    await write(edited)
    assert isinstance(await approve(channel, found), AnswerWrong)
    assert await state(kit, request) == "pending"
    await write(found.raw)
    assert isinstance(await approve(channel, found), Answered)
