"""The HTTP face of activations: the bank's API, what a page may do with its token, the event stream, and what a phone
asks before it opens its channel. Parse, call the service, answer."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import web

from gateway.activation import views
from gateway.activation.codes import CodeService
from gateway.activation.page_tokens import PageTokens
from gateway.activation.ports import GatewayKeys, Tenant
from gateway.activation.service import ActivationService, StartOrder
from gateway.core.encoding import b64url_encode
from gateway.core.errors import Problem, ProblemCode
from gateway.core.events import AuditWord
from gateway.core.ids import decode_id
from gateway.core.principals import PagePrincipal
from gateway.core.subjects import activation_topic, approval_topic, user_topic
from gateway.http.hosts import Hosts
from gateway.http.routing import ApiRequest, Auth, Route
from gateway.protocol import crockford
from gateway.protocol.errors import MalformedCode
from gateway.protocol.frames import SUBPROTOCOL
from gateway.protocol.keys import compress
from hsm_adapters.errors import UnwrapFailed

_TAG = "activations"
_READ, _WRITE = "activations:read", "activations:write"
_ONE = "/api/v1/activations/{id}"
_BY_PAGES: dict[str, Any] = {"auth": Auth.EITHER, "tag": _TAG, "cross_origin": True}
_ENDED = (ProblemCode.NOT_FOUND, ProblemCode.ACTIVATION_ENDED, ProblemCode.CONFLICT)


class Streams(Protocol):
    """Event streams of the HTTP face."""

    async def stream_events(
        self, request: ApiRequest, topics: Sequence[str], *, from_start: bool = False
    ) -> web.StreamResponse:
        """Answer with the events of these topics until the caller leaves."""
        ...


class TenantList(Protocol):
    """All tenants, from memory."""

    async def list(self) -> Sequence[Tenant]:
        """Return them, oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class ActivationFace:
    """What the routes answer with. `accept_phone` upgrades to the phone channel."""

    hosts: Hosts
    name: str
    service: ActivationService
    codes: CodeService
    tokens: PageTokens
    streams: Streams
    tenants: TenantList
    keys: GatewayKeys
    accept_phone: Callable[[web.Request], Awaitable[web.StreamResponse]]


def _activation_of(request: ApiRequest) -> str:
    """Return the activation that the path names. Raises Problem(NOT_FOUND) when a page token is for another."""
    activation_id = request.match["id"]
    if isinstance(request.principal, PagePrincipal) and request.principal.activation_id != activation_id:
        raise Problem(ProblemCode.NOT_FOUND, "there is no such activation")
    return activation_id


def routes(face: ActivationFace) -> list[Route]:
    """Return the routes of activations, page tokens, the event stream and the phone's door."""
    pages = _PageHandlers(face)
    return [
        *_bank_routes(face),
        *_page_routes(pages),
        *_show_routes(pages),
        *_phone_routes(_PhoneHandlers(face)),
    ]


def _bank_routes(face: ActivationFace) -> list[Route]:
    async def start(request: ApiRequest) -> views.StartedActivation:
        wish: views.NewActivation = request.body
        order = StartOrder(
            tenant_id=request.tenant_id,
            user=wish.user,
            label=wish.label,
            life_s=wish.life_s,
            is_two_step=wish.two_step,
            is_rotating=wish.rotating,
            platforms=tuple(dict.fromkeys(wish.platforms)),
            suite=wish.suite,
            approval_id=wish.approval,
        )
        return views.started_view(*await face.service.start(order))

    async def issue_token(request: ApiRequest) -> views.PageTokenView:
        wish: views.NewPageToken = request.body
        token = await face.tokens.issue_for_user(tenant_id=request.tenant_id, user=wish.user)
        return views.PageTokenView(token.text, views.moment(token.principal.expires_at))

    return [
        Route(
            "POST",
            "/api/v1/activations",
            start,
            scope=_WRITE,
            summary="Start an activation",
            request=views.NewActivation,
            response=views.StartedActivation,
            status=201,
            limit="start",
            tag=_TAG,
            problems=(ProblemCode.NOT_FOUND, ProblemCode.CONFLICT),
        ),
        Route(
            "POST",
            "/api/v1/page-tokens",
            issue_token,
            scope="page-tokens:write",
            summary="Let a page see and change one customer's phones",
            request=views.NewPageToken,
            response=views.PageTokenView,
            status=201,
            tag="page tokens",
        ),
    ]


class _PageHandlers:
    """What a page may do with its token, and a bank with its key."""

    def __init__(self, face: ActivationFace) -> None:
        self._face = face

    async def read(self, request: ApiRequest) -> views.ActivationView:
        """Read an activation."""
        return views.view(
            await self._face.service.read(tenant_id=request.tenant_id, activation_id=_activation_of(request))
        )

    async def cancel(self, request: ApiRequest) -> views.ActivationView:
        """End an activation."""
        is_page = isinstance(request.principal, PagePrincipal)
        word = AuditWord.CUSTOMER_ACTIVATION_CANCEL if is_page else AuditWord.BANK_ACTIVATION_CANCEL
        return views.view(
            await self._face.service.cancel(
                tenant_id=request.tenant_id, activation_id=_activation_of(request), word=word
            )
        )

    async def confirm(self, request: ApiRequest) -> views.ActivationView:
        """Confirm the device code."""
        typed: views.TypedDeviceCode = request.body
        confirmed = await self._face.service.confirm(
            tenant_id=request.tenant_id, activation_id=_activation_of(request), code=typed.code
        )
        return views.view(confirmed)

    async def show_code(self, request: ApiRequest) -> views.CodeView:
        """Draw the code to show now."""
        params: views.CodeParams = request.params
        activation = await self._face.service.read_recent(
            tenant_id=request.tenant_id, activation_id=_activation_of(request)
        )
        request.headers["Cache-Control"] = "no-store"
        host = _host_of(self._face, request)
        try:
            code = await self._face.codes.show(activation, params.form, host=host)
        except UnwrapFailed:  # what is remembered may be sealed under a key that was retired since
            self._face.service.recent.forget(activation.id)
            activation = await self._face.service.read_recent(
                tenant_id=request.tenant_id, activation_id=activation.id
            )
            code = await self._face.codes.show(activation, params.form, host=host)
        return views.code_view(code, params)

    async def follow(self, request: ApiRequest) -> web.StreamResponse:
        """Stream what the page token is for."""
        principal = request.principal
        if not isinstance(principal, PagePrincipal):
            raise Problem(ProblemCode.FORBIDDEN, "this needs a page token")
        if principal.activation_id is not None:
            topic = activation_topic(principal.activation_id)
        elif principal.approval_id is not None:
            topic = approval_topic(principal.approval_id)
        else:
            topic = user_topic(principal.tenant_id, principal.user or "")
        return await self._face.streams.stream_events(request, [topic], from_start=principal.user is None)


