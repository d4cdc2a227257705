"""Activations as this process last saw them, so that the busy steps (draw the code, admit a phone, confirm) need no
read of their own. What is remembered may be old where several nodes share a database: so it is only ever a reason to
try a change, which compares versions, and never a reason to refuse. The services remember and forget."""

from collections import OrderedDict
from typing import Protocol

from gateway.activation.models import Activation
from gateway.core.subjects import activation_topic

_PREFIX = activation_topic("")
MAX_REMEMBERED = 4_096


class HappenedEvent(Protocol):
    """An event as the log tells it."""

    @property
    def topic(self) -> str: ...


class RecentActivations:
    """The last activations by id, the longest untouched forgotten first."""

    def __init__(self, limit: int = MAX_REMEMBERED) -> None:
        self._known: OrderedDict[str, Activation] = OrderedDict()
        self._limit = limit

    def recall(self, activation_id: str) -> Activation | None:
        """Return an activation as it was last seen here."""
        return self._known.get(activation_id)

    def remember(self, activation: Activation) -> None:
        """Keep an activation, unless a later version is known; one that is over is not kept."""
        known = self._known.pop(activation.id, None)
        if known is not None and known.version > activation.version:
            activation = known
        if activation.is_over:
            return
        self._known[activation.id] = activation
        if len(self._known) > self._limit:
            self._known.popitem(last=False)

    def on_event(self, event: HappenedEvent) -> None:
        """Something happened to an activation, here or on another node: forget it. Who changed it here remembers it
        anew afterwards."""
        self._known.pop(event.topic.removeprefix(_PREFIX), None)

    def forget(self, activation_id: str) -> None:
        """Ask the database the next time."""
        self._known.pop(activation_id, None)
