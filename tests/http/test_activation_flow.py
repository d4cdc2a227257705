"""The whole way from the code on the screen to a bound phone, over real sockets: both suites, both confirmations, every
form of the code, and what goes wrong on the way."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gateway_kit import PIN, GatewayKit

from gateway.codes.reader import read_image
from gateway.core.encoding import b64url_decode
from gateway.core.ids import decode_id
from gateway.phone.channel import Channel
from gateway.phone.contact import FirstContact
from gateway.phone.errors import ContactEnded, GatewayProblem, GatewayRefused
from gateway.protocol.errors import ErrorCode
from gateway.protocol.messages import Cancel, Pong


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[GatewayKit]:
    async with GatewayKit.running(tmp_path) as running:
        yield running


async def bind(kit: GatewayKit, phone: Any = None, **wish: Any) -> tuple[dict[str, Any], Channel]:
    """Run a whole activation; return the started activation and the open channel."""
    started = await kit.begin(**wish)
    activation = started["activation"]["id"]
    contact = await (phone or kit.phone()).begin_link((await kit.code(activation))["link"])
    await kit.confirm(activation, contact.device_code)
    await contact.wait_confirmed()
    if contact.needs_code2:
        shown = await kit.code(activation)
        assert shown["kind"] == "code2"
        contact.take_code2(b64url_decode(shown["link"].partition("#")[2]))
    return started["activation"], await contact.enrol(PIN)


async def told(kit: GatewayKit, token: str, *, until: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the events that a page hears, from the first to `until`, with their data."""
    events: list[tuple[str, dict[str, Any]]] = []
    kind = ""
    headers = {"Authorization": f"Bearer {token}"}
    async with kit.session.get(kit.now.url + "/api/v1/events", headers=headers) as stream:
        async for line in stream.content:
            if line.startswith(b"event: "):
                kind = line[7:].strip().decode()
            elif line.startswith(b"data: "):
                events.append((kind, json.loads(line[6:])))
            if events and events[-1][0] == until:
                break
    return events


async def refusal(work: Any) -> ErrorCode:
    """Return the code of the refusal that `work` meets."""
    with pytest.raises(GatewayRefused) as caught:
        await work
    return caught.value.error


@pytest.mark.parametrize("suite", ["hybrid", "classical"])
@pytest.mark.parametrize("two_step", [False, True])
async def test_a_phone_is_bound(kit: GatewayKit, suite: str, two_step: bool) -> None:
    activation, channel = await bind(kit, suite=suite, two_step=two_step)
    assert activation["state"] == "waiting"
    done = await kit.activation(activation["id"])
    assert done["state"] == "active"
    assert done["device"]["name"] == "Téléphone de Zoé"
    assert done["device"]["place"] == "local"
    [binding] = await kit.bindings("?user=user-1")
    assert binding["id"] == done["binding"]
    assert binding["state"] == "active"
    assert binding["pin"] == {"blocked": False, "blocked_until": None}
    assert decode_id("bnd", binding["id"]) == channel.binding.binding_id
    assert await channel.ping() == int(kit.clock.now())
    await channel.prove_pin(PIN)


async def test_colour_code_carries_the_payload_of_the_link(kit: GatewayKit) -> None:
    activation = (await kit.begin())["activation"]["id"]
    colour, qr = await kit.code(activation, form="colour"), await kit.code(activation)
    assert colour["link"] == qr["link"]
    assert colour["svg"] != qr["svg"]
    assert qr["svg"].startswith("<svg ")
    assert set(qr["alt"]) == {"fr", "en"}
    contact = await kit.phone().begin_scanned(b64url_decode(colour["link"].partition("#")[2]))
    assert contact.answer.tenant == "Banque du Nord"
    await contact.close()


@pytest.mark.parametrize("form", ["colour", "qr"])
async def test_code_as_png_is_read_like_the_one_on_the_page(kit: GatewayKit, form: str) -> None:
    started = await kit.begin()
    path = f"/api/v1/activations/{started['activation']['id']}/code"
    token = started["page_token"]
    code = await kit.call("GET", f"{path}?form={form}&image=png&scale=6", token=token)
    assert "svg" not in code
    assert set(code["alt"]) == {"fr", "en"}
    carried = b64url_decode(code["link"].partition("#")[2])
    read = read_image(base64.b64decode(code["png"])).payload
    assert read == (carried if form == "colour" else code["link"].encode())
    for wrong in ("image=gif", "image=png&scale=0", "image=png&scale=65"):
        await kit.call("GET", f"{path}?{wrong}", token=token, status=400)


