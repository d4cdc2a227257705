"""Keeps a number of visits under way against a server, and tells how many a second came through and what each cost the
server in processor time."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from gateway.bench.load.process import ServerProcess, own_cpu_s

RAMP_S = 0.7

Visit = Callable[[int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Load:
    """What a slice of load came to. `seconds` and `steady` leave out the start, while the visits fall in step, and the
    end; processor times are of the whole slice and all its `visits`, seconds."""

    visits: int
    steady: int
    seconds: float
    server_cpu_s: float
    own_cpu_s: float

    @staticmethod
    def middle_of(slices: "Sequence[Load]") -> "Load":
        """Return the median slice by what a visit cost the server: a moment in which the machine was taken by others
        counts as little as it should."""
        return sorted(slices, key=lambda each: each.server_ms)[len(slices) // 2]

    @property
    def rate(self) -> float:
        """Visits a second, with all places taken."""
        return self.steady / self.seconds

    @property
    def server_ms(self) -> float:
        """Processor time that a visit cost the server, milliseconds."""
        return 1000 * self.server_cpu_s / self.visits

    @property
    def own_ms(self) -> float:
        """Processor time that a visit cost the load generator, milliseconds."""
        return 1000 * self.own_cpu_s / self.visits


async def apply(server: ServerProcess, visit: Visit, *, seconds: float, in_flight: int) -> Load:
    """Keep `in_flight` visits under way for that long, then let them end. Raises what the first failed one raised."""
    began = time.perf_counter()
    until = began + seconds
    ends: list[float] = []
    numbers = iter(range(1_000_000_000))

    async def visit_on() -> None:
        while time.perf_counter() < until:
            await visit(next(numbers))
            ends.append(time.perf_counter())

    server_before, own_before = server.cpu_s(), own_cpu_s()
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(visit_on())
    steady_from = began + min(RAMP_S, seconds / 4)
    return Load(
        visits=len(ends),
        steady=sum(steady_from <= end < until for end in ends),
        seconds=until - steady_from,
        server_cpu_s=server.cpu_s() - server_before,
        own_cpu_s=own_cpu_s() - own_before,
    )


async def apply_all(server: ServerProcess, visit: Visit, *, visits: int, in_flight: int) -> Load:
    """Make that many visits, `in_flight` of them under way while there are as many left. Raises what the first failed
    one raised."""
    ends: list[float] = []
    numbers = iter(range(visits))

    async def visit_on() -> None:
        for number in numbers:
            await visit(number)
            ends.append(time.perf_counter())

    server_before, own_before = server.cpu_s(), own_cpu_s()
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(visit_on())
    first, last = visits // 10, visits - visits // 10 - 1
    return Load(
        visits=visits,
        steady=last - first,
        seconds=ends[last] - ends[first],
        server_cpu_s=server.cpu_s() - server_before,
        own_cpu_s=own_cpu_s() - own_before,
    )


async def pace(visit: Visit, *, rate: float, seconds: float) -> None:
    """Begin `rate` visits a second for that long, whether those before have ended or not, then let them end. Raises
    what the first failed one raised."""
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            group.create_task(_begin(visit, number))


async def _begin(visit: Visit, number: int) -> None:
    await visit(number)
