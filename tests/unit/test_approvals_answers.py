"""Answers on the channel, on a real database with real signatures: what verifies, what costs a try, and who wins."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from approvals_kit import LOGIN, OLD, PAYMENT, Stage, right, wrong
from handsets import USER, Handset
from msgspec.structs import replace
from rules_kit import TENANT

from gateway.approvals.models import Approval, ApprovalState
from gateway.approvals.policy import Factors, NewPhone, Policy
from gateway.core.errors import Problem, ProblemCode
from gateway.protocol import messages
from gateway.protocol.keys import sha256
from gateway.protocol.proof import decode_proof
from gateway.protocol.wiretypes import Bytes16, Bytes64


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with Stage.on(tmp_path) as made:
        yield made


async def test_an_approval_is_one_transaction_with_all_that_hangs_on_it(stage: Stage) -> None:
    phone = stage.bind()
    approval = await stage.ask()
    await stage.decide(phone, approval, is_right=False)
    answered = right(await stage.decide(phone, approval))
    assert (answered.state, answered.answered_by, answered.factor, answered.via) == (
        ApprovalState.APPROVED,
        phone.id,
        "pin",
        "channel",
    )
    assert stage.others.restored == [phone.id]
    assert (await stage.counter(phone)).wrong == 0
    fact = stage.rules.journal.facts[-1]
    assert (fact.word, fact.event, fact.webhook) == ("phone:approval:approve", "approval.approved", True)
    assert fact.topics == (f"approval:{approval.id}", f"user:{TENANT}:{USER}")
    stored = await stage.read(approval)
    assert stored.proof is not None
    assert {
        "statement": sha256(approval.statement).hex(),
        "proof": sha256(stored.proof).hex(),
        "binding": phone.id,
        "decision": "approve",
        "factor": "pin",
        "via": "channel",
        "state": "approved",
    }.items() <= fact.data.items()


async def test_the_proof_holds_what_verifies_years_later(stage: Stage) -> None:
    phone = stage.bind()
    approval = await stage.ask()
    evaluation = phone.evaluate()
    message = stage.sign(phone, approval, evaluation=evaluation)
    await stage.send(phone, message, evaluation=evaluation)
    proof = decode_proof((await stage.read(approval)).proof or b"")
    assert (proof.binding, proof.key, proof.h) == (phone.raw, phone.signing_key, b"h" * 32)
    assert (proof.decision, proof.factor, proof.number) == ("approve", "pin", None)
    assert proof.signature == message.signature
    assert proof.pin is not None
    assert (proof.pin.nonce, proof.pin.key) == (evaluation.nonce, evaluation.pin_key)
    assert proof.pin.signature == message.pin_signature
    assert proof.biometric is proof.offline is None


@pytest.mark.parametrize(("decision", "state"), [("refuse", "refused"), ("report", "reported")])
async def test_refusing_and_reporting_need_possession_alone(
    stage: Stage, decision: messages.Decision, state: str
) -> None:
    phone = stage.bind()
    approval = await stage.ask(LOGIN)
    assert right(await stage.decide(phone, approval, decision)).state == state
    assert stage.rules.journal.words[-1] == f"phone:approval:{decision}"
    assert stage.others.restored == []
    stage.rules.clock.advance(31)
    by_pin = await stage.ask()
    assert wrong(await stage.decide(phone, by_pin, decision, factor="pin")).approval.tries_left == 4


async def test_biometrics_stand_for_the_pin_where_the_phone_has_them(stage: Stage) -> None:
    without, with_one = stage.bind(), stage.bind(has_biometric=True)
    approval = await stage.ask()
    wrong(await stage.decide(without, approval, factor="biometric"))
    assert stage.others.accepted == []
    answered = right(await stage.decide(with_one, approval, factor="biometric"))
    assert (answered.state, answered.factor) == (ApprovalState.APPROVED, "biometric")
    assert stage.others.accepted == [with_one.id]
    assert decode_proof(answered.proof or b"").biometric is not None


async def test_a_policy_for_the_pin_takes_no_finger_and_one_for_fingers_no_pin(stage: Stage) -> None:
    phone = stage.bind(has_biometric=True)
    await stage.policy("payment", Policy(factors=Factors.PIN))
    wrong(await stage.decide(phone, await stage.ask(), factor="biometric"))
    await stage.policy("payment", Policy(factors=Factors.BIOMETRIC))
    wrong(await stage.decide(phone, await stage.ask()))
    phone.has_biometric = False  # it falls back to the PIN, also for what waits
    right(await stage.decide(phone, await stage.ask()))


# What does not verify ----------------------------------------------------------------------------------------


async def bad_answer(stage: Stage, phone: Handset, approval: Approval, how: str) -> Any:
    """Send an answer of which one element is wrong."""
    evaluation = phone.evaluate()
    sign, number = stage.sign, approval.number
    good = sign(phone, approval, number=number, evaluation=evaluation)
    other = stage.bind(user="somebody else")
    altered = approval.statement.replace(b"250.00", b"950.00").replace(b"Lille", b"Paris")
    assert altered != approval.statement
    match how:
        case "statement":
            message = sign(phone, approval, number=number, evaluation=evaluation, statement=altered)
        case "channel":
            message = sign(phone, approval, number=number, evaluation=evaluation, handshake_hash=b"x" * 32)
        case "key":
            message = replace(
                good, signature=sign(other, approval, number=number, evaluation=evaluation).signature
            )
        case "pin":
            evaluation = phone.evaluate(is_right=False)
            message = sign(phone, approval, number=number, evaluation=evaluation)
        case "pin signature":
            message = replace(good, pin_signature=Bytes64(b"\1" * 64))
        case "no pin signature":
            message = sign(phone, approval, number=number)
        case "decision":
            refusal = sign(phone, approval, "refuse")
            message = replace(refusal, decision="approve")
        case "number":
            message = sign(phone, approval, number=10 if number != 10 else 11, evaluation=evaluation)
        case "factor":
            message = sign(phone, approval, factor="possession", number=number)
        case _:
            raise AssertionError(how)
    return await stage.send(phone, message, evaluation=evaluation)


ELEMENTS = [
    *("statement", "channel", "key", "pin", "pin signature"),
    *("no pin signature", "decision", "number", "factor"),
]


@pytest.mark.parametrize("how", ELEMENTS)
async def test_whatever_is_wrong_is_answered_alike_and_costs_a_try(stage: Stage, how: str) -> None:
    phone = stage.bind()
    approval = await stage.ask()
    outcome = wrong(await bad_answer(stage, phone, approval, how))
    assert (outcome.approval.state, outcome.approval.tries_left, outcome.is_last) == ("pending", 4, False)
    assert (outcome.counter.wrong, outcome.counter.is_blocked) == (1, False)
    assert await stage.counter(phone) == replace_version(outcome.counter, 1)
    assert stage.rules.journal.words[-1] == "phone:approval:wrong"
    assert stage.rules.journal.facts[-1].event is None
    assert stage.others.restored == []
    assert right(await stage.decide(phone, approval)).state is ApprovalState.APPROVED


def replace_version(counter: Any, version: int) -> Any:
    return replace(counter, version=version)


@pytest.mark.parametrize("how", ELEMENTS)
async def test_a_matched_number_is_guessed_once_whatever_was_wrong(stage: Stage, how: str) -> None:
    phone = stage.bind()
    approval = await stage.ask(LOGIN)
    outcome = wrong(await bad_answer(stage, phone, approval, how))
    assert (outcome.approval.state, outcome.approval.tries_left) == (ApprovalState.FAILED, 0)
    assert outcome.counter.wrong == 1
    assert stage.rules.journal.events[-1] == "approval.failed"
    assert right(await stage.decide(phone, approval, number=approval.number)).state == "failed"


async def test_the_fifth_wrong_answer_ends_the_request_and_blocks_the_phone(stage: Stage) -> None:
    phone, beside = stage.bind(), stage.bind()
    approval, second = await stage.ask(), await stage.ask()
    for left in (4, 3, 2, 1):
        outcome = wrong(await stage.decide(phone, approval, is_right=False))
        assert (outcome.approval.tries_left, outcome.counter.is_blocked) == (left, False)
    outcome = wrong(await stage.decide(phone, approval, is_right=False))
    assert outcome.approval.state is ApprovalState.FAILED
    assert outcome.counter.blocked_until_ms == stage.service.now_ms() + 300_000
    fact = stage.rules.journal.facts[-1]
    assert (fact.event, fact.data["next_is_final"]) == ("binding.approvals-blocked", False)
    assert stage.others.warned == []
    blocked = wrong(await stage.decide(phone, second))  # even a right answer
    assert (blocked.approval.tries_left, blocked.counter) == (5, await stage.counter(phone))
    assert right(await stage.decide(beside, second)).state is ApprovalState.APPROVED


async def test_a_blocked_phone_still_refuses_and_its_right_pin_keeps_its_try(stage: Stage) -> None:
    phone = stage.bind()
    approval, second = await stage.ask(), await stage.ask()
    for _ in range(5):
        await stage.decide(phone, approval, is_right=False)
    wrong(await stage.decide(phone, second))
    assert stage.others.restored == [phone.id]
    assert right(await stage.decide(phone, second, "report")).state is ApprovalState.REPORTED


async def test_the_customer_is_told_before_only_the_bank_unblocks(stage: Stage) -> None:
    phone = stage.bind(name="Zoés Handy")
    stage.bind()  # asked beside it, so that there is a request while the first is blocked
    last = []
    for block_s in (300, 600, None):
        approval = await stage.ask()
        for _ in range(5):
            outcome = wrong(await stage.decide(phone, approval, is_right=False))
        last.append(outcome.is_last)
        stage.rules.clock.advance(3_600 + (block_s or 0))
    assert last == [False, True, False]
    assert outcome.counter.is_blocked
    assert outcome.counter.blocked_until_ms is None
    assert stage.others.warned == ["Zoés Handy"]
    blocks = [f for f in stage.rules.journal.facts if f.event == "binding.approvals-blocked"]
    assert [fact.data["next_is_final"] for fact in blocks] == [False, True, False]
    assert [fact.data["until"] is None for fact in blocks] == [False, False, True]
    with pytest.raises(Problem) as problem:
        await stage.ask(binding_id=phone.id)
    assert problem.value.kind is ProblemCode.NO_PHONE


async def test_right_answers_between_wrong_ones_never_block(stage: Stage) -> None:
    phone = stage.bind()
    for _ in range(4):
        approval = await stage.ask()
        for _ in range(4):
            assert not wrong(await stage.decide(phone, approval, is_right=False)).counter.is_blocked
        right(await stage.decide(phone, approval))
    assert stage.others.warned == []


async def test_a_pin_changed_meanwhile_is_a_wrong_answer(stage: Stage) -> None:
    phone = stage.bind()
    approval = await stage.ask()
    stage.others.is_pin_changed = True
    assert wrong(await stage.decide(phone, approval)).approval.tries_left == 4
    assert (await stage.read(approval)).state is ApprovalState.PENDING


# Who was asked ----------------------------------------------------------------------------------------------


async def test_only_a_phone_that_was_asked_answers(stage: Stage) -> None:
    phone, beside, foreign = stage.bind(), stage.bind(), stage.bind(user="somebody else")
    approval = await stage.ask(binding_id=phone.id)
    for other in (beside, foreign):
        assert await stage.decide(other, approval) is None
        assert await stage.decide(other, approval, "refuse") is None
    phone.state = "suspended"
    assert await stage.decide(phone, approval) is None
    assert (await stage.read(approval)).version == 1
    unknown = replace(stage.sign(phone, approval), id=Bytes16(bytes(16)))
    phone.state = "active"
    assert await stage.send(phone, unknown) is None
    await stage.policy("payment", Policy(via="offline"))
    assert await stage.decide(phone, await stage.ask()) is None


async def test_a_new_phone_answers_within_its_count_alone(stage: Stage) -> None:
    await stage.policy("payment", Policy(new_phone=NewPhone(hours=24, max_count=2)))
    phone = stage.bind(age_h=1)
    waiting = [await stage.ask() for _ in range(4)]  # asked while its count was at 0
    for approval in waiting[:2]:
        right(await stage.decide(phone, approval))
    for approval in waiting[2:]:
        restored = len(stage.others.restored)
        with pytest.raises(Problem) as problem:
            await stage.decide(phone, approval)
        assert problem.value.kind is ProblemCode.NO_PHONE
        assert (await stage.read(approval)).state is ApprovalState.PENDING
        assert len(stage.others.restored) == restored + 1
        right(await stage.decide(phone, approval, "refuse"))


async def test_without_first_hours_a_phone_bound_just_now_approves_anything(stage: Stage) -> None:
    await stage.policy("payment", OLD)
    phone = stage.bind(age_h=0)
    large = replace(PAYMENT, amount="5000")
    assert right(await stage.decide(phone, await stage.ask(large))).state is ApprovalState.APPROVED