async def test_typed_code_always_takes_two_steps(kit: GatewayKit) -> None:
    activation = (await kit.begin())["activation"]["id"]
    kit.clock.advance(100)
    contact = await kit.phone().begin_typed((await kit.code(activation))["typed"])
    assert contact.answer.two_step
    await kit.confirm(activation, contact.device_code)
    await contact.wait_confirmed()
    assert contact.needs_code2
    shown = await kit.code(activation, form="colour")
    assert shown["kind"] == "code2"
    contact.take_typed_code2(shown["typed"])
    channel = await contact.enrol(PIN)
    await channel.ping()


async def test_static_code_lives_long_and_takes_two_steps(kit: GatewayKit) -> None:
    started = (await kit.begin(rotating=False, life_s=86_400))["activation"]
    assert started["two_step"]
    first = await kit.code(started["id"])
    assert first["rotation"] is None
    kit.clock.advance(80_000)
    assert (await kit.code(started["id"]))["link"] == first["link"]
    contact = await kit.phone().begin_link(first["link"])
    await kit.confirm(started["id"], contact.device_code)
    await contact.wait_confirmed()
    contact.take_code2(b64url_decode((await kit.code(started["id"]))["link"].partition("#")[2]))
    await contact.enrol(PIN)


async def test_code_turns_and_the_turned_one_is_dead(kit: GatewayKit) -> None:
    activation = (await kit.begin())["activation"]["id"]
    old = await kit.code(activation)
    assert (old["rotation"], old["next_in_ms"]) == (0, 10_000)
    kit.clock.advance(10)
    newer = await kit.code(activation)
    assert newer["rotation"] == 1
    assert newer["link"] != old["link"]
    # n - 1 is still taken, n - 2 is not.
    await (await kit.phone().begin_link(old["link"])).close()
    kit.clock.advance(10)
    other = (await kit.begin())["activation"]["id"]
    code = await kit.code(other)
    kit.clock.advance(20)
    assert await refusal(kit.phone().begin_link(code["link"])) is ErrorCode.EXPIRED
    assert (await kit.activation(other))["state"] == "waiting"


async def test_wrong_code_takes_a_try_and_the_third_ends_it(kit: GatewayKit) -> None:
    activation = (await kit.begin())["activation"]["id"]
    heard: list[int] = []

    class Ears:
        def device_code(self, code: str, tries: int) -> None:
            heard.append(tries)

        def wrong_code(self, left: int) -> None:
            heard.append(left)

        def reconnecting(self) -> None:
            raise AssertionError("nothing broke")

    contact = await kit.phone().begin_link((await kit.code(activation))["link"], listener=Ears())
    wrong = f"{(int(contact.device_code) + 1) % 10**8:08d}"
    waiting = asyncio.create_task(contact.wait_confirmed())
    for left in (2, 1):
        problem = await kit.confirm(activation, wrong, status=422)
        assert (problem["code"], problem["left"]) == ("device-code-wrong", left)
    problem = await kit.confirm(activation, wrong, status=410)
    assert (problem["code"], problem["reason"]) == ("activation-ended", "device-code")
    with pytest.raises(ContactEnded) as ended:
        await waiting
    assert ended.value.reason == "device-code"
    assert heard == [3, 2, 1]
    done = await kit.activation(activation)
    assert (done["state"], done["ended_reason"], done["tries_left"]) == ("refused", "device-code", 0)
    assert (await kit.confirm(activation, contact.device_code, status=410))["code"] == "activation-ended"
    assert await refusal(kit.phone().begin_link(await kit_link(contact))) is ErrorCode.ENDED


async def kit_link(contact: FirstContact) -> str:
    """Return the link that a contact came with."""
    from gateway.protocol.code import ActivationCode, make_link

    pending = contact._pending
    code = ActivationCode(
        pending.activation_id, pending.psk, pending.gateway_public, pending.expiry, pending.rotation
    )
    return make_link(pending.host, code.pack())


async def test_code_in_a_wrong_form_takes_no_try(kit: GatewayKit) -> None:
    activation = (await kit.begin())["activation"]["id"]
    contact = await kit.phone().begin_link((await kit.code(activation))["link"])
    for code in ("1234567", "123456789", "abcdefgh", ""):
        assert (await kit.confirm(activation, code, status=400))["code"] == "invalid-request"
    assert (await kit.activation(activation))["tries_left"] == 3
    shown = contact.device_code
    assert (await kit.confirm(activation, f"{shown[:4]} {shown[4:]}"))["state"] == "confirmed"
    await contact.close()


