"""An activation: the minutes between the code on the screen and a bound phone, as data, with its states and the table
of their changes. The services call the functions here; nothing reads a clock or a database."""

from dataclasses import dataclass
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from gateway.core.subjects import DeviceFacts

TRIES = 3
TYPED_FAILURES = 10


class ActivationState(StrEnum):
    """Where an activation stands."""

    WAITING = "waiting"
    PRESENT = "present"
    CONFIRMED = "confirmed"
    ACTIVE = "active"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    CONTESTED = "contested"


class ActivationEvent(StrEnum):
    """What moves it."""

    CLAIM = "claim"
    PRESENT = "present"
    RETURN = "return"
    CODE_WRONG = "code-wrong"
    CONFIRM = "confirm"
    COMMIT = "commit"
    CANCEL = "cancel"
    EXPIRE = "expire"
    REFUSE = "refuse"
    CONTEST = "contest"


_S, _E = ActivationState, ActivationEvent

TRANSITIONS: dict[tuple[ActivationState, ActivationEvent], ActivationState] = {
    (_S.WAITING, _E.CLAIM): _S.WAITING,
    (_S.WAITING, _E.PRESENT): _S.PRESENT,
    (_S.WAITING, _E.CANCEL): _S.CANCELLED,
    (_S.WAITING, _E.EXPIRE): _S.EXPIRED,
    (_S.WAITING, _E.CONTEST): _S.CONTESTED,
    (_S.PRESENT, _E.CLAIM): _S.PRESENT,
    (_S.PRESENT, _E.RETURN): _S.PRESENT,
    (_S.PRESENT, _E.CODE_WRONG): _S.PRESENT,
    (_S.PRESENT, _E.CONFIRM): _S.CONFIRMED,
    (_S.PRESENT, _E.REFUSE): _S.REFUSED,
    (_S.PRESENT, _E.CANCEL): _S.CANCELLED,
    (_S.PRESENT, _E.EXPIRE): _S.EXPIRED,
    (_S.PRESENT, _E.CONTEST): _S.CONTESTED,
    (_S.CONFIRMED, _E.CLAIM): _S.CONFIRMED,
    (_S.CONFIRMED, _E.RETURN): _S.CONFIRMED,
    (_S.CONFIRMED, _E.COMMIT): _S.ACTIVE,
    (_S.CONFIRMED, _E.CANCEL): _S.CANCELLED,
    (_S.CONFIRMED, _E.EXPIRE): _S.EXPIRED,
    (_S.CONFIRMED, _E.CONTEST): _S.CONTESTED,
}
"""(from, event) → to. Drawn in README.md. `claim` is a valid m1 of a phone key, `present` its m3, `return` the same
phone's m3 again."""

ENDED_REASONS: dict[ActivationState, str] = {
    _S.EXPIRED: "expired",
    _S.CANCELLED: "cancelled",
    _S.REFUSED: "device-code",
    _S.CONTESTED: "contested",
}
"""The reason that phone, page and bank are told of each end that is not `active`."""

OVER = frozenset({_S.ACTIVE, *ENDED_REASONS})
"""States that nothing leaves."""


@dataclass(frozen=True, slots=True)
class ActivationPolicy:
    """Seconds between two codes, life of an activation and of a page token, and how long an activation that is over is
    kept; the suites that may be used."""

    rotation_s: int = 10
    life_s: int = 300
    page_token_life_s: int = 900
    retention_s: int = 30 * 86_400
    suites: tuple[str, ...] = ("hybrid", "classical")


class Activation(msgspec.Struct, frozen=True, kw_only=True):
    """One activation. Times are Unix milliseconds, `expires_at` on a whole second. `seed` (sealed, 32 bytes) gives
    every rotation's key, the typed code and the commit nonce; it is gone once the activation is over, as is
    `locator`, which finds a typed code. `phone_static` (s_D, 65 bytes) and `phone_rotation` are those of the claim,
    `phone_signing` (g_D, 65 bytes) and `device` those of m3; `device_code` is export("device-code") of the channel in
    use, sealed; `code2` the payload of the second code for that channel, in two steps. `binding_id` is the binding's
    to be. `approval_id` is the request by which a bound phone agreed to a further one, and `replaces` the binding that
    ends when this one stands."""

    id: str
    tenant_id: str
    user: str
    label: str
    state: ActivationState
    is_two_step: bool
    is_rotating: bool
    is_hybrid: bool
    platforms: tuple[str, ...]
    gateway_label: str
    seed: bytes | None
    locator: str | None
    typed_failures: int
    binding_id: str
    phone_static: bytes | None
    phone_signing: bytes | None
    phone_rotation: int | None
    device: DeviceFacts | None
    device_code: bytes | None
    code2: bytes | None
    tries_left: int
    created_at: int
    expires_at: int
    version: int
    approval_id: str | None = None
    replaces: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing can change any more."""
        return self.state in OVER

    @property
    def ended_reason(self) -> str | None:
        """Why it ended, when it did not become active."""
        return ENDED_REASONS.get(self.state)

    @property
    def expiry_s(self) -> int:
        """The end in Unix seconds, as code and prologue carry it."""
        return self.expires_at // 1000


class StepRefused(Exception):
    """The table has no such step from where the activation stands."""


def move(activation: Activation, event: ActivationEvent) -> Activation:
    """Return the activation after an event, its secrets dropped when it is over. Raises `StepRefused`."""
    try:
        to = TRANSITIONS[activation.state, event]
    except KeyError:
        raise StepRefused(f"{event} is not possible while {activation.state}") from None
    if to in OVER:
        return replace(activation, state=to, seed=None, locator=None, device_code=None, code2=None)
    return replace(activation, state=to)
