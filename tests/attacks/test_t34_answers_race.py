"""T34: two answers race for one request, or one answer is sent a hundred times at once."""

import asyncio
from typing import Any

import pytest
from approval_kit import answers_of, approve, ask, asked, exchange, make, set_policy, state, two_phones
from attack_kit import ENGINES, audit_words, bind_phone
from gateway_kit import PIN, GatewayKit

from gateway.core.ids import encode_id
from gateway.core.subjects import BindingRef
from gateway.protocol.messages import Answered, Ping, Pong

ENDS = {"approve": "approved", "refuse": "refused", "report": "reported"}
DECIDED = [f"phone:approval:{decision}" for decision in ENDS]


async def decided(kit: GatewayKit) -> list[str]:
    return [word for word in await audit_words(kit) if word in DECIDED]


@ENGINES
@pytest.mark.parametrize("second", ["refuse", "report"])
async def test_of_two_phones_that_decide_at_once_one_counts_and_both_hear_which(
    kit: GatewayKit, second: Any
) -> None:
    await set_policy(kit, "payment", factors="possession")
    one, two = await two_phones(kit)
    for turn in range(4):
        request = await ask(kit, user="user-1")
        found, same = await asked(one, request), await asked(two, request)
        answers = (
            make(one, found.raw, id=found.id, factor="possession"),
            make(two, same.raw, id=same.id, factor="possession", decision=second),
        )
        got = await asyncio.gather(exchange(one, answers[0]), exchange(two, answers[1]))
        end = await state(kit, request)
        assert [getattr(each, "state", None) for each in got] == [end, end]
        assert len(await decided(kit)) == turn + 1
        kit.clock.advance(3_700)  # refusals slow down what follows


@ENGINES
async def test_a_hundred_times_at_once_is_once(kit: GatewayKit) -> None:
    """Through the service that all channels share, since one channel takes one message at a time; then down the channel
    as fast as the wire takes it."""
    await set_policy(kit, "payment", factors="possession")
    _, channel = await bind_phone(kit)
    request = await ask(kit)
    found = await asked(channel, request)
    answer = make(channel, found.raw, id=found.id, factor="possession")
    answers = answers_of(kit)
    ref = BindingRef(kit.tenant_id, encode_id("bnd", channel.binding.binding_id), "user-1")
    h = channel._conversation.session.handshake_hash
    outcomes = await asyncio.gather(
        *(answers.answer(ref, answer, handshake_hash=h, evaluation=None) for _ in range(100))
    )
    assert {getattr(outcome, "state", None) for outcome in outcomes} == {"approved"}
    assert await decided(kit) == ["phone:approval:approve"]
    assert isinstance(await exchange(channel, answer), Answered)


@ENGINES
async def test_a_channel_flooded_with_one_answer_counts_it_once(kit: GatewayKit) -> None:
    await set_policy(kit, "payment", factors="possession")
    _, channel = await bind_phone(kit)
    request = await ask(kit)
    found = await asked(channel, request)
    answer = make(channel, found.raw, id=found.id, factor="possession")
    conversation = channel._conversation
    for _ in range(40):
        await conversation.send(answer)
    await conversation.send(Ping())
    while not isinstance(message := await conversation.hear(10), Pong):
        assert getattr(message, "state", "approved") == "approved"
    assert await state(kit, request) == "approved"
    assert await decided(kit) == ["phone:approval:approve"]


async def test_of_two_decisions_of_one_phone_the_first_counts(kit: GatewayKit) -> None:
    _, channel = await bind_phone(kit)
    request = await ask(kit)
    found = await asked(channel, request)
    refusal = make(channel, found.raw, id=found.id, factor="possession", decision="refuse")
    assert isinstance(await exchange(channel, refusal), Answered)
    late = await approve(channel, found, pin=PIN)
    assert late.state == await state(kit, request) == "refused"