@pytest.mark.parametrize("first_is", ["present", "confirmed"])
async def test_second_phone_ends_it_for_both(kit: GatewayKit, first_is: str) -> None:
    activation = (await kit.begin())["activation"]["id"]
    link = (await kit.code(activation))["link"]
    first = await kit.phone().begin_link(link)
    if first_is == "confirmed":
        await kit.confirm(activation, first.device_code)
        await first.wait_confirmed()
    assert await refusal(kit.phone("Fremdes Telefon").begin_link(link)) is ErrorCode.ENDED
    with pytest.raises(ContactEnded) as ended:
        await (first.enrol(PIN) if first_is == "confirmed" else first.wait_confirmed())
    assert ended.value.reason == "contested"
    done = await kit.activation(activation)
    assert (done["state"], done["ended_reason"]) == ("contested", "contested")
    assert await kit.bindings() == []


async def test_second_phone_with_a_dead_code_changes_nothing(kit: GatewayKit) -> None:
    activation = (await kit.begin())["activation"]["id"]
    link = (await kit.code(activation))["link"]
    contact = await kit.phone().begin_link(link)
    kit.clock.advance(40)
    assert await refusal(kit.phone("Fremdes Telefon").begin_link(link)) is ErrorCode.EXPIRED
    await kit.confirm(activation, contact.device_code)
    await contact.wait_confirmed()
    await contact.enrol(PIN)


async def test_cancelled_is_told_to_the_phone(kit: GatewayKit) -> None:
    started = await kit.begin()
    activation = started["activation"]["id"]
    contact = await kit.phone().begin_link((await kit.code(activation))["link"])
    waiting = asyncio.create_task(contact.wait_confirmed())
    path = f"/api/v1/activations/{activation}/cancel"
    assert (await kit.call("POST", path, {}, token=started["page_token"]))["state"] == "cancelled"
    with pytest.raises(ContactEnded) as ended:
        await waiting
    assert ended.value.reason == "cancelled"
    assert (await kit.call("POST", path, {}, status=410))["code"] == "activation-ended"
    newest = (await kit.call("GET", f"/api/v1/audit?subject={activation}&limit=1"))["items"][0]
    assert newest["word"] == "customer:activation:cancel"


@pytest.mark.parametrize("is_confirmed", [False, True])
async def test_the_phone_cancels(kit: GatewayKit, is_confirmed: bool) -> None:
    started = await kit.begin()
    activation, token = started["activation"]["id"], started["page_token"]
    phone = kit.phone()
    link = (await kit.code(activation))["link"]
    contact = await phone.begin_link(link)
    if is_confirmed:
        await kit.confirm(activation, contact.device_code)
        await contact.wait_confirmed()
    await contact.cancel()
    over = await kit.activation(activation)
    assert (over["state"], over["ended_reason"]) == ("cancelled", "cancelled")
    events = await told(kit, token, until="activation.ended")
    assert events[-1][1]["reason"] == "cancelled"
    assert "activation.away" not in [kind for kind, _ in events]
    newest = (await kit.call("GET", f"/api/v1/audit?subject={activation}&limit=1"))["items"][0]
    assert newest["word"] == "phone:activation:cancel"
    assert await kit.bindings("?user=user-1") == []
    assert await refusal(phone.begin_link(link)) is ErrorCode.ENDED


async def test_a_late_cancel_does_not_end_what_is_bound(kit: GatewayKit) -> None:
    activation, channel = await bind(kit)
    with pytest.raises(GatewayProblem):
        await channel._ask(Cancel(), Pong)
    assert (await kit.activation(activation["id"]))["state"] == "active"


async def test_expired_is_told_to_the_phone_and_sweeps(kit: GatewayKit) -> None:
    activation = (await kit.begin(life_s=60))["activation"]["id"]
    link = (await kit.code(activation))["link"]
    contact = await kit.phone().begin_link(link)
    waiting = asyncio.create_task(contact.wait_confirmed())
    kit.clock.advance(60)
    assert await kit.now.capabilities.activations.sweep() == 1
    with pytest.raises(ContactEnded) as ended:
        await waiting
    assert ended.value.reason == "expired"
    assert (await kit.activation(activation))["state"] == "expired"
    assert await kit.now.capabilities.activations.sweep() == 0
    assert (await kit.call("GET", f"/api/v1/activations/{activation}/code", status=410))[
        "reason"
    ] == "expired"


