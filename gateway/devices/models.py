"""A binding: one phone of one customer, as data, with its states and the table of their changes. The service and the
channel call the functions here; nothing reads a clock or a database."""

from dataclasses import dataclass, replace
from enum import StrEnum

from gateway.core.subjects import BindingRef, DeviceFacts


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


class SuspendedBy(StrEnum):
    """Who suspended a binding, and so who may resume it: what the customer did, the customer's page may undo; what the
    bank did, the bank alone, since the page may be in the thief's hands; a copy found out nobody, since the copy that
    moved the ratchet would be the one to come back."""

    CUSTOMER = "customer"
    BANK = "bank"
    CLONE = "clone"


TRANSITIONS: dict[tuple[BindingState, BindingEvent], BindingState] = {
    (BindingState.ACTIVE, BindingEvent.SUSPEND): BindingState.SUSPENDED,
    (BindingState.ACTIVE, BindingEvent.CLONE): BindingState.SUSPENDED,
    (BindingState.SUSPENDED, BindingEvent.CLONE): BindingState.SUSPENDED,
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
    """One bound phone. `gateway_label` names the gateway key S that `index` runs under, `next_gateway_label` that of
    `index` + 1, None where it is the same; `signing_key` is g_D and `static_key` s_D (65 bytes each). `psk` is the
    sealed ratchet key of `index`, `psk_next` that of `index` + 1, once the phone has said `ready`; both are gone when
    the binding is removed or a copy was found. `suspended_by` is None unless it is suspended; `turns`
    counts contacts that moved the ratchet."""

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
    suspended_by: SuspendedBy | None = None
    next_gateway_label: str | None = None
    turns: int = 0

    @property
    def name(self) -> str:
        """What the customer calls the phone."""
        return self.device.name

    @property
    def ref(self) -> BindingRef:
        """Who it is and whose."""
        return BindingRef(self.tenant_id, self.id, self.user)

    def psk_of(self, counter: int) -> bytes | None:
        """Return the sealed psk of a ratchet index, or None when the gateway does not hold it."""
        if counter == self.index:
            return self.psk
        return self.psk_next if counter == self.index + 1 else None

    def gateway_label_of(self, counter: int) -> str:
        """Return the label of the gateway key S that a ratchet index runs under."""
        following = self.next_gateway_label if counter == self.index + 1 else None
        return following or self.gateway_label

    def hybrid_due_s(self, policy: DevicePolicy) -> int:
        """Return from when on (Unix seconds) a contact has to be hybrid."""
        return self.hybrid_at // 1000 + policy.hybrid_period_s if self.is_hybrid else NEVER_DUE


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn of the ratchet whose `welcome` nobody has proved to have: the contact came with `index`, and was the
    binding's turn of this `number`; the next index `is_move` when it runs under another gateway key S."""

    index: int
    number: int
    is_move: bool = False


class BindingStepRefused(Exception):
    """The table has no such step from where the binding stands."""


class ResumeRefused(Exception):
    """The customer asks to resume what the customer did not suspend."""


class CloneResumeRefused(Exception):
    """Somebody asks to resume a phone of which a copy was found: its keys are in two hands."""


def next_state(state: BindingState, event: BindingEvent) -> BindingState:
    """Return where an event leads. Raises `BindingStepRefused`."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise BindingStepRefused(f"{event} is not possible while {state}") from None


def move(binding: Binding, event: BindingEvent, *, is_customer: bool) -> Binding:
    """Return the binding after an event that the customer, or else the bank or the gateway, brought. The bank may
    suspend what the customer has suspended: from then on it is the bank's to resume. Raises `BindingStepRefused`,
    `ResumeRefused`, `CloneResumeRefused`."""
    if event is BindingEvent.RESUME and binding.suspended_by is SuspendedBy.CLONE:
        raise CloneResumeRefused
    if event is BindingEvent.RESUME and is_customer and _is_the_banks(binding):
        raise ResumeRefused
    is_the_customers = binding.suspended_by is SuspendedBy.CUSTOMER
    is_taken_over = event is BindingEvent.SUSPEND and is_the_customers and not is_customer
    to = BindingState.SUSPENDED if is_taken_over else next_state(binding.state, event)
    return replace(binding, state=to, suspended_by=_suspender(event, is_customer=is_customer))


def _is_the_banks(binding: Binding) -> bool:
    return binding.state is BindingState.SUSPENDED and binding.suspended_by is not SuspendedBy.CUSTOMER


def _suspender(event: BindingEvent, *, is_customer: bool) -> SuspendedBy | None:
    match event:
        case BindingEvent.SUSPEND:
            return SuspendedBy.CUSTOMER if is_customer else SuspendedBy.BANK
        case BindingEvent.CLONE:
            return SuspendedBy.CLONE
        case _:
            return None
