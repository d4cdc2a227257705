"""T03: a code is photographed, forwarded or screen-shot, and used after the screen has turned."""

from attack_kit import refusal
from gateway_kit import GatewayKit

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
