"""The HTTP face of approvals: the bank's API, and the customer's page with a token for one request. Parse, call the
service, answer."""

from dataclasses import dataclass
from typing import Any, get_args

from gateway.approvals import views
from gateway.approvals.asking import ApprovalOrder
from gateway.approvals.models import Approval
from gateway.approvals.offline import OfflineService, OfflineView
from gateway.approvals.policy import Policy
from gateway.approvals.service import ApprovalFilter, ApprovalService
from gateway.codes import Form, PayloadTooLong, alt_text, render, to_svg
from gateway.core.errors import Problem, ProblemCode
from gateway.core.events import AuditWord
from gateway.core.principals import PagePrincipal
from gateway.http.hosts import Hosts
from gateway.http.limits import RateLimiter
from gateway.http.pages import decode_cursor, next_cursor
from gateway.http.routing import ApiRequest, Auth, Route
from gateway.protocol.approval import StatementType
from gateway.protocol.code import make_link
from gateway.settings import RateLimit

_TAG, _LIST = "approvals", "approvals"
_READ, _WRITE = "approvals:read", "approvals:write"
_ONE = "/api/v1/approvals/{id}"
_BY_PAGES: dict[str, Any] = {"auth": Auth.EITHER, "tag": _TAG, "cross_origin": True}
_ENDED = (ProblemCode.NOT_FOUND, ProblemCode.APPROVAL_ENDED, ProblemCode.CONFLICT)
_KINDS: tuple[StatementType, ...] = get_args(StatementType)
CREATIONS = RateLimit(20, 60)
"""Requests that one customer is asked, on this node."""


@dataclass(frozen=True, slots=True)
class ApprovalFace:
    """What the routes answer with."""

    hosts: Hosts
    scheme: str
    service: ApprovalService
    offline: OfflineService
    limiter: RateLimiter


def _approval_of(request: ApiRequest) -> str:
    """Return the request that the path names. Raises Problem(NOT_FOUND) when a page token is for another."""
    approval_id = request.match["id"]
    if isinstance(request.principal, PagePrincipal) and request.principal.approval_id != approval_id:
        raise Problem(ProblemCode.NOT_FOUND, "there is no such request")
    return approval_id


class _Handlers:
    """What bank and page may do."""

    def __init__(self, face: ApprovalFace) -> None:
        self._face = face

    async def create(self, request: ApiRequest) -> views.StartedApproval:
        """Ask a customer."""
        wish: views.NewApproval = request.body
        caller = f"{request.tenant_id} {wish.user}"
        self._face.limiter.take("approvals", caller, CREATIONS).check()
        order = ApprovalOrder(
            tenant_id=request.tenant_id,
            user=wish.user,
            fields=wish.typed_fields(),
            binding_id=wish.binding,
            life_s=wish.life_s,
        )
        return views.started(*await self._face.service.create(order))

    async def browse(self, request: ApiRequest) -> views.ApprovalList:
        """List requests."""
        params: views.ApprovalParams = request.params
        name = f"{_LIST}:{params.state or ''}:{params.type or ''}:{params.user or ''}"
        before = None
        if params.cursor is not None:
            before = decode_cursor(params.cursor, of=name, shape=tuple[int, str])
        wanted = ApprovalFilter(
            user=params.user, state=params.state, kind=params.type, before=before, limit=params.limit + 1
        )
        found = await self._face.service.browse(tenant_id=request.tenant_id, wanted=wanted)
        shown = found[: params.limit]
        place = (shown[-1].created_at, shown[-1].id) if shown else None
        following = next_cursor(found, params.limit, place=place, of=name)
        return views.ApprovalList([views.body(each) for each in shown], following)

    async def read(self, request: ApiRequest) -> views.ApprovalBody:
        """Read a request."""
        return views.body(await self._read(request))

    async def _read(self, request: ApiRequest) -> Approval:
        return await self._face.service.read(tenant_id=request.tenant_id, approval_id=_approval_of(request))

    async def cancel(self, request: ApiRequest) -> views.ApprovalBody:
        """End a request."""
        is_page = isinstance(request.principal, PagePrincipal)
        word = AuditWord.CUSTOMER_APPROVAL_CANCEL if is_page else AuditWord.BANK_APPROVAL_CANCEL
        return views.body(
            await self._face.service.cancel(
                tenant_id=request.tenant_id, approval_id=_approval_of(request), word=word
            )
        )

    async def show_code(self, request: ApiRequest) -> views.OfflineCodeBody:
        """Draw a code for a phone without a network."""
        wish: views.OfflineWish = request.body
        request.headers["Cache-Control"] = "no-store"
        view = await self._face.offline.show(
            tenant_id=request.tenant_id, approval_id=_approval_of(request), binding_id=wish.binding
        )
        host = self._face.hosts.named(request.raw.headers.get("Host"))
        link = make_link(host, view.payload, scheme=self._face.scheme)
        return _draw(view, wish.form, link)

    async def answer(self, request: ApiRequest) -> views.ApprovalBody:
        """Take the digits of a phone without a network."""
        typed: views.OfflineDigits = request.body
        return views.body(
            await self._face.offline.answer(
                tenant_id=request.tenant_id, approval_id=_approval_of(request), digits=typed.code
            )
        )

    async def unblock(self, request: ApiRequest) -> None:
        """Let a phone answer again."""
        await self._face.service.unblock(tenant_id=request.tenant_id, binding_id=request.match["id"])

    async def policies(self, request: ApiRequest) -> views.PolicyList:
        """Read all policies."""
        found = await self._face.service.policies(tenant_id=request.tenant_id)
        return views.PolicyList(
            login=found["login"],
            payment=found["payment"],
            contact=found["contact"],
            free=found["free"],
            device=found["device"],
        )

    async def policy(self, request: ApiRequest) -> Policy:
        """Read one policy."""
        found = await self._face.service.policies(tenant_id=request.tenant_id)
        return found[_kind_of(request)]

    async def set_policy(self, request: ApiRequest) -> Policy:
        """Change one policy."""
        wish: views.PolicyWish = request.body
        return await self._face.service.set_policy(
            tenant_id=request.tenant_id, kind=_kind_of(request), policy=wish.whole()
        )


