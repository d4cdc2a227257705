"""T36: somebody who knows the customer's password asks again and again, until the customer gives in."""

import asyncio

from approval_kit import approve, ask, asked, exchange, make, set_policy, state
from attack_kit import ENGINES, audit_words, bind_phone
from gateway_kit import GatewayKit
from sqlalchemy import text

from gateway.phone.channel import Channel
from gateway.protocol.messages import Answered, Decision

LOGIN = {"user": "user-1", "type": "login", "fields": {"browser": "Firefox", "place": "Lyon"}}


async def decide(kit: GatewayKit, channel: Channel, decision: Decision = "refuse") -> None:
    found = await asked(channel, await ask(kit, "login"))
    answer = make(channel, found.raw, id=found.id, decision=decision, factor="possession")
    assert isinstance(await exchange(channel, answer), Answered)


async def wait_of(kit: GatewayKit) -> int:
    """Ask once more; return for how long that is refused."""
    headers = {"Authorization": f"Bearer {kit.api_key}"}
    async with kit.session.post(f"{kit.now.url}/api/v1/approvals", json=LOGIN, headers=headers) as answer:
        assert answer.status in (201, 429)
        return int(answer.headers.get("Retry-After", 0))


async def test_each_request_that_was_refused_slows_down_the_next(kit: GatewayKit) -> None:
    _, channel = await bind_phone(kit)
    await decide(kit, channel)  # one refusal is nothing yet
    waits = []
    for _ in range(7):
        await decide(kit, channel)
        waits.append(await wait_of(kit))
        kit.clock.advance(waits[-1] - 1)
        assert await wait_of(kit) == 1
        kit.clock.advance(1)
    assert waits == [30, 60, 120, 240, 480, 900, 900]
    assert (await audit_words(kit)).count("gateway:approval:fatigue") == 6  # from the third on


async def test_a_report_counts_twice_and_a_failed_number_once(kit: GatewayKit) -> None:
    _, channel = await bind_phone(kit)
    await decide(kit, channel, "report")
    assert await wait_of(kit) == 30
    kit.clock.advance(30)
    request = await ask(kit, "login")
    found = await asked(channel, request)
    await approve(channel, found, number=10 if request["number"] != 10 else 11)
    assert await state(kit, request) == "failed"
    assert await wait_of(kit) == 60


async def test_a_report_makes_the_next_login_harder_until_one_is_approved(kit: GatewayKit) -> None:
    await set_policy(kit, "login", factors="possession")
    _, channel = await bind_phone(kit)
    before = await asked(channel, await ask(kit, "login"))
    assert (before.number, before.factors, len(before.numbers)) == ("choose", ("possession",), 3)
    answer = make(channel, before.raw, id=before.id, decision="report", factor="possession")
    await exchange(channel, answer)
    kit.clock.advance(30)
    request = await ask(kit, "login")
    after = await asked(channel, request)
    assert (after.number, after.factors, after.numbers) == ("type", ("pin",), ())
    assert isinstance(await approve(channel, after, number=request["number"]), Answered)
    again = await asked(channel, await ask(kit, "login"))
    assert (again.number, again.factors) == ("choose", ("possession",))


async def test_an_approval_or_an_hour_ends_the_wait(kit: GatewayKit) -> None:
    """So that nobody who wants to log in himself stays slowed down."""
    _, channel = await bind_phone(kit)
    for _ in range(2):
        await decide(kit, channel)
    kit.clock.advance(3_600)
    await decide(kit, channel)
    await decide(kit, channel)
    kit.clock.advance(30)
    request = await ask(kit, "login")
    await approve(channel, await asked(channel, request), number=request["number"])
    await decide(kit, channel)
    assert await wait_of(kit) == 0


@ENGINES
async def test_no_more_than_five_wait_at_once_also_of_those_asked_at_once(kit: GatewayKit) -> None:
    await bind_phone(kit)
    made = await asyncio.gather(*(wait_of(kit) for _ in range(12)))
    waiting = await kit.call("GET", "/api/v1/approvals?state=pending&user=user-1")
    assert len(waiting["items"]) == made.count(0) == 5
    assert await wait_of(kit) > 0
    _, other = await bind_phone(kit, user="user-2")
    await asked(other, await ask(kit, "login", user="user-2"))


async def test_twenty_a_minute_and_not_more(kit: GatewayKit) -> None:
    """Also of requests that are cancelled at once, which leave nothing pending and nothing refused."""
    await bind_phone(kit)
    for _ in range(20):
        request = await ask(kit, "login")
        await kit.call("POST", f"/api/v1/approvals/{request['id']}/cancel", {})
    assert await wait_of(kit) > 0
    kit.clock.advance(60)
    assert await wait_of(kit) == 0


async def test_the_bank_hears_how_often_and_until_when(kit: GatewayKit) -> None:
    _, channel = await bind_phone(kit)
    await decide(kit, channel, "report")
    kit.clock.advance(30)
    await decide(kit, channel, "report")
    rows = await kit.now.installation.storage.read(
        lambda tx: tx.execute(text("SELECT type, data FROM events WHERE type = 'customer.fatigue'")).all()
    )
    assert rows
    assert '"count":4' in str(rows[-1].data).replace(" ", "")
