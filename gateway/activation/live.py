"""The first contacts of this process by activation, so that what happens at the desktop, on whichever node, reaches the
phone. The event log calls `on_event`; the channels register themselves. One contact an activation: the phone that
comes again replaces its older socket."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

import msgspec

from gateway.core.subjects import activation_topic


class HappenedEvent(Protocol):
    """An event as the log tells it; `data` is JSON text."""

    @property
    def topic(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def data(self) -> str: ...


class LiveContact(Protocol):
    """A phone between m3 and m7."""

    async def tell_confirmed(self) -> None:
        """The device code was right."""
        ...

    async def tell_wrong_code(self, left: int) -> None:
        """A wrong device code was typed."""
        ...

    async def tell_ended(self, reason: str) -> None:
        """The activation is over; tell and close."""
        ...

    async def replace(self) -> None:
        """The phone came again on another socket; close this one."""
        ...


class _Data(msgspec.Struct):
    left: int = 0
    reason: str | None = None


class LiveContacts:
    """Who is here between m3 and m7."""

    def __init__(self) -> None:
        self._contacts: dict[str, LiveContact] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._contacts)

    def add(self, activation_id: str, contact: LiveContact) -> None:
        """Register a contact, and close the one it replaces."""
        topic = activation_topic(activation_id)
        older = self._contacts.get(topic)
        self._contacts[topic] = contact
        if older is not None and older is not contact:
            self._spawn(older.replace())

    def discard(self, activation_id: str, contact: LiveContact) -> None:
        """Forget a contact, unless another took its place."""
        topic = activation_topic(activation_id)
        if self._contacts.get(topic) is contact:
            del self._contacts[topic]

    def on_event(self, event: HappenedEvent) -> None:
        """Pass on to the phone what it has to hear of its activation."""
        contact = self._contacts.get(event.topic)
        if contact is None:
            return
        data = msgspec.json.decode(event.data, type=_Data)
        if event.type == "activation.confirmed":
            self._spawn(contact.tell_confirmed())
        elif event.type == "activation.code-wrong":
            self._spawn(contact.tell_wrong_code(data.left))
        elif event.type == "activation.ended":
            self._spawn(contact.tell_ended(data.reason or "cancelled"))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
