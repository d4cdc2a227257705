"""What phones hear on their channels, and the pages of past requests; the gateway's end of a channel is remembered."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from approvals_kit import LOGIN, PAYMENT, Stage
from handsets import USER, Evaluation, Handset
from rules_kit import TENANT

from gateway.approvals.channel import ApprovalPart
from gateway.approvals.models import Approval
from gateway.approvals.policy import Factors, Policy
from gateway.core.events import AuditWord
from gateway.core.ids import decode_id
from gateway.core.subjects import BindingRef, approval_topic, user_topic
from gateway.protocol import messages
from gateway.protocol.approval import FreeFields
from gateway.protocol.errors import OutOfTurn
from gateway.protocol.wiretypes import Bytes16


@dataclass
class Pin:
    """The PIN's conversation: the evaluation that waits."""

    waiting: Evaluation | None = None

    def take_evaluation(self) -> Evaluation | None:
        waiting, self.waiting = self.waiting, None
        return waiting


@dataclass
class Line:
    """One open channel, and what was told on it."""

    phone: Handset
    pin: Any = field(default_factory=Pin)
    handshake_hash: bytes = b"h" * 32
    lang: messages.Lang = "fr"
    told: list[messages.GatewayMessage] = field(default_factory=list)

    @property
    def ref(self) -> BindingRef:
        return self.phone.ref

    async def tell(self, message: messages.GatewayMessage) -> None:
        messages.encode(message)  # it fits a frame
        self.told.append(message)


@dataclass
class Lines:
    """The open channels of this node."""

    open: list[Line] = field(default_factory=list)

    def of_binding(self, binding_id: str) -> Line | None:
        return next((each for each in self.open if each.phone.id == binding_id), None)

    def of_topic(self, topic: str) -> Sequence[Line]:
        return [each for each in self.open if each.ref.topic == topic]


@dataclass(frozen=True)
class Event:
    type: str
    topic: str
    data: str


@dataclass
class Scene:
    stage: Stage
    lines: Lines
    part: ApprovalPart

    def open(self, phone: Handset) -> Line:
        line = Line(phone)
        self.lines.open.append(line)
        return line

    async def greet(self, phone: Handset) -> list[messages.GatewayMessage]:
        return list(await self.stage.rules.storage.read(lambda tx: self.part.greet(tx, phone.ref)))

    async def tell_all(self) -> None:
        """Hand in what happened, on each of its topics, as the event log does."""
        facts, self.stage.rules.journal.facts = self.stage.rules.journal.facts, []
        for fact in facts:
            for topic in fact.topics:
                self.part.on_event(
                    Event(fact.event or "", topic, msgspec.json.encode(dict(fact.data)).decode())
                )
        for _ in range(3):
            await asyncio.gather(*self.part._tasks)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with Stage.on(tmp_path) as stage:
        lines = Lines()
        part = ApprovalPart(
            storage=stage.rules.storage,
            approvals=stage.service,
            answers=stage.answers,
            offline=stage.offline,
            biometrics=stage.others,
            channels=lines,
        )
        yield Scene(stage, lines, part)


def raw(approval: Approval) -> bytes:
    return decode_id("apr", approval.id)


async def cancel(scene: Scene, approval: Approval) -> None:
    await scene.stage.service.cancel(
        tenant_id=TENANT, approval_id=approval.id, word=AuditWord.BANK_APPROVAL_CANCEL
    )


async def test_open_phones_are_asked_by_what_each_has(scene: Scene) -> None:
    stage = scene.stage
    plain, with_one = scene.open(stage.bind()), scene.open(stage.bind(has_biometric=True))
    foreign = scene.open(stage.bind(user="somebody else"))
    approval = await stage.ask(LOGIN)
    await scene.tell_all()
    for line, factors in ((plain, ("pin",)), (with_one, ("pin", "biometric"))):
        (ask,) = line.told
        assert isinstance(ask, messages.Ask)
        assert (ask.id, ask.statement, ask.factors) == (raw(approval), approval.statement, factors)
        assert (ask.number, ask.numbers) == ("choose", approval.numbers)
        assert ask.time == stage.service.now_ms() // 1000
    assert foreign.told == []


async def test_another_nodes_request_is_read_from_the_database(scene: Scene) -> None:
    stage = scene.stage
    line = scene.open(stage.bind(has_biometric=True))
    approval = await stage.ask()
    stage.service.new_asks.take(approval.id)  # as where another node made it
    await scene.tell_all()
    (ask,) = line.told
    assert isinstance(ask, messages.Ask)
    assert (ask.id, ask.factors) == (raw(approval), ("pin", "biometric"))


