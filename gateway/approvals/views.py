"""The JSON of requests: what the bank's orders may say and what answers hold. The routes build and read these."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from gateway.approvals.models import Approval, ApprovalState, Via
from gateway.approvals.policy import (
    Amount,
    Factors,
    LifeSeconds,
    NewCount,
    NewHours,
    NewPhone,
    Policy,
    Steps,
)
from gateway.approvals.policy import Via as PolicyVia
from gateway.approvals.ports import IssuedToken
from gateway.codes import Form
from gateway.core.errors import Problem, ProblemCode
from gateway.core.secrets import repr_without
from gateway.http.pages import PageParams
from gateway.protocol.approval import (
    FIELD_TYPES,
    Fields,
    StatementType,
)
from gateway.protocol.messages import Factor, NumberMatch

# `$` alone lets one line break through; \Z is no ECMA-262, which OpenAPI wants.
_PRINTABLE = r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f]*$(?!\n)"
User = Annotated[
    str,
    Meta(
        min_length=1, max_length=128, pattern=_PRINTABLE, description="The bank's own name for the customer."
    ),
]
BindingId = Annotated[str, Meta(max_length=40)]


class NewApproval(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to ask. `fields` are those of `type`: login {browser, place}; payment {amount, currency, payee, account,
    purpose}; contact {kind, value, previous}; free {title, text}; device {mode, browser, place}. `binding` names one
    phone; without it all of the customer's are asked, and the first answer counts. `life_s` shortens the policy's."""

    user: User
    type: StatementType
    fields: dict[str, str]
    binding: BindingId | None = None
    life_s: Annotated[int, Meta(ge=10, le=600)] | None = None

    def typed_fields(self) -> Fields:
        """Return the fields of the type. Raises Problem(INVALID_REQUEST) naming the member."""
        try:
            return msgspec.convert(self.fields, _FIELDS[self.type])
        except msgspec.ValidationError as error:
            place = str(error).rpartition(" - at ")[2].replace("$", "$.fields", 1).strip("`")
            what = (
                "missing or unknown" if "missing" in str(error) or "unknown" in str(error) else "does not fit"
            )
            raise Problem(
                ProblemCode.INVALID_REQUEST,
                f"{place}: {what} (a text of the length that its type allows, without hidden characters)",
            ) from error


_FIELDS: dict[StatementType, type[Fields]] = {kind: struct for struct, kind in FIELD_TYPES.items()}


class OfflineWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which phone the code is for (the customer's first that may answer, unless named), and its form."""

    binding: BindingId | None = None
    form: Form = Form.COLOUR


class OfflineDigits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The eight digits that the phone shows."""

    code: Annotated[str, Meta(pattern=r"^[0-9](?:[ -]?[0-9]){7}$(?!\n)")]

    def __repr__(self) -> str:
        return repr_without(self, "code")


class ApprovalParams(PageParams, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Filters of the list."""

    user: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    state: ApprovalState | None = None
    type: StatementType | None = None


class ApprovalBody(msgspec.Struct, frozen=True, kw_only=True):
    """A request. `number` is shown beside "Look at your phone" while the request waits, where one is matched. `offline`
    says whether a code for a phone without a network can be had."""

    id: str
    user: str
    type: StatementType
    fields: dict[str, str]
    state: ApprovalState
    number: int | None
    number_match: NumberMatch
    created_at: datetime
    expires_at: datetime
    answered_at: datetime | None
    binding: str | None
    factor: Factor | None
    via: Via | None
    tries_left: int
    online: bool
    offline: bool


class StartedApproval(msgspec.Struct, frozen=True):
    """A request, and the token that lets the customer's page follow it."""

    approval: ApprovalBody
    page_token: str
    page_token_expires_at: datetime

    def __repr__(self) -> str:
        return repr_without(self, "page_token")


class ApprovalList(msgspec.Struct, frozen=True):
    """A page of requests, newest first."""

    items: list[ApprovalBody]
    next_cursor: str | None


class AltText(msgspec.Struct, frozen=True):
    """What a screen reader says of a code."""

    fr: str
    en: str


class PhoneBody(msgspec.Struct, frozen=True):
    """A phone that a code can be for."""

    id: str
    name: str


class OfflineCodeBody(msgspec.Struct, frozen=True, kw_only=True):
    """A code that carries the whole request, sealed for one phone."""

    form: Form
    svg: str
    alt: AltText
    link: str
    binding: str
    name: str
    expires_at: datetime
    bindings: list[PhoneBody]

    def __repr__(self) -> str:
        return repr_without(self, "svg", "link")


class NewPhoneWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Limits of a phone in its first hours (null: no limit)."""

    hours: NewHours
    max_amount: Amount | None
    max_count: NewCount | None


class PolicyWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole policy, as reading one tells it: what is left out would else be made weaker by nobody's decision."""

    factors: Factors
    via: PolicyVia
    life_s: LifeSeconds
    number_match: bool
    step_up: Steps
    new_phone: NewPhoneWish

    def whole(self) -> Policy:
        """Return it as the rules know it."""
        new = self.new_phone
        return Policy(
            factors=self.factors,
            via=self.via,
            life_s=self.life_s,
            number_match=self.number_match,
            step_up=self.step_up,
            new_phone=NewPhone(hours=new.hours, max_amount=new.max_amount, max_count=new.max_count),
        )


class PolicyList(msgspec.Struct, frozen=True):
    """How each type of request is approved."""

    login: Policy
    payment: Policy
    contact: Policy
    free: Policy
    device: Policy


class _Kept(msgspec.Struct, frozen=True):
    """What the answers say of a statement. Its form was checked when it was written, and is where it is signed."""

    type: StatementType
    fields: dict[str, str]


_read_kept = msgspec.json.Decoder(_Kept).decode


def moment(millis: int) -> datetime:
    """Return a moment of Unix milliseconds in UTC."""
    return datetime.fromtimestamp(millis / 1000, UTC)


def body(approval: Approval) -> ApprovalBody:
    """Return what may be told of a request."""
    statement = _read_kept(approval.statement)
    answered = approval.answered_at
    return ApprovalBody(
        id=approval.id,
        user=approval.user,
        type=statement.type,
        fields=statement.fields,
        state=approval.state,
        number=None if approval.is_over else approval.number,
        number_match=approval.number_match,
        created_at=moment(approval.created_at),
        expires_at=moment(approval.expires_at),
        answered_at=None if answered is None else moment(answered),
        binding=approval.answered_by or approval.binding_id,
        factor=approval.factor,
        via=approval.via,
        tries_left=approval.tries_left,
        online=approval.is_online,
        offline=approval.is_offline and not approval.is_over,
    )


def started(approval: Approval, token: IssuedToken) -> StartedApproval:
    """Return the answer to an order."""
    return StartedApproval(body(approval), token.text, moment(token.principal.expires_at))
