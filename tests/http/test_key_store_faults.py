"""The key store fails at each of its calls in turn, by each named error, in every flow that needs it: whoever was at
work hears of a passing trouble, does the same step again and goes on, and no count has fallen."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asking_kit import APPROVALS, OTHER_PIN, ask, read
from devices_kit import bind
from gateway_kit import PIN, GatewayKit
from hsm_faults import OUTAGES, FaultSimulator, running_on_simulator

from gateway.audit.service import Checkpointer
from gateway.core.encoding import b64url_decode
from gateway.http.health import FRESH_S
from gateway.keys.ring import USED_S
from gateway.phone.errors import GatewayProblem, GatewayRefused
from gateway.pin import store as pin_store
from gateway.pin.models import Pin
from gateway.protocol.errors import ErrorCode
from hsm_adapters.errors import HsmError, KeyNotFound, PinRefused, UnwrapFailed

REMEMBERED_S = USED_S + 1
WRONG_PIN = "830561"
errors = pytest.mark.parametrize("error", OUTAGES, ids=lambda error: error.code)


@pytest.fixture
async def world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[GatewayKit, FaultSimulator]]:
    async with running_on_simulator(tmp_path, monkeypatch) as running:
        yield running


class Customer:
    """Does each step until it goes, and tells what stood in the way."""

    def __init__(self, kit: GatewayKit) -> None:
        self.kit = kit
        self.refusals = 0

    async def call(self, method: str, path: str, body: Any = None, **wish: Any) -> Any:
        """Call the API, again under the same idempotency key after a 503, which must be one that says so."""
        token, key = wish.get("token"), wish.get("key")
        headers = {"Authorization": f"Bearer {token or self.kit.api_key}"}
        headers |= {} if key is None else {"Idempotency-Key": key}
        url = self.kit.now.url + path
        while True:
            async with self.kit.session.request(method, url, json=body, headers=headers) as answer:
                found = await answer.json()
                if answer.status != 503:
                    assert answer.status in (200, 201), found
                    assert "Idempotency-Replayed" not in answer.headers
                    return found
                assert answer.content_type == "application/problem+json"
                assert answer.headers["Retry-After"] == "5"
                assert (found["code"], found["retry_after"]) == ("unavailable", 5)
                assert found["title"] and found["next_step"] and "simulated" not in str(found)
            self.refusals += 1

    async def phone(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Do what the phone does, again after what it is told will pass."""
        while True:
            try:
                return await work()
            except GatewayRefused as refused:
                assert refused.error is ErrorCode.BUSY
            except GatewayProblem as problem:
                assert problem.problem == "unavailable"
                assert "Try again" in problem.next_step
            self.refusals += 1


def each_call(kit: GatewayKit, simulator: FaultSimulator, error: type[HsmError]) -> Iterator[Customer]:
    """Give one customer a call that fails: the first, the second, and so on to the flow's last."""
    for number in itertools.count(1):
        kit.clock.advance(REMEMBERED_S)
        simulator.fail(number, error)
        customer = Customer(kit)
        yield customer
        has_failed = simulator.has_failed
        simulator.fail(0, error)
        assert customer.refusals == has_failed, (number, simulator.calls)
        if not has_failed:
            assert number > 1, "the flow needs the key store"
            return


async def pin_of(kit: GatewayKit, binding: str) -> Pin:
    """Return a PIN's row."""

    def find(tx: Any) -> Any:
        return pin_store.find(tx, tenant_id=kit.tenant_id, binding_id=binding, is_locked=False)

    found: Pin = await kit.now.installation.storage.read(find)
    return found


async def words(kit: GatewayKit) -> list[str]:
    """Return the audit log's words, newest first."""
    found: list[str] = []
    query = "limit=100"
    while True:
        page = await kit.call("GET", f"/api/v1/audit?{query}")
        found += [entry["word"] for entry in page["items"]]
        if page["next_cursor"] is None:
            return found
        query = f"limit=100&cursor={page['next_cursor']}"


