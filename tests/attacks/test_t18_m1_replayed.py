"""T18: a recorded first message is sent again."""

from attack_kit import WireNetwork, audit_words, begin, bind_phone, phone_over
from gateway_kit import PIN, GatewayKit

from gateway.core.ids import decode_id
from gateway.phone.errors import PhoneError


async def replay(kit: GatewayKit, frames: list[bytes]) -> int:
    """Send recorded frames on a connection of the attacker's own; return how many answers came."""
    socket = await kit.phone()._tools.network.connect()
    answers = 0
    try:
        for frame in frames:
            await socket.send(frame)
        while True:
            await socket.receive(5)
            answers += 1
    except PhoneError:
        return answers


async def test_a_replayed_hello_changes_nothing_for_the_phone_that_sent_it(kit: GatewayKit) -> None:
    """Replayed with m3 and alone, before, during and after; the real phone stays connected and is bound alone."""
    recorded: list[bytes] = []

    def record(_: int, frame: bytes) -> list[bytes]:
        recorded.append(frame)
        return [frame]

    phone = phone_over(kit, WireNetwork(kit, sent=record))
    activation, link = await begin(kit)
    contact = await phone.begin_link(link)
    assert contact.device_code
    hello, m3 = recorded[:2]
    for frames in ([hello, m3], [hello, bytes(200)]):
        assert await replay(kit, frames) == 1, "m2, and nothing after it"
    now = await kit.activation(activation)
    assert (now["state"], now["tries_left"]) == ("present", 3)
    await kit.confirm(activation, contact.device_code)
    await contact.wait_confirmed()
    assert await replay(kit, [hello, m3]) == 1
    channel = await contact.enrol(PIN)
    assert await replay(kit, [hello, m3, *recorded[2:]]) == 1, "the refusal"
    await channel.ping()
    [binding] = await kit.bindings()
    assert decode_id("bnd", binding["id"]) == channel.binding.binding_id
    words = await audit_words(kit)
    assert words.count("phone:activation:present") == 1


async def test_a_hello_replayed_after_its_rotation_still_grants_nothing(kit: GatewayKit) -> None:
    """An old n is taken from the phone key that came with it; the replayer shows that key and holds none of it."""
    recorded: list[bytes] = []

    def record(_: int, frame: bytes) -> list[bytes]:
        recorded.append(frame)
        return [frame]

    activation, link = await begin(kit)
    contact = await phone_over(kit, WireNetwork(kit, sent=record)).begin_link(link)
    await contact.close()
    kit.clock.advance(60)
    assert await replay(kit, recorded) == 1
    assert (await kit.activation(activation))["state"] == "present"
    assert await kit.bindings() == []


async def test_a_replayed_hello_of_a_later_contact_turns_no_ratchet(kit: GatewayKit) -> None:
    """Index n may be used until n+1 has been: the replayer gets m2 and can't say `ready`."""
    recorded: list[bytes] = []

    def record(_: int, frame: bytes) -> list[bytes]:
        recorded.append(frame)
        return [frame]

    phone, channel = await bind_phone(kit)
    await channel.close()
    spied = phone_over(kit, WireNetwork(kit, sent=record), store=phone.store)
    opened = await spied.open(channel.binding.binding_id)
    await opened.close()
    for frames in (recorded, recorded[:1]):
        assert await replay(kit, [*frames, bytes(100)]) == 1
    for _ in range(2):
        await (await phone.open(channel.binding.binding_id)).close()
    [binding] = await kit.bindings()
    assert binding["state"] == "active"
