"""Connections lost and gateways killed in the middle: at each frame of first contact, before it arrives or before its
answer does, the same phone comes again and is bound, once."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gateway_kit import PIN, Cut, GatewayKit

from gateway.core.encoding import b64url_decode
from gateway.phone import contact as phone_contact
from gateway.phone.contact import FirstContact
from gateway.phone.errors import ConnectionLost, ContactEnded, GatewayRefused
from gateway.protocol.errors import ErrorCode


@pytest.fixture
async def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GatewayKit]:
    monkeypatch.setattr(phone_contact, "RETRY_SECONDS", (0.01,))
    async with GatewayKit.running(tmp_path) as running:
        yield running


async def begin_again(phone: Any, link: str) -> FirstContact:
    """Begin, and after a lost connection begin again with the same code."""
    try:
        contact: FirstContact = await phone.begin_link(link)
    except ConnectionLost:
        contact = await phone.begin_link(link)
    return contact


@pytest.mark.parametrize("is_restarted", [False, True], ids=["same gateway", "gateway killed"])
@pytest.mark.parametrize("is_answer", [False, True], ids=["frame lost", "answer lost"])
@pytest.mark.parametrize("number", [1, 2, 3, 4], ids=["hello", "bind", "pin-evaluate", "commit"])
async def test_phone_comes_again_and_is_bound_once(
    kit: GatewayKit, number: int, is_answer: bool, is_restarted: bool
) -> None:
    async def happens() -> None:
        if is_restarted:
            await kit.restart()
        # By now the code on the screen has turned: only the phone that claimed with it may still use it.
        kit.clock.advance(40 if (number, is_answer) != (1, False) else 1)

    cut = Cut(number, is_answer=is_answer, happens=happens)
    phone = kit.phone(cut=cut)
    activation = (await kit.begin())["activation"]["id"]
    contact = await begin_again(phone, (await kit.code(activation))["link"])
    await kit.confirm(activation, contact.device_code)
    await contact.wait_confirmed()
    channel = await contact.enrol(PIN)
    assert cut.is_done
    await channel.ping()
    await channel.prove_pin(PIN)
    done = await kit.activation(activation)
    assert done["state"] == "active"
    assert [binding["id"] for binding in await kit.bindings()] == [done["binding"]]


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_phone_comes_again_while_it_waits_for_the_desktop(kit: GatewayKit, is_restarted: bool) -> None:
    activation = (await kit.begin())["activation"]["id"]
    phone = kit.phone()
    link = (await kit.code(activation))["link"]
    first = await phone.begin_link(link)
    first_code = first.device_code
    kit.clock.advance(60)
    if is_restarted:
        await kit.restart()
    second = await phone.begin_link(link)
    assert second.device_code != first_code
    # The code of the lost channel counts as wrong now.
    assert (await kit.confirm(activation, first_code, status=422))["left"] == 2
    await kit.confirm(activation, second.device_code)
    await second.wait_confirmed()
    await second.enrol(PIN)


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_confirmed_phone_goes_straight_on(kit: GatewayKit, is_restarted: bool) -> None:
    activation = (await kit.begin(two_step=True))["activation"]["id"]
    phone = kit.phone()
    link = (await kit.code(activation))["link"]
    first = await phone.begin_link(link)
    await kit.confirm(activation, first.device_code)
    await first.wait_confirmed()
    old = await kit.code(activation)
    if is_restarted:
        await kit.restart()
    second = await phone.begin_link(link)
    await second.wait_confirmed()
    # Code 2 is for the channel in use: the old symbol does not open, the typed nonce stays the same.
    shown = await kit.code(activation)
    assert shown["link"] != old["link"]
    assert shown["typed"] == old["typed"]
    second.take_code2(b64url_decode(shown["link"].partition("#")[2]))
    await second.enrol(PIN)


async def test_device_code_typed_after_a_kill_is_still_right(kit: GatewayKit) -> None:
    activation = (await kit.begin())["activation"]["id"]
    phone = kit.phone()
    contact = await phone.begin_link((await kit.code(activation))["link"])
    shown = contact.device_code
    await kit.restart()
    # Nobody is connected; the desktop's answer needs the database alone.
    assert (await kit.confirm(activation, shown))["state"] == "confirmed"
    await contact.wait_confirmed()
    await contact.enrol(PIN)


async def test_page_hears_that_the_phone_is_away_and_back(kit: GatewayKit) -> None:
    started = await kit.begin()
    activation = started["activation"]["id"]
    phone = kit.phone()
    link = (await kit.code(activation))["link"]
    contact = await phone.begin_link(link)
    headers = {"Authorization": f"Bearer {started['page_token']}"}
    kinds: list[str] = []
    async with kit.session.get(kit.now.url + "/api/v1/events", headers=headers) as stream:
        async for line in stream.content:
            if line.startswith(b"event: "):
                kinds.append(line[7:].strip().decode())
                if kinds[-1] == "activation.present" and len(kinds) == 2:
                    await contact.close()
                if kinds[-1] == "activation.away":
                    contact = await phone.begin_link(link)
            if len(kinds) == 4:
                break
    assert kinds == ["activation.waiting", "activation.present", "activation.away", "activation.present"]
    await contact.close()


async def test_older_socket_of_the_same_phone_gives_way(kit: GatewayKit) -> None:
    activation = (await kit.begin())["activation"]["id"]
    phone = kit.phone()
    link = (await kit.code(activation))["link"]
    older = await phone.begin_link(link)
    newer = await phone.begin_link(link)
    with pytest.raises(ConnectionLost):
        await older._channel.receive(10)
    await kit.confirm(activation, newer.device_code)
    await newer.wait_confirmed()
    await newer.enrol(PIN)
    assert (await kit.activation(activation))["state"] == "active"


async def test_same_phone_key_with_another_signing_key_ends_it(kit: GatewayKit) -> None:
    import msgspec

    activation = (await kit.begin())["activation"]["id"]
    phone = kit.phone()
    link = (await kit.code(activation))["link"]
    contact = await phone.begin_link(link)
    pending = contact._pending
    other = kit.phone().store  # a copy of s_D with a signing key of its own
    stranger = kit.phone("Copie", store=other)  # type: ignore[arg-type]
    fresh = type(pending.keys).generate(phone._tools.random)
    stolen = msgspec.structs.replace(pending.keys, signing=fresh.signing)
    other.put_pending(msgspec.structs.replace(pending, keys=stolen))
    with pytest.raises(ContactEnded) as ended:
        await stranger.begin_link(link)
    assert ended.value.reason == "contested"
    with pytest.raises(ContactEnded) as told:
        await contact.wait_confirmed()
    assert told.value.reason == "contested"
    assert (await kit.activation(activation))["state"] == "contested"


async def test_ten_failures_end_the_typed_form_alone(kit: GatewayKit) -> None:
    from gateway.protocol.code import TypedCode

    activation = (await kit.begin())["activation"]["id"]
    shown = await kit.code(activation)
    right = TypedCode.parse(shown["typed"])
    secret = ("0" if right.secret[0] != "0" else "1") + right.secret[1:]
    wrong = TypedCode(right.locator, secret).show()
    for _ in range(10):
        with pytest.raises(GatewayRefused) as refused:
            await kit.phone().begin_typed(wrong)
        assert refused.value.error is ErrorCode.REFUSED
    with pytest.raises(GatewayRefused) as ended:
        await kit.phone().begin_typed(shown["typed"])
    assert ended.value.error is ErrorCode.EXPIRED
    await (await kit.phone().begin_link(shown["link"])).close()