async def test_a_request_that_is_over_by_then_is_asked_of_nobody(scene: Scene) -> None:
    line = scene.open(scene.stage.bind())
    approval = await scene.stage.ask()
    scene.stage.service.new_asks.take(approval.id)
    await cancel(scene, approval)
    await scene.tell_all()
    assert [type(each) for each in line.told] == [messages.Settled]


async def test_a_phone_that_opens_is_told_what_waits_for_it(scene: Scene) -> None:
    stage = scene.stage
    phone, beside = stage.bind(), stage.bind()
    waiting = [await stage.ask(), await stage.ask(binding_id=phone.id)]
    over, late = await stage.ask(), await stage.ask(life_s=10)
    await cancel(scene, over)
    stage.rules.clock.advance(10)
    assert {each.id for each in await scene.greet(phone)} == {raw(each) for each in waiting}  # type: ignore[union-attr]
    assert [each.id for each in await scene.greet(beside)] == [raw(waiting[0])]  # type: ignore[union-attr]
    assert late.state == "pending"


async def test_what_is_asked_by_code_alone_is_not_asked_on_a_channel(scene: Scene) -> None:
    await scene.stage.policy("payment", Policy(via="offline"))
    phone = scene.stage.bind()
    line = scene.open(phone)
    await scene.stage.ask()
    await scene.tell_all()
    assert line.told == []
    assert await scene.greet(phone) == []


async def test_every_end_is_told_to_all_phones_of_the_customer(scene: Scene) -> None:
    stage = scene.stage
    phone, beside = stage.bind(), stage.bind()
    lines = [scene.open(phone), scene.open(beside)]
    ends = []
    for decision in ("approve", "refuse", "report"):
        await stage.decide(phone, await stage.ask(), decision)  # type: ignore[arg-type]
        stage.rules.clock.advance(61)
    await cancel(scene, await stage.ask())
    late = await stage.ask()
    stage.rules.clock.advance(60)
    await stage.service.expire(late.id)
    login = await stage.ask(LOGIN)
    await stage.decide(phone, login, number=10 if login.number != 10 else 11)
    await scene.tell_all()
    for line in lines:
        ends.append([each.state for each in line.told if isinstance(each, messages.Settled)])
    assert ends == [["approved", "refused", "reported", "cancelled", "expired", "failed"]] * 2


async def test_events_of_others_are_let_pass(scene: Scene) -> None:
    line = scene.open(scene.stage.bind())
    topic = user_topic(TENANT, USER)
    scene.part.on_event(Event("binding.seen", topic, "{}"))
    scene.part.on_event(Event("customer.fatigue", topic, "{}"))
    scene.part.on_event(Event("approval.approved", approval_topic("apr_x"), "not read"))
    scene.part.on_event(Event("approval.approved", user_topic(TENANT, "nobody here"), "not read"))
    assert line.told == []


async def test_answers_have_one_of_two_forms(scene: Scene) -> None:
    stage = scene.stage
    phone, beside = stage.bind(), stage.bind()
    approval = await stage.ask()
    line, other = scene.open(phone), scene.open(beside)
    wrong = await scene.part.answer(line, stage.sign(phone, approval))
    assert wrong == messages.AnswerWrong(
        id=Bytes16(raw(approval)), left=4, until=None, bank=False, last=False
    )
    line.pin.waiting = evaluation = phone.evaluate()
    done = await scene.part.answer(line, stage.sign(phone, approval, evaluation=evaluation))
    assert done == messages.Answered(id=Bytes16(raw(approval)), state="approved")
    assert line.pin.waiting is None
    late = await scene.part.answer(other, stage.sign(beside, approval, "refuse"))
    assert late == done  # the phone compares it with what was decided
    foreign = scene.open(stage.bind(user="somebody else"))
    with pytest.raises(OutOfTurn):
        await scene.part.answer(foreign, stage.sign(foreign.phone, approval, "refuse"))
    with pytest.raises(OutOfTurn):
        await scene.part.answer(line, messages.Ping())


