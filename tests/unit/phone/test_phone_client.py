"""First contact of the reference phone against a scripted gateway over a real socket: every form of the code,
every place where a connection can break, and what a phone must refuse."""

import asyncio
from typing import Any

import pytest
from phone_desk import PIN, Desk
from scripted_gateway import ScriptedGateway

from gateway.phone.errors import (
    CodeExpired,
    CodeTwoNeeded,
    ConnectionLost,
    ContactEnded,
    GatewayRefused,
)
from gateway.phone.transport import Site
from gateway.protocol import messages
from gateway.protocol.code import TypedCode, make_link, show_code2_nonce
from gateway.protocol.errors import (
    ErrorCode,
    ForeignHost,
    HandshakeFailed,
    MalformedCode,
    MistypedCode,
    WeakPin,
)
from gateway.protocol.frames import Suite


async def test_a_whole_activation(desk: Desk) -> None:
    contact = await desk.begin()
    assert (contact.answer.tenant, contact.answer.label) == ("Example Bank", "Account 1")
    assert contact.device_code == desk.gateway.code == desk.codes[0]
    desk.gateway.type_code("00000000" if contact.device_code != "00000000" else "11111111")
    desk.gateway.confirmed.clear()
    await desk.confirm(contact)
    assert desk.wrong == [2]
    assert not contact.needs_code2
    channel = await contact.enrol(PIN)
    assert await channel.ping() == 1_800_000_201
    assert desk.store.bindings() == [channel.binding]
    assert (channel.binding.state, channel.binding.index) == ("active", 0)
    assert desk.store.pending(desk.gateway.activation_id) is None
    assert desk.gateway.phone is not None
    assert desk.gateway.phone.name == "My phone"
    await channel.close()


@pytest.mark.parametrize("fault", ["m1", "bind", "m2", "confirmed", "evaluate", "commit", "active"])
async def test_a_connection_lost_at_each_step_is_taken_up_again(desk: Desk, fault: str) -> None:
    if fault in ("m1", "m2", "bind"):
        desk.gateway.faults.add(fault)
        with pytest.raises(ConnectionLost):
            await desk.begin()
        desk.gateway.rotation = 5
        contact = await desk.begin()
        expected = 5 if fault == "m1" else 0
        assert [line for line in desk.gateway.seen if line.startswith("hello")][-1].endswith(f" {expected}")
    else:
        contact = await desk.begin()
        desk.gateway.rotation = 5
        desk.gateway.faults.add(fault)
    await desk.confirm(contact)
    channel = await contact.enrol(PIN)
    assert not desk.gateway.faults
    await channel.prove_pin(PIN)
    assert [binding.state for binding in desk.store.bindings()] == ["active"]
    await channel.close()
    again = await desk.reopen()
    await again.prove_pin(PIN)
    await again.close()


async def test_a_connection_lost_while_waiting_gives_another_code(desk: Desk) -> None:
    contact = await desk.begin()
    waiting = asyncio.ensure_future(contact.wait_confirmed())
    desk.gateway.pushes.put_nowait(messages.Problem(code="break"))
    while len(desk.codes) < 2:
        await asyncio.sleep(0.01)
    assert desk.codes[0] != desk.codes[1]
    assert desk.reconnections == 1
    desk.gateway.type_code(desk.codes[1])
    await waiting
    await (await contact.enrol(PIN)).close()


async def test_a_phone_that_was_killed_while_committing(desk: Desk) -> None:
    contact = await desk.begin()
    await desk.confirm(contact)
    desk.gateway.faults.add("active")
    enrolling = asyncio.ensure_future(contact.enrol(PIN))
    while not desk.gateway.ended:
        await asyncio.sleep(0.001)
    enrolling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await enrolling
    assert [binding.state for binding in desk.store.bindings()] == ["committing"]
    channel = await desk.reopen()
    assert [binding.state for binding in desk.store.bindings()] == ["active"]
    await channel.prove_pin(PIN)
    await channel.close()


async def test_two_step_by_symbol(desk: Desk) -> None:
    desk.gateway.two_step = True
    contact = await desk.begin()
    await desk.confirm(contact)
    assert contact.needs_code2
    with pytest.raises(CodeTwoNeeded):
        await contact.enrol(PIN)
    with pytest.raises(MalformedCode):
        contact.take_code2(b"\x02" + bytes(60))
    with pytest.raises(MalformedCode):
        contact.take_code2(desk.gateway.code2("Somebody else's account"))
    with pytest.raises(MalformedCode):
        contact.take_code2(desk.gateway.code2("Account"))
    assert contact.take_code2(desk.gateway.code2()) == "Account 1"
    await (await contact.enrol(PIN)).close()


