"""T35: a request is answered after its expiry, or after the bank or the customer cancelled it."""

import asyncio

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
    show_code,
    state,
    type_digits,
)
from attack_kit import ENGINES, audit_words, bind_phone
from gateway_kit import PIN, GatewayKit

from gateway.core.ids import decode_id
from gateway.protocol.messages import Answered
from gateway.protocol.offline import open_offline, parse_offline

APPROVED = "phone:approval:approve"


@pytest.mark.parametrize(("seconds", "end"), [(59, "approved"), (60, "expired"), (600, "expired")])
async def test_the_last_second_counts_and_the_next_does_not(kit: GatewayKit, seconds: int, end: str) -> None:
    """By the gateway's clock, with no sweep in between that would have ended it, and though the answer was made in
    time."""
    _, channel = await bind_phone(kit)
    request = await ask(kit)
    found = await asked(channel, request)
    answer = make(channel, found.raw, id=found.id, evaluated=await channel._evaluate(PIN))
    kit.clock.advance(seconds)
    got = await exchange(channel, answer)
    assert isinstance(got, Answered)
    assert got.state == await state(kit, request) == end
    assert (APPROVED in await audit_words(kit)) == (end == "approved")


@pytest.mark.parametrize("by", ["bank", "page"])
async def test_a_cancelled_request_takes_no_answer(kit: GatewayKit, by: str) -> None:
    _, channel = await bind_phone(kit)
    request, other = await ask(kit), await ask(kit)
    found, live = await asked(channel, request), await asked(channel, other)
    token = request["page_token"] if by == "page" else None
    await kit.call("POST", f"/api/v1/approvals/{request['id']}/cancel", {}, token=token)
    got = await approve(channel, found)
    assert isinstance(got, Answered)
    assert got.state == await state(kit, request) == "cancelled"
    assert APPROVED not in await audit_words(kit)
    assert isinstance(await approve(channel, live), Answered)


@ENGINES
async def test_an_end_and_an_answer_at_once_are_one_of_both(kit: GatewayKit) -> None:
    """What the bank is told by its cancel is what stays."""
    _, channel = await bind_phone(kit)
    for _ in range(6):
        request = await ask(kit)
        found = await asked(channel, request)
        path = f"/api/v1/approvals/{request['id']}/cancel"
        cancelled, got = await asyncio.gather(
            kit.call("POST", path, {}, status=None), approve(channel, found)
        )
        end = await state(kit, request)
        assert isinstance(got, Answered)
        assert got.state == cancelled["state"] == end
        assert (cancelled.get("code") == "approval-ended") == (end == "approved")


@pytest.mark.parametrize("how", ["expired", "cancelled"])
async def test_digits_come_too_late_as_well(kit: GatewayKit, how: str) -> None:
    phone, channel = await bind_phone(kit)
    await channel.close()
    request, other = await ask(kit), await ask(kit, life_s=50)
    digits = []
    for number, each in enumerate((request, other)):
        code = parse_offline(payload_of(await show_code(kit, each)))
        raw, keys = open_offline(code, binding_id=channel.binding.binding_id, keys=keys_of(phone))
        digits.append(digits_by(phone, raw, keys=keys, counter=number))
    if how == "expired":
        await type_digits(kit, request, digits[0])  # in time
        kit.clock.advance(51)
        ended = await type_digits(kit, other, digits[1], status=410)
    else:
        await kit.call("POST", f"/api/v1/approvals/{other['id']}/cancel", {})
        ended = await type_digits(kit, other, digits[1], status=410)
        await type_digits(kit, request, digits[0])
    assert (ended["code"], ended["state"]) == ("approval-ended", how)
    assert (await audit_words(kit)).count(APPROVED) == 1


async def test_a_phone_that_opens_late_is_not_asked(kit: GatewayKit) -> None:
    phone, channel = await bind_phone(kit)
    await channel.close()
    over, live = await ask(kit, life_s=10), await ask(kit)
    kit.clock.advance(11)
    opened = await phone.open(channel.binding.binding_id)
    assert (await opened.next_ask()).id == decode_id("apr", live["id"])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await opened.next_ask()
    assert await state(kit, over) == "expired"
