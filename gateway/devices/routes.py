"""The HTTP face of bound phones: the bank's API, and the customer's page with a token for that customer. Parse, call
the service, answer."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gateway.core.errors import Problem, ProblemCode
from gateway.core.principals import PagePrincipal
from gateway.devices.models import BindingEvent, BindingState, SuspendedBy
from gateway.devices.service import BindingFilter, BindingView, DeviceService
from gateway.http.pages import PageParams, decode_cursor, next_cursor
from gateway.http.routing import ApiRequest, Auth, Route

# `$` alone lets one line break through; \Z is no ECMA-262, which OpenAPI wants.
_PRINTABLE = r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f]*$(?!\n)"
_LIST = "bindings"
_READ, _WRITE = "bindings:read", "bindings:write"
_PROBLEMS = (ProblemCode.NOT_FOUND, ProblemCode.CONFLICT)


class BindingParams(PageParams, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Filters of the list. A page token sees its own customer alone."""

    user: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    state: BindingState | None = None


class NewName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another name for a phone."""

    name: Annotated[str, Meta(min_length=1, max_length=64, pattern=_PRINTABLE)]


class PinBody(msgspec.Struct, frozen=True):
    """Whether the PIN is blocked, and until when (null: until the bank unblocks it)."""

    blocked: bool
    blocked_until: datetime | None


class BindingBody(msgspec.Struct, frozen=True, kw_only=True):
    """A bound phone. `suspended_by` says who suspended it (null: it is not suspended): what the customer suspended, a
    page token may resume; the bank's own suspensions need an API key. A phone of which a copy was found (`clone`) is
    resumed by nobody: remove it, and bind the phone anew."""

    id: str
    user: str
    label: str
    name: str
    model: str
    platform: str
    os: str
    place: str | None
    state: BindingState
    suspended_by: SuspendedBy | None
    added_at: datetime
    last_seen_at: datetime
    pin: PinBody


class BindingList(msgspec.Struct, frozen=True):
    """A page of bindings, newest first."""

    items: list[BindingBody]
    next_cursor: str | None


def _moment(millis: int) -> datetime:
    return datetime.fromtimestamp(millis / 1000, UTC)


def _body(view: BindingView) -> BindingBody:
    binding, pin = view.binding, view.pin
    is_blocked = pin is not None and pin.blocked
    until = pin.blocked_until_ms if pin is not None else None
    return BindingBody(
        id=binding.id,
        user=binding.user,
        label=binding.label,
        name=binding.device.name,
        model=binding.device.model,
        platform=binding.device.platform,
        os=binding.device.os,
        place=binding.device.place,
        state=binding.state,
        suspended_by=binding.suspended_by,
        added_at=_moment(binding.added_at),
        last_seen_at=_moment(binding.last_seen_at),
        pin=PinBody(blocked=is_blocked, blocked_until=None if until is None else _moment(until)),
    )


def _customer(request: ApiRequest) -> str | None:
    """Return whose phones the caller may touch; None for a bank's key: any. Raises Problem(FORBIDDEN)."""
    principal = request.principal
    if not isinstance(principal, PagePrincipal):
        return None
    if principal.user is None:
        raise Problem(ProblemCode.FORBIDDEN, "this page token is for an activation")
    return principal.user


def _address(request: ApiRequest) -> dict[str, Any]:
    return {
        "tenant_id": request.tenant_id,
        "binding_id": request.match["id"],
        "user": _customer(request),
    }


class _Handlers:
    """What bank and page may do."""

    def __init__(self, service: DeviceService) -> None:
        self._service = service

    async def browse(self, request: ApiRequest) -> BindingList:
        """List phones."""
        params: BindingParams = request.params
        customer = _customer(request)
        if customer is not None and params.user not in (None, customer):
            raise Problem(ProblemCode.FORBIDDEN, "this page token is for another customer")
        user = customer or params.user
        name = f"{_LIST}:{params.state or ''}:{user or ''}"
        before = None
        if params.cursor is not None:
            before = decode_cursor(params.cursor, of=name, shape=tuple[int, str])
        wanted = BindingFilter(user=user, state=params.state, before=before, limit=params.limit + 1)
        found = await self._service.browse(tenant_id=request.tenant_id, wanted=wanted)
        shown = found[: params.limit]
        place = (shown[-1].binding.added_at, shown[-1].binding.id) if shown else None
        return BindingList(
            [_body(view) for view in shown], next_cursor(found, params.limit, place=place, of=name)
        )

    async def read(self, request: ApiRequest) -> BindingBody:
        """Read a phone."""
        return _body(await self._service.read(**_address(request)))

    async def rename(self, request: ApiRequest) -> BindingBody:
        """Rename a phone."""
        wish: NewName = request.body
        return _body(await self._service.rename(**_address(request), name=wish.name))

    async def suspend(self, request: ApiRequest) -> BindingBody:
        """Suspend a phone."""
        return _body(await self._service.step(BindingEvent.SUSPEND, **_address(request)))

    async def resume(self, request: ApiRequest) -> BindingBody:
        """Resume a phone."""
        return _body(await self._service.step(BindingEvent.RESUME, **_address(request)))

    async def remove(self, request: ApiRequest) -> BindingBody:
        """Remove a phone."""
        return _body(await self._service.step(BindingEvent.REMOVE, **_address(request)))

    async def unblock(self, request: ApiRequest) -> BindingBody:
        """Unblock a phone's PIN."""
        return _body(
            await self._service.unblock_pin(tenant_id=request.tenant_id, binding_id=request.match["id"])
        )


def routes(service: DeviceService) -> list[Route]:
    """Return the routes of bound phones."""
    on = _Handlers(service)
    path = "/api/v1/bindings"
    one = f"{path}/{{id}}"
    common: dict[str, Any] = {"auth": Auth.EITHER, "tag": "phones", "cross_origin": True}
    answers: dict[str, Any] = {"response": BindingBody, "problems": _PROBLEMS}
    return [
        Route(
            "GET",
            path,
            on.browse,
            **common,
            scope=_READ,
            summary="List bound phones",
            params=BindingParams,
            response=BindingList,
        ),
        Route(
            "GET",
            one,
            on.read,
            **common,
            response=BindingBody,
            problems=(ProblemCode.NOT_FOUND,),
            scope=_READ,
            summary="Read a phone",
        ),
        Route(
            "PATCH",
            one,
            on.rename,
            **common,
            **answers,
            scope=_WRITE,
            summary="Rename a phone",
            request=NewName,
        ),
        Route("DELETE", one, on.remove, **common, **answers, scope=_WRITE, summary="Remove a phone for good"),
        Route(
            "POST", f"{one}/suspend", on.suspend, **common, **answers, scope=_WRITE, summary="Suspend a phone"
        ),
        Route(
            "POST", f"{one}/resume", on.resume, **common, **answers, scope=_WRITE, summary="Resume a phone"
        ),
        Route(
            "POST",
            f"{one}/unblock-pin",
            on.unblock,
            **answers,
            tag="phones",
            scope=_WRITE,
            summary="Unblock a phone's PIN",
        ),
    ]
