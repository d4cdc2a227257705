"""The time, as an argument. Services take a Clock; only the composition root makes a SystemClock."""

import time
from typing import Protocol


class Clock(Protocol):
    """A source of wall-clock time."""

    def now(self) -> float:
        """Return seconds since 1970-01-01T00:00:00Z (Unix time)."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Return the machine's Unix time in seconds."""
        return time.time()  # noqa: TID251 - the one place that reads it


class ManualClock:
    """A clock that moves only when told, for tests and simulations."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start

    def now(self) -> float:
        """Return the time last set, Unix seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock forward by `seconds`."""
        self._now += seconds
