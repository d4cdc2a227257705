"""What this process has just written or made, kept for the moment in which it is asked for again, so that it need not
be read: new requests until their phones are told, codes until their digits are typed. What is not here any more, or is
another node's, is read from the database. Whoever takes something checks in his own transaction that it still holds."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from gateway.approvals.models import Approval, Counter
from gateway.approvals.ports import Phone
from gateway.core.subjects import BindingRef
from gateway.protocol.offline import OfflineKeys

MAX_AT_HAND = 1_024
"""What is kept at once: that of a moment. Beyond that the oldest goes."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class NewAsk:
    """A request as it was made, and which of the phones that it asks have a biometric credential."""

    approval: Approval
    enrolled: frozenset[str]


@dataclass(frozen=True, slots=True)
class DrawnCode:
    """What the digits from a code are checked against: the request, the phone that the code is for and its count, the
    answer keys and the verifier of its PIN, each opened, and sealed as it rests."""

    approval: Approval
    ref: BindingRef
    phone: Phone
    counter: Counter
    keys: list[OfflineKeys] = field(repr=False)
    sealed_keys: bytes
    verifier: bytes = field(repr=False)
    sealed_verifier: bytes


class AtHand(Generic[T]):
    """Things by the id of their request, each until a moment (Unix milliseconds)."""

    def __init__(self, *, most: int = MAX_AT_HAND) -> None:
        self._most = most
        self._kept: OrderedDict[str, tuple[int, T]] = OrderedDict()

    def put(self, approval_id: str, thing: T, *, until_ms: int) -> None:
        """Keep a thing, in the place of the one before."""
        self._kept[approval_id] = (until_ms, thing)
        self._kept.move_to_end(approval_id)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def take(self, approval_id: str) -> T | None:
        """Return a thing that is kept, once."""
        _, thing = self._kept.pop(approval_id, (0, None))
        return thing

    def drop(self, approval_id: str) -> None:
        """Let go of a thing, if it is kept."""
        self._kept.pop(approval_id, None)

    def drop_due(self, now_ms: int) -> None:
        """Let go of what is past its time."""
        for approval_id in [each for each, (until_ms, _) in self._kept.items() if until_ms <= now_ms]:
            del self._kept[approval_id]
