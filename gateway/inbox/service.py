"""The rules of messages: the bank sends and deletes, the customer reads on the phone or on the page, the gateway writes
notices of its own. What happened is told in the same transaction; events name the message and never its text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.core.clock import Clock
from gateway.core.errors import Problem, ProblemCode
from gateway.core.events import AuditWord, Fact, Journal
from gateway.core.ids import ID_BYTES, encode_id
from gateway.core.secrets import RandomSource
from gateway.core.subjects import BindingRef, user_topic
from gateway.core.transaction import Transaction
from gateway.inbox import notices, store
from gateway.inbox.models import Lang, Message, Text
from gateway.storage.engine import Storage

CHANGED = "message.changed"
READ = "message.read"


@dataclass(frozen=True, slots=True)
class Order:
    """What a bank sends. `life_s` is None for a message that is kept."""

    tenant_id: str
    user: str
    texts: Mapping[Lang, Text]
    life_s: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Messages, newest first, and how many are unread in all."""

    messages: Sequence[Message]
    unread: int


class InboxService:
    """Messages. One for the process."""

    def __init__(
        self,
        *,
        storage: Storage,
        journal: Journal,
        clock: Clock,
        random: RandomSource,
    ) -> None:
        self._storage = storage
        self._journal = journal
        self._clock = clock
        self._random = random

    def now_ms(self) -> int:
        """Return the time, Unix milliseconds."""
        return int(self._clock.now() * 1000)

    async def send(self, order: Order) -> Message:
        """Send a customer a message."""
        message = self._compose(order)

        def unit(tx: Transaction) -> None:
            store.insert(tx, message)
            self._tell(tx, message, AuditWord.BANK_MESSAGE_SEND, CHANGED)

        await self._storage.write(unit)
        return message

    def welcome(self, tx: Transaction, ref: BindingRef, *, phone: str, is_first: bool) -> None:
        """Write the message that follows a binding, in its transaction."""
        texts = notices.welcome(phone) if is_first else notices.added(phone)
        self._notify(tx, ref, texts)

    def warn_of_block(self, tx: Transaction, ref: BindingRef, *, phone: str) -> None:
        """Warn that wrong answers may block a phone until the bank unblocks it."""
        self._notify(tx, ref, notices.block_ahead(phone))

    def _notify(self, tx: Transaction, ref: BindingRef, texts: Mapping[Lang, Text]) -> None:
        message = self._compose(Order(ref.tenant_id, ref.user, texts))
        store.insert(tx, message)
        self._tell(tx, message, AuditWord.GATEWAY_MESSAGE_SEND, CHANGED)

    def _compose(self, order: Order) -> Message:
        now_ms = self.now_ms()
        return Message(
            id=encode_id("msg", self._random(ID_BYTES)),
            tenant_id=order.tenant_id,
            user=order.user,
            texts=order.texts,
            created_at=now_ms,
            expires_at=None if order.life_s is None else now_ms + order.life_s * 1000,
            read_at=None,
        )

    async def read(self, *, tenant_id: str, message_id: str, user: str | None = None) -> Message:
        """Return a message that is not past its end. `user`, when given, must own it. Raises Problem(NOT_FOUND)."""
        return await self._storage.read(lambda tx: self._find(tx, tenant_id, message_id, user))

    async def browse(
        self, *, tenant_id: str, user: str | None, before: tuple[int, str] | None, limit: int
    ) -> Sequence[Message]:
        """Return messages, newest first."""
        now_ms = self.now_ms()
        return await self._storage.read(
            lambda tx: store.find_page(
                tx, tenant_id=tenant_id, user=user, now_ms=now_ms, before=before, limit=limit
            )
        )

    async def page(self, ref: BindingRef, *, before: str | None, limit: int) -> Page:
        """Return a page of a customer's messages, after the message `before`. Raises Problem(NOT_FOUND)."""
        now_ms = self.now_ms()

        def unit(tx: Transaction) -> Page:
            place = None
            if before is not None:
                last = self._find(tx, ref.tenant_id, before, ref.user)
                place = (last.created_at, last.id)
            found = store.find_page(
                tx, tenant_id=ref.tenant_id, user=ref.user, now_ms=now_ms, before=place, limit=limit
            )
            return Page(found, self.count_unread(tx, ref.tenant_id, ref.user))

        return await self._storage.read(unit)

    async def unread(self, *, tenant_id: str, user: str) -> int:
        """Return how many of a customer's messages are unread."""
        return await self._storage.read(lambda tx: self.count_unread(tx, tenant_id, user))

    async def mark_read(
        self, *, tenant_id: str, message_id: str, user: str, word: AuditWord
    ) -> tuple[Message, int]:
        """Note that the customer has read a message; return it, and how many are unread now. Read twice, it changes
        nothing. Raises Problem(NOT_FOUND)."""
        now_ms = self.now_ms()

        def unit(tx: Transaction) -> tuple[Message, int]:
            message = self._find(tx, tenant_id, message_id, user)
            if store.mark_read(tx, tenant_id=tenant_id, message_id=message_id, now_ms=now_ms):
                message = replace(message, read_at=now_ms)
                self._tell(tx, message, word, READ, webhook=True)
            return message, self.count_unread(tx, tenant_id, user)

        return await self._storage.write(unit)

    async def delete(self, *, tenant_id: str, message_id: str) -> None:
        """Take a message back. Raises Problem(NOT_FOUND)."""

        def unit(tx: Transaction) -> None:
            message = self._find(tx, tenant_id, message_id, None)
            store.erase(tx, tenant_id=tenant_id, message_id=message_id)
            self._tell(tx, message, AuditWord.BANK_MESSAGE_DELETE, CHANGED)

        await self._storage.write(unit)

    async def sweep(self) -> None:
        """Erase messages that are past their end."""
        now_ms = self.now_ms()
        await self._storage.write(lambda tx: store.prune(tx, now_ms))

    def _find(self, tx: Transaction, tenant_id: str, message_id: str, user: str | None) -> Message:
        found = store.find(tx, tenant_id=tenant_id, message_id=message_id)
        is_over = found is not None and found.expires_at is not None and found.expires_at <= self.now_ms()
        if found is None or is_over or (user is not None and found.user != user):
            raise Problem(ProblemCode.NOT_FOUND, "there is no such message")
        return found

    def count_unread(self, tx: Transaction, tenant_id: str, user: str) -> int:
        return store.count_unread(tx, tenant_id=tenant_id, user=user, now_ms=self.now_ms())

    def _tell(
        self, tx: Transaction, message: Message, word: AuditWord, event: str, *, webhook: bool = False
    ) -> None:
        fact = Fact(
            tenant_id=message.tenant_id,
            word=word,
            subject=message.id,
            data={"message": message.id, "user": message.user},
            event=event,
            topics=(user_topic(message.tenant_id, message.user),),
            webhook=webhook,
        )
        self._journal.record(tx, fact)
