"""A binding: one phone of one customer, as data, with its states and the table of their changes. The service and the
channel call the functions here; nothing reads a clock or a database."""

from dataclasses import dataclass
from enum import StrEnum

from gateway.core.subjects import DeviceFacts


class BindingState(StrEnum):
    """Where a binding stands."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    REMOVED = "removed"


class BindingEvent(StrEnum):
    """What moves it."""

    SUSPEND = "suspend"
    CLONE = "clone"
    RESUME = "resume"
    REMOVE = "remove"


TRANSITIONS: dict[tuple[BindingState, BindingEvent], BindingState] = {
    (BindingState.ACTIVE, BindingEvent.SUSPEND): BindingState.SUSPENDED,
    (BindingState.ACTIVE, BindingEvent.CLONE): BindingState.SUSPENDED,
    (BindingState.SUSPENDED, BindingEvent.RESUME): BindingState.ACTIVE,
    (BindingState.ACTIVE, BindingEvent.REMOVE): BindingState.REMOVED,
    (BindingState.SUSPENDED, BindingEvent.REMOVE): BindingState.REMOVED,
}
"""(from, event) → to. Drawn in README.md."""

NEVER_DUE = 2**32 - 1
"""`hybrid_due` of a binding that policy keeps classical."""


@dataclass(frozen=True, slots=True)
class DevicePolicy:
    """Seconds between hybrid contacts, and between writes of `last_seen_at` on an open channel."""

    hybrid_period_s: int = 30 * 86_400
    seen_period_s: int = 300


@dataclass(frozen=True, slots=True)
class Binding:
    """One bound phone. `gateway_label` names the gateway key S it was bound under; `signing_key` is g_D and
    `static_key` s_D (65 bytes each). `psk` is the sealed ratchet key of `index`, `psk_next` that of `index` + 1,
    once the phone has said `ready`; both are gone when the binding is removed."""

    id: str
    tenant_id: str
    user: str
    label: str
    device: DeviceFacts
    state: BindingState
    is_hybrid: bool
    gateway_label: str
    signing_key: bytes
    static_key: bytes
    index: int
    psk: bytes | None
    psk_next: bytes | None
    added_at: int
    hybrid_at: int
    last_seen_at: int

    def psk_of(self, counter: int) -> bytes | None:
        """Return the sealed psk of a ratchet index, or None when the gateway does not hold it."""
        if counter == self.index:
            return self.psk
        return self.psk_next if counter == self.index + 1 else None

    def hybrid_due_s(self, policy: DevicePolicy) -> int:
        """Return from when on (Unix seconds) a contact has to be hybrid."""
        return self.hybrid_at // 1000 + policy.hybrid_period_s if self.is_hybrid else NEVER_DUE


class BindingStepRefused(Exception):
    """The table has no such step from where the binding stands."""


def next_state(state: BindingState, event: BindingEvent) -> BindingState:
    """Return where an event leads. Raises `BindingStepRefused`."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise BindingStepRefused(f"{event} is not possible while {state}") from None
