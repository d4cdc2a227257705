"""T38: the eight digits of a phone without a network are guessed on the page: by somebody who has the page and not the
phone, or has the phone and not the PIN."""

import asyncio
from typing import Any

import pytest
from approval_kit import (
    PAYMENT,
    Step,
    ask,
    digits_by,
    keys_of,
    other_digits,
    payload_of,
    set_policy,
    show_code,
    state,
    type_digits,
)
from attack_kit import ENGINES, bind_phone
from gateway_kit import GatewayKit

from gateway.phone.client import PhoneClient
from gateway.protocol.errors import WrongOfflineAnswer
from gateway.protocol.offline import (
    OfflineKeys,
    check_offline_answer,
    offline_answer,
    open_offline,
    parse_offline,
)

WAITS = (5 * 60, 10 * 60, None)
STEPS: tuple[Step, ...] = (1, 2, 3, 4, 5, 6, 7, 8, 9)


async def shown(kit: GatewayKit, phone: PhoneClient) -> tuple[dict[str, Any], str]:
    """Ask, draw the code; return the request and the right digits, counter 0."""
    request = await ask(kit)
    code = parse_offline(payload_of(await show_code(kit, request)))
    [binding] = phone.store.bindings()
    raw, keys = open_offline(code, binding_id=binding.binding_id, keys=keys_of(phone))
    return request, digits_by(phone, raw, keys=keys)


async def lonely_phone(kit: GatewayKit) -> PhoneClient:
    phone, channel = await bind_phone(kit)
    await channel.close()
    return phone


async def test_fifteen_guesses_in_three_rounds_then_only_the_bank_opens_it(kit: GatewayKit) -> None:
    """Each round against a request of its own: the fifth wrong answer ends it, and blocks the phone for all others."""
    await set_policy(kit, "payment", life_s=600)
    phone = await lonely_phone(kit)
    judged = 0
    for wait in WAITS:
        other, right_there = await shown(kit, phone)
        request, right = await shown(kit, phone)
        lefts = []
        for step in STEPS[:4]:
            wrong = await type_digits(kit, request, other_digits(right, step), status=422)
            lefts.append(wrong["left"])
        assert lefts == [4, 3, 2, 1]
        assert (await type_digits(kit, request, other_digits(right, 5), status=410))["state"] == "failed"
        judged += 5
        assert (await type_digits(kit, request, right, status=410))["state"] == "failed"
        assert "blocked" in (await type_digits(kit, other, right_there, status=409))["detail"]
        if wait is not None:
            kit.clock.advance(wait - 1)
            assert "blocked" in (await type_digits(kit, other, right_there, status=409))["detail"]
            kit.clock.advance(2)
    assert judged == 15
    kit.clock.advance(365 * 86_400)
    body = {"user": "user-1", "type": "payment", "fields": PAYMENT}
    refused = await kit.call("POST", "/api/v1/approvals", body, status=409)
    assert (refused["code"], "blocked" in refused["detail"]) == ("no-phone", True)
    [binding] = await kit.bindings()
    await kit.call("POST", f"/api/v1/bindings/{binding['id']}/unblock-approvals", {}, status=204)
    request, right = await shown(kit, phone)
    await type_digits(kit, request, right)
    assert await state(kit, request) == "approved"


async def test_five_in_a_row_over_many_requests_block_the_phone_as_well(kit: GatewayKit) -> None:
    """One guess a request, so that none of them fails: the phone's own count stops it."""
    phone = await lonely_phone(kit)
    requests = [await shown(kit, phone) for _ in range(5)]
    for request, right in requests:
        await type_digits(kit, request, other_digits(right), status=422)
    for request, right in requests:
        blocked = await type_digits(kit, request, right, status=409)
        assert "blocked" in blocked["detail"]
        assert await state(kit, request) == "pending"


