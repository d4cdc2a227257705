"""The time, as an argument. Services take a Clock; only the composition root makes a SystemClock."""

import time
from typing import Protocol


class Clock(Protocol):
    """A source of wall-clock time, and of time that only passes: somebody may set the machine's clock back."""

    def now(self) -> float:
        """Return seconds since 1970-01-01T00:00:00Z (Unix time)."""
        ...

    def monotonic(self) -> float:
        """Return seconds since some moment of this process's own. It never goes back, and means nothing elsewhere."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Return the machine's Unix time in seconds."""
        return time.time()  # noqa: TID251 - the one place that reads it

    def monotonic(self) -> float:
        """Return the machine's steady time in seconds."""
        return time.monotonic()


class ManualClock:
    """A clock that moves only when told, for tests and simulations."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start
        self._passed = 0.0

    def now(self) -> float:
        """Return the time last set, Unix seconds."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds that have passed."""
        return self._passed

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self._now += seconds
        self._passed += seconds

    def step(self, seconds: float) -> None:
        """Set the wall clock forward or back (negative) by `seconds`, while no time passes."""
        self._now += seconds