async def test_two_step_by_typing_and_a_lost_connection(desk: Desk) -> None:
    desk.gateway.two_step = True
    contact = await desk.begin()
    await desk.confirm(contact)
    shown = show_code2_nonce(desk.gateway.nonce)
    with pytest.raises(MistypedCode):
        contact.take_typed_code2(shown[:-1] + ("0" if shown[-1] != "0" else "1"))
    contact.take_typed_code2(shown)
    desk.gateway.faults.add("evaluate")
    with pytest.raises(CodeTwoNeeded):
        await contact.enrol(PIN)
    contact.take_code2(desk.gateway.code2())
    await (await contact.enrol(PIN)).close()


async def test_a_typed_code(desk: Desk) -> None:
    contact = await desk.phone.begin_typed(desk.gateway.typed.show().lower(), listener=desk)
    await desk.confirm(contact)
    await (await contact.enrol(PIN)).close()
    with pytest.raises(MistypedCode):
        await desk.phone.begin_typed("0" * 19 + "1")
    with pytest.raises(GatewayRefused):
        await desk.phone.begin_typed(TypedCode.generate(bytes).show())


async def test_a_typed_code_under_another_key_fails(desk: Desk) -> None:
    with pytest.raises((GatewayRefused, HandshakeFailed)):
        await desk.phone.begin_typed(
            desk.gateway.typed.show(), gateway_public=ScriptedGateway().screen().gateway_public
        )


async def test_scans_and_links(desk: Desk) -> None:
    payload = desk.gateway.screen().pack()
    for host in ("other.example", "bank.example:8443"):
        with pytest.raises(ForeignHost):
            await desk.phone.begin_link(make_link(host, payload))
        with pytest.raises(ForeignHost):
            await desk.phone.begin_scanned(make_link(host, payload).encode())
    assert desk.gateway.seen == []
    await (await desk.phone.begin_link(make_link(desk.gateway.host, payload))).close()
    await (await desk.phone.begin_scanned(payload)).close()
    await (await desk.phone.begin_scanned(make_link(desk.gateway.host, payload).encode())).close()


async def test_an_expired_code_is_not_sent(desk: Desk) -> None:
    desk.clock.advance(301)
    with pytest.raises(CodeExpired):
        await desk.begin()
    assert desk.gateway.seen == []


async def test_the_other_suite_is_tried_once(desk: Desk) -> None:
    desk.gateway.suites = (Suite.FIRST_CLASSICAL, Suite.RESUME_HYBRID)
    channel = await desk.bind()
    await channel.close()
    await (await desk.reopen()).close()
    desk.gateway.suites = ()
    with pytest.raises(GatewayRefused) as caught:
        await desk.reopen()
    assert caught.value.error is ErrorCode.SUITE
    hellos = [line.split()[1] for line in desk.gateway.seen if line.startswith("hello")]
    assert hellos[:2] == ["FIRST_HYBRID", "FIRST_CLASSICAL"]


@pytest.mark.parametrize("reason", ["device-code", "expired", "cancelled", "contested"])
async def test_an_end_told_inside_the_channel(desk: Desk, reason: Any) -> None:
    contact = await desk.begin()
    desk.gateway.pushes.put_nowait(messages.Ended(reason=reason))
    with pytest.raises(ContactEnded) as caught:
        await contact.wait_confirmed()
    assert caught.value.reason == reason
    assert desk.store.pending(desk.gateway.activation_id) is None


@pytest.mark.parametrize("code", [code for code in ErrorCode if code is not ErrorCode.SUITE])
async def test_an_error_frame_erases_nothing(desk: Desk, code: ErrorCode) -> None:
    desk.gateway.refusals = [code, code]
    with pytest.raises(GatewayRefused) as caught:
        await desk.begin()
    assert caught.value.error is code
    assert caught.value.next_step
    assert desk.store.pending(desk.gateway.activation_id) is not None
    desk.gateway.refusals = []
    await (await desk.bind()).close()
    kept = desk.store.bindings()
    desk.gateway.refusals = [code]
    with pytest.raises(GatewayRefused):
        await desk.reopen()
    assert desk.store.bindings() == kept


@pytest.mark.parametrize("pin", ["123456", "12345", "1234567", "abcdef", "121212"])
async def test_a_weak_pin_never_leaves_the_phone(desk: Desk, pin: str) -> None:
    contact = await desk.begin()
    await desk.confirm(contact)
    with pytest.raises(WeakPin):
        await contact.enrol(pin)
    assert "PinEvaluate" not in desk.gateway.seen
    await contact.close()


async def test_nobody_there(desk: Desk) -> None:
    desk.network.site = Site(desk.gateway.host, "http://127.0.0.1:1")
    with pytest.raises(ConnectionLost):
        await desk.begin()
    with pytest.raises(ConnectionLost):
        await desk.network.config()
