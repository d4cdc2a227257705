"""The PIN of a bound phone over real sockets: the counter, the blocks, and a change."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from devices_kit import bind, reopen
from gateway_kit import PIN, GatewayKit

from gateway.phone.errors import (
    PinIsBlocked,
    PinIsWrong,
)

OTHER_PIN = "830564"


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[GatewayKit]:
    async with GatewayKit.running(tmp_path) as running:
        yield running


async def test_wrong_pins_block_longer_and_longer(kit: GatewayKit) -> None:
    phone = kit.phone()
    binding, channel = await bind(kit, phone)
    for block_s in (300, 600, None):
        for left in (4, 3, 2, 1, 0):
            with pytest.raises(PinIsWrong) as wrong:
                await channel.prove_pin(OTHER_PIN)
            assert wrong.value.left == left
        until = None if block_s is None else int(kit.clock.now()) + block_s
        assert wrong.value.until == until
        with pytest.raises(PinIsBlocked) as blocked:
            await channel.prove_pin(PIN)
        assert blocked.value.until == until
        shown = (await kit.call("GET", f"/api/v1/bindings/{binding}"))["pin"]
        assert shown["blocked"]
        channel = await reopen(phone, channel)
        assert channel.pin is not None
        assert (channel.pin.left, channel.pin.blocked_until) == (0, until)
        kit.clock.advance(block_s or 86_400 * 365)
    with pytest.raises(PinIsBlocked):
        await channel.prove_pin(PIN)
    unblocked = await kit.call("POST", f"/api/v1/bindings/{binding}/unblock-pin", {})
    assert unblocked["pin"] == {"blocked": False, "blocked_until": None}
    await channel.prove_pin(PIN)


async def test_right_pin_restores_the_tries_even_at_the_last(kit: GatewayKit) -> None:
    phone = kit.phone()
    _, channel = await bind(kit, phone)
    for _ in range(3):
        for _ in range(4):
            with pytest.raises(PinIsWrong):
                await channel.prove_pin(OTHER_PIN)
        await channel.prove_pin(PIN)
    channel = await reopen(phone, channel)
    assert channel.pin is not None
    assert channel.pin.left == 5


async def test_evaluation_costs_a_try_though_it_is_never_proved(kit: GatewayKit) -> None:
    phone = kit.phone()
    _, channel = await bind(kit, phone)
    for _ in range(5):
        await channel._evaluate(PIN)
        channel = await reopen(phone, channel)
    with pytest.raises(PinIsBlocked):
        await channel.prove_pin(PIN)


async def test_pin_is_changed(kit: GatewayKit) -> None:
    phone = kit.phone()
    _, channel = await bind(kit, phone)
    with pytest.raises(PinIsWrong):
        await channel.change_pin(OTHER_PIN, OTHER_PIN)
    await channel.change_pin(PIN, OTHER_PIN)
    await channel.prove_pin(OTHER_PIN)
    with pytest.raises(PinIsWrong):
        await channel.prove_pin(PIN)
    await kit.restart()
    channel = await reopen(phone, channel)
    await channel.prove_pin(OTHER_PIN)
