"""What facts and ports are about, in the words that the capabilities share since they do not import one another:
a binding's address, and the names of event topics."""

from dataclasses import dataclass

ACTIVATIONS = "activation:"
USERS = "user:"
"""How the topics of one kind begin."""


def activation_topic(activation_id: str) -> str:
    """Return the event topic of one activation."""
    return f"{ACTIVATIONS}{activation_id}"


def approval_topic(approval_id: str) -> str:
    """Return the event topic of one request for approval."""
    return f"approval:{approval_id}"


def user_topic(tenant_id: str, user: str) -> str:
    """Return the event topic of one user's phones."""
    return f"{USERS}{tenant_id}:{user}"


@dataclass(frozen=True, slots=True)
class BindingRef:
    """Which binding: ids of the tenant and the binding, and the bank's name for the customer."""

    tenant_id: str
    binding_id: str
    user: str

    @property
    def topic(self) -> str:
        """The event topic of the customer's phones."""
        return user_topic(self.tenant_id, self.user)


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What a phone says of itself: shown to people, trusted for nothing. `place` is in words, where known."""

    name: str
    model: str
    platform: str
    os: str
    app: str
    lang: str
    place: str | None = None


@dataclass(frozen=True, slots=True)
class NewPhone:
    """A phone about to be bound. `gateway_label` names the gateway key S of the handshake; `signing_key` is g_D and
    `static_key` s_D (65 bytes each); `sealed_psk` is bpsk_0, sealed for its cell; `added_at` in Unix milliseconds.
    `replaces` is the binding that ends when this one stands."""

    ref: BindingRef
    label: str
    device: DeviceFacts
    is_hybrid: bool
    gateway_label: str
    signing_key: bytes
    static_key: bytes
    sealed_psk: bytes
    added_at: int
    replaces: str | None = None
