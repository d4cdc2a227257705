"""A phone's push subscription and a wake-up on its way, as data, with the states of the latter and the table of their
changes. Nothing here reads a clock or a database."""

from dataclasses import dataclass
from enum import StrEnum

CLAIM_S = 60
"""Seconds that a sender may take for a wake-up."""
BACKOFF_S = (2, 5, 10, 20, 30)
"""Seconds to the next try, where the push service names none."""
OUTAGE_S = 5
"""Seconds to the next look while the key store is away."""
A_MINUTE = 10
"""Wake-ups of one phone in a minute; more would be noise, and the phone gets all when it opens."""


class WakeState(StrEnum):
    """Where a wake-up stands."""

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    DROPPED = "dropped"


class WakeEvent(StrEnum):
    """What moves it."""

    CLAIM = "claim"
    AGAIN = "again"
    ACCEPTED = "accepted"
    GIVE_UP = "give-up"


_S, _E = WakeState, WakeEvent

TRANSITIONS: dict[tuple[WakeState, WakeEvent], WakeState] = {
    (_S.WAITING, _E.CLAIM): _S.SENDING,
    (_S.WAITING, _E.GIVE_UP): _S.DROPPED,
    (_S.SENDING, _E.AGAIN): _S.WAITING,
    (_S.SENDING, _E.ACCEPTED): _S.SENT,
    (_S.SENDING, _E.GIVE_UP): _S.DROPPED,
}
"""(from, event) → to. Drawn in README.md. `again` only where the push service surely took nothing, so that no phone is
woken twice for one cause; a sender that died leaves its wake-up as it is, until it is dropped."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """Where a phone's push service takes wake-ups, and the phone's keys for them (RFC 8291 section 3.1): `p256dh` 65
    bytes; `endpoint` and `auth` are sealed. `key_label` names the gateway's key that the push service expects."""

    binding_id: str
    tenant_id: str
    endpoint: bytes
    p256dh: bytes
    auth: bytes
    created_at: int
    key_label: str = "tessera-push-1"


@dataclass(frozen=True, slots=True)
class Wake:
    """One phone to be woken for one cause. Times are Unix milliseconds."""

    cause: str
    binding_id: str
    tenant_id: str
    state: WakeState
    attempts: int
    next_at: int
    expires_at: int
    created_at: int
