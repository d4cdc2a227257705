"""T04: two phones come with one code, at the same time or one after the other."""

import asyncio

import pytest
from attack_kit import audit_words, begin, refusal
from gateway_kit import GatewayKit

from gateway.phone.errors import ContactEnded
from gateway.protocol.errors import ErrorCode


async def test_of_phones_that_come_at_once_none_is_bound(kit: GatewayKit) -> None:
    """Five phones race; whatever the order, the activation ends contested, once, and the bank is told."""
    activation, link = await begin(kit)
    outcomes = await asyncio.gather(
        *(kit.phone(f"Phone {n}").begin_link(link) for n in range(5)), return_exceptions=True
    )
    done = await kit.activation(activation)
    assert (done["state"], done["ended_reason"]) == ("contested", "contested")
    for contact in outcomes:
        if not isinstance(contact, BaseException):
            with pytest.raises(ContactEnded):
                await contact.wait_confirmed()
    assert await kit.bindings() == []
    assert sum("contest" in word for word in await audit_words(kit)) == 1


async def test_a_second_phone_after_the_confirmation_ends_it_too(kit: GatewayKit) -> None:
    """The thief comes between the customer's digits and the commit, by the screen's code or by the typed one."""
    for form in ("link", "typed"):
        activation, _ = await begin(kit, user=form)
        code = await kit.code(activation)
        customer = await kit.phone("Customer").begin_link(code["link"])
        await kit.confirm(activation, customer.device_code)
        await customer.wait_confirmed()
        thief = kit.phone("Thief")
        coming = thief.begin_link(code["link"]) if form == "link" else thief.begin_typed(code["typed"])
        assert await refusal(coming) is ErrorCode.ENDED
        with pytest.raises(ContactEnded) as ended:
            await customer.enrol("749205")
        assert ended.value.reason == "contested"
    assert await kit.bindings() == []


async def test_a_photograph_of_the_typed_code_stops_an_activation_until_it_ends(kit: GatewayKit) -> None:
    """The limit that THREAT_MODEL.md admits: the screen's code is good for 20 s, the typed one for the activation's
    life. It stops the activation, loudly, and wins nothing."""
    activation, _ = await begin(kit)
    code = await kit.code(activation)
    customer = await kit.phone("Customer").begin_link(code["link"])
    kit.clock.advance(290)
    assert await refusal(kit.phone("Thief").begin_link(code["link"])) is ErrorCode.EXPIRED
    assert (await kit.activation(activation))["state"] == "present"
    assert await refusal(kit.phone("Thief").begin_typed(code["typed"])) is ErrorCode.ENDED
    assert (await kit.activation(activation))["state"] == "contested"
    with pytest.raises(ContactEnded):
        await customer.wait_confirmed()
    assert await kit.bindings() == []
