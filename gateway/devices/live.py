"""The open channels of this process by binding, so that what the bank or the customer changes on any node reaches the
phone. The event log calls `on_event`; the channels register themselves. One channel a binding: a newer one replaces
the older."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

import msgspec

from gateway.core.subjects import BindingRef
from gateway.http.parts import ChannelContext
from gateway.protocol.messages import BindingState

_STATES: dict[str, BindingState] = {
    "binding.suspended": "suspended",
    "binding.resumed": "active",
    "binding.removed": "removed",
}


class HappenedEvent(Protocol):
    """An event as the log tells it; `data` is JSON text."""

    @property
    def type(self) -> str: ...
    @property
    def data(self) -> str: ...


class _Subject(msgspec.Struct):
    binding: str


class LiveChannel(ChannelContext, Protocol):
    """An open channel."""

    async def tell_state(self, state: BindingState) -> None:
        """Tell the phone, and close the socket unless the binding is active."""
        ...

    async def close(self) -> None:
        """Close the socket."""
        ...


class LiveChannels:
    """Who is connected here."""

    def __init__(self) -> None:
        self._channels: dict[str, LiveChannel] = {}
        self._customers: dict[str, list[LiveChannel]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._channels)

    def add(self, channel: LiveChannel) -> None:
        """Register a channel, and close the one it replaces."""
        ref = channel.ref
        older = self._channels.get(ref.binding_id)
        if older is channel:
            return
        if older is not None:
            self._leave(ref, older)
            self._spawn(older.close())
        self._channels[ref.binding_id] = channel
        self._customers.setdefault(ref.topic, []).append(channel)

    def discard(self, channel: LiveChannel) -> None:
        """Forget a channel that has ended, unless another took its place."""
        ref = channel.ref
        if self._channels.get(ref.binding_id) is channel:
            del self._channels[ref.binding_id]
            self._leave(ref, channel)

    def of_binding(self, binding_id: str) -> ChannelContext | None:
        """Return the open channel of a binding."""
        return self._channels.get(binding_id)

    def of_topic(self, topic: str) -> Sequence[ChannelContext]:
        """Return the open channels of one customer's phones (`BindingRef.topic`)."""
        return tuple(self._customers.get(topic, ()))

    def _leave(self, ref: BindingRef, channel: LiveChannel) -> None:
        others = self._customers[ref.topic]
        others.remove(channel)
        if not others:
            del self._customers[ref.topic]

    def on_event(self, event: HappenedEvent) -> None:
        """Pass a change of state on to the phone it is about."""
        state = _STATES.get(event.type)
        if state is None or not self._channels:
            return
        channel = self._channels.get(msgspec.json.decode(event.data, type=_Subject).binding)
        if channel is not None:
            self._spawn(channel.tell_state(state))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
