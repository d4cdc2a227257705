"""T07: messages are reordered, dropped or repeated on the wire."""

import asyncio

import pytest
from attack_kit import Alter, WireNetwork, audit_words, begin, bind_phone, insist, phone_over
from gateway_kit import GatewayKit

from gateway.core.ids import decode_id
from gateway.phone.errors import PhoneError
from gateway.protocol.errors import ProtocolError
from gateway.protocol.messages import Rename


def repeating(frame_number: int) -> Alter:
    return lambda number, frame: [frame, frame] if number == frame_number else [frame]


def overtaking(frame_number: int) -> Alter:
    """An older frame of the same connection comes once more before the one that is due."""
    seen: list[bytes] = []

    def alter(number: int, frame: bytes) -> list[bytes]:
        seen.append(frame)
        return [seen[-2], frame] if number == frame_number else [frame]

    return alter


async def test_repeated_and_overtaken_messages_bind_the_real_phone_once(kit: GatewayKit) -> None:
    """m3, the PIN and the commit; pending, confirmed and the evaluation. The channel's counters show it, the connection
    ends, the phone begins again."""
    bound = 0
    for side, last in (("sent", 4), ("received", 4)):
        for number in range(2, last + 1):
            for attack in (repeating, overtaking):
                user = f"{side}-{number}-{attack.__name__}"
                activation, link = await begin(kit, user=user)
                network = WireNetwork(kit, attacked=1, **{side: attack(number)})  # type: ignore[arg-type]
                channel = await insist(kit, phone_over(kit, network), activation, link)
                assert channel is not None, user
                [binding] = await kit.bindings(f"?user={user}")
                assert decode_id("bnd", binding["id"]) == channel.binding.binding_id
                bound += 1
    words = await audit_words(kit)
    assert sum(word == "phone:activation:complete" for word in words) == bound


async def test_a_dropped_message_is_silence_and_not_a_step(kit: GatewayKit) -> None:
    """What the phone sends next is not the gateway's to take: with a hole before it nothing opens."""

    async def drop(number: int) -> None:
        activation, link = await begin(kit, user=f"drop-{number}")
        network = WireNetwork(kit, sent=lambda n, frame: [] if n == number else [frame])
        phone = phone_over(kit, network)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                contact = await phone.begin_link(link)
                await kit.confirm(activation, contact.device_code)
                await contact.wait_confirmed()
                await contact.enrol("749205")
        state = (await kit.activation(activation))["state"]
        assert state in (("waiting",) if number < 3 else ("confirmed",)), number

    await asyncio.gather(*(drop(number) for number in (1, 2, 3, 4)))
    assert await kit.bindings() == []


@pytest.mark.parametrize("attack", ["none", "drop", "swap", "repeat"])
async def test_orders_on_an_open_channel_come_whole_and_in_order_or_not_at_all(
    kit: GatewayKit, attack: str
) -> None:
    """Two renames, the first dropped, both exchanged, or the first repeated in place of the second."""
    phone, channel = await bind_phone(kit)
    await channel.close()
    held: list[bytes] = []

    def alter(number: int, frame: bytes) -> list[bytes]:
        if number == 3 and attack != "none":
            held.append(frame)
            return []
        if number == 4 and attack != "none":
            return {"drop": [frame], "swap": [frame, held[0]], "repeat": [held[0], held[0]]}[attack]
        return [frame]

    spied = phone_over(kit, WireNetwork(kit, sent=alter), store=phone.store)
    opened = await spied.open(channel.binding.binding_id)
    for name in ("First", "Second"):
        await opened._conversation.send(Rename(name=name))
    names = []
    try:
        for _ in range(2):
            names.append(getattr(await opened._conversation.receive(5), "name", None))
    except (PhoneError, ProtocolError):
        pass
    [binding] = await kit.bindings()
    expected = {"none": ["First", "Second"], "drop": [], "swap": [], "repeat": ["First"]}[attack]
    assert names == expected
    assert binding["name"] == (expected or ["Téléphone de Zoé"])[-1]


async def test_a_recorded_channel_cannot_be_played_again(kit: GatewayKit) -> None:
    """All frames of a real contact are sent again: its ratchet key is gone since the phone acted, and the gateway's
    fresh key would make the rest unreadable."""
    recorded: list[bytes] = []

    def record(_: int, frame: bytes) -> list[bytes]:
        recorded.append(frame)
        return [frame]

    phone, channel = await bind_phone(kit)
    await channel.close()
    spied = phone_over(kit, WireNetwork(kit, sent=record), store=phone.store)
    opened = await spied.open(channel.binding.binding_id)
    await opened.rename("Mine")
    await opened.rename("Yours")
    await opened.close()
    for frames in (recorded, [recorded[0], recorded[2]], recorded[2:]):
        socket = await spied._tools.network.connect()
        answers = []
        try:
            for frame in frames:
                await socket.send(frame)
            while True:
                answers.append((await socket.receive(5))[0])
        except PhoneError:
            assert answers in ([], [0x03], [0x03, 0x7F], [0x7F]), "nothing but a challenge and a refusal"
    [binding] = await kit.bindings()
    assert (binding["name"], binding["state"]) == ("Yours", "active")
    await (await phone.open(channel.binding.binding_id)).close()