@ENGINES
async def test_guesses_at_once_are_counted_one_by_one(kit: GatewayKit) -> None:
    """Against five requests at once, forty wrong ones: five are judged, the others hear what the right digits hear, so
    that they tell nobody which are right; and they are one series, not eight."""
    phone = await lonely_phone(kit)
    requests = [await shown(kit, phone) for _ in range(5)]

    async def guess(number: int) -> int:
        request, right = requests[number % 5]
        digits = other_digits(right, STEPS[number % 9])
        path = f"{kit.now.url}/api/v1/approvals/{request['id']}/offline-answer"
        headers = {"Authorization": f"Bearer {kit.api_key}"}
        async with kit.session.post(path, json={"code": digits}, headers=headers) as answer:
            return answer.status

    statuses = await asyncio.gather(*(guess(number) for number in range(40)))
    assert statuses.count(422) <= 5
    assert set(statuses) == {422, 409}
    for request, right in requests:
        assert "blocked" in (await type_digits(kit, request, right, status=409))["detail"]
    kit.clock.advance(301)
    request, right = await shown(kit, phone)
    await type_digits(kit, request, right)


async def test_who_holds_the_phone_guesses_the_pin_no_more_often(kit: GatewayKit) -> None:
    """The storage makes digits for any PIN, and nothing there tells which is right: only the page does, fifteen
    times."""
    phone = await lonely_phone(kit)
    request = await ask(kit)
    code = parse_offline(payload_of(await show_code(kit, request)))
    [binding] = phone.store.bindings()
    raw, keys = open_offline(code, binding_id=binding.binding_id, keys=keys_of(phone))
    pins = [f"{n:06d}" for n in range(483_910, 483_945, 7)]
    for pin in pins[:4]:
        await type_digits(kit, request, digits_by(phone, raw, keys=keys, pin=pin), status=422)
    await type_digits(kit, request, digits_by(phone, raw, keys=keys, pin=pins[4]), status=410)
    await type_digits(kit, request, digits_by(phone, raw, keys=keys), status=410)


async def test_a_right_answer_restores_the_tries(kit: GatewayKit) -> None:
    """The count is of wrong answers in a row."""
    phone = await lonely_phone(kit)
    for number in range(3):
        request, _ = await shown(kit, phone)
        code = parse_offline(payload_of(await show_code(kit, request)))
        [binding] = phone.store.bindings()
        raw, keys = open_offline(code, binding_id=binding.binding_id, keys=keys_of(phone))
        right = digits_by(phone, raw, keys=keys, counter=number)
        for step in STEPS[:4]:
            await type_digits(kit, request, other_digits(right, step), status=422)
        await type_digits(kit, request, right)


@pytest.mark.parametrize("indexes", [1, 2])
def test_the_odds_are_those_of_the_threat_model(indexes: int) -> None:
    """With one count, as many of the million answers are right as indexes are possible. A gateway that takes three
    digits shows it in a thousand tries; here the right ones are made, and their neighbours tried."""
    statement, verifier = b"statement", bytes(32)
    keys = [OfflineKeys(n, b"", bytes([n + 1]) * 32) for n in range(indexes)]
    right = {
        offline_answer(statement, answer_key=each.answer_key, counter=7, verifier=verifier) for each in keys
    }
    assert len(right) == indexes

    def is_taken(digits: str) -> bool:
        try:
            check_offline_answer(digits, statement=statement, keys=keys, verifier=verifier, next_counter=0)
        except WrongOfflineAnswer:
            return False
        return True

    assert all(is_taken(digits) for digits in right)
    tried = {f"07{n:06d}" for n in range(0, 1_000_000, 199)}
    assert {digits for digits in tried - right if is_taken(digits)} == set()
    assert 15 * len(right) / 10**6 <= 3e-5


async def test_a_code_is_for_two_indexes_only_while_the_gateway_cannot_know(kit: GatewayKit) -> None:
    """From the phone's opening of a channel until it has shown, by acting there, that it got the new key."""
    phone, channel = await bind_phone(kit)

    async def slots() -> int:
        return len(parse_offline(payload_of(await show_code(kit, await ask(kit)))).slots)

    assert await slots() == 1
    await channel.close()
    channel = await phone.open(channel.binding.binding_id)
    assert await slots() == 2
    await channel.rename("Mine")
    assert await slots() == 1
