"""T42: a wake-up tells the push service something, or its endpoint, which the phone names, is turned against the inside
(SSRF). Names that change between check and use, for the resolver that both senders share: test_t20."""

import asyncio
from pathlib import Path

import pytest
from approval_kit import PAYMENT, ask
from attack_kit import bind_phone
from cryptography.exceptions import InvalidTag
from gateway_kit import GatewayKit
from push_kit import Browser, Delivered, PushService, push_service
from sqlalchemy import text
from test_t20_webhook_address_inside import INSIDE, PUBLIC, Names

from gateway.outbound import PublicResolver
from gateway.phone.channel import Channel
from gateway.phone.errors import GatewayProblem
from gateway.protocol.messages import PushSubscribe, PushSubscribed
from gateway.protocol.wiretypes import Bytes16, Bytes65
from gateway.push import sender


async def subscribe(channel: Channel, browser: Browser) -> None:
    wish = PushSubscribe(
        endpoint=browser.endpoint, p256dh=Bytes65(browser.p256dh), auth=Bytes16(browser.auth)
    )
    await channel._exchange(wish, PushSubscribed)


async def came(receiver: PushService, count: int) -> list[Delivered]:
    async with asyncio.timeout(10):
        while len(receiver.came) < count:
            await asyncio.sleep(0.01)
    return receiver.came


async def outcome(kit: GatewayKit) -> str:
    """Wait until the one wake-up has ended; return how."""
    statement = text("SELECT state FROM push_wakes")
    async with asyncio.timeout(15):
        while True:
            found = await kit.now.installation.storage.read(lambda tx: tx.execute(statement).scalars().all())
            if found and found[0] not in ("waiting", "sending"):
                return str(found[0])
            await asyncio.sleep(0.02)


async def test_all_wake_ups_are_alike_but_for_their_time_to_live(tmp_path: Path) -> None:
    """Whatever is asked, of whom, for what amount: the same words inside, and the same length and header outside."""
    async with GatewayKit.running(tmp_path, webhook_private=True) as kit, push_service() as receiver:
        browser = receiver.browser()
        _, channel = await bind_phone(kit)
        await subscribe(channel, browser)
        free = {"title": "T" * 100, "text": "x" * 1_500}
        asked = [
            await ask(kit, "login"),
            await ask(kit, fields={**PAYMENT, "amount": "1.00"}),
            await ask(kit, fields={**PAYMENT, "amount": "999.99", "payee": "Clinic of rare diseases"}),
            await ask(kit, "free", fields=free),
        ]
        wakes = await came(receiver, len(asked))
    assert {browser.open(wake.body) for wake in wakes} == {b"{}"}
    assert len({len(wake.body) for wake in wakes}) == 1
    assert len({wake.body for wake in wakes}) == len(asked), "encrypted anew each time"
    names = {frozenset(wake.headers) for wake in wakes}
    assert len(names) == 1
    assert {"user-1", "Banque", "login", *(each["id"] for each in asked)}.isdisjoint(
        word for wake in wakes for value in wake.headers.values() for word in value.split()
    )
    assert not [wake for wake in wakes if "Topic" in wake.headers]


async def test_the_push_service_can_write_nothing_of_its_own(tmp_path: Path) -> None:
    """It has the phone's public key, but not its secret: the phone opens nothing that was made without."""
    async with push_service() as receiver:
        browser = receiver.browser()
        own = sender.encrypt(b"open evil.example", p256dh=browser.p256dh, auth=bytes(16))
        with pytest.raises(InvalidTag):
            browser.open(own)
        assert browser.open(sender.encrypt(b"{}", p256dh=browser.p256dh, auth=browser.auth)) == b"{}"


async def test_no_address_inside_is_taken_from_a_phone(kit: GatewayKit) -> None:
    _, channel = await bind_phone(kit)
    for host in INSIDE:
        with pytest.raises(GatewayProblem):
            await subscribe(channel, Browser(f"https://{host}/push"))
        kit.clock.advance(2)  # sixty acts a minute
    for url in (f"http://{PUBLIC}/in", f"https://u:p@{PUBLIC}/", "file:///etc/passwd", "gopher://x/", "x"):
        with pytest.raises(GatewayProblem):
            await subscribe(channel, Browser(url))
    for host in (PUBLIC, "push.example.net", "[2606:2800:21f:cb07:6820:80da:af6b:8b2c]"):
        await subscribe(channel, Browser(f"https://{host}/push"))


async def wake_at(kit: GatewayKit, receiver: PushService, monkeypatch: pytest.MonkeyPatch, url: str) -> str:
    """Have a phone named an endpoint past the check at saving, as one whose name leads elsewhere now; wake it."""
    _, channel = await bind_phone(kit)
    push = kit.now.capabilities.approving.push
    monkeypatch.setattr(push, "_check_url", lambda url: None)
    await subscribe(channel, Browser(url))
    await ask(kit)
    return await outcome(kit)


async def test_the_sender_goes_to_no_address_inside_whoever_put_it_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with push_service() as receiver:
        for number, url in enumerate((f"{receiver.url}/in", "https://127.0.0.1:9/in")):
            folder = tmp_path / str(number)
            folder.mkdir()
            async with GatewayKit.running(folder) as kit:
                assert await wake_at(kit, receiver, monkeypatch, url) != "sent"
        assert receiver.came == []
        folder = tmp_path / "open"
        folder.mkdir()
        async with GatewayKit.running(folder, webhook_private=True) as kit:
            assert await wake_at(kit, receiver, monkeypatch, f"{receiver.url}/in") == "sent"
        assert [each.path for each in receiver.came] == ["/in"], "the control"


async def test_a_name_that_leads_inside_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(["127.0.0.1"])
    monkeypatch.setattr(sender, "PublicResolver", lambda: PublicResolver(lambda: names))
    async with push_service() as receiver, GatewayKit.running(tmp_path) as kit:
        port = receiver.url.rpartition(":")[2]
        ended = await wake_at(kit, receiver, monkeypatch, f"https://push.example.net:{port}/in")
        assert (ended, receiver.came) == ("dropped", [])
    assert names.asked == 1


async def test_redirects_are_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        push_service() as receiver,
        push_service() as inside,
        GatewayKit.running(tmp_path, webhook_private=True) as kit,
    ):
        receiver.answers = [(307, {"Location": f"{inside.url}/metadata"})]
        assert await wake_at(kit, receiver, monkeypatch, f"{receiver.url}/in") != "sent"
        assert (len(receiver.came), inside.came) == (1, [])


async def test_a_phone_is_woken_ten_times_a_minute_at_most(tmp_path: Path) -> None:
    """However many requests are made and cancelled."""
    async with GatewayKit.running(tmp_path, webhook_private=True) as kit, push_service() as receiver:
        _, channel = await bind_phone(kit)
        await subscribe(channel, receiver.browser())
        for _ in range(15):
            request = await ask(kit)
            await kit.call("POST", f"/api/v1/approvals/{request['id']}/cancel", {})
        await asyncio.sleep(1)
        assert len(receiver.came) <= 10
        assert receiver.came
