"""The first contacts of this process by activation, so that what happens at the desktop, on whichever node, reaches the
phone. The event log calls `on_event`; the channels register themselves. A phone that comes again closes its older
socket once it is present anew."""

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
        self._contacts: dict[str, list[LiveContact]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._contacts)

    def add(self, activation_id: str, contact: LiveContact) -> None:
        """Register a contact, before its phone is present, so that no event is missed."""
        self._contacts.setdefault(activation_topic(activation_id), []).append(contact)

    def prevail(self, activation_id: str, contact: LiveContact) -> None:
        """The contact's phone is present: close the older sockets of the same phone."""
        topic = activation_topic(activation_id)
        older = [other for other in self._contacts.get(topic, ()) if other is not contact]
        self._contacts[topic] = [contact]
        for other in older:
            self._spawn(other.replace())

    def discard(self, activation_id: str, contact: LiveContact) -> None:
        """Forget a contact that is over."""
        topic = activation_topic(activation_id)
        left = [other for other in self._contacts.get(topic, ()) if other is not contact]
        if left:
            self._contacts[topic] = left
        else:
            self._contacts.pop(topic, None)

    def on_event(self, event: HappenedEvent) -> None:
        """Pass on to the phones what they have to hear of their activation."""
        contacts = self._contacts.get(event.topic)
        if contacts is None:
            return
        data = msgspec.json.decode(event.data, type=_Data)
        for contact in contacts:
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
