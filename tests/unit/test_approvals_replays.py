"""Answers that come again or late, or were made for something else: each request has one end. Those that come at once
stand in tests/contracts/test_approvals_races.py."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from approvals_kit import Stage, right, wrong
from msgspec.structs import replace
from rules_kit import TENANT

from gateway.approvals import store
from gateway.approvals.models import ApprovalState
from gateway.core.events import AuditWord
from gateway.core.ids import decode_id
from gateway.protocol.wiretypes import Bytes16


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with Stage.on(tmp_path) as made:
        yield made


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
