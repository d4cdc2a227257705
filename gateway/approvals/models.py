"""A request for approval as data, with its states and the table of their changes, and the count of wrong answers of one
phone. The services call the functions here; nothing reads a clock or a database."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

import msgspec
from msgspec.structs import replace

from gateway.approvals.policy import Factors
from gateway.protocol.messages import Decision, Factor, NumberMatch

TRIES = 5
"""Answers to one request that may be wrong; on the channel one alone where a number is matched, since it is a guess of
three."""


class ApprovalState(StrEnum):
    """Where a request stands."""

    PENDING = "pending"
    APPROVED = "approved"
    REFUSED = "refused"
    REPORTED = "reported"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class ApprovalEvent(StrEnum):
    """What moves it."""

    APPROVE = "approve"
    REFUSE = "refuse"
    REPORT = "report"
    EXHAUST = "exhaust"
    EXPIRE = "expire"
    CANCEL = "cancel"


_S, _E = ApprovalState, ApprovalEvent

TRANSITIONS: dict[tuple[ApprovalState, ApprovalEvent], ApprovalState] = {
    (_S.PENDING, _E.APPROVE): _S.APPROVED,
    (_S.PENDING, _E.REFUSE): _S.REFUSED,
    (_S.PENDING, _E.REPORT): _S.REPORTED,
    (_S.PENDING, _E.EXHAUST): _S.FAILED,
    (_S.PENDING, _E.EXPIRE): _S.EXPIRED,
    (_S.PENDING, _E.CANCEL): _S.CANCELLED,
}
"""(from, event) → to. Drawn in README.md."""

OVER = frozenset(ApprovalState) - {_S.PENDING}
"""States that nothing leaves."""

DECISIONS: Mapping[Decision, ApprovalEvent] = MappingProxyType(
    {"approve": _E.APPROVE, "refuse": _E.REFUSE, "report": _E.REPORT}
)
"""What each decision of the customer does."""


class Via(StrEnum):
    """How an answer came."""

    CHANNEL = "channel"
    OFFLINE = "offline"


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `statement` is what the customer reads and signs; `binding_id` the one phone that the bank named
    (None: all of the customer's), `asked` those that may answer. `number` is on the desktop, `numbers` what the phone
    offers. `answered_by`, `factor`, `via` and `proof` (encoded, `gateway.protocol.proof`) are those of the answer that
    counts; `ended_at` is there once it is over, whichever way. `served` says that an approved request has allowed a
    further phone. Times are Unix milliseconds."""

    id: str
    tenant_id: str
    user: str
    type: str
    state: ApprovalState
    statement: bytes
    factors: Factors
    is_online: bool
    is_offline: bool
    number_match: NumberMatch
    number: int | None
    numbers: tuple[int, ...]
    binding_id: str | None
    asked: tuple[str, ...]
    tries_left: int
    created_at: int
    expires_at: int
    ended_at: int | None
    answered_by: str | None
    factor: Factor | None
    via: Via | None
    proof: bytes | None
    served: bool
    version: int

    @property
    def is_over(self) -> bool:
        """Whether nothing can change any more."""
        return self.state in OVER

    @property
    def answered_at(self) -> int | None:
        """When the answer that counts came, Unix milliseconds."""
        return None if self.answered_by is None else self.ended_at

    def is_for(self, binding_id: str) -> bool:
        """Whether a phone is asked on its channel."""
        return self.is_online and binding_id in self.asked


class StepRefused(Exception):
    """The table has no such step from where the request stands."""


def next_state(state: ApprovalState, event: ApprovalEvent) -> ApprovalState:
    """Return where an event leads. Raises `StepRefused`."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise StepRefused(f"{event} is not possible while {state}") from None


class Counter(msgspec.Struct, frozen=True):
    """Wrong answers of one phone since its last right one. `round` counts the blocks since then; `blocked_until_ms` is
    None while it is open, or when only the bank unblocks; `offline_next` is the lowest count of its offline answers
    that was not used."""

    binding_id: str
    tenant_id: str
    wrong: int = 0
    round: int = 0
    is_blocked: bool = False
    blocked_until_ms: int | None = None
    offline_next: int = 0
    version: int = 0

    def is_blocked_at(self, now_ms: int) -> bool:
        """Whether this phone may not answer now."""
        return self.is_blocked and (self.blocked_until_ms is None or now_ms < self.blocked_until_ms)


@dataclass(frozen=True, slots=True)
class CounterPolicy:
    """Wrong answers in a row, and seconds of each block; after the last block only the bank unblocks (PSD2 RTS
    article 4(3)(b))."""

    tries: int = 5
    blocks_s: tuple[int, ...] = field(default=(300, 600))


def after_wrong(counter: Counter, *, now_ms: int, policy: CounterPolicy) -> Counter:
    """Return the count with one wrong answer more. While the phone is blocked nothing more is counted: answers that
    were on their way when the block came do not lead to the next one."""
    if counter.is_blocked_at(now_ms):
        return counter
    if counter.is_blocked:
        counter = replace(counter, is_blocked=False, blocked_until_ms=None, wrong=0)
    wrong = counter.wrong + 1
    if wrong < policy.tries:
        return replace(counter, wrong=wrong)
    is_last = counter.round >= len(policy.blocks_s)
    until = None if is_last else now_ms + policy.blocks_s[counter.round] * 1000
    return replace(counter, wrong=wrong, round=counter.round + 1, is_blocked=True, blocked_until_ms=until)


def after_right(counter: Counter) -> Counter:
    """Return the count after a right answer, or after the bank has unblocked the phone."""
    return replace(counter, wrong=0, round=0, is_blocked=False, blocked_until_ms=None)


def is_next_block_final(counter: Counter, policy: CounterPolicy) -> bool:
    """Whether the next block would be one that only the bank lifts: the customer is told before it comes."""
    return counter.round >= len(policy.blocks_s)


class Customer(msgspec.Struct, frozen=True):
    """What is remembered of a customer between requests: `unwanted` requests in a row that were refused, reported or
    failed, the last at `unwanted_at`; and whether a login was reported, so that the next one asks for more."""

    tenant_id: str
    user: str
    unwanted: int = 0
    unwanted_at: int = 0
    is_reported: bool = False


@dataclass(frozen=True, slots=True)
class FatiguePolicy:
    """How requests that a customer did not want slow down those that follow, seconds; `forget_s` after the last all is
    forgotten. `told_from` is the count from which the bank hears of each."""

    first_s: int = 30
    longest_s: int = 900
    forget_s: int = 3_600
    told_from: int = 3
    pending: int = 5


def wait_ms(customer: Customer, *, now_ms: int, policy: FatiguePolicy) -> int:
    """Return how long the next request has to wait, milliseconds."""
    if customer.unwanted < 2 or now_ms - customer.unwanted_at >= policy.forget_s * 1000:
        return 0
    seconds: int = min(policy.first_s << min(customer.unwanted - 2, 10), policy.longest_s)
    return max(0, customer.unwanted_at + seconds * 1000 - now_ms)


def after_unwanted(
    customer: Customer, event: ApprovalEvent, *, now_ms: int, policy: FatiguePolicy
) -> Customer:
    """Return what is remembered after a request that was refused, reported (which counts twice) or failed."""
    is_old = now_ms - customer.unwanted_at >= policy.forget_s * 1000
    count = (0 if is_old else customer.unwanted) + (2 if event is ApprovalEvent.REPORT else 1)
    return replace(customer, unwanted=count, unwanted_at=now_ms)
