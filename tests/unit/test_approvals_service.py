"""Requests as the bank makes and ends them, on a real database: whom they ask, how often, and until when."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from approvals_kit import LOGIN, OLD, PAYMENT, Stage
from handsets import USER
from rules_kit import TENANT

from gateway.approvals import store
from gateway.approvals.models import Approval, ApprovalState, Counter
from gateway.approvals.policy import Factors, NewPhone, Policy
from gateway.approvals.service import ApprovalFilter, ApprovalRecords
from gateway.core.errors import Problem, ProblemCode
from gateway.core.events import AuditWord
from gateway.core.transaction import Transaction
from gateway.protocol.approval import DeviceFields, FreeFields, PaymentFields, parse_statement
from gateway.protocol.keys import sha256

OTHER = "ten_BBBBBBBBBBBBBBBBBBBBBA"
FREE = FreeFields(title="Mandate", text="Read me")


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with Stage.on(tmp_path) as made:
        yield made


async def cancel(stage: Stage, approval: Approval) -> Approval:
    return await stage.service.cancel(
        tenant_id=TENANT, approval_id=approval.id, word=AuditWord.BANK_APPROVAL_CANCEL
    )


async def refused(stage: Stage, kind: ProblemCode, fields: object = PAYMENT, **order: object) -> Problem:
    with pytest.raises(Problem) as problem:
        await stage.ask(fields, **order)  # type: ignore[arg-type]
    assert problem.value.kind is kind
    return problem.value


async def test_a_request_is_stored_as_it_is_read_and_told_without_its_number(stage: Stage) -> None:
    phone = stage.bind()
    approval = await stage.ask(LOGIN)
    statement = parse_statement(approval.statement)
    assert (statement.bank, statement.user, statement.fields) == ("Banque du Nord", USER, LOGIN)
    assert (statement.created * 1000, statement.expires * 1000) == (approval.created_at, approval.expires_at)
    assert await stage.read(approval) == approval
    assert approval.number in approval.numbers
    assert stage.others.woken == [((phone.id,), approval.id)]
    (fact,) = stage.rules.journal.facts
    assert (fact.word, fact.event, fact.subject) == ("bank:approval:create", "approval.created", approval.id)
    assert fact.data["statement"] == sha256(approval.statement).hex()
    assert approval.number not in fact.data.values()
    assert fact.topics == (f"approval:{approval.id}", f"user:{TENANT}:{USER}")


async def test_no_two_statements_are_alike(stage: Stage) -> None:
    stage.bind()
    first, second = await stage.ask(), await stage.ask()
    assert first.statement != second.statement
    assert parse_statement(first.statement).nonce != parse_statement(second.statement).nonce


async def test_life_is_the_policys_unless_the_bank_wants_less(stage: Stage) -> None:
    stage.bind()
    lives = []
    for life_s in (None, 30, 600):
        approval = await stage.ask(life_s=life_s)
        lives.append((approval.expires_at - approval.created_at) // 1000)
    assert lives == [60, 30, 60]


async def test_hidden_characters_reach_nobody(stage: Stage) -> None:
    stage.bind()
    turned = PaymentFields(amount="1", currency="EUR", payee="Bob\u202eliam", account="1", purpose="")
    await refused(stage, ProblemCode.INVALID_REQUEST, turned)
    stage.bind(user="in\u200bvisible")
    await refused(stage, ProblemCode.INVALID_REQUEST, user="in\u200bvisible")
    assert stage.rules.journal.facts == []


@pytest.mark.parametrize(
    ("states", "why"),
    [
        ((), "bound no such phone"),
        (("removed",), "bound no such phone"),
        (("suspended", "suspended"), "suspended"),
    ],
)
async def test_without_a_phone_that_may_answer_nothing_is_asked(
    stage: Stage, states: tuple[str, ...], why: str
) -> None:
    for state in states:
        stage.bind(state=state)
    stage.bind(user="somebody else")
    assert why in (await refused(stage, ProblemCode.NO_PHONE)).detail


async def test_a_blocked_phone_is_not_asked(stage: Stage) -> None:
    phone = stage.bind()
    blocked = Counter(phone.id, TENANT, wrong=5, round=1, is_blocked=True, blocked_until_ms=10**15)

    def unit(tx: Transaction) -> None:
        store.save_counter(tx, Counter(phone.id, TENANT), blocked)

    await stage.rules.storage.write(unit)
    assert "blocked" in (await refused(stage, ProblemCode.NO_PHONE)).detail
    beside = stage.bind()
    assert (await stage.ask()).asked == (beside.id,)
    await refused(stage, ProblemCode.NO_PHONE, binding_id=phone.id)
    await stage.service.unblock(tenant_id=TENANT, binding_id=phone.id)
    assert (await stage.ask()).asked == (phone.id, beside.id)
    assert stage.rules.journal.facts[-2].event == "binding.approvals-unblocked"


async def test_only_a_phone_that_is_there_is_unblocked(stage: Stage) -> None:
    removed = stage.bind(state="removed")
    for tenant_id, binding_id in ((TENANT, removed.id), (TENANT, "bnd_none"), (OTHER, stage.bind().id)):
        with pytest.raises(Problem) as problem:
            await stage.service.unblock(tenant_id=tenant_id, binding_id=binding_id)
        assert problem.value.kind is ProblemCode.NOT_FOUND


async def test_a_request_may_name_one_phone_of_the_customer(stage: Stage) -> None:
    named, _ = stage.bind(), stage.bind()
    approval = await stage.ask(binding_id=named.id)
    assert (approval.binding_id, approval.asked) == (named.id, (named.id,))
    assert stage.others.woken == [((named.id,), approval.id)]
    foreign = stage.bind(user="somebody else")
    await refused(stage, ProblemCode.NO_PHONE, binding_id=foreign.id)


async def test_a_new_phone_is_asked_for_little_and_an_old_one_for_the_rest(stage: Stage) -> None:
    young, old = stage.bind(age_h=1), stage.bind()
    assert (await stage.ask()).asked == (young.id, old.id)
    large = PaymentFields(amount="1000.01", currency="EUR", payee="P", account="A", purpose="")
    assert (await stage.ask(large)).asked == (old.id,)
    problem = await refused(stage, ProblemCode.NO_PHONE, large, binding_id=young.id)
    assert "first hours" in problem.next_step
    await stage.policy("payment", replace_hours(1))
    assert (await stage.ask(large)).asked == (young.id, old.id)


def replace_hours(hours: int) -> Policy:
    return Policy(new_phone=NewPhone(hours=hours))


async def test_offline_alone_wakes_nobody_and_needs_a_short_text(stage: Stage) -> None:
    stage.bind()
    await stage.policy("free", Policy(via="offline"))
    approval = await stage.ask(FREE)
    assert (approval.is_online, approval.is_offline) == (False, True)
    assert stage.others.woken == []
    await refused(stage, ProblemCode.INVALID_REQUEST, FreeFields(title="Long", text="x" * 700))


async def test_what_is_too_long_for_a_code_is_answered_with_a_network_alone(stage: Stage) -> None:
    stage.bind()
    approval = await stage.ask(FreeFields(title="Long", text="x" * 700))
    assert (approval.is_online, approval.is_offline) == (True, False)


async def test_biometrics_alone_have_no_code(stage: Stage) -> None:
    stage.bind()
    await stage.policy("free", Policy(factors=Factors.BIOMETRIC))
    assert not (await stage.ask(FREE)).is_offline


async def test_at_most_five_requests_wait_for_one_customer(stage: Stage) -> None:
    stage.bind()
    waiting = [await stage.ask() for _ in range(5)]
    problem = await refused(stage, ProblemCode.RATE_LIMITED)
    assert problem.fields["retry_after"] == 60
    stage.bind(user="user-2")
    await stage.ask(user="user-2")
    await cancel(stage, waiting[0])
    await stage.ask()
    stage.rules.clock.advance(60)  # those past their end wait no longer, swept or not
    await stage.ask()


async def test_requests_that_are_refused_slow_down_and_the_bank_hears_of_it(stage: Stage) -> None:
    phone = stage.bind()
    await stage.policy("payment", OLD)
    for count, wait in ((1, 0), (2, 30), (3, 60)):
        await stage.decide(phone, await stage.ask(), "refuse")
        told = [fact for fact in stage.rules.journal.facts if fact.event == "customer.fatigue"]
        assert len(told) == (1 if count == 3 else 0)
        if wait:
            problem = await refused(stage, ProblemCode.RATE_LIMITED)
            assert problem.fields["retry_after"] == wait
            stage.rules.clock.advance(wait)
    assert (told[0].data["count"], told[0].webhook) == (3, True)
    assert str(told[0].data["approval"]).startswith("apr_")
    await stage.decide(phone, await stage.ask())  # an approval forgets
    await stage.decide(phone, await stage.ask(), "refuse")
    await stage.ask()


async def test_a_reported_login_makes_the_next_ones_ask_for_more(stage: Stage) -> None:
    phone = stage.bind(has_biometric=True)
    first = await stage.ask(LOGIN)
    assert (first.factors, first.number_match) == (Factors.EITHER, "choose")
    await stage.decide(phone, first, "report")
    stage.rules.clock.advance(31)
    payment = await stage.ask()
    assert (payment.factors, payment.number_match) == (Factors.EITHER, "none")
    await stage.decide(phone, payment)  # another type does not clear it
    raised = await stage.ask(LOGIN)
    assert (raised.factors, raised.number_match, raised.numbers) == (Factors.PIN, "type", ())
    await stage.decide(phone, raised, number=raised.number)
    assert (await stage.ask(LOGIN)).number_match == "choose"


async def test_a_request_past_its_end_is_expired_once(stage: Stage) -> None:
    stage.bind()
    approval = await stage.ask()
    stage.rules.clock.advance(59)
    assert (await stage.service.read(tenant_id=TENANT, approval_id=approval.id)).state == "pending"
    assert await stage.service.sweep() == 0
    stage.rules.clock.advance(1)
    assert (await stage.service.read(tenant_id=TENANT, approval_id=approval.id)).state == "expired"
    assert await stage.service.sweep() == 0
    assert (await stage.read(approval)).state is ApprovalState.EXPIRED
    assert stage.rules.journal.events.count("approval.expired") == 1


async def test_the_sweep_ends_more_than_one_batch(stage: Stage) -> None:
    for number in range(store.SWEEP_BATCH + 5):
        stage.bind(user=f"user-{number}")
        await stage.ask(user=f"user-{number}")
    stage.rules.clock.advance(60)
    assert await stage.service.sweep() == store.SWEEP_BATCH + 5
    assert stage.rules.journal.events.count("approval.expired") == store.SWEEP_BATCH + 5


async def test_the_sweep_erases_what_is_older_than_policy_keeps(stage: Stage) -> None:
    stage.bind()
    approval = await stage.ask()
    stage.rules.clock.advance(60)
    await stage.service.sweep()
    stage.rules.clock.advance(30 * 86_400 - 61)
    await stage.service.sweep()
    await stage.read(approval)
    stage.rules.clock.advance(2)
    await stage.service.sweep()
    with pytest.raises(Problem) as problem:
        await stage.service.read(tenant_id=TENANT, approval_id=approval.id)
    assert problem.value.kind is ProblemCode.NOT_FOUND


async def test_cancel_ends_what_waits_and_nothing_else(stage: Stage) -> None:
    phone = stage.bind()
    approval = await stage.ask()
    for _ in range(2):
        assert (await cancel(stage, approval)).state is ApprovalState.CANCELLED
    assert stage.rules.journal.events.count("approval.cancelled") == 1
    answered = await stage.ask()
    await stage.decide(phone, answered)
    late = await stage.ask()
    stage.rules.clock.advance(60)
    for over, state in ((answered, "approved"), (late, "expired")):
        with pytest.raises(Problem) as problem:
            await cancel(stage, over)
        assert problem.value.kind is ProblemCode.APPROVAL_ENDED
        assert problem.value.fields["state"] == state
        assert (await stage.read(over)).state == state


async def test_another_bank_sees_and_ends_nothing(stage: Stage) -> None:
    stage.bind()
    approval = await stage.ask()
    address = {"tenant_id": OTHER, "approval_id": approval.id}
    for work in (
        stage.service.read(**address),
        stage.service.cancel(**address, word=AuditWord.BANK_APPROVAL_CANCEL),
        stage.offline.show(**address, binding_id=None),
        stage.offline.answer(**address, digits="00000000"),
    ):
        with pytest.raises(Problem) as problem:
            await work
        assert problem.value.kind is ProblemCode.NOT_FOUND
    assert await stage.service.browse(tenant_id=OTHER, wanted=ApprovalFilter()) == []
    records = ApprovalRecords()
    found = await stage.rules.storage.read(lambda tx: records.find_record(tx, OTHER, approval.id))
    assert found is None


async def test_the_list_is_newest_first_and_filtered(stage: Stage) -> None:
    phone = stage.bind()
    made = []
    for fields in (PAYMENT, FREE, LOGIN, FREE):
        made.append(await stage.ask(fields))
        stage.rules.clock.advance(len(made) % 2)
    listed = await stage.service.browse(tenant_id=TENANT, wanted=ApprovalFilter())
    places = [(each.created_at, each.id) for each in listed]
    assert places == sorted(places, reverse=True)
    second = await stage.service.browse(tenant_id=TENANT, wanted=ApprovalFilter(before=places[1], limit=1))
    assert [each.id for each in second] == [places[2][1]]
    await stage.decide(phone, made[1])
    for wanted, count in (
        (ApprovalFilter(kind="free"), 2),
        (ApprovalFilter(state=ApprovalState.APPROVED), 1),
        (ApprovalFilter(user=USER, kind="free", state=ApprovalState.PENDING), 1),
        (ApprovalFilter(user="nobody"), 0),
    ):
        assert len(await stage.service.browse(tenant_id=TENANT, wanted=wanted)) == count


async def test_policies_are_the_banks_own_and_hold_for_requests_to_come(stage: Stage) -> None:
    stage.bind()
    before = await stage.ask(FREE)
    policy = Policy(factors=Factors.PIN, life_s=600, number_match=True)
    await stage.policy("free", policy)
    await stage.policy("free", policy)
    assert (await stage.service.policies(tenant_id=TENANT))["free"] == policy
    assert (await stage.service.policies(tenant_id=OTHER))["free"] != policy
    after = await stage.ask(FREE)
    assert (after.factors, after.number_match) == (Factors.PIN, "choose")
    assert after.expires_at - after.created_at == 600_000
    assert (await stage.read(before)).factors is Factors.EITHER
    assert "bank:policy:change" in stage.rules.journal.words


async def test_a_policy_that_nobody_could_fulfil_is_refused(stage: Stage) -> None:
    with pytest.raises(Problem) as problem:
        await stage.policy("free", Policy(factors=Factors.BIOMETRIC, via="offline"))
    assert problem.value.kind is ProblemCode.INVALID_REQUEST
    assert stage.rules.journal.facts == []


# A further phone --------------------------------------------------------------------------------------------


async def consume(stage: Stage, approval: Approval, *, user: str = USER) -> str | None:
    return await stage.rules.storage.write(
        lambda tx: stage.service.consume_device(tx, tenant_id=TENANT, user=user, approval_id=approval.id)
    )


@pytest.mark.parametrize("mode", ["add", "move"])
async def test_an_approved_request_allows_one_further_phone(stage: Stage, mode: str) -> None:
    phone = stage.bind()
    fields = DeviceFields(mode=mode, browser="Firefox", place="")  # type: ignore[arg-type]
    approval = await stage.ask(fields)
    with pytest.raises(Problem):
        await consume(stage, approval)
    await stage.decide(phone, approval)
    with pytest.raises(Problem) as problem:
        await consume(stage, approval, user="somebody else")
    assert problem.value.kind is ProblemCode.NOT_FOUND
    assert await consume(stage, approval) == (phone.id if mode == "move" else None)
    with pytest.raises(Problem) as problem:
        await consume(stage, approval)
    assert problem.value.kind is ProblemCode.CONFLICT


async def test_a_request_serves_for_ten_minutes(stage: Stage) -> None:
    phone = stage.bind()
    approval = await stage.ask(DeviceFields(mode="add", browser="", place=""))
    await stage.decide(phone, approval)
    stage.rules.clock.advance(601)
    with pytest.raises(Problem) as problem:
        await consume(stage, approval)
    assert problem.value.kind is ProblemCode.CONFLICT


async def test_a_payment_allows_no_phone(stage: Stage) -> None:
    phone = stage.bind()
    approval = await stage.ask()
    await stage.decide(phone, approval)
    with pytest.raises(Problem) as problem:
        await consume(stage, approval)
    assert problem.value.kind is ProblemCode.CONFLICT


async def test_what_is_counted_of_a_removed_phone_is_erased(stage: Stage) -> None:
    phone = stage.bind()
    await stage.decide(phone, await stage.ask(), is_right=False)
    assert (await stage.counter(phone)).wrong == 1
    await stage.rules.storage.write(lambda tx: stage.service.erase(tx, tenant_id=TENANT, binding_id=phone.id))
    assert await stage.counter(phone) == Counter(phone.id, TENANT)
