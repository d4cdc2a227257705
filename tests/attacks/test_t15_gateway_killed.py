"""T15: the gateway is killed at each step; nothing is half bound, and both sides can go on."""

import shutil
from functools import partial
from pathlib import Path

import pytest
from gateway_kit import PIN, Cut, GatewayKit
from msgspec.structs import replace

from gateway.phone.errors import ConnectionLost


async def crash(kit: GatewayKit, to: Path) -> None:
    """Go on from what lies on the disk at this moment, as after a kill: what the orderly end of the old process still
    writes is lost."""
    shutil.copytree(kit.settings.data, to)
    await kit.stop()
    kit.settings = replace(kit.settings, data=str(to))
    await kit.start()


@pytest.mark.parametrize("is_answer", [False, True])
async def test_killed_at_each_step_of_a_first_contact(
    kit: GatewayKit, tmp_path: Path, is_answer: bool
) -> None:
    for number in (1, 2, 3, 4):
        folder = tmp_path.parent / f"{tmp_path.name}-{number}"
        cut = Cut(number, is_answer=is_answer, happens=partial(crash, kit, folder))
        phone = kit.phone(cut=cut)
        activation = (await kit.begin(user=f"user-{number}"))["activation"]["id"]
        link = (await kit.code(activation))["link"]
        try:
            contact = await phone.begin_link(link)
        except ConnectionLost:
            contact = await phone.begin_link(link)
        await kit.confirm(activation, contact.device_code)
        await contact.wait_confirmed()
        channel = await contact.enrol(PIN)
        await channel.prove_pin(PIN)
        assert cut.is_done
        assert (await kit.activation(activation))["state"] == "active"
        assert [binding["state"] for binding in await kit.bindings()] == ["active"] * number


async def test_killed_after_each_answer_to_the_bank(kit: GatewayKit, tmp_path: Path) -> None:
    """What the bank was told stands: the activation, its code, the tries that were used, the confirmation."""
    started = (await kit.begin(rotating=False))["activation"]["id"]
    link = (await kit.code(started))["link"]
    await crash(kit, tmp_path.parent / f"{tmp_path.name}-1")
    assert (await kit.code(started))["link"] == link
    phone = kit.phone()
    contact = await phone.begin_link(link)
    wrong = f"{(int(contact.device_code) + 1) % 10**8:08d}"
    await kit.confirm(started, wrong, status=422)
    await crash(kit, tmp_path.parent / f"{tmp_path.name}-2")
    assert (await kit.activation(started))["tries_left"] == 2
    contact = await phone.begin_link(link)
    await kit.confirm(started, contact.device_code)
    await crash(kit, tmp_path.parent / f"{tmp_path.name}-3")
    assert (await kit.activation(started))["state"] == "confirmed"


async def test_killed_at_each_step_of_a_later_contact(kit: GatewayKit, tmp_path: Path) -> None:
    """1 hello, 2 ready, 3 evaluate, 4 prove: the ratchet stays whole, and a try taken stays taken."""
    activation = (await kit.begin())["activation"]["id"]
    phone = kit.phone()
    contact = await phone.begin_link((await kit.code(activation))["link"])
    await kit.confirm(activation, contact.device_code)
    await contact.wait_confirmed()
    identifier = (await contact.enrol(PIN)).binding.binding_id
    for number in (1, 2, 3, 4):
        folder = tmp_path.parent / f"{tmp_path.name}-{number}"
        cut = Cut(number, is_answer=True, happens=partial(crash, kit, folder))
        with pytest.raises(ConnectionLost):
            unlucky = await kit.phone(store=phone.store, cut=cut).open(identifier)  # type: ignore[arg-type]
            await unlucky.prove_pin(PIN)
        channel = await phone.open(identifier)
        assert channel.pin is not None
        assert channel.pin.left == (4 if number == 3 else 5)
        await channel.prove_pin(PIN)
        await channel.close()
    assert [binding["state"] for binding in await kit.bindings()] == ["active"]
