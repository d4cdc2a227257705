"""T14: an answer that was given once is used again: sent again, moved to another request, another phone or another
channel."""

import pytest
from approval_kit import (
    approve,
    ask,
    asked,
    digits_by,
    exchange,
    keys_of,
    make,
    payload_of,
    set_policy,
    show_code,
    state,
    two_phones,
    type_digits,
)
from attack_kit import audit_words, bind_phone
from gateway_kit import PIN, GatewayKit
from msgspec.structs import replace

from gateway.phone.errors import GatewayProblem
from gateway.protocol.messages import Answered, AnswerWrong
from gateway.protocol.offline import open_offline, parse_offline
from gateway.protocol.wiretypes import Bytes16


async def test_an_answer_sent_again_says_the_same_and_counts_once(kit: GatewayKit) -> None:
    _, channel = await bind_phone(kit)
    found = await asked(channel, request := await ask(kit))
    answer = make(channel, found.raw, id=found.id, evaluated=await channel._evaluate(PIN))
    for _ in range(5):
        got = await exchange(channel, answer)
        assert isinstance(got, Answered)
        assert got.state == "approved"
    assert await state(kit, request) == "approved"
    assert (await audit_words(kit)).count("phone:approval:approve") == 1


async def test_an_answer_moved_to_another_request_is_wrong(kit: GatewayKit) -> None:
    """Two requests alike to the letter: id and nonce of the statement tell them apart. Possession alone is asked, so
    that nothing but the signature stands in the way."""
    await set_policy(kit, "payment", factors="possession")
    _, channel = await bind_phone(kit)
    first, second = await ask(kit), await ask(kit)
    found, other = await asked(channel, first), await asked(channel, second)
    answer = make(channel, found.raw, id=found.id, factor="possession")
    assert isinstance(await exchange(channel, replace(answer, id=Bytes16(other.id))), AnswerWrong)
    assert await state(kit, second) == "pending"
    assert isinstance(await exchange(channel, answer), Answered)
    assert isinstance(await exchange(channel, replace(answer, id=Bytes16(other.id))), AnswerWrong)
    assert await state(kit, second) == "pending"


async def test_an_answer_moved_to_another_phone_is_wrong(kit: GatewayKit) -> None:
    """Of the same customer; and nobody else's phone is even asked."""
    await set_policy(kit, "payment", factors="possession")
    one, two = await two_phones(kit)
    _, stranger = await bind_phone(kit, user="user-2")
    request = await ask(kit)
    found, _ = await asked(one, request), await asked(two, request)
    answer = make(one, found.raw, id=found.id, factor="possession")
    assert isinstance(await exchange(two, answer), AnswerWrong)
    for taken in (answer, make(stranger, found.raw, id=found.id, factor="possession")):
        with pytest.raises(GatewayProblem):
            await exchange(stranger, taken)
    assert await state(kit, request) == "pending"
    assert isinstance(await exchange(one, answer), Answered)


async def test_an_answer_moved_to_another_channel_is_wrong(kit: GatewayKit) -> None:
    """Also of the same phone: whoever recorded it inside the one has nothing for the next."""
    await set_policy(kit, "payment", factors="possession")
    phone, channel = await bind_phone(kit)
    request = await ask(kit)
    found = await asked(channel, request)
    recorded = make(channel, found.raw, id=found.id, factor="possession")
    await channel.close()
    again = await phone.open(channel.binding.binding_id)
    assert isinstance(await exchange(again, recorded), AnswerWrong)
    assert await state(kit, request) == "pending"
    assert isinstance(
        await exchange(again, make(again, found.raw, id=found.id, factor="possession")), Answered
    )


async def test_a_pins_signature_serves_one_answer(kit: GatewayKit) -> None:
    """It is over the evaluation's nonce and the answer: with neither another request nor another decision does it fit,
    and an evaluation serves once."""
    _, channel = await bind_phone(kit)
    first, second = await ask(kit), await ask(kit)
    found, other = await asked(channel, first), await asked(channel, second)
    evaluated = await channel._evaluate(PIN)
    given = make(channel, found.raw, id=found.id, evaluated=evaluated)
    assert isinstance(await exchange(channel, given), Answered)
    moved = replace(make(channel, other.raw, id=other.id), pin_signature=given.pin_signature)
    assert isinstance(await exchange(channel, moved), AnswerWrong)
    made_with_the_old = make(channel, other.raw, id=other.id, evaluated=evaluated)
    assert isinstance(await exchange(channel, made_with_the_old), AnswerWrong)
    await channel._evaluate(PIN)
    assert isinstance(await exchange(channel, moved), AnswerWrong)
    await channel._evaluate(PIN)
    assert isinstance(await exchange(channel, made_with_the_old), AnswerWrong)
    assert await state(kit, second) == "pending"
    assert isinstance(await approve(channel, other), Answered)


async def test_digits_typed_again_or_for_another_request_are_wrong(kit: GatewayKit) -> None:
    phone, channel = await bind_phone(kit)
    await channel.close()
    first, second = await ask(kit), await ask(kit)
    statements = []
    for request in (first, second):
        payload = payload_of(await show_code(kit, request))
        statements.append(
            open_offline(parse_offline(payload), binding_id=channel.binding.binding_id, keys=keys_of(phone))
        )
    (one, keys), (two, _) = statements
    digits = digits_by(phone, one, keys=keys)
    assert (await type_digits(kit, second, digits, status=422))["code"] == "offline-answer-wrong"
    await type_digits(kit, first, digits)
    assert (await type_digits(kit, first, digits, status=410))["code"] == "approval-ended"
    assert (await type_digits(kit, second, digits, status=422))["code"] == "offline-answer-wrong"
    used = digits_by(phone, two, keys=keys, counter=0)
    assert (await type_digits(kit, second, used, status=422))["code"] == "offline-answer-wrong"
    await type_digits(kit, second, digits_by(phone, two, keys=keys, counter=1))
    assert await state(kit, second) == "approved"
