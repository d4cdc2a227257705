"""Approvals under answers, cancellations and expiries that come at once, on two nodes of one database: each request has
one end, each wrong answer costs its try, and neither is told twice."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from itertools import cycle
from typing import Any

import pytest
from approvals_kit import Others, Stage, other_than, show, type_in
from handsets import USER
from rules_kit import TENANT, Rules

from gateway.approvals.models import Approval, ApprovalState
from gateway.approvals.service import ApprovalFilter
from gateway.approvals.tally import Wrong
from gateway.core.errors import Problem, ProblemCode
from gateway.core.events import AuditWord
from gateway.core.secrets import system_random
from gateway.http.idempotency import Answer, Claim, Idempotency
from gateway.protocol import messages
from gateway.protocol.approval import DeviceFields

ROUNDS = 10
HOUR_S = 3_601
"""After which refusals slow nothing down any more."""


@pytest.fixture
async def nodes(database_url: str) -> AsyncIterator[list[Stage]]:
    """Two; the customer's phones, the clock and what is remembered of facts are the same for both."""
    async with Rules.nodes_on(database_url, count=2) as rules:
        others = Others()
        yield [Stage.of(each, others) for each in rules]


async def at_once(works: Sequence[Awaitable[Any]]) -> list[Any]:
    """Do all of it at once; return values and Problems. Raises whatever else comes of it."""
    outcomes = await asyncio.gather(*works, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, Problem):
            raise outcome
    return outcomes


def ends(stage: Stage, approval: Approval) -> list[str]:
    """Return how the bank was told that a request ended."""
    told = [fact.event for fact in stage.rules.journal.facts if fact.subject == approval.id]
    return [event for event in told if event not in (None, "approval.created")]


async def test_the_same_answer_a_hundred_times_counts_once(nodes: list[Stage]) -> None:
    stage = nodes[0]
    phone = stage.bind()
    approval = await stage.ask()
    evaluation = phone.evaluate()
    message = stage.sign(phone, approval, evaluation=evaluation)
    outcomes = await at_once([node.send(phone, message, evaluation=evaluation) for node in nodes * 50])
    assert {each.state for each in outcomes} == {ApprovalState.APPROVED}
    assert stage.rules.journal.words.count("phone:approval:approve") == 1
    assert stage.rules.journal.words.count("phone:approval:wrong") == 0
    assert (await stage.read(approval)).version == 2


@pytest.mark.parametrize("decisions", [("approve", "refuse"), ("refuse", "report"), ("report", "approve")])
async def test_of_two_phones_the_first_answer_wins_on_both(
    nodes: list[Stage], decisions: tuple[messages.Decision, messages.Decision]
) -> None:
    phones = [nodes[0].bind(), nodes[0].bind()]
    for turn in range(ROUNDS):
        approval = await nodes[turn % 2].ask()
        trios = zip(nodes, phones, decisions, strict=True)
        outcomes = await at_once([node.decide(phone, approval, each) for node, phone, each in trios])
        final = await nodes[turn % 2].read(approval)
        assert [each.state for each in outcomes] == [final.state] * 2
        assert final.version == 2
        assert ends(nodes[0], approval) == [f"approval.{final.state}"]
        nodes[0].rules.clock.advance(HOUR_S)


async def test_an_answer_a_cancellation_and_the_expiry_leave_one_end(nodes: list[Stage]) -> None:
    one, two = nodes
    phone = one.bind()

    async def run_out() -> None:
        one.rules.clock.advance(1)
        await one.service.sweep()

    for turn in range(ROUNDS):
        approval = await one.ask()
        one.rules.clock.advance((approval.expires_at - one.service.now_ms()) / 1000 - 0.5)
        works = [
            one.decide(phone, approval),
            two.service.cancel(
                tenant_id=TENANT, approval_id=approval.id, word=AuditWord.BANK_APPROVAL_CANCEL
            ),
            run_out(),
        ]
        await at_once(works[turn % 3 :] + works[: turn % 3])
        final = await two.read(approval)
        assert (final.is_over, final.version) == (True, 2)
        assert ends(one, approval) == [f"approval.{final.state}"]
        assert (final.proof is not None) == (final.state is ApprovalState.APPROVED)