@errors
@pytest.mark.parametrize("two_step", [False, True], ids=["one step", "two steps"])
async def test_an_activation_goes_on(
    world: tuple[GatewayKit, FaultSimulator], error: type[HsmError], two_step: bool
) -> None:
    kit, simulator = world
    for number, customer in enumerate(each_call(kit, simulator, error)):
        body = {"user": f"user-{number}", "label": "Compte courant", "two_step": two_step}
        started = await customer.call("POST", "/api/v1/activations", body, key=f"start-{number}")
        activation, token = started["activation"]["id"], started["page_token"]
        path = f"/api/v1/activations/{activation}"
        link = (await customer.call("GET", f"{path}/code?form=qr", token=token))["link"]
        phone = kit.phone()
        contact = await customer.phone(lambda phone=phone, link=link: phone.begin_link(link))
        wish = {"code": contact.device_code}
        await customer.call("POST", f"{path}/confirm", wish, token=token, key=f"confirm-{number}")
        await contact.wait_confirmed()
        if contact.needs_code2:
            shown = await customer.call("GET", f"{path}/code?form=qr", token=token)
            contact.take_code2(b64url_decode(shown["link"].partition("#")[2]))
        channel = await customer.phone(lambda contact=contact: contact.enrol(PIN))
        now = await kit.activation(activation)
        assert (now["state"], now["tries_left"]) == ("active", 3)
        [binding] = await kit.bindings(f"?user=user-{number}")
        assert (await pin_of(kit, binding["id"])).left == 5
        await customer.phone(lambda channel=channel: channel.prove_pin(PIN))
        await channel.close()
    heard = await words(kit)
    assert heard.count("bank:activation:start") == number + 1, (
        "one activation a key, however often it was asked for"
    )
    assert not [word for word in heard if "wrong" in word or "typed" in word]


@errors
async def test_a_phone_opens_its_channel_again(
    world: tuple[GatewayKit, FaultSimulator], error: type[HsmError]
) -> None:
    kit, simulator = world
    phone = kit.phone()
    binding, channel = await bind(kit, phone)
    await channel.close()
    for customer in each_call(kit, simulator, error):
        opened = await customer.phone(lambda: phone.open(channel.binding.binding_id))
        await opened.close()
    [found] = await kit.bindings()
    assert (found["id"], found["state"]) == (binding, "active"), "nor is it taken for a copy"


@errors
@pytest.mark.parametrize("left", [5, 1], ids=["all tries", "last try"])
async def test_a_phone_approves_with_its_pin(
    world: tuple[GatewayKit, FaultSimulator], error: type[HsmError], left: int
) -> None:
    """Also with the last try before a block: an outage takes none, and blocks nothing."""
    kit, simulator = world
    binding, channel = await bind(kit, kit.phone())
    for customer in each_call(kit, simulator, error):
        for _ in range(5 - left):
            await customer.phone(lambda: channel._evaluate(WRONG_PIN))
        before = await pin_of(kit, binding)
        assert before.left == left
        started = await ask(kit)
        asked = await channel.next_ask()
        assert (
            await customer.phone(lambda asked=asked: channel.answer(asked, "approve", pin=PIN)) == "approved"
        )
        assert (await read(kit, started))["tries_left"] == started["approval"]["tries_left"]
        assert (await pin_of(kit, binding)).left == 5
    heard = await words(kit)
    assert not [word for word in heard if "wrong" in word or "block" in word]


async def test_an_outage_takes_no_try_of_the_pin(world: tuple[GatewayKit, FaultSimulator]) -> None:
    """However often the customer tries meanwhile, and whether the next would have been the last."""
    kit, simulator = world
    binding, channel = await bind(kit, kit.phone())
    for left in range(4, -1, -1):
        before = await pin_of(kit, binding)
        for error in OUTAGES:
            with simulator.down(error), pytest.raises(GatewayProblem, match="unavailable"):
                await channel.prove_pin(PIN)
        assert await pin_of(kit, binding) == before
        await channel._evaluate(WRONG_PIN)
        assert (await pin_of(kit, binding)).left == left


@errors
async def test_a_phone_changes_its_pin(
    world: tuple[GatewayKit, FaultSimulator], error: type[HsmError]
) -> None:
    """On the same channel: a change that an outage broke off begins anew with the proof."""
    kit, simulator = world
    binding, channel = await bind(kit, kit.phone())
    pins = itertools.cycle([PIN, OTHER_PIN])
    old, new = next(pins), next(pins)
    for customer in each_call(kit, simulator, error):
        await customer.phone(lambda old=old, new=new: channel.change_pin(old, new))
        await customer.phone(lambda new=new: channel.prove_pin(new))
        assert (await pin_of(kit, binding)).left == 5
        old, new = new, next(pins)
    assert not [word for word in await words(kit) if "wrong" in word]


@errors
async def test_a_phone_without_a_network_approves(
    world: tuple[GatewayKit, FaultSimulator], error: type[HsmError]
) -> None:
    """Also where another node took the digits, which opens what the first one sealed."""
    kit, simulator = world
    phone = kit.phone()
    _, channel = await bind(kit, phone)
    await channel.close()
    for customer in each_call(kit, simulator, error):
        started = await ask(kit)
        path, token = f"{APPROVALS}/{started['approval']['id']}", started["page_token"]
        shown = await customer.call("POST", f"{path}/offline-code", {}, token=token)
        digits = phone.offline_answer(phone.open_offline(shown["link"].encode()), PIN)
        kit.now.capabilities.approving.approvals.drawn_codes.take(started["approval"]["id"])
        answered = await customer.call("POST", f"{path}/offline-answer", {"code": digits}, token=token)
        assert (answered["state"], answered["tries_left"]) == ("approved", started["approval"]["tries_left"])


