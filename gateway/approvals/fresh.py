"""Requests that this process has just written, kept from their commit until its phones are told of them, so that they
are not read back at once. What is not here any more, or was written by another node, is read from the database."""

from collections import OrderedDict
from dataclasses import dataclass

from gateway.approvals.models import Approval

MAX_FRESH = 256
"""Requests kept at once: those of a moment. Beyond that the oldest goes."""


@dataclass(frozen=True, slots=True)
class Fresh:
    """A request as it was made, and which of the phones that it asks have a biometric credential."""

    approval: Approval
    enrolled: frozenset[str]


class FreshAsks:
    """One for the process."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Fresh] = OrderedDict()

    def put(self, fresh: Fresh) -> None:
        """Keep a request that is committed."""
        self._kept[fresh.approval.id] = fresh
        if len(self._kept) > MAX_FRESH:
            self._kept.popitem(last=False)

    def take(self, approval_id: str) -> Fresh | None:
        """Return a request that is kept, once."""
        return self._kept.pop(approval_id, None)
