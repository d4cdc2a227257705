"""Who may be asked, by what, and in which words: read when a request is made, inside its transaction. What it finds
stays with the request; only blocks and the limits of a new phone are looked at again when an answer comes."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.approvals import policy_store, store
from gateway.approvals.models import (
    Approval,
    Counter,
    Customer,
    FatiguePolicy,
    wait_ms,
)
from gateway.approvals.policy import (
    DEFAULTS,
    LONGEST_NEW_HOURS,
    Factors,
    Policy,
    factors_for,
    is_within,
    strictest,
)
from gateway.approvals.ports import Phone, Phones
from gateway.core.errors import Problem, ProblemCode
from gateway.core.secrets import RandomSource
from gateway.core.transaction import Transaction
from gateway.protocol.approval import FIELD_TYPES, Fields, StatementType, make_statement, parse_statement
from gateway.protocol.errors import MalformedMessage
from gateway.protocol.messages import NumberMatch

NONCE_BYTES = 16
LONGEST_LIFE_S = 600
NUMBERS = 3
LONGEST_NEW_MS = LONGEST_NEW_HOURS * 3_600_000
"""From this age on no policy limits a phone for being new."""
DRAW_BYTES = 64
"""Random bytes from which the numbers are drawn: seven in ten give one, so that three are found."""

_BEYOND = "the phone was bound a short while ago, and this is beyond what it may approve yet"
_BEYOND_STEP = "Ask for less, wait until the phone's first hours are over, or ask in another way."


@dataclass(frozen=True, slots=True)
class ApprovalOrder:
    """What a bank asks for. `binding_id` names one phone; without it all of the customer's are asked. `life_s` is at
    most the policy's."""

    tenant_id: str
    user: str
    fields: Fields
    binding_id: str | None = None
    life_s: int | None = None

    @property
    def kind(self) -> StatementType:
        """The type of the request."""
        return FIELD_TYPES[type(self.fields)]


@dataclass(frozen=True, slots=True)
class Asked:
    """How a request is asked: by which policy, factors and phones, and whether a login was reported before it."""

    policy: Policy
    factors: Factors
    phones: Sequence[Phone]
    is_reported: bool


