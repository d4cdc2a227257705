"""The event log's live half: subscribers follow topics from any id on, first from the table, then as things happen.
The journal publishes; event streams subscribe. On PostgreSQL one task reads the table, woken by own commits and four
times a second for other nodes' events; on SQLite commits are handed over at once. A slow subscriber is never waited
for: it falls back to the table."""

import asyncio
import contextlib
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import structlog

from gateway.bus.store import PAGE, Event, newest_id, oldest_id, prune, read_after, read_topics_after
from gateway.core.clock import Clock
from gateway.core.errors import Problem
from gateway.core.supervisor import Supervisor
from gateway.storage.engine import Storage, Transaction
from gateway.storage.schema import to_millis

POLL_S = 0.25
"""How soon another node's event is seen: a desktop on one goes on within a second of its phone's answer on another."""
RETRY_S = 1.0
PRUNE_S = 300.0
MAX_WAITING = 256

RESET = "stream.reset"
"""Type of the event that tells a subscriber that it may have missed some: read the resource again."""

_log = structlog.get_logger("events")


class _Subscriber:
    """The mailbox of one stream."""

    __slots__ = ("lagging", "mail", "wake")

    def __init__(self) -> None:
        self.mail: deque[Event] = deque()
        self.wake = asyncio.Event()
        self.lagging = False

    def put(self, event: Event) -> None:
        if len(self.mail) >= MAX_WAITING:
            self.mail.clear()
            self.lagging = True
        if not self.lagging:
            self.mail.append(event)
        self.wake.set()


class EventLog:
    """Subscriptions of this process over the shared table."""

    def __init__(self, *, storage: Storage, clock: Clock, retention_s: int, shared: bool) -> None:
        """`shared` tells that other processes write events too (PostgreSQL), so the table is followed."""
        self._storage = storage
        self._clock = clock
        self._retention_s = retention_s
        self._shared = shared
        self._topics: dict[str, set[_Subscriber]] = defaultdict(set)
        self._listeners: list[tuple[str, Callable[[Event], None]]] = []
        self.tasks = Supervisor()
        self._wake = asyncio.Event()
        self._seen = 0
        self._closing = False

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["EventLog"]:
        """Keep the log alive: prune, and follow the table when it is shared. Ends all subscriptions on exit."""
        self._seen = await self._storage.read(newest_id)
        works = {"prune events": self._prune_forever}
        if self._shared:
            works["follow events"] = self._follow_table
        async with self.tasks.running(works):
            try:
                yield self
            finally:
                self.close()

    def close(self) -> None:
        """End every subscription: their streams finish, and clients come back with the id they have."""
        self._closing = True
        for subscribers in self._topics.values():
            for subscriber in subscribers:
                subscriber.wake.set()

    def listen(self, listener: Callable[[Event], None], *, prefix: str = "") -> None:
        """Call `listener` in the event loop with every event of every node whose topic begins so, for those who look at
        many topics and keep no place in the log, such as the phone channels. It must not block and must not raise."""
        self._listeners.append((prefix, listener))

    def published(self, events: Sequence[Event]) -> None:
        """Tell that these events are committed. Called in the event loop."""
        if self._shared:
            self._wake.set()
            return
        for event in events:
            self._dispatch(event)

    async def subscribe(self, topics: Sequence[str], after_id: int | None = None) -> AsyncIterator[Event]:
        """Yield events of these topics: those kept after `after_id` (None: from now on), then each new one. The first
        may be of type `stream.reset` when the log does not know what came after `after_id`: those events have been
        forgotten, or the database is an older copy, whose ids have not come that far. Ends when the log closes."""
        subscriber = _Subscriber()
        for topic in topics:
            self._topics[topic].add(subscriber)
        try:
            opening = await self._storage.read(lambda tx: _open(tx, topics, after_id))
            last = opening.last
            if opening.is_reset:
                yield Event(last, "", "", RESET, "{}", to_millis(self._clock.now()))
            for event in opening.page:
                last = event.id
                yield event
            subscriber.lagging |= len(opening.page) == PAGE
            while not self._closing:
                if subscriber.lagging:
                    subscriber.lagging = False
                    async for event in self._catch_up(topics, last):
                        last = event.id
                        yield event
                while subscriber.mail:
                    event = subscriber.mail.popleft()
                    if event.id > last:
                        last = event.id
                        yield event
                if not (subscriber.mail or subscriber.lagging or self._closing):
                    subscriber.wake.clear()
                    await subscriber.wake.wait()
        finally:
            for topic in topics:
                self._topics[topic].discard(subscriber)
                if not self._topics[topic]:
                    del self._topics[topic]

    async def _catch_up(self, topics: Sequence[str], after_id: int) -> AsyncIterator[Event]:
        while True:
            page = await self._storage.read(lambda tx, after=after_id: read_topics_after(tx, topics, after))  # type: ignore[misc]
            for event in page:
                yield event
            if len(page) < PAGE:
                return
            after_id = page[-1].id

    def _dispatch(self, event: Event) -> None:
        self._seen = max(self._seen, event.id)
        for subscriber in self._topics.get(event.topic, ()):
            subscriber.put(event)
        for prefix, listener in self._listeners:
            if event.topic.startswith(prefix):
                listener(event)

    async def _follow_table(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()
            self._wake.clear()
            try:
                while page := await self._storage.read(lambda tx: read_after(tx, self._seen)):
                    for event in page:
                        self._dispatch(event)
            except Problem:
                _log.warning("event log cannot be read; trying again")
                await asyncio.sleep(RETRY_S)

    async def _prune_forever(self) -> None:
        while True:
            await asyncio.sleep(PRUNE_S)
            before = to_millis(self._clock.now() - self._retention_s)
            with contextlib.suppress(Problem):
                while await self._storage.write(lambda tx, before=before: prune(tx, before)) == PAGE:  # type: ignore[misc]
                    pass


@dataclass(frozen=True, slots=True)
class _Opening:
    """What a new subscriber begins with: the last id it knows of, and the first kept events after it."""

    last: int
    is_reset: bool
    page: Sequence[Event]


def _open(tx: Transaction, topics: Sequence[str], after_id: int | None) -> _Opening:
    newest = newest_id(tx)
    if after_id is None:
        return _Opening(newest, is_reset=False, page=())
    is_reset = after_id > 0 and (oldest_id(tx) > after_id + 1 or newest < after_id)
    last = min(after_id, newest)
    return _Opening(last, is_reset=is_reset, page=read_topics_after(tx, topics, last))
