"""Answers that come at once, again or late, or were made for something else: each request has one end."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from approvals_kit import Stage
from msgspec.structs import replace
from rules_kit import TENANT

from gateway.approvals import store
from gateway.approvals.models import Approval, ApprovalState
from gateway.approvals.tally import Wrong
from gateway.core.events import AuditWord
from gateway.core.ids import decode_id
from gateway.protocol import messages
from gateway.protocol.wiretypes import Bytes16


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with Stage.on(tmp_path) as made:
        yield made


def wrong(outcome: object) -> Wrong:
    assert isinstance(outcome, Wrong)
    return outcome


def right(outcome: object) -> Approval:
    assert isinstance(outcome, Approval)
    return outcome


async def test_the_same_answer_a_hundred_times_at_once_counts_once(stage: Stage) -> None:
    phone = stage.bind()
    approval = await stage.ask()
    evaluation = phone.evaluate()
    message = stage.sign(phone, approval, evaluation=evaluation)
    outcomes = await asyncio.gather(*(stage.send(phone, message, evaluation=evaluation) for _ in range(100)))
    assert {right(each).state for each in outcomes} == {ApprovalState.APPROVED}
    assert stage.rules.journal.words.count("phone:approval:approve") == 1
    assert stage.rules.journal.words.count("phone:approval:wrong") == 0
    assert (await stage.read(approval)).version == 2


@pytest.mark.parametrize("decisions", [("approve", "refuse"), ("refuse", "report"), ("report", "approve")])
async def test_of_two_answers_at_once_the_first_wins_on_both_phones(
    stage: Stage, decisions: tuple[messages.Decision, messages.Decision]
) -> None:
    phones = (stage.bind(), stage.bind())
    approval = await stage.ask()
    pairs = zip(phones, decisions, strict=True)
    outcomes = await asyncio.gather(*(stage.decide(phone, approval, decision) for phone, decision in pairs))
    states = {right(each).state for each in outcomes}
    assert len(states) == 1
    final = await stage.read(approval)
    assert states == {final.state}
    answers = [word for word in stage.rules.journal.words if word.startswith("phone:approval:")]
    assert len(answers) == 1


async def test_an_answer_and_a_cancellation_at_once_leave_one_end(stage: Stage) -> None:
    phone = stage.bind()
    for _ in range(10):
        approval = await stage.ask()
        await asyncio.gather(
            stage.decide(phone, approval),
            stage.service.cancel(
                tenant_id=TENANT, approval_id=approval.id, word=AuditWord.BANK_APPROVAL_CANCEL
            ),
            return_exceptions=True,
        )
        ends = [
            fact.event
            for fact in stage.rules.journal.facts
            if fact.subject == approval.id and fact.event not in (None, "approval.created")
        ]
        assert ends == [f"approval.{(await stage.read(approval)).state}"]


async def test_wrong_answers_at_once_take_five_tries_and_one_block(stage: Stage) -> None:
    phone = stage.bind()
    approvals = [await stage.ask() for _ in range(3)]
    outcomes = await asyncio.gather(
        *(stage.decide(phone, approval, is_right=False) for approval in approvals * 20)
    )
    assert all(isinstance(each, Wrong | Approval) for each in outcomes)
    counter = await stage.counter(phone)
    assert (counter.round, counter.is_blocked) == (1, True)
    assert stage.rules.journal.events.count("binding.approvals-blocked") == 1
    for approval in approvals:
        assert (await stage.read(approval)).tries_left >= 0


async def test_a_right_answer_behind_the_block_does_not_slip_through(stage: Stage) -> None:
    phone = stage.bind()
    waiting = [await stage.ask() for _ in range(5)]
    work = [stage.decide(phone, approval, is_right=False) for approval in waiting for _ in range(2)]
    await asyncio.gather(*work, stage.decide(phone, waiting[-1]))
    states = [(await stage.read(each)).state for each in waiting]
    assert ApprovalState.APPROVED not in states


async def test_an_answer_comes_again_after_its_acknowledgement_was_lost(stage: Stage) -> None:
    phone = stage.bind()
    approval = await stage.ask()
    await stage.decide(phone, approval)
    told = len(stage.rules.journal.facts)
    again = right(await stage.decide(phone, approval))  # signed anew on another channel
    assert again.state is ApprovalState.APPROVED
    assert right(await stage.decide(phone, approval, is_right=False)).state is ApprovalState.APPROVED
    assert len(stage.rules.journal.facts) == told
    assert stage.others.restored == [phone.id] * 2
    assert stage.others.told_wrong == [phone.id]


@pytest.mark.parametrize("ended", ["expire", "cancel"])
async def test_what_is_over_takes_no_answer(stage: Stage, ended: str) -> None:
    phone = stage.bind()
    approval = await stage.ask()
    if ended == "expire":
        stage.rules.clock.advance(60)
    else:
        await stage.service.cancel(
            tenant_id=TENANT, approval_id=approval.id, word=AuditWord.CUSTOMER_APPROVAL_CANCEL
        )
    outcome = right(await stage.decide(phone, approval))
    assert outcome.state.value.startswith(ended)
    assert (await stage.read(approval)).proof is None


async def test_an_answer_of_one_request_serves_no_other(stage: Stage) -> None:
    phone = stage.bind()
    first, second = await stage.ask(), await stage.ask()
    evaluation = phone.evaluate()
    message = stage.sign(phone, first, evaluation=evaluation)
    moved = replace(message, id=Bytes16(decode_id("apr", second.id)))
    wrong(await stage.send(phone, moved, evaluation=evaluation))
    assert (await stage.read(second)).state is ApprovalState.PENDING


async def test_an_answer_of_one_phone_serves_no_other(stage: Stage) -> None:
    phone, thief = stage.bind(), stage.bind()
    approval = await stage.ask()
    evaluation = phone.evaluate()
    message = stage.sign(phone, approval, evaluation=evaluation)
    wrong(await stage.send(thief, message, evaluation=evaluation))
    assert (await stage.read(approval)).state is ApprovalState.PENDING


async def test_what_was_read_before_a_change_changes_nothing(stage: Stage) -> None:
    phone = stage.bind()
    old = await stage.ask()
    await stage.decide(phone, old, is_right=False)
    stale = replace(old, state=ApprovalState.APPROVED)
    assert not await stage.rules.storage.write(lambda tx: store.save(tx, old, stale))
    count = await stage.counter(phone)
    await stage.decide(phone, old, is_right=False)
    fresh = replace(count, wrong=0)
    assert not await stage.rules.storage.write(lambda tx: store.save_counter(tx, count, fresh))
    assert (await stage.read(old)).tries_left == 3
    assert (await stage.counter(phone)).wrong == 2