@errors
async def test_a_bank_adds_a_webhook(world: tuple[GatewayKit, FaultSimulator], error: type[HsmError]) -> None:
    kit, simulator = world
    for number, customer in enumerate(each_call(kit, simulator, error)):
        body = {"url": "https://bank.example/hook"}
        await customer.call("POST", "/api/v1/webhooks", body, key=f"hook-{number}")
    assert len((await kit.call("GET", "/api/v1/webhooks"))["items"]) == number + 1


@errors
async def test_what_needs_no_key_goes_on(
    world: tuple[GatewayKit, FaultSimulator], error: type[HsmError]
) -> None:
    """Page tokens, requests, refusals and lists ask the key store nothing; /readyz says what is wrong."""
    kit, simulator = world
    _, channel = await bind(kit, kit.phone())
    began = kit.clock.now()
    with simulator.down(error):
        started = await ask(kit)
        assert await channel.answer(await channel.next_ask(), "refuse") == "refused"
        assert (await read(kit, started))["state"] == "refused"
        await kit.call("POST", "/api/v1/page-tokens", {"user": "user-1"}, status=201)
        await kit.bindings()
        for seconds in (FRESH_S, 60):
            kit.clock.advance(seconds)
            found = await kit.call("GET", "/readyz", status=503)
            assert found["checks"].pop("hsm") == f"{error.code}: simulated: the slot is empty"
            assert set(found["checks"].values()) == {"ok"}
            assert set(found["failing_since"]) == {"hsm"}
    kit.clock.advance(FRESH_S)
    assert "failing_since" not in await kit.call("GET", "/readyz")
    assert began < kit.clock.now()


@pytest.mark.parametrize("damage", [KeyNotFound, UnwrapFailed], ids=lambda damage: damage.code)
async def test_damage_is_no_outage(world: tuple[GatewayKit, FaultSimulator], damage: type[HsmError]) -> None:
    """A key or a sealed value that is gone or was changed is not mended by coming again."""
    kit, simulator = world
    phone = kit.phone()
    _, channel = await bind(kit, phone)
    activation = (await kit.begin(user="second"))["activation"]["id"]
    link = (await kit.code(activation))["link"]
    with simulator.down(damage):
        found = await kit.call("GET", f"/api/v1/activations/{activation}/code?form=colour", status=500)
        assert found["code"] == "internal"
        with pytest.raises(GatewayProblem, match="internal"):
            await channel.prove_pin(PIN)
        with pytest.raises(GatewayRefused) as refused:
            await kit.phone("Second").begin_link(link)
        assert refused.value.error is ErrorCode.REFUSED
    await channel.prove_pin(PIN)
    await kit.phone("Second").begin_link(link)


async def test_a_refused_pin_never_shows(world: tuple[GatewayKit, FaultSimulator]) -> None:
    """An adapter that quotes its URI in an error shows nothing of the query on /readyz."""
    kit, simulator = world

    class Talkative(PinRefused):
        """Tells too much."""

        def __init__(self, _: str) -> None:
            super().__init__(
                "pkcs11:token=a%20b?pin-source=file:/run/pin&pin-value=1234 was\nrefused, pin-value=1234"
            )

    with simulator.down(Talkative):
        kit.clock.advance(FRESH_S)
        told = (await kit.call("GET", "/readyz", status=503))["checks"]["hsm"]
    assert told == "hsm-pin-refused: pkcs11:token=a%20b?… was refused, pin-value=…"


async def test_the_audit_log_is_signed_once_the_key_store_is_back(
    world: tuple[GatewayKit, FaultSimulator],
) -> None:
    """A checkpoint that fails changes nothing, and is no sign of a log that was rolled back."""
    kit, simulator = world
    await kit.begin()
    installation = kit.now.installation
    checkpointer = Checkpointer(
        storage=installation.storage,
        adapter=simulator,
        ring=installation.ring,
        clock=kit.clock,
    )
    for error in OUTAGES:
        with simulator.down(error), pytest.raises(error):
            await checkpointer.checkpoint()
        await checkpointer.check()
    assert await checkpointer.checkpoint() is not None
    kit.clock.advance(FRESH_S)
    assert (await kit.call("GET", "/readyz"))["checks"]["audit"] == "ok"
