"""T03: a code is photographed, forwarded or screen-shot, and used after the screen has turned."""

import pytest
from attack_kit import begin, phone_over, refusal
from gateway_kit import GatewayKit

from gateway.core.clock import ManualClock
from gateway.phone.errors import CodeTwoNeeded
from gateway.protocol.code import ActivationCode, make_link, read_link
from gateway.protocol.errors import ErrorCode


async def test_the_code_of_two_turns_ago_is_dead(kit: GatewayKit) -> None:
    activation = (await kit.begin())["activation"]["id"]
    link = (await kit.code(activation))["link"]
    kit.clock.advance(20)
    assert await refusal(kit.phone("Thief").begin_link(link)) is ErrorCode.EXPIRED
    assert (await kit.activation(activation))["state"] == "waiting"


async def test_an_old_key_under_the_present_number_is_refused(kit: GatewayKit) -> None:
    """The thief counts n up by himself, but otk_n does not follow from an older one."""
    activation = (await kit.begin())["activation"]["id"]
    host, payload = read_link((await kit.code(activation))["link"])
    kit.clock.advance(30)
    old = ActivationCode.parse(payload)
    forged = ActivationCode(old.activation_id, old.otk, old.gateway_public, old.expiry, 3)
    assert await refusal(kit.phone("Thief").begin_link(make_link(host, forged.pack()))) is ErrorCode.REFUSED


async def test_the_old_code_stays_good_for_the_phone_that_came_with_it_and_no_other(kit: GatewayKit) -> None:
    """The exception for lost connections (decision 7) does not open the door for a second phone."""
    activation = (await kit.begin())["activation"]["id"]
    link = (await kit.code(activation))["link"]
    contact = await kit.phone("Customer").begin_link(link)
    kit.clock.advance(60)
    assert await refusal(kit.phone("Thief").begin_link(link)) is ErrorCode.EXPIRED
    await kit.confirm(activation, contact.device_code)
    await contact.wait_confirmed()
    await contact.enrol("749205")
    assert [binding["name"] for binding in await kit.bindings()] == ["Customer"]


@pytest.mark.parametrize("form", ["typed", "static"])
async def test_what_does_not_turn_lives_as_long_as_the_activation(kit: GatewayKit, form: str) -> None:
    """The limit that THREAT_MODEL.md admits, with its number: a photograph of the typed code, or of a letter, serves
    for all of the activation's life, 300 s here. It makes a phone pending and no more: the eight digits have to be
    typed on the customer's page, which then shows the thief's, and a second code has to be scanned from it."""
    activation = (await kit.begin(rotating=form != "static"))["activation"]["id"]
    shown = await kit.code(activation)
    thief = kit.phone("Thief")
    kit.clock.advance(299)
    contact = await (
        thief.begin_typed(shown["typed"]) if form == "typed" else thief.begin_link(shown["link"])
    )
    found = await kit.activation(activation)
    assert (found["state"], found["two_step"]) == ("present", True)
    await kit.confirm(activation, contact.device_code)
    await contact.wait_confirmed()
    with pytest.raises(CodeTwoNeeded):
        await contact.enrol("749205")
    assert await kit.bindings() == []


@pytest.mark.parametrize("form", ["typed", "static"])
async def test_and_no_longer(kit: GatewayKit, form: str) -> None:
    activation = (await kit.begin(rotating=form != "static"))["activation"]["id"]
    shown = await kit.code(activation)
    late = phone_over(kit, clock=ManualClock())  # its own clock would refuse before it asks
    kit.clock.advance(301)
    if form == "typed":
        assert await refusal(late.begin_typed(shown["typed"])) in (ErrorCode.EXPIRED, ErrorCode.UNKNOWN)
    else:
        assert await refusal(late.begin_link(shown["link"])) is ErrorCode.EXPIRED


async def test_who_follows_a_code_is_seen_by_its_giver_before_he_agrees(kit: GatewayKit) -> None:
    """The other limit: the giver of a code learns model and system of the phone that opens it, from m3. The phone has
    asked nothing yet; and the giver learns no more than that."""
    activation, link = await begin(kit, user="phisher")
    contact = await kit.phone("Victim's phone").begin_link(link)
    device = (await kit.activation(activation))["device"]
    assert set(device) == {"name", "model", "platform", "os", "place"}
    assert device["name"] == "Victim's phone"
    await contact.cancel()
    assert await kit.bindings() == []