def _page_routes(on: _PageHandlers) -> list[Route]:
    path, common = _ONE, _BY_PAGES
    return [
        Route(
            "GET",
            path,
            on.read,
            **common,
            scope=_READ,
            summary="Read an activation",
            response=views.ActivationView,
        ),
        Route(
            "POST",
            f"{path}/cancel",
            on.cancel,
            **common,
            scope=_WRITE,
            summary="End an activation",
            response=views.ActivationView,
            problems=_ENDED,
        ),
        Route(
            "POST",
            f"{path}/confirm",
            on.confirm,
            **common,
            scope=_WRITE,
            summary="Confirm the code that the phone shows",
            description="A wrong code takes one of three tries; the third ends the activation.",
            request=views.TypedDeviceCode,
            response=views.ActivationView,
            limit="guess",
            problems=(ProblemCode.DEVICE_CODE_WRONG, *_ENDED),
        ),
    ]


def _show_routes(on: _PageHandlers) -> list[Route]:
    return [
        Route(
            "GET",
            f"{_ONE}/code",
            on.show_code,
            **_BY_PAGES,
            scope=_WRITE,  # the code holds the one-time key: whoever reads it can bind a phone
            summary="Draw the code to show now",
            description="The activation code until the phone is confirmed; then, in two steps, code 2. It holds the "
            "one-time key, so an API key needs the scope that starts activations; a page token is for its own.",
            params=views.CodeParams,
            response=views.CodeView,
            problems=_ENDED,
        ),
        Route(
            "GET",
            "/api/v1/events",
            on.follow,
            auth=Auth.PAGE_TOKEN,
            summary="Follow what the page token is for",
            description="Server-sent events, each with `id`, `event` (its type) and `data` (JSON, as the webhook of "
            "that type has it). A token of an activation hears `activation.waiting` and `activation.away`, and what "
            "webhooks tell of it; that of a request hears `approval.…`; a customer's hears `binding.…` and "
            "`approval.…`. `stream.reset` says that events were missed: read anew. Last-Event-ID takes the stream up "
            "again; a comment comes every 15 s.",
            limit="stream",
            tag="events",
            cross_origin=True,
            stream=True,
        ),
    ]


def _host_of(face: ActivationFace, request: ApiRequest) -> str:
    return face.hosts.named(request.raw.headers.get("Host"))


class _PhoneHandlers:
    """What a phone asks before it is known."""

    def __init__(self, face: ActivationFace) -> None:
        self._face = face

    async def config(self, request: ApiRequest) -> views.PhoneConfig:
        """Tell what the phone app pins."""
        tenants = []
        for tenant in await self._face.tenants.list():
            label = await self._face.keys.current_label(tenant.id)
            point = compress(await self._face.keys.public_key(label))
            tenants.append(views.TenantKey(tenant.id, tenant.name, b64url_encode(point)))
        return views.PhoneConfig(_host_of(self._face, request), self._face.name, tenants)

    async def find_typed(self, request: ApiRequest) -> views.TypedActivation:
        """Find the activation of a typed code."""
        try:
            locator = crockford.normalise(request.match["locator"], length=5)
        except MalformedCode:
            raise Problem(ProblemCode.NOT_FOUND, "there is no such code") from None
        found = await self._face.service.find_typed(locator)
        return views.TypedActivation(
            b64url_encode(decode_id("act", found.id)), found.tenant_id, found.expiry_s
        )

    async def open_channel(self, request: ApiRequest) -> web.StreamResponse:
        """Upgrade to the phone channel."""
        return await self._face.accept_phone(request.raw)


def _phone_routes(on: _PhoneHandlers) -> list[Route]:
    common: dict[str, Any] = {"auth": Auth.PUBLIC, "tag": "phone"}
    return [
        Route(
            "GET",
            "/phone/v1/config",
            on.config,
            **common,
            summary="What the phone app pins: host, banks and their keys",
            response=views.PhoneConfig,
            limit="phone",
        ),
        Route(
            "GET",
            "/phone/v1/typed/{locator}",
            on.find_typed,
            **common,
            summary="Find the activation of a typed code",
            response=views.TypedActivation,
            limit="guess",
            problems=(ProblemCode.NOT_FOUND,),
        ),
        Route(
            "GET",
            "/phone/v1/channel",
            on.open_channel,
            **common,
            summary="Open the phone channel",
            description="A WebSocket of binary frames, under the subprotocol `tessera.v1`: the protocol's own "
            "specification says what they hold (gateway/protocol/README.md).",
            limit="phone",
            subprotocol=SUBPROTOCOL,
        ),
    ]
