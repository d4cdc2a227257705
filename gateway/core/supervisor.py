"""Keeps tasks alive that work on their own until they are stopped: sweeps, senders, followers. One that fails is logged
and begun again after a pause that grows; meanwhile /readyz says so. Whoever has such tasks holds one `Supervisor`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import structlog

from gateway.core.errors import Problem, ProblemCode

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
SETTLED_S = 30.0
"""A task that has run that long since it was begun again has recovered."""
STOP_S = 10.0

Work = Callable[[], Awaitable[None]]
_log = structlog.get_logger("tasks")


class Supervisor:
    """Tasks by name. `check` is for /readyz."""

    def __init__(self, *, first_pause_s: float = FIRST_PAUSE_S, settled_s: float = SETTLED_S) -> None:
        self._first_pause_s = first_pause_s
        self._settled_s = settled_s
        self._failing: set[str] = set()

    async def check(self) -> None:
        """Raise Problem(UNAVAILABLE) that names the tasks which failed and have not yet recovered."""
        if self._failing:
            names = ", ".join(sorted(self._failing))
            raise Problem(ProblemCode.UNAVAILABLE, f"failed, and begun again: {names}; the log says why")

    @contextlib.asynccontextmanager
    async def running(self, works: Mapping[str, Work]) -> AsyncIterator[None]:
        """Run these until exit, which waits for their end 10 seconds at most."""
        tasks = [asyncio.create_task(self._keep(name, work), name=name) for name, work in works.items()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            _, stuck = await asyncio.wait(tasks, timeout=STOP_S)
            for task in stuck:
                _log.error("a background task does not end", task=task.get_name())

    async def _keep(self, name: str, work: Work) -> None:
        loop, pause = asyncio.get_running_loop(), self._first_pause_s
        while True:
            settled = loop.call_later(self._settled_s, self._failing.discard, name)
            try:
                await work()
                _log.critical("a background task ended", task=name)
            except (Exception, asyncio.CancelledError):
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise  # stopped; any other cancellation came out of the work itself
                _log.critical("a background task failed", task=name, exc_info=True)
            finally:
                settled.cancel()
            pause = min(2 * pause, LONGEST_PAUSE_S) if name in self._failing else self._first_pause_s
            self._failing.add(name)
            await asyncio.sleep(pause)