async def test_a_request_past_its_end_expires_once(nodes: list[Stage]) -> None:
    nodes[0].bind()
    approval = await nodes[0].ask()
    nodes[0].rules.clock.advance(60)
    reads = [node.service.read(tenant_id=TENANT, approval_id=approval.id) for node in nodes * 5]
    sweeps = [node.service.sweep() for node in nodes]
    seen = await at_once([*reads, *sweeps])
    assert {each.state for each in seen[: len(reads)]} == {ApprovalState.EXPIRED}
    assert ends(nodes[0], approval) == ["approval.expired"]


async def test_wrong_answers_take_five_tries_and_one_block(nodes: list[Stage]) -> None:
    stage = nodes[0]
    phone = stage.bind()
    waiting = [await stage.ask() for _ in range(3)]
    tries = zip(cycle(nodes), waiting * 20, strict=False)
    outcomes = await at_once([node.decide(phone, approval, is_right=False) for node, approval in tries])
    assert all(isinstance(each, Wrong | Approval) for each in outcomes)
    counter = await stage.counter(phone)
    assert (counter.round, counter.is_blocked) == (1, True)
    assert stage.rules.journal.events.count("binding.approvals-blocked") == 1
    assert min([(await stage.read(each)).tries_left for each in waiting]) >= 0


async def test_no_try_is_lost_where_nothing_was_counted_before(nodes: list[Stage]) -> None:
    for _ in range(ROUNDS):
        phone = nodes[0].bind(user=f"user-{len(nodes[0].others.phones)}")
        waiting = [await node.ask(user=phone.user) for node in nodes]
        pairs = zip(nodes, waiting, strict=True)
        await at_once([node.decide(phone, approval, is_right=False) for node, approval in pairs])
        assert [(await nodes[0].read(each)).tries_left for each in waiting] == [4, 4]
        assert (await nodes[0].counter(phone)).wrong == 2


async def test_a_right_answer_behind_the_block_does_not_slip_through(nodes: list[Stage]) -> None:
    one, two = nodes
    phone = one.bind()
    waiting = [await one.ask() for _ in range(5)]
    wrong = [
        node.decide(phone, approval, is_right=False)
        for node, approval in zip(cycle(nodes), waiting * 2, strict=False)
    ]
    await at_once([*wrong, two.decide(phone, waiting[-1])])
    assert ApprovalState.APPROVED not in {(await one.read(each)).state for each in waiting}


async def test_refusals_of_two_requests_are_both_remembered(nodes: list[Stage]) -> None:
    phone = nodes[0].bind()
    waiting = [await node.ask() for node in nodes]
    await at_once([node.decide(phone, each, "refuse") for node, each in zip(nodes, waiting, strict=True)])
    assert {(await nodes[0].read(each)).state for each in waiting} == {ApprovalState.REFUSED}
    with pytest.raises(Problem) as problem:
        await nodes[1].ask()
    assert problem.value.kind is ProblemCode.RATE_LIMITED


# Without a network


async def test_the_same_digits_many_times_count_once(nodes: list[Stage]) -> None:
    stage = nodes[0]
    phone = stage.bind()
    approval = await stage.ask()
    digits = phone.read_code(await show(stage, approval))
    answers = await at_once([type_in(node, approval, digits) for node in nodes * 25])
    assert sum(isinstance(each, Approval) for each in answers) == 1
    assert stage.rules.journal.words.count("phone:approval:approve") == 1
    assert (await stage.counter(phone)).offline_next == 1


async def test_a_count_serves_one_of_two_requests(nodes: list[Stage]) -> None:
    phone = nodes[0].bind()
    for turn in range(ROUNDS):
        waiting = [await node.ask() for node in nodes]
        codes = []
        for node, approval in zip(nodes, waiting, strict=True):
            phone.offline_count = turn  # as a copy of the phone has it
            codes.append(phone.read_code(await show(node, approval)))
        trios = zip(nodes, waiting, codes, strict=True)
        answers = await at_once([type_in(node, approval, code) for node, approval, code in trios])
        assert sum(isinstance(each, Approval) for each in answers) == 1
        assert (await nodes[0].counter(phone)).offline_next == turn + 1
        nodes[0].rules.clock.advance(60)


async def test_digits_and_an_answer_leave_one_end(nodes: list[Stage]) -> None:
    one, two = nodes
    phone, beside = one.bind(), one.bind()
    for turn in range(ROUNDS):
        approval = await one.ask()
        digits = phone.read_code(await show(two, approval, phone))
        works = [type_in(two, approval, digits), one.decide(beside, approval, "refuse")]
        await at_once(works[:: 1 if turn % 2 else -1])
        final = await one.read(approval)
        assert final.version == 2
        assert ends(one, approval) == [f"approval.{final.state}"]
        phone.offline_count = (await one.counter(phone)).offline_next
        one.rules.clock.advance(HOUR_S)


