"""What a bank asks for each type of request: which factors, online or offline, how long, whether a number is matched,
more for larger payments, and less trust in a phone that was bound a moment ago. Pure: the service asks here, the routes
read and write it as JSON."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.protocol.approval import Fields, PaymentFields, StatementType
from gateway.protocol.messages import Factor

_AMOUNT = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,3})?$(?!\n)"
Amount = Annotated[
    str, Meta(max_length=19, pattern=_AMOUNT, description="A decimal number, such as 1000.00.")
]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)", description="ISO 4217.")]


class Factors(StrEnum):
    """What is needed to approve. `either` is the PIN, or the fingerprint or face where the phone has one; `biometric`
    falls back to the PIN where it has none."""

    POSSESSION = "possession"
    EITHER = "either"
    BIOMETRIC = "biometric"
    PIN = "pin"


_STRENGTH = {Factors.POSSESSION: 0, Factors.EITHER: 1, Factors.BIOMETRIC: 2, Factors.PIN: 2}


Via = Literal["online", "offline", "both"]
LifeSeconds = Annotated[int, Meta(ge=10, le=600, description="Life of a request, seconds.")]


class StepUp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Payments above an amount in a currency need these factors."""

    above: Amount
    currency: Currency
    factors: Factors


Steps = Annotated[list[StepUp], Meta(max_length=20)]
LONGEST_NEW_HOURS = 168
"""The most that a policy may call a phone new."""
NewHours = Annotated[int, Meta(ge=0, le=LONGEST_NEW_HOURS)]
NewCount = Annotated[int, Meta(ge=0, le=1_000)]


class NewPhone(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Limits of a phone in its first hours: the largest payment, whatever its currency, and how many requests it may
    approve (null: no limit)."""

    hours: NewHours = 24
    max_amount: Amount | None = "1000.00"
    max_count: NewCount | None = 10


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How one type of request is approved."""

    factors: Factors = Factors.EITHER
    via: Via = "both"
    life_s: LifeSeconds = 60
    number_match: bool = False
    step_up: Steps = msgspec.field(default_factory=list)
    new_phone: NewPhone = NewPhone()


DEFAULTS: Mapping[StatementType, Policy] = MappingProxyType(
    {
        "login": Policy(number_match=True, new_phone=NewPhone(hours=0)),
        "payment": Policy(),
        "contact": Policy(factors=Factors.PIN),
        "free": Policy(),
        "device": Policy(factors=Factors.PIN, via="online", life_s=120),
    }
)


def contradiction(policy: Policy, kind: StatementType) -> str | None:
    """Return what is wrong with a policy that nobody could fulfil, or of which a part would never count."""
    if kind != "payment" and policy.step_up:
        return "step_up: payments alone have an amount"
    factors = [policy.factors, *(step.factors for step in policy.step_up)]
    if policy.via == "offline" and Factors.BIOMETRIC in factors:
        return "factors: an answer without a network is made with the PIN"
    return None


def factors_for(policy: Policy, fields: Fields) -> Factors:
    """Return what a request needs: the policy's factors, or those of the strictest step whose amount it exceeds."""
    if not isinstance(fields, PaymentFields):
        return policy.factors
    amount = Decimal(fields.amount)
    steps = [
        step.factors
        for step in policy.step_up
        if step.currency == fields.currency and amount > Decimal(step.above)
    ]
    return strictest([policy.factors, *steps])


def strictest(wanted: Iterable[Factors]) -> Factors:
    """Return the strictest of some; of the PIN and biometrics, which are alike, the later one."""
    chosen = Factors.POSSESSION
    for each in wanted:
        if _STRENGTH[each] >= _STRENGTH[chosen]:
            chosen = each
    return chosen


def factors_of_phone(factors: Factors, *, has_biometric: bool) -> tuple[Factor, ...]:
    """Return the factors of which a phone needs one, the PIN before biometrics."""
    match factors:
        case Factors.POSSESSION:
            return ("possession",)
        case Factors.BIOMETRIC if has_biometric:
            return ("biometric",)
        case Factors.EITHER if has_biometric:
            return ("pin", "biometric")
        case _:
            return ("pin",)


def is_within(policy: Policy, fields: Fields, *, age_ms: int, approved: int) -> bool:
    """Whether a phone of that age, which has approved so many requests since it was bound, may approve this one."""
    new = policy.new_phone
    if age_ms >= new.hours * 3_600_000:
        return True
    if new.max_count is not None and approved >= new.max_count:
        return False
    if new.max_amount is None or not isinstance(fields, PaymentFields):
        return True
    return Decimal(fields.amount) <= Decimal(new.max_amount)