async def test_blocks_are_told_with_their_end(scene: Scene) -> None:
    stage = scene.stage
    phone = stage.bind()
    stage.bind()
    line = scene.open(phone)
    answers = []
    for block_s in (300, 600, 0):
        approval = await stage.ask()
        for _ in range(5):
            message = stage.sign(phone, approval, factor="possession")
            answer = await scene.part.answer(line, message)
        assert isinstance(answer, messages.AnswerWrong)
        ahead = None if answer.until is None else answer.until - stage.service.now_ms() // 1000
        answers.append((answer.left, ahead, answer.bank, answer.last))
        stage.rules.clock.advance(3_600 + block_s)
    assert answers == [(0, 300, False, False), (0, 600, False, True), (0, None, True, False)]


async def test_the_count_of_answers_without_a_network_catches_up(scene: Scene) -> None:
    line = scene.open(scene.stage.bind())
    for value, counted in ((8, 3), (7, 3), (0, 3), (9, 4)):
        answer = await scene.part.answer(line, messages.OfflineCounter(value=value))
        assert answer == messages.OfflineCounted(value=counted)


async def walk(scene: Scene, phone: Handset) -> list[messages.PastApproval]:
    """Read all pages."""
    line, items = Line(phone), list[messages.PastApproval]()
    while True:
        wish = messages.Approvals(before=items[-1].id) if items else messages.Approvals()
        page = await scene.part.answer(line, wish)
        assert isinstance(page, messages.ApprovalPage)
        messages.encode(page)  # it fits a frame
        items += page.items
        if not page.more:
            return items
        assert page.items


async def test_past_requests_come_in_pages_each_phone_its_own(scene: Scene) -> None:
    stage = scene.stage
    phone, beside = stage.bind(), stage.bind()
    wanted, own = list[bytes](), 0
    for number in range(30):
        named = beside.id if number % 3 == 0 else None
        approval = await stage.ask(binding_id=named)
        if named is None:
            wanted.insert(0, raw(approval))
        if number == 7:
            await stage.decide(phone, approval)
            own += 1
        else:
            await cancel(scene, approval)
        stage.rules.clock.advance(1)
    await stage.ask()  # one that waits is not of the past
    items = await walk(scene, phone)
    assert [each.id for each in items] == wanted
    assert sum(each.here for each in items) == own
    assert len(await walk(scene, beside)) == 30


async def test_long_requests_fill_a_page_sooner(scene: Scene) -> None:
    phone = scene.stage.bind()
    long = FreeFields(title="Long", text="\U0001f600" * 1_900)
    for _ in range(4):
        await cancel(scene, await scene.stage.ask(long))
    assert len(await walk(scene, phone)) == 4


async def test_the_past_says_when_a_request_ended_not_when_it_would_have(scene: Scene) -> None:
    stage = scene.stage
    phone = stage.bind()
    now = stage.service.now_ms() // 1000
    for end in range(4):
        approval = await stage.ask(LOGIN)
        stage.rules.clock.advance(5)
        match end:
            case 0:
                await stage.decide(phone, approval, number=approval.number)
            case 1:
                await cancel(scene, approval)
            case 2:
                await stage.decide(phone, approval)
            case _:
                stage.rules.clock.advance(3_600)  # the sweep comes late: it was over before
                await stage.service.sweep()
    items = await walk(scene, phone)
    assert [(each.state, each.at - now) for each in items] == [
        ("expired", 75),
        ("failed", 15),
        ("cancelled", 10),
        ("approved", 5),
    ]


async def test_what_was_answered_by_code_alone_is_past_on_its_phone(scene: Scene) -> None:
    stage = scene.stage
    await stage.policy("payment", Policy(via="offline", factors=Factors.PIN))
    phone, beside = stage.bind(), stage.bind()
    approval = await stage.ask(PAYMENT)
    view = await stage.offline.show(tenant_id=TENANT, approval_id=approval.id, binding_id=phone.id)
    await stage.offline.answer(
        tenant_id=TENANT, approval_id=approval.id, digits=phone.read_code(view.payload)
    )
    assert [each.here for each in await walk(scene, phone)] == [True]
    assert await walk(scene, beside) == []


async def test_a_page_goes_on_from_an_own_request_alone(scene: Scene) -> None:
    stage = scene.stage
    line = scene.open(stage.bind())
    stage.bind(user="somebody else")
    foreign = await stage.ask(user="somebody else")
    for before in (raw(foreign), bytes(16)):
        with pytest.raises(OutOfTurn):
            await scene.part.answer(line, messages.Approvals(before=Bytes16(before)))
