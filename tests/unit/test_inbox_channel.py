"""Messages on open channels: the count on opening and at every change, pages that fit a frame, and reading."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rules_kit import TENANT, Rules

from gateway.core.errors import Problem, ProblemCode
from gateway.core.ids import decode_id
from gateway.core.secrets import system_random
from gateway.core.subjects import BindingRef, user_topic
from gateway.inbox.channel import InboxPart
from gateway.inbox.models import Text
from gateway.inbox.service import CHANGED, READ, InboxService, Order
from gateway.protocol import messages
from gateway.protocol.errors import OutOfTurn
from gateway.protocol.messages import MAX_MESSAGE, MAX_PAGE
from gateway.protocol.wiretypes import Bytes16

REF = BindingRef(TENANT, "bnd_AAAAAAAAAAAAAAAAAAAAAA", "user-1")
SECOND = BindingRef(TENANT, "bnd_BBBBBBBBBBBBBBBBBBBBBA", "user-1")
STRANGER = BindingRef(TENANT, "bnd_CCCCCCCCCCCCCCCCCCCCCA", "user-2")


@dataclass
class Phone:
    """One open channel."""

    ref: BindingRef = REF
    lang: messages.Lang = "fr"
    handshake_hash: bytes = bytes(32)
    pin: Any = None
    told: list[Any] = field(default_factory=list)

    async def tell(self, message: messages.GatewayMessage) -> None:
        self.told.append(message)

    @property
    def counts(self) -> list[int]:
        return [message.count for message in self.told]


@dataclass
class Channels:
    """Who is connected."""

    phones: Sequence[Phone]

    def of_binding(self, binding_id: str) -> Any:
        return next((phone for phone in self.phones if phone.ref.binding_id == binding_id), None)

    def of_topic(self, topic: str) -> Sequence[Any]:
        return [phone for phone in self.phones if phone.ref.topic == topic]


@dataclass
class Happened:
    """An event of the log."""

    type: str
    topic: str = user_topic(TENANT, REF.user)


@dataclass
class Desk:
    service: InboxService
    phones: list[Phone]
    part: InboxPart

    async def send(self, title: str = "Bonjour", body: str = "Un texte", user: str = REF.user) -> Bytes16:
        texts = {"fr": Text(title, body), "en": Text("Hello", "A text")}
        message = await self.service.send(Order(TENANT, user, texts))  # type: ignore[arg-type]
        return Bytes16(decode_id("msg", message.id))

    async def greet(self, phone: Phone) -> None:
        for greeting in await self.service._storage.read(lambda tx: self.part.greet(tx, phone.ref)):
            await phone.tell(greeting)

    async def page(self, phone: Phone, before: bytes | None = None) -> messages.InboxPage:
        wish = messages.Inbox() if before is None else messages.Inbox(before=Bytes16(before))
        answer = await self.part.answer(phone, wish)
        assert isinstance(answer, messages.InboxPage)
        assert len(messages.encode(answer)) <= MAX_MESSAGE
        return answer

    async def settle(self) -> None:
        while self.part._tasks:
            await asyncio.gather(*self.part._tasks)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with Rules.on(tmp_path) as rules:
        service = InboxService(
            storage=rules.storage, journal=rules.journal, clock=rules.clock, random=system_random
        )
        phones = [Phone(), Phone(SECOND, "en"), Phone(STRANGER)]
        yield Desk(service, phones, InboxPart(service=service, channels=Channels(phones)))


async def test_a_channel_that_opens_hears_the_count(desk: Desk) -> None:
    await desk.send()
    for phone in desk.phones:
        await desk.greet(phone)
    assert [phone.counts for phone in desk.phones] == [[1], [1], [0]]


async def test_a_message_is_shown_in_the_phones_language_and_read_for_all_phones(desk: Desk) -> None:
    phone, second, stranger = desk.phones
    sent = await desk.send("Bonjour", "Un\ntexte")
    page = await desk.page(phone)
    assert [(item.id, item.title, item.body, item.read) for item in page.items] == [
        (sent, "Bonjour", "Un\ntexte", False)
    ]
    assert (page.more, page.unread) == (False, 1)
    assert (await desk.page(second)).items[0].title == "Hello"
    assert (await desk.page(stranger)).items == ()
    with pytest.raises(Problem) as refused:
        await desk.part.answer(stranger, messages.InboxRead(id=sent))
    assert refused.value.kind is ProblemCode.NOT_FOUND
    for _ in range(2):
        assert await desk.part.answer(phone, messages.InboxRead(id=sent)) == messages.Unread(count=0)
    page = await desk.page(second)
    assert (page.items[0].read, page.unread) == (True, 0)


@pytest.mark.parametrize("body", ["x", "\n" * 1_999 + "x", "é" * 2_000, "\U0001f600" * 2_000, '"' * 2_000])
async def test_pages_fit_a_frame_and_miss_nothing(desk: Desk, body: str) -> None:
    sent = [await desk.send("T" * 128, body) for _ in range(23)]
    seen: list[bytes] = []
    more, before = True, None
    while more:
        page = await desk.page(desk.phones[0], before)
        assert 1 <= len(page.items) <= MAX_PAGE
        assert page.unread == len(sent)
        seen += [item.id for item in page.items]
        more, before = page.more, page.items[-1].id
    assert len(seen) == len(sent)
    assert set(seen) == set(sent)


async def test_every_change_is_told_to_the_customers_phones_alone(desk: Desk) -> None:
    await desk.send()
    for kind in (CHANGED, READ, "binding.renamed", "approval.created"):
        desk.part.on_event(Happened(kind))
        await desk.settle()
    desk.part.on_event(Happened(CHANGED, user_topic(TENANT, "nobody")))
    assert desk.part._tasks == set()
    assert [phone.counts for phone in desk.phones] == [[1, 1], [1, 1], []]


async def test_counts_do_not_overtake_one_another(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    # The first look at the count takes longest, as when the database is busy.
    counts, gate = iter([1, 2]), asyncio.Event()

    async def unread(**_: str) -> int:
        count = next(counts)
        if count == 1:
            await gate.wait()
        return count

    monkeypatch.setattr(desk.service, "unread", unread)
    for _ in range(3):
        desk.part.on_event(Happened(CHANGED))
        await asyncio.sleep(0)
    gate.set()
    await desk.settle()
    assert desk.phones[0].counts == desk.phones[1].counts == [1, 2]


async def test_a_database_that_is_away_leaves_the_phones_untold_until_the_next_change(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unread(**_: str) -> int:
        raise Problem(ProblemCode.UNAVAILABLE)

    with monkeypatch.context() as patched:
        patched.setattr(desk.service, "unread", unread)
        desk.part.on_event(Happened(CHANGED))
        await desk.settle()
    assert desk.phones[0].told == []
    desk.part.on_event(Happened(CHANGED))
    await desk.settle()
    assert desk.phones[0].counts == [0]


async def test_other_messages_are_out_of_turn(desk: Desk) -> None:
    with pytest.raises(OutOfTurn):
        await desk.part.answer(desk.phones[0], messages.Ping())