async def test_guesses_are_no_more_than_five(nodes: list[Stage]) -> None:
    stage = nodes[0]
    phone = stage.bind()
    approval = await stage.ask()
    digits = phone.read_code(await show(stage, approval))
    guesses = [other_than(digits, step) for step in range(1, 40)] + [digits]
    await at_once([type_in(node, approval, each) for node, each in zip(cycle(nodes), guesses, strict=False)])
    assert stage.rules.journal.words.count("customer:approval:wrong") == 5
    assert (await stage.read(approval)).state is ApprovalState.FAILED


async def test_guesses_at_several_requests_are_no_more_than_five(nodes: list[Stage]) -> None:
    stage = nodes[0]
    phone = stage.bind()
    waiting = [await stage.ask() for _ in range(5)]
    codes = [phone.read_code(await show(stage, approval)) for approval in waiting]
    pairs = list(zip(waiting, codes, strict=True))
    guesses = [(approval, other_than(code, step)) for step in range(1, 3) for approval, code in pairs]
    tries = zip(cycle(nodes), [*guesses, pairs[-1]], strict=False)
    await at_once([type_in(node, approval, each) for node, (approval, each) in tries])
    assert ApprovalState.APPROVED not in {(await stage.read(each)).state for each in waiting}
    assert (await stage.counter(phone)).round == 1


async def test_codes_that_are_drawn_leave_the_last_one_in_force(nodes: list[Stage]) -> None:
    phones = [nodes[0].bind(), nodes[0].bind()]
    approval = await nodes[0].ask()
    pairs = list(zip(cycle(nodes), phones * 10, strict=False))
    payloads = await at_once([show(node, approval, phone) for node, phone in pairs])
    assert [each for each in payloads if isinstance(each, Problem)] == []
    digits = [phone.read_code(await show(nodes[1], approval, phone)) for phone in phones]
    with pytest.raises(Problem) as problem:
        await type_in(nodes[0], approval, digits[0])
    assert problem.value.kind is ProblemCode.OFFLINE_ANSWER_WRONG
    assert (await type_in(nodes[0], approval, digits[1])).answered_by == phones[1].id


# What the bank asks


async def test_no_more_than_five_wait_for_a_customer(nodes: list[Stage]) -> None:
    nodes[0].bind()
    outcomes = await at_once([node.ask() for node in nodes * 10])
    assert sum(isinstance(each, Approval) for each in outcomes) == 5
    assert {each.kind for each in outcomes if isinstance(each, Problem)} == {ProblemCode.RATE_LIMITED}


async def test_one_key_makes_one_request(nodes: list[Stage]) -> None:
    nodes[0].bind()
    desks = [
        (node, Idempotency(storage=node.rules.storage, clock=node.rules.clock, random=system_random))
        for node in nodes
    ]
    outcomes = await at_once([create_by_key(node, keys) for node, keys in desks * 10])
    assert {each.kind for each in outcomes if isinstance(each, Problem)} <= {ProblemCode.CONFLICT}
    again = [await create_by_key(node, keys) for node, keys in desks]
    [made] = await nodes[0].service.browse(tenant_id=TENANT, wanted=ApprovalFilter(user=USER))
    assert {*again, *(each for each in outcomes if isinstance(each, str))} == {made.id}


async def create_by_key(node: Stage, keys: Idempotency) -> str:
    """Ask as the bank's POST does, always by the same key; return the request's id."""
    began = await keys.begin(
        key="one", credential="c", tenant_id=TENANT, route="POST /x", path="/x", body=b"{}"
    )
    if isinstance(began, Claim):
        with keys.covering(began):
            approval = await node.ask()
        await keys.finish(began, Answer(201, "text/plain", approval.id.encode()))
        return approval.id
    return began.body.decode()


async def test_an_approved_request_allows_one_further_phone(nodes: list[Stage]) -> None:
    phone = nodes[0].bind()
    approval = await nodes[0].ask(DeviceFields(mode="move", browser="Firefox", place=""))
    await nodes[1].decide(phone, approval)
    served = await at_once(
        [
            node.rules.storage.write(
                lambda tx, node=node: node.service.consume_device(
                    tx, tenant_id=TENANT, user=USER, approval_id=approval.id
                )
            )
            for node in nodes * 5
        ]
    )
    assert [each for each in served if not isinstance(each, Problem)] == [phone.id]
