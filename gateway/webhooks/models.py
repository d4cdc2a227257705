"""Webhook endpoints and deliveries: frozen data, states and the table of transitions."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

MAX_ENDPOINTS = 10
"""Endpoints a tenant may have."""

BACKOFF_SECONDS = (5, 30, 120, 600, 3_600, 14_400, 43_200, 86_400)
"""Waits after the first, second … failed attempt; the last one is repeated."""

CLAIM_SECONDS = 60
"""How long a node may hold a delivery before another takes it for dead."""


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    SENDING = "sending"
    DELIVERED = "delivered"
    FAILED = "failed"


class DeliveryEvent(StrEnum):
    """What moves a delivery."""

    CLAIM = "claim"
    ACCEPTED = "accepted"
    AGAIN = "again"
    GIVE_UP = "give-up"
    REDELIVER = "redeliver"


TRANSITIONS: Mapping[tuple[DeliveryState, DeliveryEvent], DeliveryState] = {
    (DeliveryState.PENDING, DeliveryEvent.CLAIM): DeliveryState.SENDING,
    (DeliveryState.SENDING, DeliveryEvent.CLAIM): DeliveryState.SENDING,
    (DeliveryState.SENDING, DeliveryEvent.ACCEPTED): DeliveryState.DELIVERED,
    (DeliveryState.SENDING, DeliveryEvent.AGAIN): DeliveryState.PENDING,
    (DeliveryState.SENDING, DeliveryEvent.GIVE_UP): DeliveryState.FAILED,
    (DeliveryState.FAILED, DeliveryEvent.REDELIVER): DeliveryState.PENDING,
}


def sources(event: DeliveryEvent) -> list[str]:
    """Return the states that an event leads out of, as they are stored."""
    return [state.value for state, moved_by in TRANSITIONS if moved_by is event]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a bank wants to be told. `events` empty means all; `secret` is sealed; times are Unix milliseconds."""

    id: str
    tenant_id: str
    url: str
    events: tuple[str, ...]
    secret: bytes
    created_at: int

    def wants(self, kind: str) -> bool:
        """Return whether events of this type go here."""
        return not self.events or kind in self.events


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits to be told to one endpoint: how many deliveries, and when the oldest was made (Unix milliseconds)."""

    endpoint_id: str
    count: int
    oldest_at: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message for one endpoint: `body` is the exact text that is signed and sent. `next_at` is when it is due, or
    its claim runs out, or, in a final state, when it came there."""

    id: str
    tenant_id: str
    endpoint_id: str
    kind: str
    body: str
    state: DeliveryState
    attempts: int
    next_at: int
    last_error: str | None
    created_at: int
