"""The HTTP face of messages: the bank's API, and the customer's page with a token for that customer. Parse, call the
service, answer."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gateway.core.errors import Problem, ProblemCode
from gateway.core.events import AuditWord
from gateway.core.principals import PagePrincipal
from gateway.http.pages import PageParams, decode_cursor, next_cursor
from gateway.http.routing import ApiRequest, Auth, Route
from gateway.inbox.models import HIDDEN, LANGS, Lang, Message, Text
from gateway.inbox.service import InboxService, Order

# `$` alone lets one line break through; \Z is no ECMA-262, which OpenAPI wants.
_PRINTABLE = r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f]*$(?!\n)"
_TITLE = rf"^(?=.*\S)[^\n{HIDDEN}]*$(?!\n)"
_BODY = rf"^(?=[\s\S]*\S)[^{HIDDEN}]*$(?!\n)"
_READ, _WRITE = "messages:read", "messages:write"
_TAG, _LIST = "messages", "messages"
_BY_PAGES: dict[str, Any] = {"auth": Auth.EITHER, "tag": _TAG, "cross_origin": True}
_ONE = "/api/v1/messages/{id}"
YEAR_S = 366 * 86_400


class TextBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A message in one language, plain text."""

    title: Annotated[str, Meta(min_length=1, max_length=128, pattern=_TITLE)]
    body: Annotated[str, Meta(min_length=1, max_length=2_000, pattern=_BODY)]


class Texts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The languages of a message; one at least. A phone shows its own where it is there."""

    fr: TextBody | None = None
    en: TextBody | None = None


class NewMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to send to whom. `expires_in_s` takes it away after that time, read or not."""

    user: Annotated[str, Meta(min_length=1, max_length=128, pattern=_PRINTABLE)]
    texts: Texts
    expires_in_s: Annotated[int, Meta(ge=60, le=YEAR_S)] | None = None


class MessageBody(msgspec.Struct, frozen=True, kw_only=True):
    """A message."""

    id: str
    user: str
    texts: Texts
    created_at: datetime
    expires_at: datetime | None
    read_at: datetime | None


class MessageList(msgspec.Struct, frozen=True):
    """A page of messages, newest first; `unread` of the customer in all (null in a list of all customers)."""

    items: list[MessageBody]
    next_cursor: str | None
    unread: int | None


class MessageParams(PageParams, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Filters of the list. A page token sees its own customer alone."""

    user: Annotated[str, Meta(min_length=1, max_length=128)] | None = None


def _moment(millis: int | None) -> datetime | None:
    return None if millis is None else datetime.fromtimestamp(millis / 1000, UTC)


def _body(message: Message) -> MessageBody:
    texts = {lang: TextBody(text.title, text.body) for lang, text in message.texts.items()}
    return MessageBody(
        id=message.id,
        user=message.user,
        texts=Texts(fr=texts.get("fr"), en=texts.get("en")),
        created_at=datetime.fromtimestamp(message.created_at / 1000, UTC),
        expires_at=_moment(message.expires_at),
        read_at=_moment(message.read_at),
    )


def _customer(request: ApiRequest) -> str | None:
    """Return whose messages the caller may read; None for a bank's key: any. Raises Problem(FORBIDDEN)."""
    principal = request.principal
    if not isinstance(principal, PagePrincipal):
        return None
    if principal.user is None:
        raise Problem(ProblemCode.FORBIDDEN, "this page token is not for a customer's messages")
    return principal.user


class _Handlers:
    """What bank and page may do."""

    def __init__(self, service: InboxService) -> None:
        self._service = service

    async def send(self, request: ApiRequest) -> MessageBody:
        """Send a message."""
        wish: NewMessage = request.body
        texts: dict[Lang, Text] = {}
        for lang in LANGS:
            if (text := getattr(wish.texts, lang)) is not None:
                texts[lang] = Text(text.title, text.body)
        if not texts:
            raise Problem(ProblemCode.INVALID_REQUEST, "texts: one language at least is needed")
        return _body(await self._service.send(Order(request.tenant_id, wish.user, texts, wish.expires_in_s)))

    async def browse(self, request: ApiRequest) -> MessageList:
        """List messages."""
        params: MessageParams = request.params
        customer = _customer(request)
        if customer is not None and params.user not in (None, customer):
            raise Problem(ProblemCode.FORBIDDEN, "this page token is for another customer")
        user = customer or params.user
        name = f"{_LIST}:{user or ''}"
        before = None
        if params.cursor is not None:
            before = decode_cursor(params.cursor, of=name, shape=tuple[int, str])
        found = await self._service.browse(
            tenant_id=request.tenant_id, user=user, before=before, limit=params.limit + 1
        )
        shown = found[: params.limit]
        place = (shown[-1].created_at, shown[-1].id) if shown else None
        unread = None
        if user is not None:
            unread = await self._service.unread(tenant_id=request.tenant_id, user=user)
        following = next_cursor(found, params.limit, place=place, of=name)
        return MessageList([_body(each) for each in shown], following, unread)

    async def read(self, request: ApiRequest) -> MessageBody:
        """Read a message."""
        return _body(
            await self._service.read(
                tenant_id=request.tenant_id, message_id=request.match["id"], user=_customer(request)
            )
        )

    async def mark_read(self, request: ApiRequest) -> MessageBody:
        """Note that the customer has read a message."""
        customer = _customer(request)
        if customer is None:
            raise Problem(ProblemCode.FORBIDDEN, "this needs a page token of the customer")
        message, _ = await self._service.mark_read(
            tenant_id=request.tenant_id,
            message_id=request.match["id"],
            user=customer,
            word=AuditWord.CUSTOMER_MESSAGE_READ,
        )
        return _body(message)

    async def delete(self, request: ApiRequest) -> None:
        """Take a message back."""
        await self._service.delete(tenant_id=request.tenant_id, message_id=request.match["id"])


def routes(service: InboxService) -> list[Route]:
    """Return the routes of messages."""
    on = _Handlers(service)
    path, missing = "/api/v1/messages", (ProblemCode.NOT_FOUND,)
    return [
        Route(
            "POST",
            path,
            on.send,
            scope=_WRITE,
            summary="Send a customer a message",
            description="It reaches the customer's phones inside their encrypted channel, and the page by "
            "`<tessera-messages>`; no push carries it.",
            request=NewMessage,
            response=MessageBody,
            status=201,
            tag=_TAG,
        ),
        Route(
            "GET",
            path,
            on.browse,
            **_BY_PAGES,
            scope=_READ,
            summary="List messages",
            params=MessageParams,
            response=MessageList,
        ),
        Route(
            "GET",
            _ONE,
            on.read,
            **_BY_PAGES,
            scope=_READ,
            summary="Read a message",
            response=MessageBody,
            problems=missing,
        ),
        Route(
            "POST",
            f"{_ONE}/read",
            on.mark_read,
            auth=Auth.PAGE_TOKEN,
            tag=_TAG,
            cross_origin=True,
            summary="Note that the customer has read a message",
            response=MessageBody,
            problems=missing,
        ),
        Route(
            "DELETE",
            _ONE,
            on.delete,
            scope=_WRITE,
            summary="Take a message back",
            status=204,
            tag=_TAG,
            problems=missing,
        ),
    ]
