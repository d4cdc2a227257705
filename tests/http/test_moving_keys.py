"""A bank's agreement key S is rotated while its phones come and go: they move to it at their next contact, whatever is
lost on the way, and the old key can be destroyed."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from devices_kit import bind, copy_of, reopen
from gateway_kit import PIN, Cut, GatewayKit

from gateway.activation import store as activations
from gateway.devices import store as devices
from gateway.keys.labels import agree_label
from gateway.keys.ring import ASKED_S
from gateway.phone.client import PhoneClient
from gateway.phone.errors import BankKeyChanged, CloneSuspected, ConnectionLost, GatewayRefused
from gateway.phone.models import Binding
from gateway.protocol.errors import ErrorCode
from hsm_adapters.api import KeyKind

LOSSES = [(number, is_answer) for number in (1, 2) for is_answer in (False, True)]
"""hello, its answer, ready, welcome."""


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[GatewayKit]:
    async with GatewayKit.running(tmp_path) as running:
        yield running


class Bank:
    """Who rotates the bank's key."""

    def __init__(self, kit: GatewayKit) -> None:
        self._kit = kit
        self.generation = 1

    async def rotate(self) -> bytes:
        """Make the next key, which every node has heard of; return its point."""
        self.generation += 1
        made = await self._adapter.generate(
            agree_label(self._kit.tenant_id, self.generation), KeyKind.AGREE_P256
        )
        self._kit.clock.advance(ASKED_S)
        assert made.public_key is not None
        return made.public_key

    async def under(self, generation: int) -> tuple[int, int]:
        """Return how many phones and open activations need a key."""
        label = agree_label(self._kit.tenant_id, generation)
        read = self._kit.now.installation.storage.read
        return (
            await read(lambda tx: devices.count_under_label(tx, label)),
            await read(lambda tx: activations.count_open_under_label(tx, label)),
        )

    async def destroy(self, generation: int) -> None:
        """Destroy a key."""
        await self._adapter.destroy(agree_label(self._kit.tenant_id, generation))

    @property
    def _adapter(self) -> Any:
        return self._kit.now.installation.adapter


def held_by(phone: PhoneClient) -> Binding:
    [binding] = phone.store.bindings()
    return binding


@pytest.mark.parametrize("suite", ["hybrid", "classical"])
async def test_phone_moves_at_its_next_contact_and_the_old_key_goes(kit: GatewayKit, suite: str) -> None:
    bank, phone = Bank(kit), kit.phone()
    _, channel = await bind(kit, phone, suite=suite)
    assert await bank.under(1) == (1, 0)
    point = await bank.rotate()
    await channel.prove_pin(PIN)  # an open channel goes on
    assert held_by(phone).gateway_public != point
    channel = await reopen(phone, channel)
    assert held_by(phone).gateway_public == point
    assert await bank.under(1) == await bank.under(2) == (1, 0)  # nobody has proved yet that it had welcome
    await channel.prove_pin(PIN)
    assert (await bank.under(1), await bank.under(2)) == ((0, 0), (1, 0))
    await bank.destroy(1)
    for _ in range(2):
        channel = await reopen(phone, channel)
    await channel.prove_pin(PIN)
    await kit.restart()
    await (await reopen(phone, channel)).ping()


async def test_contact_of_the_hybrid_form_moves_too(kit: GatewayKit) -> None:
    bank, phone = Bank(kit), kit.phone()
    _, channel = await bind(kit, phone)
    for _ in range(2):
        point = await bank.rotate()
        kit.clock.advance(30 * 86_400)
        channel = await reopen(phone, channel)
        assert held_by(phone).gateway_public == point
    await bank.destroy(1)
    channel = await reopen(phone, channel)
    await channel.prove_pin(PIN)
    assert (await bank.under(2), await bank.under(3)) == ((0, 0), (1, 0))


@pytest.mark.parametrize("is_restarted", [False, True], ids=["same gateway", "gateway killed"])
@pytest.mark.parametrize("turns", [0, 1, 2], ids=["rotated before", "and meanwhile", "and twice meanwhile"])
@pytest.mark.parametrize(("number", "is_answer"), LOSSES, ids=["hello", "m2", "ready", "welcome"])
async def test_no_loss_locks_the_moving_phone_out(
    kit: GatewayKit, number: int, is_answer: bool, turns: int, is_restarted: bool
) -> None:
    bank, phone = Bank(kit), kit.phone()
    _, channel = await bind(kit, phone)

    async def happens() -> None:
        for _ in range(turns):
            await bank.rotate()
        if is_restarted:
            await kit.restart()

    identifier = channel.binding.binding_id
    for _ in range(2):  # the second time the phone has moved before
        await bank.rotate()
        before = held_by(phone)
        cut = Cut(number, is_answer=is_answer, happens=happens)
        with pytest.raises(ConnectionLost):
            await kit.phone(store=phone.store, cut=cut).open(identifier)  # type: ignore[arg-type]
        assert held_by(phone).gateway_public == before.gateway_public
        channel = await phone.open(identifier)
        await channel.prove_pin(PIN)
    for generation in range(1, bank.generation):
        assert await bank.under(generation) == (0, 0)
        await bank.destroy(generation)
    channel = await reopen(phone, channel)
    await channel.prove_pin(PIN)
    [shown] = await kit.bindings()
    assert shown["state"] == "active"


