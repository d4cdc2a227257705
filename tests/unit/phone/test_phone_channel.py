"""Later contacts of the reference phone against a scripted gateway: the ratchet, the PIN, what the bank changes."""

import msgspec
import pytest
from phone_desk import OTHER_PIN, PIN, Desk

from gateway.phone.errors import (
    BindingGone,
    BindingNotFound,
    CloneSuspected,
    ConnectionLost,
    GatewayProblem,
    GatewayRefused,
    PinIsBlocked,
    PinIsWrong,
    UnexpectedAnswer,
)
from gateway.protocol import messages
from gateway.protocol.errors import (
    ChannelFailed,
    ErrorCode,
    InvalidPoint,
    WeakPin,
)


async def test_the_hybrid_form_runs_when_due(desk: Desk) -> None:
    await (await desk.bind()).close()
    desk.clock.advance(31 * 86_400)
    await (await desk.reopen()).close()
    await (await desk.reopen()).close()
    hellos = [line for line in desk.gateway.seen if line.startswith("hello")]
    assert hellos[1:] == ["hello RESUME_HYBRID 0", "hello RESUME_CLASSICAL 1"]


@pytest.mark.parametrize("fault", ["resume m2", "ready", "welcome"])
async def test_an_answer_lost_in_the_ratchet_locks_nobody_out(desk: Desk, fault: str) -> None:
    await (await desk.bind()).close()
    for _ in range(3):
        desk.gateway.faults.add(fault)
        with pytest.raises(ConnectionLost):
            await desk.reopen()
        kept = desk.store.bindings()[0]
        assert (kept.next_psk is not None) == (fault != "resume m2")
        await (await desk.reopen()).close()
        assert desk.store.bindings()[0].next_psk is None
    assert desk.store.bindings()[0].index == 3


async def test_a_key_that_is_no_point_is_not_stored(desk: Desk) -> None:
    await (await desk.bind()).close()
    kept = desk.store.bindings()[0]
    desk.gateway.told_key = b"\4" * 65
    with pytest.raises(InvalidPoint):
        await desk.reopen()
    held = desk.store.bindings()[0]
    assert (held.index, held.psk, held.gateway_public) == (kept.index, kept.psk, kept.gateway_public)
    desk.gateway.told_key = None
    await (await desk.reopen()).close()
    assert desk.store.bindings()[0].index == 1


async def test_a_copy_of_the_keys_is_found_out(desk: Desk) -> None:
    await (await desk.bind()).close()
    copied = desk.store.bindings()[0]
    await (await desk.reopen()).close()
    await (await desk.reopen()).close()
    real = desk.store.bindings()[0]
    desk.store.put_binding(copied)
    with pytest.raises(CloneSuspected):
        await desk.reopen()
    assert desk.gateway.phone is not None
    assert desk.gateway.phone.suspended
    assert desk.store.bindings() == [copied]
    desk.store.put_binding(real)
    with pytest.raises(GatewayRefused) as caught:
        await desk.reopen()
    assert caught.value.error is ErrorCode.SUSPENDED


async def test_a_gateway_without_the_key_learns_nothing(desk: Desk) -> None:
    await (await desk.bind()).close()
    kept = desk.store.bindings()[0]
    assert desk.gateway.phone is not None
    desk.gateway.phone.ratchet = {0: bytes(32)}
    with pytest.raises(CloneSuspected):
        await desk.reopen()
    assert desk.store.bindings() == [kept]


async def test_pin_proof_and_block(desk: Desk) -> None:
    channel = await desk.bind()
    await channel.prove_pin(PIN)
    for left in (4, 3, 2, 1, 0):
        with pytest.raises(PinIsWrong) as wrong:
            await channel.prove_pin(OTHER_PIN)
        assert wrong.value.left == left
        assert OTHER_PIN not in str(wrong.value)
    with pytest.raises(PinIsBlocked) as blocked:
        await channel.prove_pin(PIN)
    assert blocked.value.until == 1_800_000_500
    await channel.close()


async def test_pin_change(desk: Desk) -> None:
    channel = await desk.bind()
    with pytest.raises(WeakPin):
        await channel.change_pin(PIN, "123456")
    with pytest.raises(PinIsWrong):
        await channel.change_pin(OTHER_PIN, OTHER_PIN)
    await channel.change_pin(PIN, OTHER_PIN)
    with pytest.raises(PinIsWrong):
        await channel.prove_pin(PIN)
    await channel.prove_pin(OTHER_PIN)
    desk.gateway.faults.add("pin-enrolled")
    with pytest.raises(ConnectionLost):
        await channel.change_pin(OTHER_PIN, PIN)
    again = await desk.reopen()
    await again.prove_pin(PIN)
    await again.close()


async def test_rename_and_remove(desk: Desk) -> None:
    channel = await desk.bind()
    assert await channel.rename("Le mien") == "Le mien"
    assert desk.store.bindings()[0].name == "Le mien"
    await channel.remove()
    assert desk.store.bindings() == []
    with pytest.raises(BindingNotFound):
        await desk.reopen()


async def test_what_the_bank_changes_is_heard(desk: Desk) -> None:
    channel = await desk.bind()
    heard: list[str] = []
    channel.on_state(heard.append)
    desk.gateway.pushes.put_nowait(messages.State(state="active"))
    await channel.ping()
    desk.gateway.pushes.put_nowait(messages.State(state="suspended"))
    with pytest.raises(BindingGone):
        await channel.ping()
    assert heard == ["active", "suspended"]
    assert desk.store.bindings()
    channel = await desk.reopen()
    await channel.watch(0.05)
    await channel.close()


async def test_answers_to_something_else_are_refused(desk: Desk) -> None:
    channel = await desk.bind()
    desk.gateway.pushes.put_nowait(messages.Renamed(name="x"))
    with pytest.raises(UnexpectedAnswer):
        await channel.ping()
    with pytest.raises(ChannelFailed):
        await channel.ping()
    channel = await desk.reopen()
    desk.gateway.pushes.put_nowait(messages.Problem(code="busy"))
    with pytest.raises(GatewayProblem) as caught:
        await channel.ping()
    assert caught.value.problem == "busy"
    await channel.close()


async def test_records_don_t_show_their_keys(desk: Desk) -> None:
    channel = await desk.bind()
    for shown in (
        repr(channel.binding),
        repr(channel.binding.keys),
        str(msgspec.structs.asdict(channel.binding)["keys"]),
    ):
        assert "secret" in shown
        assert "\\x" not in shown
    await channel.close()
