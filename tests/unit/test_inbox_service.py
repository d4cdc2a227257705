"""Messages on a real database: who may read what, the count of the unread, ends, and what is told of them, which is
never their text."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rules_kit import TENANT, Rules

from gateway.core.errors import Problem, ProblemCode
from gateway.core.events import AuditWord
from gateway.core.secrets import system_random
from gateway.core.subjects import BindingRef, user_topic
from gateway.inbox import notices, store
from gateway.inbox.models import LANGS, Lang, Message, Text
from gateway.inbox.service import InboxService, Order

REF = BindingRef(TENANT, "bnd_AAAAAAAAAAAAAAAAAAAAAA", "user-1")
ELSEWHERE = "ten_BBBBBBBBBBBBBBBBBBBBBA"
SENT, DELETED, READ = "bank:message:send", "bank:message:delete", "phone:message:read"
FR, EN = Text("Bonjour", "Deux lignes\nde texte"), Text("Hello", "Two lines\nof text")


@pytest.fixture
async def rules(tmp_path: Path) -> AsyncIterator[Rules]:
    async with Rules.on(tmp_path) as made:
        yield made


def service_on(rules: Rules) -> InboxService:
    return InboxService(storage=rules.storage, journal=rules.journal, clock=rules.clock, random=system_random)


async def send(service: InboxService, *, user: str = REF.user, life_s: int | None = None) -> str:
    return (await service.send(Order(TENANT, user, {"fr": FR, "en": EN}, life_s))).id


async def unread(service: InboxService, user: str = REF.user) -> int:
    return await service.unread(tenant_id=TENANT, user=user)


async def mark(service: InboxService, message_id: str, user: str = REF.user, tenant_id: str = TENANT) -> int:
    word = AuditWord.PHONE_MESSAGE_READ
    _, left = await service.mark_read(tenant_id=tenant_id, message_id=message_id, user=user, word=word)
    return left


async def test_a_message_is_read_once_whoever_asks_again(rules: Rules) -> None:
    service = service_on(rules)
    first, second = [await send(service) for _ in range(2)]
    assert await unread(service) == 2
    assert await mark(service, first) == 1
    read_at = (await service.read(tenant_id=TENANT, message_id=first)).read_at
    rules.clock.advance(5)
    assert await mark(service, first) == 1
    assert (await service.read(tenant_id=TENANT, message_id=first)).read_at == read_at
    assert await mark(service, second) == 0
    assert rules.journal.words == [SENT, SENT, READ, READ]
    assert rules.journal.events == ["message.changed"] * 2 + ["message.read"] * 2
    assert [fact.webhook for fact in rules.journal.facts] == [False, False, True, True]


async def test_what_is_told_names_the_message_and_never_its_text(rules: Rules) -> None:
    service = service_on(rules)
    message = await send(service)
    await mark(service, message)
    await service.delete(tenant_id=TENANT, message_id=message)
    assert rules.journal.words == [SENT, READ, DELETED]
    for fact in rules.journal.facts:
        assert fact.subject == message
        assert fact.data == {"message": message, "user": REF.user}
        assert fact.topics == (user_topic(TENANT, REF.user),)


async def test_nobody_reads_what_is_for_another(rules: Rules) -> None:
    service = service_on(rules)
    message = await send(service)
    attempts = [
        lambda: service.read(tenant_id=TENANT, message_id=message, user="user-2"),
        lambda: service.read(tenant_id=ELSEWHERE, message_id=message),
        lambda: service.read(tenant_id=TENANT, message_id="msg_none"),
        lambda: mark(service, message, user="user-2"),
        lambda: mark(service, message, tenant_id=ELSEWHERE),
        lambda: service.delete(tenant_id=ELSEWHERE, message_id=message),
        lambda: service.page(BindingRef(TENANT, REF.binding_id, "user-2"), before=message, limit=5),
    ]
    for attempt in attempts:
        with pytest.raises(Problem) as refused:
            await attempt()
        assert refused.value.kind is ProblemCode.NOT_FOUND
    assert await unread(service) == 1
    assert await unread(service, "user-2") == 0
    assert rules.journal.words == [SENT]


async def test_a_message_goes_at_its_end_read_or_not(rules: Rules) -> None:
    service = service_on(rules)
    await send(service)
    short = await send(service, life_s=60)
    rules.clock.advance(59)
    assert await unread(service) == 2
    rules.clock.advance(1)
    assert await unread(service) == 1
    assert len((await service.page(REF, before=None, limit=9)).messages) == 1
    assert len(await service.browse(tenant_id=TENANT, user=None, before=None, limit=9)) == 1
    for attempt in (
        lambda: service.read(tenant_id=TENANT, message_id=short),
        lambda: mark(service, short),
        lambda: service.delete(tenant_id=TENANT, message_id=short),
    ):
        with pytest.raises(Problem):
            await attempt()
    await service.sweep()
    kept = await rules.storage.read(lambda tx: [row.id for row in tx.execute(store.messages.select())])
    assert short not in kept
    assert len(kept) == 1


async def test_pages_hold_every_message_once_newest_first(rules: Rules) -> None:
    service = service_on(rules)
    sent = []
    for number in range(11):
        sent.append(await send(service))
        await send(service, user="user-2")
        if number % 3 == 0:  # some are of one moment
            rules.clock.advance(1)
    seen: list[str] = []
    before = None
    while True:
        page = await service.page(REF, before=before, limit=4)
        assert page.unread == 11
        if not page.messages:
            break
        seen += [message.id for message in page.messages]
        before = seen[-1]
    assert sorted(seen) == sorted(sent)
    times = [(await service.read(tenant_id=TENANT, message_id=each)).created_at for each in seen]
    assert times == sorted(times, reverse=True)


async def test_the_gateways_own_stand_or_fall_with_what_they_tell_of(rules: Rules) -> None:
    service = service_on(rules)

    def failing(tx: object) -> None:
        service.welcome(tx, REF, phone="A", is_first=True)  # type: ignore[arg-type]
        raise Problem(ProblemCode.CONFLICT)

    with pytest.raises(Problem):
        await rules.storage.write(failing)
    assert await unread(service) == 0
    for is_first in (True, False):
        await rules.storage.write(lambda tx, f=is_first: service.welcome(tx, REF, phone="Zoé 7", is_first=f))
    await rules.storage.write(lambda tx: service.warn_of_block(tx, REF, phone="Zoé 7"))
    assert rules.journal.words == ["gateway:message:send"] * 3
    found = (await service.page(REF, before=None, limit=9)).messages
    assert sorted(message.text_in("en").title for message in found) == [
        "A phone was added",
        "Too many wrong answers",
        "Welcome",
    ]
    assert all("Zoé 7" in message.text_in(lang).body for message in found for lang in LANGS)


@pytest.mark.parametrize("written", [("fr",), ("en",), ("fr", "en")])
def test_the_other_language_stands_in_for_one_that_is_missing(written: tuple[Lang, ...]) -> None:
    texts = {lang: {"fr": FR, "en": EN}[lang] for lang in written}
    message = Message("msg_1", TENANT, REF.user, texts, 0, None, None)
    for lang in LANGS:
        assert message.text_in(lang) == texts.get(lang, texts[written[0]])


@given(st.text(max_size=64))
def test_a_phones_name_stays_within_its_quotation_marks(name: str) -> None:
    for make in (notices.welcome, notices.added, notices.block_ahead):
        texts = make(name)
        assert [texts["fr"].body.count(mark) for mark in "«»"] == [1, 1]
        assert [texts["en"].body.count(mark) for mark in "“”"] == [1, 1]
        for text in texts.values():
            assert len(text.title) <= 128
            assert len(text.body) <= 2_000
            assert not set(text.body) & set("\n\r\x00\u202e\u2066\u200b\u2028\ufeff")
