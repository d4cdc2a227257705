"""T02: a code is used after its activation's end."""

from attack_kit import begin, phone_over, refusal
from gateway_kit import PIN, GatewayKit

from gateway.core.clock import ManualClock
from gateway.phone.errors import ContactEnded
from gateway.protocol.code import ActivationCode, make_link, read_link
from gateway.protocol.errors import ErrorCode


async def test_a_code_is_dead_after_the_end(kit: GatewayKit) -> None:
    """The thief's own clock stands still, so that his phone app does not stop him."""
    activation, link = await begin(kit, life_s=60, rotating=False)
    stopped = ManualClock(kit.clock.now())
    kit.clock.advance(59)
    await (await phone_over(kit, clock=stopped).begin_link(link)).close()
    kit.clock.advance(2)
    assert await refusal(phone_over(kit, clock=stopped).begin_link(link)) is ErrorCode.EXPIRED
    assert (await kit.activation(activation))["state"] == "expired"


async def test_a_contact_begun_in_time_cannot_commit_after_the_end(kit: GatewayKit) -> None:
    """Whoever holds a confirmed contact lets the end pass, and commits then."""
    activation, link = await begin(kit, life_s=60, rotating=False, two_step=True)
    contact = await kit.phone().begin_link(link)
    await kit.confirm(activation, contact.device_code)
    await contact.wait_confirmed()
    contact.take_typed_code2((await kit.code(activation))["typed"])
    kit.clock.advance(61)
    try:
        await contact.enrol(PIN)
    except ContactEnded as ended:
        assert ended.reason == "expired"
    else:
        raise AssertionError("committed after the end")
    assert await kit.bindings() == []


async def test_a_longer_life_written_into_the_code_does_not_help(kit: GatewayKit) -> None:
    """The expiry is part of what both ends must agree on."""
    _, link = await begin(kit, life_s=60, rotating=False)
    host, payload = read_link(link)
    code = ActivationCode.parse(payload)
    for longer in (1, 3600):
        forged = ActivationCode(
            code.activation_id, code.otk, code.gateway_public, code.expiry + longer, code.rotation
        )
        assert await refusal(kit.phone().begin_link(make_link(host, forged.pack()))) is ErrorCode.REFUSED