@pytest.mark.parametrize("is_written", [False, True], ids=["before", "after"])
async def test_phone_killed_at_its_write_comes_again(kit: GatewayKit, is_written: bool) -> None:
    """Before it, index and S are the old ones; after it, both are new, and nothing was sent under them yet."""
    bank, phone = Bank(kit), kit.phone()
    _, channel = await bind(kit, phone)
    await channel.close()
    before = held_by(phone)
    await bank.rotate()
    await (await phone.open(before.binding_id)).close()
    if not is_written:
        phone.store.put_binding(before)
    newest = await bank.rotate()
    channel = await phone.open(before.binding_id)
    await channel.prove_pin(PIN)
    assert held_by(phone).gateway_public == newest
    [shown] = await kit.bindings()
    assert shown["state"] == "active"


async def test_copy_of_a_phone_that_has_moved_is_found_out(kit: GatewayKit) -> None:
    """With the old key still there and without it: the challenge needs no S."""
    bank = Bank(kit)
    for number in range(2):
        phone = kit.phone()
        _, channel = await bind(kit, phone, user=f"user-{number}")
        copy = copy_of(phone)
        await bank.rotate()
        channel = await reopen(phone, channel)
        await channel.prove_pin(PIN)
        if number:
            await bank.destroy(bank.generation - 1)
        with pytest.raises(CloneSuspected):
            await kit.phone(store=copy).open(channel.binding.binding_id)


async def test_phone_that_stayed_away_until_its_key_was_destroyed_is_told(kit: GatewayKit) -> None:
    bank, phone = Bank(kit), kit.phone()
    _, channel = await bind(kit, phone)
    await channel.close()
    held = held_by(phone)
    await bank.rotate()
    await bank.destroy(1)
    for _ in range(2):
        with pytest.raises(GatewayRefused, match="refused") as refused:
            await phone.open(held.binding_id)
        assert refused.value.error is ErrorCode.RETIRED
        assert "bind this phone anew" in refused.value.next_step
        await kit.restart()  # also when nobody remembers the key's point
    assert held_by(phone) == held
    [shown] = await kit.bindings()
    assert shown["state"] == "active"


async def test_key_that_this_node_has_not_yet_sends_nobody_away(kit: GatewayKit) -> None:
    bank, phone = Bank(kit), kit.phone()
    _, channel = await bind(kit, phone)
    await bank.rotate()
    channel = await reopen(phone, channel)
    await channel.close()
    await bank.destroy(2)  # as in a store that stands behind
    await kit.restart()
    with pytest.raises(GatewayRefused) as refused:
        await phone.open(held_by(phone).binding_id)
    assert refused.value.error is ErrorCode.BUSY


@pytest.mark.parametrize("is_begun", [False, True], ids=["scanned after", "scanned before"])
async def test_open_code_goes_on_under_its_own_key(kit: GatewayKit, is_begun: bool) -> None:
    """The code holds its S, whenever it is scanned. The new binding moves with its next contact."""
    bank, phone = Bank(kit), kit.phone()
    activation = (await kit.begin(rotating=False))["activation"]["id"]
    link = (await kit.code(activation))["link"]
    if is_begun:
        contact = await phone.begin_link(link)
    point = await bank.rotate()
    assert await bank.under(1) == (0, 1)
    if not is_begun:
        contact = await phone.begin_link(link)
    await kit.confirm(activation, contact.device_code)
    await contact.wait_confirmed()
    contact.take_typed_code2((await kit.code(activation))["typed"])
    channel = await contact.enrol(PIN)
    assert await bank.under(1) == (1, 0)
    channel = await reopen(phone, channel)
    assert held_by(phone).gateway_public == point
    await channel.prove_pin(PIN)
    assert await bank.under(1) == (0, 0)


async def test_open_code_whose_key_was_destroyed_is_refused_on_both_sides(kit: GatewayKit) -> None:
    bank = Bank(kit)
    activation = (await kit.begin(rotating=False))["activation"]["id"]
    link = (await kit.code(activation))["link"]
    await bank.rotate()
    await bank.destroy(1)
    await kit.restart()
    refused = await kit.call("GET", f"/api/v1/activations/{activation}/code?form=qr", status=409)
    assert (refused["code"], refused["next_step"]) == ("conflict", "Start another activation.")
    with pytest.raises(GatewayRefused) as told:
        await kit.phone().begin_link(link)
    assert told.value.error is ErrorCode.RETIRED


async def test_key_for_typed_codes_follows(kit: GatewayKit) -> None:
    """The phone that moved types a code of the new key, also when its binding is gone; another phone scans once."""
    bank, phone, other = Bank(kit), kit.phone(), kit.phone()
    _, channel = await bind(kit, phone)
    for each in (phone, other):  # both have looked at the configuration before the rotation
        typed = (await kit.begin(user="typist"))["activation"]["id"]
        await each.begin_typed((await kit.code(typed))["typed"])
    kept = phone.store.bank_keys("bank.example")
    await bank.rotate()
    channel = await reopen(phone, channel)
    await channel.remove()
    assert set(phone.store.bank_keys("bank.example")) == set(kept) == {kit.tenant_id}
    typed = (await kit.begin(user="typist"))["activation"]["id"]
    code = (await kit.code(typed))["typed"]
    with pytest.raises(BankKeyChanged):
        await other.begin_typed(code)
    await phone.begin_typed(code)


async def test_gateway_tells_no_key_when_there_is_nothing_to_tell(
    kit: GatewayKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`welcome` is what it was for a phone whose key is in force."""
    from gateway.phone import channel as phone_channel

    told: list[Any] = []
    read = phone_channel._told_key
    monkeypatch.setattr(
        phone_channel, "_told_key", lambda welcome: (told.append(welcome.gateway_key), read(welcome))[1]
    )
    bank, phone = Bank(kit), kit.phone()
    _, channel = await bind(kit, phone)
    channel = await reopen(phone, channel)
    await bank.rotate()
    channel = await reopen(phone, channel)
    channel = await reopen(phone, channel)
    assert [key is msgspec.UNSET for key in told] == [True, False, True]
