"""Eight digits through the whole gateway: codes that the page shows, read by phones of no network, typed in."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from asking_kit import APPROVALS, OTHER_PIN, ask, read
from devices_kit import bind, change, reopen
from gateway_kit import PIN, GatewayKit

from gateway.core.encoding import b64url_decode
from gateway.phone.client import PhoneClient
from gateway.phone.errors import OfflineForeign


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[GatewayKit]:
    async with GatewayKit.running(tmp_path) as running:
        yield running


async def show(kit: GatewayKit, started: dict[str, Any], **wish: Any) -> Any:
    path = f"{APPROVALS}/{started['approval']['id']}/offline-code"
    return await kit.call("POST", path, wish, token=started["page_token"])


async def type_in(
    kit: GatewayKit, started: dict[str, Any], code: str, *, token: str | None = None, status: int = 200
) -> Any:
    path = f"{APPROVALS}/{started['approval']['id']}/offline-answer"
    return await kit.call("POST", path, {"code": code}, token=token or started["page_token"], status=status)


def scan(phone: PhoneClient, shown: dict[str, Any]) -> Any:
    return phone.open_offline(shown["link"].encode())


async def test_eight_digits_approve_without_a_network(kit: GatewayKit) -> None:
    phone = kit.phone("Handy")
    binding, channel = await bind(kit, phone)
    await channel.close()
    kit.clock.advance(31 * 86_400)
    started = await ask(kit)
    shown = await show(kit, started, form="colour")
    assert (shown["binding"], shown["name"], shown["bindings"]) == (
        binding,
        "Handy",
        [{"id": binding, "name": "Handy"}],
    )
    assert shown["svg"].startswith("<svg")
    assert set(shown["alt"]) == {"fr", "en"}
    assert (await show(kit, started, form="qr"))["form"] == "qr"
    opened = scan(phone, await show(kit, started))
    assert opened.statement.fields.amount == "250.00"
    digits = phone.offline_answer(opened, PIN)
    answered = await type_in(kit, started, f"{digits[:4]} {digits[4:]}")
    assert (answered["state"], answered["via"], answered["binding"]) == ("approved", "offline", binding)
    assert (await type_in(kit, started, digits, status=410))["state"] == "approved"
    channel = await reopen(phone, channel)
    assert [(each.state, each.here) for each in (await channel.past()).items] == [("approved", True)]


@pytest.mark.parametrize("codes", [1, 2])
async def test_digits_still_serve_once_the_phone_has_a_network_again(kit: GatewayKit, codes: int) -> None:
    phone = kit.phone()
    _, channel = await bind(kit, phone)
    await channel.close()
    waiting = [await ask(kit) for _ in range(codes)]
    answers = [phone.offline_answer(scan(phone, await show(kit, started)), PIN) for started in waiting]
    channel = await reopen(phone, channel)  # tells how many answers were made
    for started, digits in zip(waiting, answers, strict=True):
        assert (await type_in(kit, started, digits))["state"] == "approved"
    await channel.close()


async def test_wrong_digits_cost_tries_and_say_how_many_are_left(kit: GatewayKit) -> None:
    phone = kit.phone()
    await bind(kit, phone)
    started = await ask(kit)
    assert (await type_in(kit, started, "12345678", status=409))["code"] == "conflict"
    digits = phone.offline_answer(scan(phone, await show(kit, started)), OTHER_PIN)
    for left in (4, 3, 2, 1):
        problem = await type_in(kit, started, digits, status=422)
        assert (problem["code"], problem["left"]) == ("offline-answer-wrong", left)
    assert (await type_in(kit, started, digits, status=410))["state"] == "failed"
    assert (await read(kit, started))["state"] == "failed"


async def test_a_code_opens_on_its_own_phone_alone(kit: GatewayKit) -> None:
    phone, other = kit.phone(), kit.phone("Other")
    first, _ = await bind(kit, phone)
    second, _ = await bind(kit, other)
    started = await ask(kit)
    with pytest.raises(OfflineForeign):
        scan(phone, await show(kit, started, binding=second))
    scan(phone, await show(kit, started, binding=first))


async def test_both_ratchet_keys_open_a_code_while_nobody_knows_which(kit: GatewayKit) -> None:
    phone = kit.phone()
    _, channel = await bind(kit, phone)
    channel = await reopen(phone, channel)  # the gateway holds n and n+1 now
    await channel.close()
    started = await ask(kit)
    digits = phone.offline_answer(scan(phone, await show(kit, started)), PIN)
    assert (await type_in(kit, started, digits))["state"] == "approved"


async def test_the_link_of_a_code_leads_to_this_host(kit: GatewayKit) -> None:
    await bind(kit, kit.phone())
    link = (await show(kit, await ask(kit)))["link"]
    base, _, payload = link.partition("#")
    assert base.endswith("/a")
    assert b64url_decode(payload)[0] == 3


# What has changed since the code was drawn


async def digits_at_hand(kit: GatewayKit) -> tuple[dict[str, Any], str, str]:
    """Return a request, the right digits for it, which nobody has typed yet, and the phone's binding."""
    phone = kit.phone()
    binding, channel = await bind(kit, phone)
    await channel.close()
    started = await ask(kit)
    return started, phone.offline_answer(scan(phone, await show(kit, started)), PIN), binding


@pytest.mark.parametrize("step", ["suspend", "remove"])
async def test_digits_of_a_phone_that_is_not_active_any_more_are_refused(kit: GatewayKit, step: str) -> None:
    started, digits, binding = await digits_at_hand(kit)
    await change(kit, binding, step)
    assert (await type_in(kit, started, digits, status=409))["code"] == "conflict"
    assert (await read(kit, started))["state"] == "pending"


async def test_digits_by_the_pin_before_are_wrong(kit: GatewayKit) -> None:
    phone = kit.phone()
    _, channel = await bind(kit, phone)
    started = await ask(kit)
    opened = scan(phone, await show(kit, started))
    digits = phone.offline_answer(opened, PIN)
    await channel.change_pin(PIN, OTHER_PIN)
    problem = await type_in(kit, started, digits, status=422)
    assert (problem["code"], problem["left"]) == ("offline-answer-wrong", 4)
    assert (await read(kit, started))["state"] == "pending"
    assert (await type_in(kit, started, phone.offline_answer(opened, OTHER_PIN)))["state"] == "approved"


async def test_another_bank_settles_nothing_by_right_digits(kit: GatewayKit) -> None:
    started, digits, _ = await digits_at_hand(kit)
    installation = kit.now.installation
    other = (await installation.tenants.create("Banque du Sud")).id
    _, key = await installation.api_keys.create(tenant_id=other, name="other", scopes=["*"])
    problem = await type_in(kit, started, digits, token=key.reveal().decode(), status=404)
    assert problem["code"] == "not-found"
    assert (await read(kit, started))["state"] == "pending"
    assert (await type_in(kit, started, digits))["state"] == "approved"
