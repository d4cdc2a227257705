"""The HTTP face of webhooks: parse, call the service, answer."""

from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.core.errors import ProblemCode
from gateway.core.events import WebhookEvent
from gateway.core.secrets import repr_without
from gateway.http.pages import PageParams, decode_cursor, next_cursor
from gateway.http.routing import ApiRequest, Route
from gateway.webhooks.models import Delivery, DeliveryState, Endpoint
from gateway.webhooks.service import WebhookService

_LIST = "webhook-deliveries"


class NewEndpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to send, and which event types (none named: all)."""

    url: Annotated[str, Meta(max_length=2048, description="https in production.")]
    events: Annotated[list[WebhookEvent], Meta(max_length=32)] = []


class EndpointView(msgspec.Struct, frozen=True, omit_defaults=True):
    """An endpoint. `secret` is in the answer to its creation alone."""

    id: str
    url: str
    events: list[str]
    created_at: datetime
    secret: str | None = None

    def __repr__(self) -> str:
        return repr_without(self, "secret")


class EndpointList(msgspec.Struct, frozen=True):
    """All endpoints of the tenant: there are few."""

    items: list[EndpointView]
    next_cursor: None = None


class DeliveryView(msgspec.Struct, frozen=True):
    """One message for one endpoint; `id` is its webhook-id."""

    id: str
    endpoint: str
    type: str
    state: Literal["pending", "sending", "delivered", "failed"]
    attempts: int
    next_attempt_at: datetime | None
    last_error: str | None
    created_at: datetime


class DeliveryList(msgspec.Struct, frozen=True):
    """A page of deliveries, newest first."""

    items: list[DeliveryView]
    next_cursor: str | None


class DeliveryParams(PageParams, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Filters of the list."""

    state: DeliveryState | None = None


def _moment(millis: int) -> datetime:
    return datetime.fromtimestamp(millis / 1000, UTC)


def _endpoint(endpoint: Endpoint, secret: str | None = None) -> EndpointView:
    return EndpointView(
        endpoint.id, endpoint.url, list(endpoint.events), _moment(endpoint.created_at), secret
    )


def _delivery(delivery: Delivery) -> DeliveryView:
    is_open = delivery.state in (DeliveryState.PENDING, DeliveryState.SENDING)
    return DeliveryView(
        id=delivery.id,
        endpoint=delivery.endpoint_id,
        type=delivery.kind,
        state=delivery.state.value,
        attempts=delivery.attempts,
        next_attempt_at=_moment(delivery.next_at) if is_open else None,
        last_error=delivery.last_error,
        created_at=_moment(delivery.created_at),
    )


class _Handlers:
    """What answers each row of the table."""

    def __init__(self, service: WebhookService) -> None:
        self._service = service

    async def create(self, request: ApiRequest) -> EndpointView:
        wish: NewEndpoint = request.body
        endpoint, secret = await self._service.create(
            tenant_id=request.tenant_id, url=wish.url, events=tuple(event.value for event in wish.events)
        )
        return _endpoint(endpoint, secret.reveal().decode("ascii"))

    async def list_endpoints(self, request: ApiRequest) -> EndpointList:
        found = await self._service.endpoints(tenant_id=request.tenant_id)
        return EndpointList([_endpoint(endpoint) for endpoint in found])

    async def delete(self, request: ApiRequest) -> None:
        await self._service.delete(tenant_id=request.tenant_id, endpoint_id=request.match["id"])

    async def list_deliveries(self, request: ApiRequest) -> DeliveryList:
        params: DeliveryParams = request.params
        name = f"{_LIST}:{params.state or ''}"
        before = None
        if params.cursor is not None:
            before = decode_cursor(params.cursor, of=name, shape=tuple[int, str])
        found = await self._service.deliveries(
            tenant_id=request.tenant_id, state=params.state, before=before, limit=params.limit + 1
        )
        shown = found[: params.limit]
        place = (shown[-1].created_at, shown[-1].id) if shown else None
        cursor = next_cursor(found, params.limit, place=place, of=name)
        return DeliveryList([_delivery(delivery) for delivery in shown], cursor)

    async def redeliver(self, request: ApiRequest) -> DeliveryView:
        found = await self._service.redeliver(tenant_id=request.tenant_id, delivery_id=request.match["id"])
        return _delivery(found)


_READ, _WRITE, _TAG = "webhooks:read", "webhooks:write", "webhooks"


def routes(service: WebhookService) -> list[Route]:
    """Return the routes of webhooks."""
    handlers = _Handlers(service)
    return [*_endpoint_routes(handlers), *_delivery_routes(handlers)]


def _endpoint_routes(handlers: _Handlers) -> list[Route]:
    return [
        Route(
            "POST",
            "/api/v1/webhooks",
            handlers.create,
            scope=_WRITE,
            tag=_TAG,
            status=201,
            request=NewEndpoint,
            response=EndpointView,
            summary="Add an endpoint; its secret is shown this once",
            problems=(ProblemCode.CONFLICT,),
        ),
        Route(
            "GET",
            "/api/v1/webhooks",
            handlers.list_endpoints,
            scope=_READ,
            tag=_TAG,
            response=EndpointList,
            summary="List the endpoints",
        ),
        Route(
            "DELETE",
            "/api/v1/webhooks/{id}",
            handlers.delete,
            scope=_WRITE,
            tag=_TAG,
            status=204,
            summary="Remove an endpoint and what is still to be sent there",
        ),
    ]


def _delivery_routes(handlers: _Handlers) -> list[Route]:
    return [
        Route(
            "GET",
            "/api/v1/webhook-deliveries",
            handlers.list_deliveries,
            scope=_READ,
            tag=_TAG,
            params=DeliveryParams,
            response=DeliveryList,
            summary="List deliveries, newest first",
        ),
        Route(
            "POST",
            "/api/v1/webhook-deliveries/{id}/redeliver",
            handlers.redeliver,
            scope=_WRITE,
            tag=_TAG,
            response=DeliveryView,
            summary="Send a failed delivery again",
            problems=(ProblemCode.CONFLICT,),
        ),
    ]