def _kind_of(request: ApiRequest) -> StatementType:
    kind = request.match["type"]
    for each in _KINDS:
        if each == kind:
            return each
    raise Problem(ProblemCode.NOT_FOUND, "there is no such type of request")


def _draw(view: OfflineView, form: Form, link: str) -> views.OfflineCodeBody:
    try:
        symbol = render(view.payload, form=form, text=link)
    except PayloadTooLong as error:
        raise Problem(ProblemCode.CONFLICT, "this request is too long for a code") from error
    return views.OfflineCodeBody(
        form=form,
        svg=to_svg(symbol, title=alt_text("offline", "en")),
        alt=views.AltText(fr=alt_text("offline", "fr"), en=alt_text("offline", "en")),
        link=link,
        binding=view.phone.id,
        name=view.phone.name,
        expires_at=views.moment(view.approval.expires_at),
        bindings=[views.PhoneBody(phone.id, phone.name) for phone in view.phones],
    )


def routes(face: ApprovalFace) -> list[Route]:
    """Return the routes of approvals."""
    on = _Handlers(face)
    return [*_bank_routes(on), *_page_routes(on), *_policy_routes(on)]


def _bank_routes(on: _Handlers) -> list[Route]:
    return [
        Route(
            "POST",
            "/api/v1/approvals",
            on.create,
            scope=_WRITE,
            summary="Ask a customer to approve",
            description="All of the customer's phones are asked, or the one that is named; the first answer counts. "
            "A customer who refuses again and again is asked more slowly (429), and the bank is told.",
            request=views.NewApproval,
            response=views.StartedApproval,
            status=201,
            limit="start",
            tag=_TAG,
            problems=(ProblemCode.NO_PHONE,),
        ),
        Route(
            "GET",
            "/api/v1/approvals",
            on.browse,
            scope=_READ,
            summary="List requests",
            params=views.ApprovalParams,
            response=views.ApprovalList,
            tag=_TAG,
        ),
        Route(
            "POST",
            "/api/v1/bindings/{id}/unblock-approvals",
            on.unblock,
            scope="bindings:write",
            summary="Let a phone answer again after wrong answers",
            status=204,
            tag="phones",
            problems=(ProblemCode.NOT_FOUND, ProblemCode.CONFLICT),
        ),
    ]


def _page_routes(on: _Handlers) -> list[Route]:
    return [
        Route(
            "POST",
            f"{_ONE}/offline-answer",
            on.answer,
            **_BY_PAGES,
            scope=_WRITE,
            summary="Take the eight digits of a phone without a network",
            description="Wrong digits take one of the request's tries, and count against the phone.",
            request=views.OfflineDigits,
            response=views.ApprovalBody,
            limit="guess",
            problems=(*_ENDED, ProblemCode.OFFLINE_ANSWER_WRONG),
        ),
        Route(
            "GET",
            _ONE,
            on.read,
            **_BY_PAGES,
            scope=_READ,
            summary="Read a request",
            response=views.ApprovalBody,
            problems=(ProblemCode.NOT_FOUND,),
        ),
        Route(
            "POST",
            f"{_ONE}/cancel",
            on.cancel,
            **_BY_PAGES,
            scope=_WRITE,
            summary="End a request before it is answered",
            response=views.ApprovalBody,
            problems=_ENDED,
        ),
        Route(
            "POST",
            f"{_ONE}/offline-code",
            on.show_code,
            **_BY_PAGES,
            scope=_WRITE,
            summary="Draw a code for a phone without a network",
            description="It carries the whole request, sealed for one phone. A new code takes the place of the one "
            "before it.",
            request=views.OfflineWish,
            response=views.OfflineCodeBody,
            problems=(*_ENDED, ProblemCode.NO_PHONE),
        ),
    ]


def _policy_routes(on: _Handlers) -> list[Route]:
    path = "/api/v1/approval-policies"
    common: dict[str, Any] = {"tag": "policies"}
    return [
        Route(
            "GET",
            path,
            on.policies,
            **common,
            scope="policies:read",
            summary="Read how each type of request is approved",
            response=views.PolicyList,
        ),
        Route(
            "GET",
            f"{path}/{{type}}",
            on.policy,
            **common,
            scope="policies:read",
            summary="Read how one type of request is approved",
            response=Policy,
            problems=(ProblemCode.NOT_FOUND,),
        ),
        Route(
            "PUT",
            f"{path}/{{type}}",
            on.set_policy,
            **common,
            scope="policies:write",
            summary="Change how one type of request is approved",
            description="The whole policy, as reading it tells it. It holds for requests to come; those that wait stay "
            "as they are.",
            request=views.PolicyWish,
            response=Policy,
            problems=(ProblemCode.NOT_FOUND,),
        ),
    ]
