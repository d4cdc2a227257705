"""The PIN of a binding as data, and the rules of its counter as a table. The service calls the functions at the foot;
nothing here reads a clock or a database."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import ClassVar

from gateway.protocol.errors import ProtocolError


class PinState(StrEnum):
    """Whether the PIN may be evaluated."""

    OPEN = "open"
    BLOCKED = "blocked"
    LOCKED = "locked"


class PinEvent(StrEnum):
    """What moves the counter."""

    EVALUATE = "evaluate"
    EXHAUST = "exhaust"
    EXHAUST_LAST = "exhaust-last"
    PROVE = "prove"
    ELAPSE = "elapse"
    UNBLOCK = "unblock"
    CHANGE = "change"


TRANSITIONS: dict[tuple[PinState, PinEvent], PinState] = {
    (PinState.OPEN, PinEvent.EVALUATE): PinState.OPEN,
    (PinState.OPEN, PinEvent.EXHAUST): PinState.BLOCKED,
    (PinState.OPEN, PinEvent.EXHAUST_LAST): PinState.LOCKED,
    (PinState.OPEN, PinEvent.PROVE): PinState.OPEN,
    (PinState.OPEN, PinEvent.CHANGE): PinState.OPEN,
    (PinState.OPEN, PinEvent.UNBLOCK): PinState.OPEN,
    (PinState.BLOCKED, PinEvent.PROVE): PinState.OPEN,
    (PinState.BLOCKED, PinEvent.ELAPSE): PinState.OPEN,
    (PinState.BLOCKED, PinEvent.UNBLOCK): PinState.OPEN,
    (PinState.LOCKED, PinEvent.PROVE): PinState.OPEN,
    (PinState.LOCKED, PinEvent.UNBLOCK): PinState.OPEN,
}
"""(from, event) → to. Drawn in README.md. `prove` leaves a blocked state too: the last evaluation before the block
may still be proved, and was the right PIN."""


@dataclass(frozen=True, slots=True)
class PinPolicy:
    """Evaluations in a row, and seconds of each block; after the last block only the bank unblocks."""

    digits: int = 6
    tries: int = 5
    blocks_s: tuple[int, ...] = (300, 600)


@dataclass(frozen=True, slots=True)
class Pin:
    """The gateway's half of one binding's PIN. `round` counts the blocks since the last proof; `oprf_blob` and
    `oprf_public` (65 bytes) are the wrapped OPRF key; `pin_key` (65 bytes) is the phone's PIN-derived public key, and
    `verifier` the sealed check of offline answers (None: the phone was bound before there was one); `told` says that
    the present block has been told to the bank."""

    binding_id: str
    tenant_id: str
    state: PinState
    digits: int
    left: int
    round: int
    blocked_until_ms: int | None
    told: bool
    oprf_blob: bytes
    oprf_public: bytes
    pin_key: bytes
    verifier: bytes | None
    version: int


class PinBlocked(Exception):
    """No evaluation now. `until_ms` is when time unblocks it, or None when only the bank does."""

    def __init__(self, until_ms: int | None) -> None:
        super().__init__("the PIN is blocked")
        self.until_ms = until_ms


class PinRefused(ProtocolError):
    """The element, the proof or the enrolment is not good, or the PIN has changed meanwhile."""

    code: ClassVar[str] = "pin-refused"


def next_state(state: PinState, event: PinEvent) -> PinState:
    """Return where an event leads. Raises `PinRefused` when the table has no such step."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise PinRefused(f"{event} is not possible while {state}") from None


def after_evaluation(pin: Pin, *, now_ms: int, policy: PinPolicy) -> Pin:
    """Return the PIN with one evaluation taken off. Raises `PinBlocked`."""
    if pin.state is PinState.BLOCKED and pin.blocked_until_ms is not None and now_ms >= pin.blocked_until_ms:
        pin = replace(
            pin,
            state=next_state(pin.state, PinEvent.ELAPSE),
            left=policy.tries,
            blocked_until_ms=None,
            told=False,
        )
    if pin.state is not PinState.OPEN:
        raise PinBlocked(pin.blocked_until_ms)
    left = pin.left - 1
    if left > 0:
        return replace(pin, state=next_state(pin.state, PinEvent.EVALUATE), left=left)
    last = pin.round >= len(policy.blocks_s)
    event = PinEvent.EXHAUST_LAST if last else PinEvent.EXHAUST
    until = None if last else now_ms + policy.blocks_s[pin.round] * 1000
    state = next_state(pin.state, event)
    return replace(pin, state=state, left=0, round=pin.round + 1, blocked_until_ms=until, told=False)


def after_proof(pin: Pin, *, policy: PinPolicy) -> Pin:
    """Return the PIN with its counter restored by a proof."""
    return _restored(pin, PinEvent.PROVE, policy)


def after_unblock(pin: Pin, *, policy: PinPolicy) -> Pin:
    """Return the PIN with its counter restored by the bank."""
    return _restored(pin, PinEvent.UNBLOCK, policy)


def _restored(pin: Pin, event: PinEvent, policy: PinPolicy) -> Pin:
    state = next_state(pin.state, event)
    return replace(pin, state=state, left=policy.tries, round=0, blocked_until_ms=None, told=False)