class Asking:
    """One for the process."""

    def __init__(self, *, phones: Phones, fatigue: FatiguePolicy) -> None:
        self._phones = phones
        self._fatigue = fatigue

    def ask(self, tx: Transaction, order: ApprovalOrder, now_ms: int) -> Asked:
        """Find out who may answer and by what. Raises Problem(RATE_LIMITED), Problem(NO_PHONE)."""
        policy = policy_of(tx, order.tenant_id, order.kind)
        customer = store.find_customer(tx, tenant_id=order.tenant_id, user=order.user)
        pending = find_pending(tx, order.tenant_id, order.user, now_ms)
        self._refuse_too_many(customer, pending, now_ms)
        phones = self.who_may_answer(tx, order, policy, now_ms)
        is_reported = customer is not None and customer.is_reported and order.kind == "login"
        factors = factors_for(policy, order.fields)
        if is_reported:
            factors = strictest([factors, Factors.PIN])
        return Asked(policy, factors, phones, is_reported)

    def _refuse_too_many(self, customer: Customer | None, pending: Sequence[Approval], now_ms: int) -> None:
        if len(pending) >= self._fatigue.pending:
            retry = max(1, -(-(min(each.expires_at for each in pending) - now_ms) // 1000))
            raise Problem(
                ProblemCode.RATE_LIMITED, "too many requests wait for this customer", retry_after=retry
            )
        wait = 0 if customer is None else wait_ms(customer, now_ms=now_ms, policy=self._fatigue)
        if wait:
            raise Problem(
                ProblemCode.RATE_LIMITED,
                "this customer refused the last requests: ask whether somebody else makes them",
                retry_after=-(-wait // 1000),
            )

    def who_may_answer(
        self, tx: Transaction, order: ApprovalOrder, policy: Policy, now_ms: int
    ) -> list[Phone]:
        """Return the phones that may answer. Raises Problem(NO_PHONE) saying why none may."""
        found = self._phones.of_user(tx, tenant_id=order.tenant_id, user=order.user)
        found = [phone for phone in found if order.binding_id in (None, phone.id)]
        if not found:
            raise Problem(ProblemCode.NO_PHONE, "this customer has bound no such phone")
        active = [phone for phone in found if phone.state == "active"]
        if not active:
            raise Problem(ProblemCode.NO_PHONE, "every phone of this customer is suspended")
        counters = store.find_counters(
            tx, tenant_id=order.tenant_id, binding_ids=[phone.id for phone in active]
        )
        free = [phone for phone in active if not _is_blocked(counters.get(phone.id), now_ms)]
        if not free:
            raise Problem(ProblemCode.NO_PHONE, "every phone of this customer is blocked after wrong answers")
        allowed = [phone for phone in free if _is_allowed(tx, phone, policy, order.fields, now_ms)]
        if not allowed:
            raise Problem(ProblemCode.NO_PHONE, _BEYOND, next_step=_BEYOND_STEP)
        return allowed

    def candidates(self, tx: Transaction, approval: Approval, now_ms: int) -> list[Phone]:
        """Return those phones of a request that may still answer. Raises Problem(NO_PHONE)."""
        fields = parse_statement(approval.statement).fields
        order = ApprovalOrder(approval.tenant_id, approval.user, fields, approval.binding_id)
        policy = policy_of(tx, approval.tenant_id, order.kind)
        found = self.who_may_answer(tx, order, policy, now_ms)
        return [phone for phone in found if phone.id in approval.asked]

    def check_allowed(self, tx: Transaction, phone: Phone, approval: Approval, now_ms: int) -> None:
        """Check in the transaction of an answer that the phone has not used its first hours' count up since it was
        asked. Raises Problem(NO_PHONE)."""
        if now_ms - phone.added_at >= LONGEST_NEW_MS:
            return
        fields = parse_statement(approval.statement).fields
        policy = policy_of(tx, approval.tenant_id, FIELD_TYPES[type(fields)])
        if not _is_allowed(tx, phone, policy, fields, now_ms):
            raise Problem(ProblemCode.NO_PHONE, _BEYOND, next_step=_BEYOND_STEP)


def policy_of(tx: Transaction, tenant_id: str, kind: StatementType) -> Policy:
    """Return the policy in force of one type."""
    return policy_store.find_policies(tx, tenant_id).get(kind) or DEFAULTS[kind]


def find_pending(tx: Transaction, tenant_id: str, user: str, now_ms: int) -> list[Approval]:
    """Return a customer's requests that wait, oldest first."""
    return store.find_pending(
        tx, tenant_id=tenant_id, user=user, now_ms=now_ms, life_ms=LONGEST_LIFE_S * 1000
    )


def write_statement(
    order: ApprovalOrder, raw: bytes, random: RandomSource, *, bank: str, created_s: int, life_s: int
) -> bytes:
    """Return the bytes that the customer reads and signs; `raw` is the request's id, 16 bytes. Raises
    Problem(INVALID_REQUEST)."""
    try:
        return make_statement(
            order.fields,
            id=raw,
            bank=bank,
            user=order.user,
            created=created_s,
            expires=created_s + life_s,
            nonce=random(NONCE_BYTES),
        )
    except MalformedMessage as error:
        raise Problem(
            ProblemCode.INVALID_REQUEST, "user or fields: a text hides something, or all of them are too long"
        ) from error


def draw_numbers(draws: bytes, asked: Asked) -> tuple[NumberMatch, int | None, tuple[int, ...]]:
    """Return how a number is matched, the one on the desktop, and what the phone offers. `draws` are DRAW_BYTES random
    bytes. After a reported login the number is typed: there is nothing to choose from by chance."""
    if not asked.policy.number_match and not asked.is_reported:
        return "none", None, ()
    numbers: list[int] = []
    for draw in draws:
        number = 10 + draw % 90
        if draw < 180 and number not in numbers:  # 180 = 2 x 90: no number is likelier than another
            numbers.append(number)
    chosen, offered = numbers[0], numbers[:NUMBERS]
    if asked.is_reported:
        return "type", chosen, ()
    return "choose", chosen, tuple(sorted(offered))


def _is_blocked(counter: Counter | None, now_ms: int) -> bool:
    return counter is not None and counter.is_blocked_at(now_ms)


def _is_allowed(tx: Transaction, phone: Phone, policy: Policy, fields: Fields, now_ms: int) -> bool:
    age_ms = now_ms - phone.added_at
    if age_ms >= policy.new_phone.hours * 3_600_000:
        return True
    approved = store.count_approved(tx, phone.id, kind=FIELD_TYPES[type(fields)])
    return is_within(policy, fields, age_ms=age_ms, approved=approved)
