"""Answering what a bank asks, by the reference phone against a scripted gateway: what is signed and what is not, wrong
answers, ends elsewhere, lost connections; past requests and messages."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import scripted_requests
from phone_desk import OTHER_PIN, PIN, Desk

import gateway.phone.line as line_module
from gateway.phone.client import PhoneClient
from gateway.phone.errors import (
    AnswerIncomplete,
    AnswerIsWrong,
    ApprovalEnded,
    ApprovalUnreadable,
    BindingGone,
    BindingNotFound,
    ConnectionLost,
    PinHasOtherDigits,
    PinIsBlocked,
    UnexpectedAnswer,
)
from gateway.protocol import messages
from gateway.protocol.approval import LoginFields
from gateway.protocol.wiretypes import Bytes16

LOGIN = LoginFields(browser="Firefox", place="")


@pytest.fixture(autouse=True)
def no_waiting_between_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_module, "RETRY_SECONDS", (0.01,))


@pytest.fixture
async def phone(desk: Desk) -> AsyncIterator[PhoneClient]:
    """A bound phone."""
    await (await desk.bind()).close()
    client = desk.phone
    yield client
    await client.close()


async def test_a_payment_is_approved_by_the_pin(desk: Desk, phone: PhoneClient) -> None:
    message = desk.gateway.requests.ask()
    ask = await phone.next_ask()
    assert ask.raw == message.statement
    assert ask.statement is not None and ask.statement.fields == scripted_requests.PAYMENT
    assert ask.expires_at == desk.clock.now() + 60
    assert await phone.answer(ask, "approve", pin=PIN) == "approved"
    assert desk.gateway.requests.ends == {ask.id: "approved"}


@pytest.mark.parametrize(("decision", "end"), [("refuse", "refused"), ("report", "reported")])
async def test_refusing_needs_neither_pin_nor_number(
    desk: Desk, phone: PhoneClient, decision: messages.Decision, end: str
) -> None:
    desk.gateway.requests.ask(LOGIN, number=47)
    ask = await phone.next_ask()
    assert await phone.answer(ask, decision, pin=PIN, number=47) == end
    [answer] = desk.gateway.requests.answers
    assert (answer.factor, answer.number) == ("possession", None)
    assert "PinEvaluate" not in desk.gateway.seen[desk.gateway.seen.index("Ready") :]


@pytest.mark.parametrize("is_typed", [True, False])
async def test_the_number_of_the_page(desk: Desk, phone: PhoneClient, is_typed: bool) -> None:
    desk.gateway.requests.ask(LOGIN, number=47, is_typed=is_typed)
    ask = await phone.next_ask()
    for number in (None, 9, 100) if is_typed else (None, 12):
        with pytest.raises(AnswerIncomplete):
            await phone.answer(ask, "approve", pin=PIN, number=number)
    assert desk.gateway.requests.answers == []
    with pytest.raises(AnswerIsWrong):
        await phone.answer(ask, "approve", pin=PIN, number=11)
    assert await phone.answer(ask, "approve", pin=PIN, number=47) == "approved"


async def test_what_is_missing_costs_no_try(desk: Desk, phone: PhoneClient) -> None:
    desk.gateway.requests.ask()
    desk.gateway.requests.ask(factors=("biometric",))
    asks = {each.factors: each for each in (await phone.next_ask(), await phone.next_ask())}
    with pytest.raises(AnswerIncomplete, match="the PIN"):
        await phone.answer(asks[("pin",)], "approve")
    for pin in ("12345", "1234567", "abcdef", "\uff11\uff12\uff13\uff14\uff15\uff16"):
        with pytest.raises(PinHasOtherDigits):
            await phone.answer(asks[("pin",)], "approve", pin=pin)
    for given in (None, PIN):
        with pytest.raises(AnswerIncomplete, match="fingerprint"):
            await phone.answer(asks[("biometric",)], "approve", pin=given)
    assert desk.gateway.requests.answers == []
    assert await phone.answer(asks[("biometric",)], "refuse") == "refused"


async def test_possession_alone_where_that_is_enough(desk: Desk, phone: PhoneClient) -> None:
    desk.gateway.requests.ask(factors=("possession",))
    assert await phone.answer(await phone.next_ask(), "approve") == "approved"


async def test_a_wrong_pin_is_told_and_ends_it_at_last(desk: Desk, phone: PhoneClient) -> None:
    requests = desk.gateway.requests
    requests.tries, requests.until = 2, 1_800_000_300
    requests.ask()
    ask = await phone.next_ask()
    with pytest.raises(AnswerIsWrong) as wrong:
        await phone.answer(ask, "approve", pin=OTHER_PIN)
    assert (wrong.value.left, wrong.value.until) == (1, 1_800_000_300)
    assert OTHER_PIN not in str(wrong.value)
    with pytest.raises(AnswerIsWrong):
        await phone.answer(ask, "approve", pin=OTHER_PIN)
    sent = len(requests.answers)
    with pytest.raises(ApprovalEnded) as ended:
        await phone.answer(ask, "approve", pin=PIN)
    assert ended.value.state == "failed"
    assert len(requests.answers) == sent, "nothing is signed for what is over"


async def test_a_blocked_pin(desk: Desk, phone: PhoneClient) -> None:
    desk.gateway.requests.ask()
    ask = await phone.next_ask()
    assert desk.gateway.phone is not None
    desk.gateway.phone.left = 0
    with pytest.raises(PinIsBlocked):
        await phone.answer(ask, "approve", pin=PIN)
    assert await phone.answer(ask, "refuse") == "refused"


async def test_what_this_client_can_t_read_is_never_signed(desk: Desk, phone: PhoneClient) -> None:
    desk.gateway.requests.ask(statement=b'{"v":2}')
    ask = await phone.next_ask()
    assert ask.statement is None
    decisions: tuple[messages.Decision, ...] = ("approve", "refuse", "report")
    for decision in decisions:
        with pytest.raises(ApprovalUnreadable):
            await phone.answer(ask, decision, pin=PIN)
    assert desk.gateway.requests.answers == []


async def test_a_statement_of_another_request_is_not_shown(desk: Desk) -> None:
    channel = await desk.bind()
    other = scripted_requests.Requests().ask()
    desk.gateway.pushes.put_nowait(desk.gateway.requests.ask(statement=bytes(other.statement)))
    with pytest.raises(UnexpectedAnswer):
        await channel.next_ask()


async def test_choices_without_numbers_are_refused(desk: Desk) -> None:
    channel = await desk.bind()
    message = scripted_requests.Requests().ask(LOGIN, number=47)
    desk.gateway.pushes.put_nowait(
        messages.Ask(
            id=message.id,
            statement=message.statement,
            factors=("pin",),
            number="choose",
            numbers=(),
            time=message.time,
        )
    )
    with pytest.raises(UnexpectedAnswer):
        await channel.next_ask()


async def test_what_comes_while_nothing_is_asked_is_given_once(desk: Desk) -> None:
    channel = await desk.bind()
    waiting = asyncio.ensure_future(channel.next_ask())
    await asyncio.sleep(0.05)
    message = desk.gateway.requests.ask()
    desk.gateway.pushes.put_nowait(message)
    assert (await waiting).id == message.id
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await channel.next_ask()
    assert [ask.id for ask in channel.news.waiting] == [message.id]
    desk.clock.advance(61)
    assert channel.news.waiting == []
    await channel.close()


async def test_what_the_bank_says_may_stand_before_an_answer(desk: Desk) -> None:
    channel = await desk.bind()
    message = desk.gateway.requests.ask()
    for told in (
        message,
        messages.PushKey(key=messages.Bytes65(bytes(65)), subscribed=False),
        messages.BiometricState(policy="optional", credential=None),
        messages.Unread(count=3),
    ):
        desk.gateway.pushes.put_nowait(told)
    assert await channel.ping()
    assert channel.news.unread == 3
    assert (await channel.next_ask()).id == message.id
    await channel.prove_pin(PIN)
    await channel.close()


@pytest.mark.parametrize("state", ["approved", "cancelled", "expired"])
async def test_an_end_elsewhere(desk: Desk, state: messages.ApprovalEnd) -> None:
    channel = await desk.bind()
    message = desk.gateway.requests.ask()
    desk.gateway.pushes.put_nowait(message)
    ask = await channel.next_ask()
    desk.gateway.pushes.put_nowait(messages.Settled(id=message.id, state=state))
    assert await channel.until_settled(ask) == state
    with pytest.raises(ApprovalEnded) as ended:
        await channel.answer(ask, "refuse")
    assert ended.value.state == state
    assert desk.gateway.requests.answers == []
    await channel.close()


async def test_the_gateway_has_the_last_word_on_an_end(desk: Desk, phone: PhoneClient) -> None:
    desk.gateway.requests.ask()
    ask = await phone.next_ask()
    desk.gateway.requests.ends[ask.id] = "cancelled"
    with pytest.raises(ApprovalEnded) as ended:
        await phone.answer(ask, "approve", pin=PIN)
    assert ended.value.state == "cancelled"


async def test_an_answer_whose_answer_is_lost_counts_once(desk: Desk, phone: PhoneClient) -> None:
    desk.gateway.requests.ask()
    ask = await phone.next_ask()
    desk.gateway.faults.add("answered")
    assert await phone.answer(ask, "approve", pin=PIN) == "approved"
    first, second = desk.gateway.requests.answers
    assert first.signature != second.signature, "each is for its own channel"
    assert list(desk.gateway.requests.ends.values()) == ["approved"]


async def test_no_answer_is_taken_up_for_ever(desk: Desk, phone: PhoneClient) -> None:
    desk.gateway.requests.ask()
    ask = await phone.next_ask()
    desk.clock.advance(60 + line_module.GRACE_S)
    desk.gateway.faults.update(("answered", "resume m2"))
    with pytest.raises(ConnectionLost):
        await phone.answer(ask, "refuse")
    assert await phone.answer(ask, "refuse") == "refused", "the next call connects anew"


async def test_after_a_loss_only_what_is_new_is_given(desk: Desk, phone: PhoneClient) -> None:
    requests = desk.gateway.requests
    first = requests.ask()
    ask = await phone.next_ask()
    assert ask.id == first.id
    second = requests.ask()
    desk.gateway.faults.add("answered")
    assert await phone.answer(ask, "refuse") == "refused"
    assert (await phone.next_ask()).id == second.id


async def test_the_end_of_the_binding_ends_the_waiting(desk: Desk, phone: PhoneClient) -> None:
    await phone.line()
    desk.gateway.pushes.put_nowait(messages.State(state="suspended"))
    with pytest.raises(BindingGone):
        await phone.next_ask()


async def test_the_binding_is_named_where_there_is_none(desk: Desk) -> None:
    with pytest.raises(BindingNotFound):
        await desk.phone.next_ask()


async def test_past_requests_in_pages(desk: Desk, phone: PhoneClient) -> None:
    for _ in range(3):
        desk.gateway.requests.ask()
        await phone.answer(await phone.next_ask(), "refuse")
        await phone.close()
    page = await phone.past()
    assert page.more
    rest = await phone.past(page.items[-1].id)
    assert not rest.more
    listed = [*page.items, *rest.items]
    assert [item.id for item in listed] == list(reversed(desk.gateway.requests.ends))
    assert all(item.statement and item.state == "refused" and item.here for item in listed)


async def test_messages_are_listed_and_read(desk: Desk, phone: PhoneClient) -> None:
    ids = [desk.gateway.requests.write(f"Title {n}", "Body") for n in range(3)]
    page = await phone.inbox()
    assert (page.unread, page.more) == (3, True)
    assert [item.id for item in page.items] == [ids[2], ids[1]]
    assert [item.id for item in (await phone.inbox(bytes(page.items[-1].id))).items] == [ids[0]]
    channel = (await phone.line()).channel
    assert channel.news.unread == 3
    assert await channel.mark_read(ids[1]) == 2
    assert channel.news.unread == 2
    assert [item.read for item in (await phone.inbox()).items] == [False, True]


async def test_an_answer_about_another_request_is_refused(
    desk: Desk, phone: PhoneClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.gateway.requests.ask()
    ask = await phone.next_ask()
    wrong = messages.Answered(id=Bytes16(bytes(16)), state="approved")
    monkeypatch.setattr(desk.gateway.requests, "reply", lambda *_: wrong)
    with pytest.raises(UnexpectedAnswer):
        await phone.answer(ask, "refuse")
