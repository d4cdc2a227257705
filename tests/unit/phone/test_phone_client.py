"""The reference phone against a scripted gateway over a real socket: the whole activation, every place where a
connection can break, the ratchet, the PIN, and what a phone must refuse."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest
from scripted_gateway import ScriptedGateway

import gateway.phone.contact as contact_module
from gateway.core.clock import ManualClock
from gateway.core.secrets import system_random
from gateway.phone.client import Person, PhoneClient
from gateway.phone.contact import FirstContact
from gateway.phone.errors import (
    BindingGone,
    BindingNotFound,
    CloneSuspected,
    CodeExpired,
    CodeTwoNeeded,
    ConnectionLost,
    ContactEnded,
    GatewayProblem,
    GatewayRefused,
    PinIsBlocked,
    PinIsWrong,
    UnexpectedAnswer,
)
from gateway.phone.store import MemoryStore
from gateway.phone.transport import Network, Site
from gateway.protocol import messages
from gateway.protocol.code import TypedCode, make_link, show_code2_nonce
from gateway.protocol.errors import (
    ChannelFailed,
    ErrorCode,
    ForeignHost,
    HandshakeFailed,
    MalformedCode,
    MistypedCode,
    WeakPin,
)
from gateway.protocol.frames import Suite

PIN = "402857"
OTHER_PIN = "718304"


class Desk:
    """A phone and its gateway, for a test."""

    def __init__(self, gateway: ScriptedGateway, http: aiohttp.ClientSession, url: str) -> None:
        self.gateway = gateway
        self.store = MemoryStore()
        self.clock = ManualClock(1_800_000_000.0)
        self.network = Network(Site(gateway.host, url), http)
        self.codes: list[str] = []
        self.wrong: list[int] = []
        self.reconnections = 0

    def device_code(self, code: str, tries: int) -> None:
        self.codes.append(code)

    def wrong_code(self, left: int) -> None:
        self.wrong.append(left)

    def reconnecting(self) -> None:
        self.reconnections += 1

    @property
    def phone(self) -> PhoneClient:
        """A phone over the store as it is now, as after a restart."""
        return PhoneClient(
            store=self.store,
            network=self.network,
            random=system_random,
            clock=self.clock,
            person=Person("My phone"),
        )

    async def begin(self) -> FirstContact:
        return await self.phone.begin(self.gateway.screen(), listener=self)

    async def confirm(self, contact: FirstContact) -> None:
        """The customer reads the phone's code and types it."""
        self.gateway.type_code(contact.device_code)
        await contact.wait_confirmed()

    async def bind(self) -> Any:
        contact = await self.begin()
        await self.confirm(contact)
        return await contact.enrol(PIN)

    async def reopen(self) -> Any:
        return await self.phone.open(self.gateway.binding_id)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contact_module, "RETRY_SECONDS", (0.01,))


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    scripted = ScriptedGateway()
    async with scripted.serve() as url, aiohttp.ClientSession() as http:
        yield Desk(scripted, http, url)


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
    assert contact.take_code2(desk.gateway.code2()) == "Account 1"
    await (await contact.enrol(PIN)).close()


async def test_two_step_by_typing_and_a_lost_connection(desk: Desk) -> None:
    desk.gateway.two_step = True
    contact = await desk.begin()
    await desk.confirm(contact)
    shown = show_code2_nonce(desk.gateway.nonce)
    with pytest.raises(MistypedCode):
        contact.take_typed_code2(("0" if shown[0] != "0" else "1") + shown[1:])
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


async def test_the_hybrid_form_runs_when_due(desk: Desk) -> None:
    await (await desk.bind()).close()
    desk.clock.advance(31 * 86_400)
    await (await desk.reopen()).close()
    await (await desk.reopen()).close()
    hellos = [line for line in desk.gateway.seen if line.startswith("hello")]
    assert hellos[1:] == ["hello RESUME_HYBRID 0", "hello RESUME_CLASSICAL 1"]


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


@pytest.mark.parametrize("pin", ["123456", "12345", "1234567", "abcdef", "121212"])
async def test_a_weak_pin_never_leaves_the_phone(desk: Desk, pin: str) -> None:
    contact = await desk.begin()
    await desk.confirm(contact)
    with pytest.raises(WeakPin):
        await contact.enrol(pin)
    assert "PinEvaluate" not in desk.gateway.seen
    await contact.close()


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


async def test_nobody_there(desk: Desk) -> None:
    desk.network.site = Site(desk.gateway.host, "http://127.0.0.1:1")
    with pytest.raises(ConnectionLost):
        await desk.begin()
    with pytest.raises(ConnectionLost):
        await desk.network.config()


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
