"""T44: a further phone is bound without the word of the one that is there, or more is done with it than was agreed."""

import asyncio
from typing import Any

import pytest
from approval_kit import DEVICE, PAYMENT, approve, ask, asked, exchange, make, set_policy, state
from attack_kit import ENGINES, bind_phone
from gateway_kit import GatewayKit
from pin_guessing import pin_row

from gateway.phone.channel import Channel
from gateway.phone.errors import PhoneError
from gateway.protocol.messages import Answered, AnswerWrong

BODY = {"user": "user-1", "label": "Compte courant"}


async def agreed(kit: GatewayKit, channel: Channel, mode: str = "add") -> dict[str, Any]:
    """Ask for a further phone, and have the older one agree."""
    request = await ask(kit, "device", fields={**DEVICE, "mode": mode})
    assert isinstance(await approve(channel, await asked(channel, request)), Answered)
    return request


async def begin(kit: GatewayKit, request: dict[str, Any], *, status: int = 201, **wish: Any) -> Any:
    body = {**BODY, "approval": request["id"], **wish}
    return await kit.call("POST", "/api/v1/activations", body, status=status)


@pytest.mark.parametrize("how", ["pending", "refused", "reported", "expired", "cancelled", "payment"])
async def test_what_is_not_an_agreement_binds_nothing(kit: GatewayKit, how: str) -> None:
    _, channel = await bind_phone(kit)
    request = await ask(kit, "payment" if how == "payment" else "device")
    found = await asked(channel, request)
    if how == "payment":
        await approve(channel, found)
    elif how in ("refused", "reported"):
        decision: Any = {"refused": "refuse", "reported": "report"}[how]
        await exchange(channel, make(channel, found.raw, id=found.id, decision=decision, factor="possession"))
    elif how == "expired":
        kit.clock.advance(121)
    elif how == "cancelled":
        await kit.call("POST", f"/api/v1/approvals/{request['id']}/cancel", {})
    await begin(kit, request, status=409)
    assert len(await kit.bindings()) == 1


@ENGINES
async def test_an_agreement_serves_once_also_at_once(kit: GatewayKit) -> None:
    _, channel = await bind_phone(kit)
    request = await agreed(kit, channel)
    tries = await asyncio.gather(
        *(
            kit.call("POST", "/api/v1/activations", {**BODY, "approval": request["id"]}, status=None)
            for _ in range(8)
        )
    )
    assert sum("activation" in each for each in tries) == 1
    await begin(kit, request, status=409)


@pytest.mark.parametrize(("seconds", "status"), [(600, 201), (601, 409)])
async def test_an_agreement_serves_for_ten_minutes(kit: GatewayKit, seconds: int, status: int) -> None:
    _, channel = await bind_phone(kit)
    request = await agreed(kit, channel)
    kit.clock.advance(seconds)
    await begin(kit, request, status=status)


async def test_it_serves_nobody_else(kit: GatewayKit) -> None:
    _, channel = await bind_phone(kit)
    request = await agreed(kit, channel)
    await begin(kit, request, user="user-2", status=404)
    await begin(kit, {"id": "apr_AAAAAAAAAAAAAAAAAAAAAA"}, status=404)
    other = (await kit.now.installation.tenants.create("Autre")).id
    _, key = await kit.now.installation.api_keys.create(tenant_id=other, name="x", scopes=["*"])
    body = {**BODY, "approval": request["id"]}
    await kit.call("POST", "/api/v1/activations", body, token=key.reveal().decode(), status=404)
    await begin(kit, request)


async def test_possession_or_digits_are_no_agreement(kit: GatewayKit) -> None:
    """It needs the PIN, on a channel: neither a phone that lies about nor a code over the shoulder does."""
    _, channel = await bind_phone(kit)
    request = await ask(kit, "device")
    found = await asked(channel, request)
    assert found.factors == ("pin",)
    assert isinstance(await approve(channel, found, factor="possession"), AnswerWrong)
    assert await state(kit, request) == "pending"
    await kit.call("POST", f"/api/v1/approvals/{request['id']}/offline-code", {"form": "qr"}, status=409)


