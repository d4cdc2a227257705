"""T40: the number on the desktop is guessed, or the customer compares nothing."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from approval_kit import LOGIN, approve, ask, asked, set_policy, state, two_phones
from attack_kit import ENGINES, bind_phone
from gateway_kit import GatewayKit
from sqlalchemy import text

from gateway.phone.channel import Channel
from gateway.protocol.messages import Answered, AnswerWrong, Ask


def others(found: Any, request: dict[str, Any]) -> list[int]:
    return [number for number in found.numbers if number != request["number"]]


async def test_one_wrong_number_ends_the_request_and_the_right_one_comes_too_late(kit: GatewayKit) -> None:
    _, channel = await bind_phone(kit)
    request = await ask(kit, "login")
    found = await asked(channel, request)
    assert request["number"] in found.numbers
    wrong = await approve(channel, found, number=others(found, request)[0])
    assert isinstance(wrong, AnswerWrong)
    assert wrong.left == 0
    late = await approve(channel, found, number=request["number"])
    assert late.state == await state(kit, request) == "failed"
    request = await ask(kit, "login")
    found = await asked(channel, request)
    assert isinstance(await approve(channel, found, number=request["number"]), Answered)


@pytest.mark.parametrize("number", [None, 10])
async def test_no_number_and_one_that_was_not_offered_are_wrong_too(
    kit: GatewayKit, number: int | None
) -> None:
    _, channel = await bind_phone(kit)
    while (request := await ask(kit, "login"))["number"] == 10:
        await kit.call("POST", f"/api/v1/approvals/{request['id']}/cancel", {})
    found = await asked(channel, request)
    assert isinstance(await approve(channel, found, number=number), AnswerWrong)
    assert await state(kit, request) == "failed"


@ENGINES
async def test_two_phones_that_try_one_each_have_one_try_together(kit: GatewayKit) -> None:
    """At once: whichever is first counts, so the two have no more than the chance of one."""
    await set_policy(kit, "login", factors="possession")
    one, two = await two_phones(kit)
    request = await ask(kit, "login")
    found, same = await asked(one, request), await asked(two, request)
    wrong = others(found, request)
    got = await asyncio.gather(
        approve(one, found, number=wrong[0], factor="possession"),
        approve(two, same, number=wrong[1], factor="possession"),
    )
    assert sum(isinstance(each, AnswerWrong) for each in got) == 1
    assert await state(kit, request) == "failed"


async def test_after_a_report_it_is_typed_not_chosen(kit: GatewayKit) -> None:
    """The phone is told no number at all then: 90 are possible, and one may be tried."""
    _, channel = await bind_phone(kit)
    first = await asked(channel, await ask(kit, "login"))
    await report(channel, first)
    kit.clock.advance(60)
    request = await ask(kit, "login")
    found = await asked(channel, request)
    assert (found.number, found.numbers) == ("type", ())
    wrong = 10 + (request["number"] - 9) % 90
    assert isinstance(await approve(channel, found, number=wrong), AnswerWrong)
    assert await state(kit, request) == "failed"


async def report(channel: Channel, found: Any) -> None:
    await channel.answer(found, "report")


def overheard(channel: Channel) -> list[Any]:
    """Return the list to which everything is added that the gateway says on a channel from now on."""
    heard: list[Any] = []
    hear = channel._conversation.hear

    async def overhearing(*timeout: Any) -> Any:
        heard.append(await hear(*timeout))
        return heard[-1]

    channel._conversation.hear = overhearing  # type: ignore[method-assign]
    return heard


async def test_no_place_says_the_number_but_the_bank_and_its_page(kit: GatewayKit) -> None:
    """Neither what the phone hears nor events and log; and nobody once the request is over."""
    _, channel = await bind_phone(kit)
    heard = overheard(channel)
    request = await ask(kit, "login")
    one = f"/api/v1/approvals/{request['id']}"
    found = await asked(channel, request)
    page = await kit.call("GET", one, token=request["page_token"])
    assert page["number"] == request["number"]
    await approve(channel, found, number=request["number"])
    listed = (await kit.call("GET", "/api/v1/approvals"))["items"]
    assert [each["number"] for each in [await kit.call("GET", one), *listed]] == [None, None]
    log = await kit.call("GET", "/api/v1/audit?limit=200")
    assert not [entry for entry in log["items"] if "number" in entry["data"]]
    events = await kit.now.installation.storage.read(
        lambda tx: tx.execute(text("SELECT data FROM events WHERE type LIKE 'approval.%'")).scalars().all()
    )
    assert events
    assert not [data for data in events if "number" in str(data)]
    told = [message for message in heard if isinstance(message, Ask)]
    assert [set(message.__struct_fields__) for message in told] == [
        {"id", "statement", "factors", "number", "numbers", "time"}
    ]
    assert told[0].number == "choose"


async def test_the_number_is_drawn_alike_and_so_is_its_place(kit: GatewayKit) -> None:
    """Nobody guesses better than one in three by the order on the phone, or by the number itself."""
    _, channel = await bind_phone(kit)
    places: Counter[int] = Counter()
    numbers = set()
    for _ in range(90):
        request = await ask(kit, "login")
        found = await asked(channel, request)
        assert list(found.numbers) == sorted(set(found.numbers))
        places[found.numbers.index(request["number"])] += 1
        numbers.add(request["number"])
        await kit.call("POST", f"/api/v1/approvals/{request['id']}/cancel", {})
        kit.clock.advance(4)
    assert all(12 <= places[place] <= 50 for place in range(3))  # 30 each; 4 standard deviations
    assert len(numbers) > 40
    assert numbers <= set(range(10, 100))


async def test_without_a_match_no_number_is_taken(kit: GatewayKit) -> None:
    """A number where none is asked is no answer either: it is part of what is signed."""
    await set_policy(kit, "login", number_match=False)
    _, channel = await bind_phone(kit)
    request = await ask(kit, "login", fields=LOGIN)
    found = await asked(channel, request)
    assert isinstance(await approve(channel, found, number=47), AnswerWrong)
    assert isinstance(await approve(channel, found), Answered)
