"""T09: an answer is lost at any step; the customer must not be locked out, nor the ratchet fork."""

import asyncio
import contextlib
from typing import Any

import pytest
from attack_kit import ENGINES, WireNetwork, bind_phone, phone_over
from gateway_kit import PIN, Cut, GatewayKit

from gateway.devices.store import count_under_label
from gateway.keys.labels import agree_label
from gateway.keys.ring import ASKED_S
from gateway.phone.errors import ConnectionLost
from hsm_adapters.api import KeyKind

STEPS = [(number, is_answer) for number in (1, 2, 3, 4) for is_answer in (False, True)]


async def nothing() -> None:
    """What happens while the connection is gone."""


async def test_first_contact_ends_well_whatever_frame_is_lost(kit: GatewayKit) -> None:
    for number, is_answer in STEPS:
        cut = Cut(number, is_answer=is_answer, happens=nothing)
        phone = kit.phone(cut=cut)
        user = f"user-{number}-{is_answer}"
        activation = (await kit.begin(user=user))["activation"]["id"]
        link = (await kit.code(activation))["link"]
        try:
            contact = await phone.begin_link(link)
        except ConnectionLost:
            contact = await phone.begin_link(link)
        await kit.confirm(activation, contact.device_code)
        await contact.wait_confirmed()
        channel = await contact.enrol(PIN)
        await channel.ping()
        await channel.prove_pin(PIN)
        assert cut.is_done
        assert len(await kit.bindings(f"?user={user}")) == 1
        await channel.close()
        await (await phone.open(channel.binding.binding_id)).close()


async def test_a_contact_ends_well_whatever_frame_is_lost(kit: GatewayKit) -> None:
    """The same loss three times over, so that the ratchet would be forked if it could be."""
    phone, channel = await bind_phone(kit)
    await channel.close()
    identifier = channel.binding.binding_id
    for number, is_answer in STEPS[:4]:
        for _ in range(3):
            cut = Cut(number, is_answer=is_answer, happens=nothing)
            unlucky = kit.phone(store=phone.store, cut=cut)  # type: ignore[arg-type]
            try:
                await unlucky.open(identifier)
            except ConnectionLost:
                pass
            else:
                raise AssertionError("nothing was lost")
            await (await phone.open(identifier)).close()
    [binding] = await kit.bindings()
    assert binding["state"] == "active"
    opened = await phone.open(identifier)
    await opened.prove_pin(PIN)


@ENGINES
async def test_a_loss_while_the_banks_key_is_rotated_locks_nobody_out(kit: GatewayKit) -> None:
    """Each step is lost while the phone moves to the next key; in the end no earlier key is needed."""
    adapter, storage = kit.now.installation.adapter, kit.now.installation.storage
    phone, channel = await bind_phone(kit)
    await channel.close()
    identifier = channel.binding.binding_id
    labels = [agree_label(kit.tenant_id, generation) for generation in range(1, 6)]
    for label, (number, is_answer) in zip(labels[1:], STEPS[:4], strict=True):
        await adapter.generate(label, KeyKind.AGREE_P256)
        kit.clock.advance(ASKED_S)
        cut = Cut(number, is_answer=is_answer, happens=nothing)
        with pytest.raises(ConnectionLost):
            await kit.phone(store=phone.store, cut=cut).open(identifier)  # type: ignore[arg-type]
        opened = await phone.open(identifier)
        await opened.prove_pin(PIN)
        await opened.close()
    counts = [await storage.read(lambda tx, label=label: count_under_label(tx, label)) for label in labels]
    assert counts == [0, 0, 0, 0, 1]
    for label in labels[:-1]:
        await adapter.destroy(label)
    await (await phone.open(identifier)).ping()
    [binding] = await kit.bindings()
    assert binding["state"] == "active"


class HeldReady:
    """The phone's `ready` is held on its way, and the phone gives up."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.held = inner, b""
        self._sent = 0

    async def send(self, frame: bytes) -> None:
        self._sent += 1
        if self._sent == 2:
            self.held = frame
            raise ConnectionLost("given up")
        await self.inner.send(frame)

    async def receive(self, timeout: float | None = None) -> bytes:
        return bytes(await self.inner.receive(timeout))

    async def close(self) -> None:
        """The gateway does not hear of it."""


async def test_a_late_ready_does_not_fork_the_ratchet(kit: GatewayKit) -> None:
    """It arrives when the phone has long had `welcome` on another connection: an honest phone would be a clone."""
    phone, channel = await bind_phone(kit)
    await channel.close()
    identifier = channel.binding.binding_id
    for _ in range(2):
        network = WireNetwork(kit)
        held = HeldReady(await network.connect())
        network.connect = lambda held=held: asyncio.sleep(0, held)  # type: ignore[method-assign,misc]
        with pytest.raises(ConnectionLost):
            await phone_over(kit, network, store=phone.store).open(identifier)
        await (await phone.open(identifier)).close()
        await held.inner.send(held.held)
        with contextlib.suppress(ConnectionLost):
            await held.inner.receive(5)
        await (await phone.open(identifier)).close()
    [binding] = await kit.bindings()
    assert binding["state"] == "active"


async def test_a_pin_change_whose_answer_is_lost_leaves_one_pin_in_force(kit: GatewayKit) -> None:
    """From hello on: 1 hello, 2 ready, 3 evaluate, 4 prove, 5 change, 6 evaluate, 7 enrol."""
    phone, channel = await bind_phone(kit)
    await channel.close()
    identifier = channel.binding.binding_id
    old, new = PIN, "281946"
    for is_answer in (False, True):
        cut = Cut(7, is_answer=is_answer, happens=nothing)
        unlucky = await kit.phone(store=phone.store, cut=cut).open(identifier)  # type: ignore[arg-type]
        try:
            await unlucky.change_pin(old, new)
        except ConnectionLost:
            pass
        else:
            raise AssertionError("nothing was lost")
        opened = await phone.open(identifier)
        await opened.prove_pin(new if is_answer else old)
        await opened.close()
