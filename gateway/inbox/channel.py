"""Messages on the phone's channel: how many are unread when it opens and whenever that changes, pages of them, and what
was read. A `ChannelPart`; the texts travel nowhere else."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, ClassVar, Protocol

import structlog

from gateway.core.errors import Problem
from gateway.core.events import AuditWord
from gateway.core.ids import decode_id, encode_id
from gateway.core.subjects import BindingRef
from gateway.core.transaction import Transaction
from gateway.http.parts import ChannelContext, Channels
from gateway.inbox.models import Lang, Message
from gateway.inbox.service import CHANGED, READ, InboxService
from gateway.protocol import messages
from gateway.protocol.errors import MalformedMessage, OutOfTurn
from gateway.protocol.messages import MAX_PAGE
from gateway.protocol.wiretypes import Bytes16

_log = structlog.get_logger("inbox")


class HappenedEvent(Protocol):
    """An event as the log tells it."""

    @property
    def type(self) -> str: ...
    @property
    def topic(self) -> str: ...


class InboxPart:
    """One for the process."""

    handles: ClassVar[tuple[type[Any], ...]] = (messages.Inbox, messages.InboxRead)

    def __init__(self, *, service: InboxService, channels: Channels) -> None:
        self._service = service
        self._channels = channels
        self._tasks: set[asyncio.Task[None]] = set()
        self._again: dict[str, bool] = {}
        """Customers whose phones are being told, by topic, and whether something has changed meanwhile."""

    def greet(self, tx: Transaction, ref: BindingRef) -> Sequence[messages.GatewayMessage]:
        """Tell how many messages are unread."""
        return [messages.Unread(count=self._service.count_unread(tx, ref.tenant_id, ref.user))]

    async def answer(self, context: ChannelContext, message: Any) -> messages.GatewayMessage:
        """Answer one message. Raises OutOfTurn, Problem."""
        ref = context.ref
        match message:
            case messages.Inbox():
                before = encode_id("msg", message.before) if isinstance(message.before, Bytes16) else None
                page = await self._service.page(ref, before=before, limit=MAX_PAGE + 1)
                return _fit(page.messages, page.unread, context.lang)
            case messages.InboxRead():
                _, unread = await self._service.mark_read(
                    tenant_id=ref.tenant_id,
                    message_id=encode_id("msg", message.id),
                    user=ref.user,
                    word=AuditWord.PHONE_MESSAGE_READ,
                )
                return messages.Unread(count=unread)
            case _:
                raise OutOfTurn("not a message of the inbox")

    def on_event(self, event: HappenedEvent) -> None:
        """Tell a customer's open channels that the count has changed."""
        if event.type not in (CHANGED, READ):
            return
        topic = event.topic
        if topic in self._again:
            self._again[topic] = True
        elif contexts := self._channels.of_topic(topic):
            self._again[topic] = False
            self._spawn(self._tell_count(contexts[0].ref, topic))

    async def _tell_count(self, ref: BindingRef, topic: str) -> None:
        """Tell the count until nothing changes meanwhile: one customer's counts never overtake one another."""
        try:
            is_due = True
            while is_due:
                self._again[topic] = False
                count = await self._service.unread(tenant_id=ref.tenant_id, user=ref.user)
                for context in self._channels.of_topic(topic):
                    await context.tell(messages.Unread(count=count))
                is_due = self._again[topic]
        except Problem:
            _log.warning("phones not told of messages; they are when they open")
        finally:
            del self._again[topic]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _fit(found: Sequence[Message], unread: int, lang: Lang) -> messages.InboxPage:
    """Return as many messages as one frame holds, one at least."""
    shown: list[messages.InboxMessage] = []
    for message in found[:MAX_PAGE]:
        page = messages.InboxPage(items=(*shown, _shown(message, lang)), more=True, unread=unread)
        if shown and not _fits(page):
            break
        shown.append(page.items[-1])
    return messages.InboxPage(items=tuple(shown), more=len(found) > len(shown), unread=unread)


def _fits(page: messages.InboxPage) -> bool:
    # JSON escapes may lengthen a text sixfold, so the room is measured, not reckoned.
    try:
        messages.encode(page)
    except MalformedMessage:
        return False
    return True


def _shown(message: Message, lang: Lang) -> messages.InboxMessage:
    text = message.text_in(lang)
    return messages.InboxMessage(
        id=Bytes16(decode_id("msg", message.id)),
        title=text.title,
        body=text.body,
        at=message.created_at // 1000,
        expires=None if message.expires_at is None else message.expires_at // 1000,
        read=message.read_at is not None,
    )