async def test_a_move_ends_the_old_phone_only_when_the_new_one_is_there(kit: GatewayKit) -> None:
    old, channel = await bind_phone(kit)
    request = await agreed(kit, channel, "move")
    [before] = await kit.bindings()
    started = await begin(kit, request)
    activation = started["activation"]["id"]
    await channel.ping()
    new = kit.phone("New")
    contact = await new.begin_link((await kit.code(activation))["link"])
    await kit.confirm(activation, contact.device_code)
    await contact.wait_confirmed()
    await channel.ping()  # not yet: the new one may still fail
    assert [each["state"] for each in await kit.bindings()] == ["active"]
    opened = await contact.enrol("749205")
    assert {each["id"]: each["state"] for each in await kit.bindings()}[before["id"]] == "removed"
    with pytest.raises(PhoneError):
        await channel.ping()
    with pytest.raises(PhoneError):
        await old.open(channel.binding.binding_id)
    await opened.ping()


@pytest.mark.parametrize("mode", ["add", "move"])
async def test_an_activation_that_fails_leaves_the_old_phone(kit: GatewayKit, mode: str) -> None:
    _, channel = await bind_phone(kit)
    started = await begin(kit, await agreed(kit, channel, mode))
    await kit.call("POST", f"/api/v1/activations/{started['activation']['id']}/cancel", {})
    await channel.ping()
    [binding] = await kit.bindings()
    assert binding["state"] == "active"


async def test_a_new_phone_has_limits_beside_an_older_one_too(kit: GatewayKit) -> None:
    """Whoever talked the customer into one more phone gets no large payment through it: it is neither asked, nor may it
    answer, though the older one is and may."""
    _, older = await bind_phone(kit)
    kit.clock.advance(25 * 3_600)
    await older.close()
    older = await older.open_again()
    _, newer = await bind_phone(kit)
    request = await ask(kit, fields={**PAYMENT, "amount": "1000.01"})
    found = await asked(older, request)
    with pytest.raises(PhoneError):
        got = await approve(newer, found)
        assert not isinstance(got, Answered)
        raise PhoneError
    assert await state(kit, request) == "pending"
    assert newer.news.waiting == []
    assert isinstance(await approve(older, found), Answered)
    small = await ask(kit, fields={**PAYMENT, "amount": "1000.00"})
    assert isinstance(await approve(newer, await asked(newer, small)), Answered)


async def test_a_new_phones_count_is_looked_at_when_it_answers(kit: GatewayKit) -> None:
    """Not when it is asked alone: five may wait at once."""
    policy = await kit.call("GET", "/api/v1/approval-policies/payment")
    await set_policy(kit, "payment", new_phone={**policy["new_phone"], "max_count": 2})
    _, channel = await bind_phone(kit)
    requests = [await ask(kit) for _ in range(4)]
    ends = []
    for request in requests:
        found = await asked(channel, request)
        try:
            got = await approve(channel, found)
        except PhoneError:
            pass
        else:
            assert not isinstance(got, Answered) or got.state == "approved"
        ends.append(await state(kit, request))
    assert ends == ["approved", "approved", "pending", "pending"]


async def test_a_right_pin_beyond_a_new_phones_count_takes_no_try(kit: GatewayKit) -> None:
    """Else a customer who tries again and again is blocked with the right PIN."""
    policy = await kit.call("GET", "/api/v1/approval-policies/payment")
    await set_policy(kit, "payment", new_phone={**policy["new_phone"], "max_count": 1})
    _, channel = await bind_phone(kit)
    first, second = [await ask(kit) for _ in range(2)]
    waiting = [await asked(channel, each) for each in (first, second)]
    assert isinstance(await approve(channel, waiting[0]), Answered)
    for _ in range(6):
        with pytest.raises(PhoneError):
            await approve(channel, waiting[1])
    assert await state(kit, second) == "pending"
    assert (await pin_row(kit)).left == 5
