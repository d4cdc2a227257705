"""The sender of wake-ups against a push service on loopback, which opens and checks every message: what each answer
leads to, and that no phone is woken twice for one cause, whoever sends."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from push_kit import Browser, PushService, check_vapid, is_subscribed, push_service

from gateway.core.clock import ManualClock
from gateway.core.events import Fact
from gateway.core.subjects import BindingRef
from gateway.core.transaction import Transaction
from gateway.outbound import PublicResolver, check_url
from gateway.push import sender as sender_module
from gateway.push import store
from gateway.push.models import OUTAGE_S
from gateway.push.sender import PushSender
from gateway.push.service import PushService as Pushes
from gateway.push.vapid import Vapid
from gateway.storage.engine import Storage
from gateway.storage.migrate import migrate
from hsm_adapters.api import KeyInfo, KeyKind
from hsm_adapters.errors import HsmUnavailable
from hsm_adapters.software import SoftwareAdapter

TENANT = "ten_AAAAAAAAAAAAAAAAAAAAAA"
REF = BindingRef(TENANT, "bnd_AAAAAAAAAAAAAAAAAAAAAA", "user-1")
OTHER = BindingRef(TENANT, "bnd_BBBBBBBBBBBBBBBBBBBBBA", "user-1")


@dataclass
class Journal:
    """Remembers the words of what was committed."""

    words: list[str] = field(default_factory=list)

    def record(self, tx: Transaction, fact: Fact) -> None:
        tx.on_commit(lambda: self.words.append(str(fact.word)))


class OpenSealer:
    """Seals nothing; may be out of reach."""

    is_away = False
    asked = 0

    async def seal(self, plaintext: bytes, **_: str) -> bytes:
        return plaintext

    async def open(self, blob: bytes, **_: str) -> bytes:
        self.asked += 1
        if self.is_away:
            raise HsmUnavailable("gone")
        return blob


@dataclass
class Bench:
    """Storage, a push service, and as many senders as a test wants."""

    storage: Storage
    url: str
    adapter: SoftwareAdapter
    public_key: bytes
    receiver: PushService
    clock: ManualClock = field(default_factory=ManualClock)
    journal: Journal = field(default_factory=Journal)
    sealer: OpenSealer = field(default_factory=OpenSealer)

    def node(self, storage: Storage | None = None, **wish: Any) -> tuple[Pushes, PushSender]:
        """One node's service and sender."""
        is_inside_allowed = wish.pop("is_inside_allowed", True)
        storage = storage or self.storage
        pushes = Pushes(
            storage=storage,
            journal=self.journal,
            sealer=self.sealer,
            clock=self.clock,
            check_url=partial(check_url, is_inside_allowed=True),
        )
        vapid = Vapid(
            adapter=self.adapter,
            in_force=lambda: KeyInfo("tessera-push-1", KeyKind.SIGN_P256, None, self.public_key),
            contact="mailto:operator@bank.example",
            clock=self.clock,
        )
        made = PushSender(
            storage=storage,
            service=pushes,
            vapid=vapid,
            clock=self.clock,
            is_inside_allowed=is_inside_allowed,
            **wish,
        )
        return pushes, made

    async def subscribe(
        self, pushes: Pushes, ref: BindingRef = REF, browser: Browser | None = None
    ) -> Browser:
        browser = browser or self.receiver.browser()
        await pushes.subscribe(
            ref,
            endpoint=browser.endpoint,
            p256dh=browser.p256dh,
            auth=browser.auth,
            key_label="tessera-push-1",
        )
        return browser

    async def wake(self, pushes: Pushes, cause: str = "apr_1", *refs: BindingRef, life_s: int = 60) -> None:
        ids = [ref.binding_id for ref in refs or (REF,)]
        ends = int(self.clock.now() * 1000) + life_s * 1000
        await self.storage.write(
            lambda tx: pushes.wake(tx, tenant_id=TENANT, binding_ids=ids, cause=cause, expires_at=ends)
        )

    async def states(self) -> list[tuple[str, int]]:
        """State and tries of every wake-up."""
        return await self.storage.read(
            lambda tx: [
                (row.state, row.attempts)
                for row in tx.execute(store.wakes.select().order_by(store.wakes.c.cause))
            ]
        )

    async def until(self, wanted: list[tuple[str, int]]) -> None:
        """Wait until the wake-ups stand so."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                while await self.states() != wanted:
                    await asyncio.sleep(0.01)
        assert await self.states() == wanted


@contextlib.asynccontextmanager
async def running(*senders: PushSender) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(each.run()) for each in senders]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    url = f"sqlite:///{tmp_path}/push.db"
    await asyncio.to_thread(migrate, url)
    storage = Storage(url)
    adapter = await SoftwareAdapter.create(
        f"software:file={tmp_path}/k.tessera?key-source=file:{tmp_path}/k.key"
    )
    key = await adapter.generate("tessera-push-1", KeyKind.SIGN_P256)
    assert key.public_key is not None
    async with push_service() as receiver:
        yield Bench(storage, url, adapter, key.public_key, receiver)
    await storage.close()
    await adapter.close()


async def test_a_wake_up_is_opaque_signed_and_lives_as_long_as_its_cause(bench: Bench) -> None:
    pushes, sender = bench.node()
    browser = await bench.subscribe(pushes)
    await bench.wake(pushes, "apr_1", life_s=90)
    await bench.wake(pushes, "apr_2", life_s=45)
    async with running(sender):
        await bench.until([("sent", 1), ("sent", 1)])
    assert {came.headers["TTL"] for came in bench.receiver.came} == {"90", "45"}
    for came in bench.receiver.came:
        assert came.path == "/push/one"
        assert came.headers["Urgency"] == "high"
        assert came.headers["Content-Encoding"] == "aes128gcm"
        assert "Topic" not in came.headers
        claims = check_vapid(came.headers["Authorization"], public_key=bench.public_key)
        assert claims["aud"] == bench.receiver.url
        assert json.loads(browser.open(came.body)) == {}
        for told in (b"apr_", b"bnd_", b"ten_", b"user"):
            assert told not in came.body + repr(came.headers).encode()
    first, second = bench.receiver.came
    assert len(first.body) == len(second.body)


async def test_what_is_due_later_is_sent_when_it_is_written(bench: Bench) -> None:
    pushes, sender = bench.node()
    for ref, name in ((REF, "one"), (OTHER, "two")):
        await bench.subscribe(pushes, ref, bench.receiver.browser(name))
    async with running(sender):
        await asyncio.sleep(0.05)
        await bench.wake(pushes, "apr_1", REF, OTHER)
        await bench.until([("sent", 1), ("sent", 1)])
    assert sorted(came.path for came in bench.receiver.came) == ["/push/one", "/push/two"]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("field_text", "wait_s"), [(None, 2), ("7", 7), ("1", 2)])
async def test_a_push_service_that_took_nothing_is_asked_again_as_late_as_it_says(
    bench: Bench, status: int, field_text: str | None, wait_s: int
) -> None:
    pushes, sender = bench.node()
    await bench.subscribe(pushes)
    bench.receiver.answers = [(status, {} if field_text is None else {"Retry-After": field_text})]
    await bench.wake(pushes)
    async with running(sender):
        await bench.until([("waiting", 1)])
        bench.clock.advance(wait_s - 0.5)
        pushes.due.set()
        await asyncio.sleep(0.1)
        assert len(bench.receiver.came) == 1
        bench.clock.advance(0.5)
        pushes.due.set()
        await bench.until([("sent", 2)])
    assert len(bench.receiver.came) == 2
    assert int(bench.receiver.came[1].headers["TTL"]) == 60 - wait_s


async def test_tries_come_to_an_end_and_none_outlives_the_cause(bench: Bench) -> None:
    pushes, sender = bench.node(attempts=3)
    await bench.subscribe(pushes)
    bench.receiver.answers = [(503, {})] * 10
    await bench.wake(pushes, life_s=600)
    async with running(sender):
        for tries in (1, 2):
            await bench.until([("waiting", tries)])
            bench.clock.advance(30)
            pushes.due.set()
        await bench.until([("dropped", 3)])
    bench.receiver.answers = [(503, {"Retry-After": "61"})]
    await bench.wake(pushes, "apr_2", life_s=60)
    async with running(sender):
        await bench.until([("dropped", 3), ("dropped", 1)])
    assert len(bench.receiver.came) == 4


@pytest.mark.parametrize("status", [404, 410])
async def test_a_subscription_that_is_over_is_forgotten(bench: Bench, status: int) -> None:
    pushes, sender = bench.node()
    await bench.subscribe(pushes)
    bench.receiver.answers = [(status, {})]
    await bench.wake(pushes)
    async with running(sender):
        await bench.until([("dropped", 1)])
    assert not await is_subscribed(pushes, REF)
    assert bench.journal.words == ["phone:push:subscribe", "gateway:push:expire"]
    await bench.wake(pushes, "apr_2")
    assert await bench.states() == [("dropped", 1)]


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 413, 500, 502, 504])
async def test_any_other_answer_ends_it_and_the_subscription_stays(bench: Bench, status: int) -> None:
    pushes, sender = bench.node()
    await bench.subscribe(pushes)
    bench.receiver.answers = [(status, {"Location": "/elsewhere"})]
    await bench.wake(pushes)
    async with running(sender):
        await bench.until([("dropped", 1)])
        await asyncio.sleep(0.05)
    assert [came.path for came in bench.receiver.came] == ["/push/one"]
    assert await is_subscribed(pushes, REF)


async def test_a_wake_up_that_may_have_arrived_is_not_sent_again(bench: Bench) -> None:
    pushes, sender = bench.node()
    await bench.subscribe(pushes)
    bench.receiver.answers = [None]
    await bench.wake(pushes)
    async with running(sender):
        await bench.until([("dropped", 1)])
    assert len(bench.receiver.came) == 1


async def test_a_push_service_that_nobody_reaches_is_tried_again(bench: Bench) -> None:
    pushes, sender = bench.node()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        browser = Browser(f"http://127.0.0.1:{taken.getsockname()[1]}/push")
        await bench.subscribe(pushes, browser=browser)
        await bench.wake(pushes)
        async with running(sender):
            await bench.until([("waiting", 1)])
    assert await is_subscribed(pushes, REF)


async def test_a_key_store_that_is_away_is_waited_for(bench: Bench) -> None:
    pushes, sender = bench.node()
    await bench.subscribe(pushes)
    bench.sealer.is_away = True
    await bench.wake(pushes)
    async with running(sender):
        for count in range(1, 7):  # oftener than a push service would be asked
            while bench.sealer.asked < count:
                await asyncio.sleep(0.01)
            await bench.until([("waiting", 0)])
            if count == 6:
                bench.sealer.is_away = False
            bench.clock.advance(OUTAGE_S)
            pushes.due.set()
        await bench.until([("sent", 1)])
    assert len(bench.receiver.came) == 1


async def test_a_phone_that_unsubscribed_meanwhile_is_left_alone(bench: Bench) -> None:
    pushes, sender = bench.node()
    await bench.subscribe(pushes)
    await bench.wake(pushes)
    await pushes.unsubscribe(REF)
    async with running(sender):
        await bench.until([("dropped", 1)])
    assert bench.receiver.came == []


# Never twice ----------------------------------------------------------------------------------------------------


async def test_many_senders_wake_a_phone_once_for_a_cause(bench: Bench) -> None:
    stores = [Storage(bench.url) for _ in range(3)]
    nodes = [bench.node(storage) for storage in (bench.storage, *stores)]
    refs = [BindingRef(TENANT, f"bnd_{number:022}", "user-1") for number in range(30)]
    for number, ref in enumerate(refs):
        await bench.subscribe(nodes[0][0], ref, bench.receiver.browser(str(number)))
    try:
        async with running(*(sender for _, sender in nodes)):
            for cause in ("apr_1", "apr_2"):
                await asyncio.gather(*(bench.wake(pushes, cause, *refs) for pushes, _ in nodes * 2))
            await bench.until([("sent", 1)] * 60)
            for pushes, _ in nodes:
                pushes.due.set()
            await asyncio.sleep(0.1)
    finally:
        for storage in stores:
            await storage.close()
    assert len(bench.receiver.came) == 60
    assert len({came.path for came in bench.receiver.came}) == 30


async def test_a_sender_that_is_stopped_ends_what_it_has_begun(bench: Bench) -> None:
    pushes, sender = bench.node()
    await bench.subscribe(pushes)
    await bench.wake(pushes)
    bench.receiver.may_answer.clear()
    task = asyncio.create_task(sender.run())
    async with asyncio.timeout(10):
        while not bench.receiver.came:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.sleep(0.05)
    bench.receiver.may_answer.set()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert await bench.states() == [("sent", 1)]


async def test_what_a_sender_had_in_hand_when_it_died_is_not_sent_by_another(bench: Bench) -> None:
    pushes, _ = bench.node()
    await bench.subscribe(pushes)
    await bench.wake(pushes)
    now_ms = int(bench.clock.now() * 1000)
    assert await bench.storage.write(lambda tx: store.claim_due(tx, now_ms=now_ms, most=10))
    others, other = bench.node()
    async with running(other):
        for _ in range(3):
            bench.clock.advance(15)
            others.due.set()
            await asyncio.sleep(0.05)
        await bench.wake(others, "apr_2")
        await bench.until([("sending", 1), ("sent", 1)])
    assert len(bench.receiver.came) == 1


async def test_what_is_long_over_is_forgotten(bench: Bench) -> None:
    pushes, sender = bench.node()
    await bench.subscribe(pushes)
    async with running(sender):
        await bench.wake(pushes, "apr_1")
        await bench.until([("sent", 1)])
        bench.clock.advance(60 + sender_module.KEPT_S + 1)
        await bench.wake(pushes, "apr_2")
        await bench.until([("sent", 1)])


# Addresses inside -------------------------------------------------------------------------------------------------


class FixedResolver(AbstractResolver):
    """Every name is the push service's own machine."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=0)]

    async def close(self) -> None:
        return None


Change = Callable[[str], str]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda url: url, id="as it is"),
        pytest.param(lambda url: url.replace("http:", "https:"), id="literal address"),
        pytest.param(
            lambda url: url.replace("http://127.0.0.1", "https://push.example"), id="name that leads inside"
        ),
        pytest.param(lambda url: url.replace("http://127.0.0.1", "https://localhost"), id="localhost"),
    ],
)
async def test_production_calls_nothing_inside_and_forgets_who_wanted_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    monkeypatch.setattr(sender_module, "PublicResolver", lambda: PublicResolver(FixedResolver))
    pushes, sender = bench.node(is_inside_allowed=False)
    browser = Browser(change(bench.receiver.browser().endpoint))
    await bench.subscribe(pushes, browser=browser)
    await bench.wake(pushes)
    async with running(sender):
        await bench.until([("dropped", 1)])
    assert bench.receiver.came == []
    assert not await is_subscribed(pushes, REF)
