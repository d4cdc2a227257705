"""The rules of approvals that need no database: states, the count of wrong answers, fatigue, policies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.approvals.asking import Asked, draw_numbers
from gateway.approvals.models import (
    DECISIONS,
    OVER,
    TRANSITIONS,
    ApprovalEvent,
    ApprovalState,
    Counter,
    CounterPolicy,
    Customer,
    FatiguePolicy,
    StepRefused,
    after_right,
    after_unwanted,
    after_wrong,
    is_next_block_final,
    next_state,
    wait_ms,
)
from gateway.approvals.policy import (
    DEFAULTS,
    Factors,
    NewPhone,
    Policy,
    StepUp,
    contradiction,
    factors_for,
    factors_of_phone,
    is_within,
    strictest,
)
from gateway.protocol.approval import FreeFields, PaymentFields

COUNTS, FATIGUE = CounterPolicy(), FatiguePolicy()
MINUTE = 60_000
BINDING, TENANT = "bnd_x", "ten_x"


def payment(amount: str, currency: str = "EUR") -> PaymentFields:
    return PaymentFields(amount=amount, currency=currency, payee="P", account="A", purpose="")


def wrong(counter: Counter, times: int, *, now_ms: int = 0) -> Counter:
    for _ in range(times):
        counter = after_wrong(counter, now_ms=now_ms, policy=COUNTS)
    return counter


@pytest.mark.parametrize("state", ApprovalState)
@pytest.mark.parametrize("event", ApprovalEvent)
def test_only_the_tables_steps_are_possible(state: ApprovalState, event: ApprovalEvent) -> None:
    if (state, event) in TRANSITIONS:
        assert next_state(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(StepRefused):
            next_state(state, event)


def test_nothing_leaves_an_end() -> None:
    assert not {start for start, _ in TRANSITIONS} & OVER
    assert {next_state(ApprovalState.PENDING, event) for event in DECISIONS.values()} <= OVER


def test_five_wrong_answers_block_for_a_while_then_longer_then_for_good() -> None:
    counter, now_ms = Counter(BINDING, TENANT), 0
    for minutes in (5, 10):
        assert not wrong(counter, 4, now_ms=now_ms).is_blocked
        counter = wrong(counter, 5, now_ms=now_ms)
        assert counter.blocked_until_ms == now_ms + minutes * MINUTE
        assert counter.is_blocked_at(now_ms + minutes * MINUTE - 1)
        now_ms += minutes * MINUTE
        assert not counter.is_blocked_at(now_ms)
    assert is_next_block_final(counter, COUNTS)
    counter = wrong(counter, 5, now_ms=now_ms)
    assert (counter.is_blocked, counter.blocked_until_ms) == (True, None)
    assert counter.is_blocked_at(now_ms + 10**12)


def test_the_block_before_the_last_is_the_one_that_says_so() -> None:
    first = wrong(Counter(BINDING, TENANT), 5)
    assert not is_next_block_final(first, COUNTS)
    assert is_next_block_final(wrong(first, 5, now_ms=5 * MINUTE), COUNTS)


def test_wrong_answers_on_their_way_when_a_block_comes_do_not_lead_to_the_next() -> None:
    assert wrong(Counter(BINDING, TENANT), 100) == wrong(Counter(BINDING, TENANT), 5)


@given(st.lists(st.tuples(st.integers(0, 20 * MINUTE), st.booleans()), max_size=60))
def test_never_more_than_five_wrong_answers_between_blocks(steps: list[tuple[int, bool]]) -> None:
    counter, now_ms, row = Counter(BINDING, TENANT), 0, 0
    for wait, is_wrong in steps:
        now_ms += wait
        if counter.is_blocked_at(now_ms):
            continue
        counter = after_wrong(counter, now_ms=now_ms, policy=COUNTS) if is_wrong else after_right(counter)
        row = row + 1 if is_wrong else 0
        assert (row == COUNTS.tries) == counter.is_blocked_at(now_ms)
        if counter.is_blocked_at(now_ms):
            row = 0


def test_a_right_answer_or_the_bank_forgets_all() -> None:
    counter = wrong(Counter(BINDING, TENANT, offline_next=7), 5)
    assert after_right(counter) == Counter(BINDING, TENANT, offline_next=7)


def test_requests_slow_down_from_the_second_that_was_not_wanted() -> None:
    customer, waits = Customer(TENANT, "u"), []
    for _ in range(9):
        customer = after_unwanted(customer, ApprovalEvent.REFUSE, now_ms=0, policy=FATIGUE)
        waits.append(wait_ms(customer, now_ms=0, policy=FATIGUE) // 1000)
    assert waits == [0, 30, 60, 120, 240, 480, 900, 900, 900]
    assert wait_ms(customer, now_ms=899_000, policy=FATIGUE) == 1_000
    assert wait_ms(customer, now_ms=900_000, policy=FATIGUE) == 0


def test_a_report_counts_twice_and_an_hour_forgets() -> None:
    customer = after_unwanted(Customer(TENANT, "u"), ApprovalEvent.REPORT, now_ms=0, policy=FATIGUE)
    assert customer.unwanted == 2
    later = after_unwanted(customer, ApprovalEvent.EXHAUST, now_ms=60 * MINUTE, policy=FATIGUE)
    assert later.unwanted == 1


def test_defaults_are_those_that_are_written_down() -> None:
    assert {kind: (each.factors.value, each.via, each.life_s) for kind, each in DEFAULTS.items()} == {
        "login": ("either", "both", 60),
        "payment": ("either", "both", 60),
        "contact": ("pin", "both", 60),
        "free": ("either", "both", 60),
        "device": ("pin", "online", 120),
    }
    assert [kind for kind, each in DEFAULTS.items() if each.number_match] == ["login"]


@pytest.mark.parametrize(
    ("amount", "currency", "factors"),
    [
        ("100.00", "EUR", Factors.POSSESSION),
        ("100.001", "EUR", Factors.EITHER),
        ("1000", "EUR", Factors.EITHER),
        ("1000.01", "EUR", Factors.BIOMETRIC),
        ("99999999", "CHF", Factors.POSSESSION),
        ("9.5", "CHF", Factors.POSSESSION),
    ],
)
def test_larger_payments_need_more(amount: str, currency: str, factors: Factors) -> None:
    steps = [
        StepUp("1000.00", "EUR", Factors.BIOMETRIC),
        StepUp("100", "EUR", Factors.EITHER),
    ]
    policy = Policy(factors=Factors.POSSESSION, step_up=steps)
    assert factors_for(policy, payment(amount, currency)) is factors


def test_a_step_never_asks_for_less_than_the_policy() -> None:
    policy = Policy(factors=Factors.PIN, step_up=[StepUp("1", "EUR", Factors.POSSESSION)])
    assert factors_for(policy, payment("5")) is Factors.PIN
    assert strictest([]) is Factors.POSSESSION


@pytest.mark.parametrize(
    ("factors", "without", "with_one"),
    [
        (Factors.POSSESSION, ("possession",), ("possession",)),
        (Factors.PIN, ("pin",), ("pin",)),
        (Factors.BIOMETRIC, ("pin",), ("biometric",)),
        (Factors.EITHER, ("pin",), ("pin", "biometric")),
    ],
)
def test_factors_of_a_phone(factors: Factors, without: tuple[str, ...], with_one: tuple[str, ...]) -> None:
    assert factors_of_phone(factors, has_biometric=False) == without
    assert factors_of_phone(factors, has_biometric=True) == with_one


def test_a_new_phone_has_limits_of_amount_and_count_for_its_first_hours() -> None:
    policy, hour = Policy(new_phone=NewPhone(hours=24, max_amount="1000.00", max_count=2)), 60 * MINUTE
    assert is_within(policy, payment("1000"), age_ms=0, approved=1)
    assert not is_within(policy, payment("1000.01"), age_ms=0, approved=0)
    assert not is_within(policy, payment("1"), age_ms=24 * hour - 1, approved=2)
    assert is_within(policy, payment("5000"), age_ms=24 * hour, approved=99)
    assert is_within(policy, FreeFields(title="T", text="T"), age_ms=0, approved=0)
    open_policy = Policy(new_phone=NewPhone(hours=24, max_amount=None, max_count=None))
    assert is_within(open_policy, payment("999999"), age_ms=0, approved=999)


def test_policies_that_contradict_themselves_are_told() -> None:
    step = [StepUp("1", "EUR", Factors.BIOMETRIC)]
    assert contradiction(Policy(step_up=step), "payment") is None
    assert contradiction(Policy(step_up=step), "login") is not None
    assert contradiction(Policy(step_up=step, via="offline"), "payment") is not None
    assert contradiction(Policy(factors=Factors.BIOMETRIC, via="offline"), "free") is not None
    for kind, policy in DEFAULTS.items():
        assert contradiction(policy, kind) is None


@given(st.binary(min_size=64, max_size=64))
def test_the_number_is_one_of_three_different_ones(draws: bytes) -> None:
    if len({10 + draw % 90 for draw in draws if draw < 180}) < 3:
        return
    asked = Asked(DEFAULTS["login"], Factors.EITHER, (), is_reported=False)
    match, number, numbers = draw_numbers(draws, asked)
    assert match == "choose"
    assert number in numbers
    assert len(set(numbers)) == 3
    assert all(10 <= each <= 99 for each in numbers)
    assert list(numbers) == sorted(numbers)  # its place tells nothing


def test_after_a_report_the_number_is_typed_with_nothing_to_choose_from() -> None:
    asked = Asked(Policy(), Factors.PIN, (), is_reported=True)
    match, number, numbers = draw_numbers(bytes(range(64)), asked)
    assert (match, numbers) == ("type", ())
    assert number is not None