async def test_platform_that_policy_refuses(kit: GatewayKit) -> None:
    activation = (await kit.begin(platforms=["ios"]))["activation"]["id"]
    link = (await kit.code(activation))["link"]
    assert await refusal(kit.phone().begin_link(link)) is ErrorCode.PLATFORM
    assert (await kit.activation(activation))["state"] == "waiting"


async def test_host_of_another_gateway_fails_the_handshake(kit: GatewayKit) -> None:
    activation = (await kit.begin())["activation"]["id"]
    from gateway.protocol.code import ActivationCode, read_link

    _, payload = read_link((await kit.code(activation))["link"])
    code = ActivationCode.parse(payload)
    phone = kit.phone()
    phone._tools.network.site = type(phone._tools.network.site)("evil.example", kit.now.url)
    connect = type(phone._tools.network).__mro__[1].connect
    phone._tools.network.connect = lambda: connect(phone._tools.network)  # type: ignore[method-assign]
    assert await refusal(phone.begin(code)) is ErrorCode.REFUSED


async def test_key_that_may_not_start_activations_does_not_see_their_codes(kit: GatewayKit) -> None:
    keys = kit.now.installation.api_keys
    started = await kit.begin()
    path = f"/api/v1/activations/{started['activation']['id']}"
    for scope, status in (("activations:read", 403), ("activations:write", 200)):
        _, key = await keys.create(tenant_id=kit.tenant_id, name=scope, scopes=[scope])
        token = key.reveal().decode()
        answer = await kit.call("GET", f"{path}/code?form=qr", token=token, status=status)
        assert ("link" in answer) == (status == 200)
        await kit.call("GET", path, token=token, status=200 if scope == "activations:read" else 403)
    assert "link" in await kit.call("GET", f"{path}/code?form=qr", token=started["page_token"])


async def test_page_token_opens_its_own_activation_alone(kit: GatewayKit) -> None:
    mine, other = await kit.begin(), await kit.begin()
    token = mine["page_token"]
    path = f"/api/v1/activations/{mine['activation']['id']}"
    assert (await kit.call("GET", path, token=token))["state"] == "waiting"
    assert (await kit.code(mine["activation"]["id"], token=token))["kind"] == "activation"
    foreign = f"/api/v1/activations/{other['activation']['id']}"
    await kit.call("GET", foreign, token=token, status=404)
    await kit.call("GET", f"{foreign}/code", token=token, status=404)
    await kit.call("POST", f"{foreign}/confirm", {"code": "12345678"}, token=token, status=404)
    await kit.call("POST", f"{foreign}/cancel", {}, token=token, status=404)
    await kit.call("POST", "/api/v1/activations", {"user": "u", "label": "l"}, token=token, status=403)
    await kit.call("GET", "/api/v1/bindings", token=token, status=403)
    kit.clock.advance(901)
    await kit.call("GET", path, token=token, status=401)


async def test_page_follows_its_activation(kit: GatewayKit) -> None:
    started = await kit.begin(two_step=True)
    activation = started["activation"]["id"]
    contact = await kit.phone().begin_link((await kit.code(activation))["link"])
    wrong = f"{(int(contact.device_code) + 1) % 10**8:08d}"
    await kit.confirm(activation, wrong, status=422)
    await kit.confirm(activation, contact.device_code)
    await contact.wait_confirmed()
    contact.take_typed_code2((await kit.code(activation))["typed"])
    await contact.enrol(PIN)
    kinds = [kind for kind, _ in await told(kit, started["page_token"], until="activation.active")]
    assert kinds == [
        "activation.waiting",
        "activation.present",
        "activation.code-wrong",
        "activation.confirmed",
        "activation.active",
    ]


async def test_config_tells_what_phones_pin(kit: GatewayKit) -> None:
    config = await kit.call("GET", "/phone/v1/config")
    assert config["host"] == "bank.example"
    [tenant] = config["tenants"]
    assert (tenant["id"], tenant["name"]) == (kit.tenant_id, "Banque du Nord")
    assert len(b64url_decode(tenant["s"])) == 33


async def test_unknown_typed_code_and_unknown_activation(kit: GatewayKit) -> None:
    await kit.call("GET", "/phone/v1/typed/ABCDE", status=404)
    await kit.call("GET", "/phone/v1/typed/ABC", status=404)
    await kit.call("GET", "/api/v1/activations/act_AAAAAAAAAAAAAAAAAAAAAA", status=404)
