"""Answers of phones without a network: one code in force, digits that count once, guesses that cost tries."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from approvals_kit import LOGIN, PAYMENT, Stage, other_than, show, type_in
from msgspec.structs import replace
from rules_kit import TENANT

from gateway.approvals import store
from gateway.approvals.models import Approval, ApprovalState, FatiguePolicy
from gateway.approvals.policy import NewPhone, Policy
from gateway.core.errors import Problem, ProblemCode
from gateway.core.events import AuditWord
from gateway.protocol.errors import MalformedCode
from gateway.protocol.keys import sha256
from gateway.protocol.offline import STANDING
from gateway.protocol.proof import decode_proof


@pytest.fixture(params=["digits come to the node that drew the code", "digits come to another node"])
async def stage(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    async with Stage.on(tmp_path) as made:
        if request.param == "digits come to another node":
            made.drawing = Stage.of(made.rules, made.others).offline
        yield made


async def refused(stage: Stage, approval: Approval, digits: str, kind: ProblemCode) -> Problem:
    with pytest.raises(Problem) as problem:
        await type_in(stage, approval, digits)
    assert problem.value.kind is kind, problem.value
    return problem.value


async def has_code(stage: Stage, approval: Approval) -> bool:
    return await stage.rules.storage.read(lambda tx: store.find_code(tx, approval.id)) is not None


@pytest.mark.parametrize("spelling", ["{0}", "{0[0]}{0[1]} {0[2]}{0[3]}{0[4]} {0[5]}{0[6]}{0[7]}"])
async def test_the_digits_of_a_phone_approve(stage: Stage, spelling: str) -> None:
    phone = stage.bind()
    approval = await stage.ask()
    digits = phone.read_code(await show(stage, approval))
    answered = await type_in(stage, approval, spelling.format(digits))
    assert (answered.state, answered.answered_by, answered.factor, answered.via) == (
        ApprovalState.APPROVED,
        phone.id,
        "pin",
        "offline",
    )
    proof = decode_proof((await stage.read(approval)).proof or b"")
    assert (proof.h, proof.signature, proof.key) == (None, None, phone.signing_key)
    assert proof.offline is not None
    assert (proof.offline.counter, proof.offline.digits) == (0, digits)
    fact = stage.rules.journal.facts[-1]
    assert (fact.word, fact.data["via"]) == ("phone:approval:approve", "offline")
    assert fact.data["proof"] == sha256((await stage.read(approval)).proof or b"").hex()
    assert (await stage.counter(phone)).offline_next == 1
    assert not await has_code(stage, approval)


async def test_digits_count_once_and_for_their_request_alone(stage: Stage) -> None:
    phone = stage.bind()
    first, second = await stage.ask(), await stage.ask()
    payload = await show(stage, first)
    await show(stage, second)
    digits = phone.read_code(payload)
    await refused(stage, second, digits, ProblemCode.OFFLINE_ANSWER_WRONG)
    await type_in(stage, first, digits)
    await refused(stage, first, digits, ProblemCode.APPROVAL_ENDED)
    await refused(stage, second, digits, ProblemCode.OFFLINE_ANSWER_WRONG)
    assert (await stage.read(second)).state is ApprovalState.PENDING


async def test_answers_that_got_lost_are_skipped_up_to_the_window(stage: Stage) -> None:
    phone = stage.bind()
    phone.offline_count = 49
    approval = await stage.ask()
    await type_in(stage, approval, phone.read_code(await show(stage, approval)))
    assert (await stage.counter(phone)).offline_next == 50
    phone.offline_count = 100
    beyond = await stage.ask()
    digits = phone.read_code(await show(stage, beyond))
    await refused(stage, beyond, digits, ProblemCode.OFFLINE_ANSWER_WRONG)
    assert await stage.offline.count(phone.ref, phone.offline_count) == 96  # on the next open channel
    await type_in(stage, beyond, phone.read_code(await show(stage, beyond)))


async def test_the_last_answers_before_a_contact_may_still_be_typed(stage: Stage) -> None:
    assert FatiguePolicy().pending == STANDING
    phone = stage.bind()
    waiting = [await stage.ask() for _ in range(STANDING)]
    payloads = [await show(stage, approval) for approval in waiting]
    lost = phone.read_code(payloads[0])
    standing = [phone.read_code(payload) for payload in payloads]
    assert await stage.offline.count(phone.ref, phone.offline_count) == 1
    await refused(stage, waiting[0], lost, ProblemCode.OFFLINE_ANSWER_WRONG)
    for approval, digits in zip(waiting, standing, strict=True):
        assert (await type_in(stage, approval, digits)).state is ApprovalState.APPROVED
    assert await stage.offline.count(phone.ref, phone.offline_count) == phone.offline_count == 6


async def test_the_count_never_falls(stage: Stage) -> None:
    phone = stage.bind()
    assert await stage.offline.count(phone.ref, 12) == 7
    assert await stage.offline.count(phone.ref, 8) == 7
    assert await stage.offline.count(phone.ref, 0) == 7
    assert stage.rules.journal.words == [AuditWord.PHONE_APPROVAL_COUNT]
    phone.offline_count = 6
    approval = await stage.ask()
    digits = phone.read_code(await show(stage, approval))
    await refused(stage, approval, digits, ProblemCode.OFFLINE_ANSWER_WRONG)


async def test_a_wrong_pin_makes_wrong_digits(stage: Stage) -> None:
    phone = stage.bind()
    approval = await stage.ask()
    payload = await show(stage, approval)
    right, phone.verifier = phone.verifier, b"w" * 32
    digits = phone.read_code(payload)
    phone.verifier = right
    await refused(stage, approval, digits, ProblemCode.OFFLINE_ANSWER_WRONG)


async def test_five_guesses_end_the_request_and_block_the_phone(stage: Stage) -> None:
    phone = stage.bind()
    approval, second = await stage.ask(), await stage.ask()
    digits = phone.read_code(await show(stage, approval))
    await show(stage, second)
    for left in (4, 3, 2, 1):
        problem = await refused(stage, approval, other_than(digits, left), ProblemCode.OFFLINE_ANSWER_WRONG)
        assert problem.fields["left"] == left
    await refused(stage, approval, other_than(digits), ProblemCode.APPROVAL_ENDED)
    await refused(stage, approval, digits, ProblemCode.APPROVAL_ENDED)
    assert (await stage.read(approval)).state is ApprovalState.FAILED
    assert (await stage.counter(phone)).is_blocked
    await refused(stage, second, digits, ProblemCode.CONFLICT)
    assert (await stage.read(second)).tries_left == 5
    assert stage.rules.journal.words.count("customer:approval:wrong") == 5


async def test_a_mistyped_digit_does_not_end_a_login(stage: Stage) -> None:
    phone = stage.bind()
    approval = await stage.ask(LOGIN)
    digits = phone.read_code(await show(stage, approval))
    problem = await refused(stage, approval, other_than(digits), ProblemCode.OFFLINE_ANSWER_WRONG)
    assert problem.fields["left"] == 4
    assert (await type_in(stage, approval, digits)).state is ApprovalState.APPROVED


async def test_one_code_of_a_request_is_in_force_at_a_time(stage: Stage) -> None:
    phone, beside = stage.bind(), stage.bind()
    approval = await stage.ask()
    first = phone.read_code(await show(stage, approval, phone))
    second = beside.read_code(await show(stage, approval, beside))
    await refused(stage, approval, first, ProblemCode.OFFLINE_ANSWER_WRONG)
    assert (await type_in(stage, approval, second)).answered_by == beside.id


async def test_a_code_that_another_node_drew_later_is_the_one_in_force(stage: Stage) -> None:
    first, second = stage.bind(), stage.bind()
    approval = await stage.ask()
    digits = first.read_code(await show(stage, approval, first))
    later = await stage.offline.show(tenant_id=TENANT, approval_id=approval.id, binding_id=second.id)
    stage.offline = stage.drawing
    await refused(stage, approval, digits, ProblemCode.OFFLINE_ANSWER_WRONG)
    assert (await type_in(stage, approval, second.read_code(later.payload))).answered_by == second.id


async def test_digits_of_a_pin_that_was_changed_meanwhile_are_wrong(stage: Stage) -> None:
    phone = stage.bind()
    approval = await stage.ask()
    payload = await show(stage, approval)
    digits = phone.read_code(payload)
    phone.verifier = bytes(32)
    await refused(stage, approval, digits, ProblemCode.OFFLINE_ANSWER_WRONG)
    assert (await type_in(stage, approval, phone.read_code(payload))).state is ApprovalState.APPROVED


async def test_a_phone_that_was_suspended_meanwhile_approves_nothing(stage: Stage) -> None:
    phone = stage.bind()
    approval = await stage.ask()
    digits = phone.read_code(await show(stage, approval))
    phone.state = "suspended"
    await refused(stage, approval, digits, ProblemCode.CONFLICT)
    assert (await stage.read(approval)).state is ApprovalState.PENDING


async def test_a_code_is_for_one_phone_alone(stage: Stage) -> None:
    phone, beside = stage.bind(), stage.bind()
    payload = await show(stage, await stage.ask(), phone)
    with pytest.raises(MalformedCode):
        beside.read_code(payload)


async def test_a_code_is_drawn_for_phones_that_were_asked_and_may_answer(stage: Stage) -> None:
    named, other = stage.bind(), stage.bind()
    approval = await stage.ask(binding_id=named.id)
    young = stage.bind(age_h=1)
    for phone in (other, young):
        with pytest.raises(Problem) as problem:
            await show(stage, approval, phone)
        assert problem.value.kind is ProblemCode.NO_PHONE
    view = await stage.offline.show(tenant_id=TENANT, approval_id=approval.id, binding_id=None)
    assert (view.phone.id, [each.id for each in view.phones]) == (named.id, [named.id])
    assert stage.rules.journal.words[-1] == "customer:approval:show"


async def test_a_phone_of_before_says_how_it_gets_its_check(stage: Stage) -> None:
    phone = stage.bind(verifier=None)
    with pytest.raises(Problem) as problem:
        await show(stage, await stage.ask(), phone)
    assert problem.value.kind is ProblemCode.CONFLICT
    assert "Change the PIN" in problem.value.next_step


async def test_without_a_code_or_a_phone_no_digits_are_taken(stage: Stage) -> None:
    phone = stage.bind()
    approval = await stage.ask()
    await refused(stage, approval, "00000000", ProblemCode.CONFLICT)
    digits = phone.read_code(await show(stage, approval))
    phone.state = "suspended"
    await refused(stage, approval, digits, ProblemCode.CONFLICT)
    await refused(stage, approval, "1234", ProblemCode.CONFLICT)
    phone.state = "active"
    await refused(stage, approval, "1234", ProblemCode.INVALID_REQUEST)
    assert (await stage.read(approval)).tries_left == 5


async def test_a_request_with_a_network_alone_has_no_code(stage: Stage) -> None:
    stage.bind()
    await stage.policy("payment", Policy(via="online"))
    approval = await stage.ask()
    with pytest.raises(Problem) as problem:
        await show(stage, approval)
    assert problem.value.kind is ProblemCode.CONFLICT


async def test_what_is_over_has_no_code_and_keeps_no_keys(stage: Stage) -> None:
    phone = stage.bind()
    waiting = [await stage.ask() for _ in range(3)]
    digits = [phone.read_code(await show(stage, approval)) for approval in waiting]
    await stage.decide(phone, waiting[0])
    await stage.service.cancel(
        tenant_id=TENANT, approval_id=waiting[1].id, word=AuditWord.BANK_APPROVAL_CANCEL
    )
    stage.rules.clock.advance(60)
    for approval, typed in zip(waiting, digits, strict=True):
        await refused(stage, approval, typed, ProblemCode.APPROVAL_ENDED)
        with pytest.raises(Problem) as problem:
            await show(stage, approval)
        assert problem.value.kind is ProblemCode.APPROVAL_ENDED
        assert not await has_code(stage, approval)


async def test_a_new_phones_count_holds_without_a_network_too(stage: Stage) -> None:
    await stage.policy("payment", Policy(new_phone=NewPhone(hours=24, max_count=1)))
    phone = stage.bind(age_h=1)
    first, second = await stage.ask(), await stage.ask()
    codes = [await show(stage, approval) for approval in (first, second)]
    await type_in(stage, first, phone.read_code(codes[0]))
    await refused(stage, second, phone.read_code(codes[1]), ProblemCode.NO_PHONE)
    assert (await stage.read(second)).state is ApprovalState.PENDING
    assert (await stage.counter(phone)).offline_next == 1


async def test_a_request_says_itself_whether_a_code_can_be_had(stage: Stage) -> None:
    stage.bind()
    long = replace(PAYMENT, purpose="x" * 600)
    assert (await stage.ask()).is_offline
    assert not (await stage.ask(long)).is_offline


@pytest.mark.parametrize("end", ["answered", "cancelled", "expired"])
async def test_nothing_of_a_request_that_is_over_stays_at_hand(tmp_path: Path, end: str) -> None:
    async with Stage.on(tmp_path) as stage:
        phone = stage.bind()
        approval = await stage.ask()
        digits = phone.read_code(await show(stage, approval))
        if end == "answered":
            await type_in(stage, approval, digits)
        elif end == "cancelled":
            await stage.service.cancel(
                tenant_id=TENANT, approval_id=approval.id, word=AuditWord.BANK_APPROVAL_CANCEL
            )
        else:
            stage.rules.clock.advance(60)
            await stage.service.sweep()
        assert stage.service.drawn_codes.take(approval.id) is None
