"""Wake-ups of the whole gateway: a bound phone subscribes on its channel, a request wakes it, once, also over a
restart, and its end takes the subscription along."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from devices_kit import bind, change, reopen
from gateway_kit import GatewayKit
from push_kit import Browser, PushService, check_vapid, push_service

from gateway.phone.channel import Channel
from gateway.phone.errors import PhoneError
from gateway.protocol.messages import PushKey, PushSubscribe, PushSubscribed, PushUnsubscribe
from gateway.protocol.wiretypes import Bytes16, Bytes65
from gateway.push import store

LOGIN = {"browser": "Firefox", "place": "Lyon"}


@pytest.fixture
async def receiver() -> AsyncIterator[PushService]:
    async with push_service() as service:
        yield service


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[GatewayKit]:
    async with GatewayKit.running(tmp_path, webhook_private=True) as running:
        yield running


async def subscribe(channel: Channel, browser: Browser) -> None:
    wish = PushSubscribe(
        endpoint=browser.endpoint, p256dh=Bytes65(browser.p256dh), auth=Bytes16(browser.auth)
    )
    assert (await channel._ask(wish, PushSubscribed)).subscribed


async def ask(kit: GatewayKit, **wish: Any) -> str:
    body = {"user": "user-1", "type": "login", "fields": LOGIN, **wish}
    made = await kit.call("POST", "/api/v1/approvals", body, status=201)
    return str(made["approval"]["id"])


def files_with(text: bytes, folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if text in path.read_bytes()]


async def until_came(receiver: PushService, count: int) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(10):
            while len(receiver.came) < count:
                await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert len(receiver.came) == count


async def told_key(channel: Channel) -> PushKey:
    """Return what the gateway tells of wake-ups when a channel opens."""
    told: list[Any] = []
    channel._conversation.on_unasked = told.append
    await channel.ping()
    return next(message for message in told if isinstance(message, PushKey))


async def test_a_request_wakes_each_subscribed_phone_once(kit: GatewayKit, receiver: PushService) -> None:
    phone, other = kit.phone("Un"), kit.phone("Deux")
    _, channel = await bind(kit, phone)
    _, second = await bind(kit, other)
    browser = receiver.browser()
    await subscribe(channel, browser)
    await channel.close()
    approval = await ask(kit)
    await until_came(receiver, 1)
    [came] = receiver.came
    key = await kit.now.installation.adapter.find("tessera-push-1")
    assert key.public_key is not None
    check_vapid(came.headers["Authorization"], public_key=key.public_key)
    assert browser.open(came.body) == b"{}"
    assert 0 < int(came.headers["TTL"]) <= 60
    assert approval not in repr(came)
    await kit.restart()
    await until_came(receiver, 1)
    await ask(kit)
    await until_came(receiver, 2)
    await second.close()


async def test_the_key_is_told_on_opening_with_what_is_held(kit: GatewayKit, receiver: PushService) -> None:
    phone = kit.phone()
    _, channel = await bind(kit, phone)
    key = (await kit.now.installation.adapter.find("tessera-push-1")).public_key
    channel = await reopen(phone, channel)
    told = await told_key(channel)
    assert (told.key, told.subscribed) == (key, False)
    await subscribe(channel, receiver.browser())
    channel = await reopen(phone, channel)
    assert (await told_key(channel)).subscribed
    for _ in range(2):
        assert not (await channel._ask(PushUnsubscribe(), PushSubscribed)).subscribed
    channel = await reopen(phone, channel)
    assert not (await told_key(channel)).subscribed
    await ask(kit)
    await until_came(receiver, 0)
    await channel.close()


async def test_a_removed_phone_is_woken_no_more_and_leaves_nothing(
    kit: GatewayKit, receiver: PushService
) -> None:
    _, kept = await bind(kit, kit.phone("Reste"))
    binding, channel = await bind(kit, kit.phone("Part"))
    await subscribe(channel, receiver.browser())
    await change(kit, binding, "remove")
    await ask(kit)
    await until_came(receiver, 0)
    rows = await kit.now.installation.storage.read(lambda tx: tx.execute(store.subscriptions.select()).all())
    assert rows == []
    await kept.close()


async def test_endpoint_and_secret_do_not_lie_in_the_database(kit: GatewayKit, receiver: PushService) -> None:
    _, channel = await bind(kit, kit.phone())
    await subscribe(channel, receiver.browser())
    await channel.close()
    [row] = await kit.now.installation.storage.read(
        lambda tx: tx.execute(store.subscriptions.select()).mappings().all()
    )
    for column, clear in (("endpoint", receiver.url.encode()), ("auth", bytes(range(16)))):
        assert clear not in row[column]
    assert files_with(receiver.url.encode(), Path(kit.settings.data)) == []


async def test_a_phone_that_names_an_address_inside_hears_no(tmp_path: Path) -> None:
    async with GatewayKit.running(tmp_path) as kit:
        _, channel = await bind(kit, kit.phone())
        browser = Browser("https://169.254.169.254/latest")
        with pytest.raises(PhoneError):
            await subscribe(channel, browser)
        rows = await kit.now.installation.storage.read(
            lambda tx: tx.execute(store.subscriptions.select()).all()
        )
        assert rows == []
        await channel.close()


async def test_an_operator_sees_what_waits(kit: GatewayKit) -> None:
    async with kit.session.get(kit.now.url + "/metrics") as answer:
        assert "tessera_pushes_waiting 0.0" in await answer.text()
