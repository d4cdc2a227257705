"""Loads the gateway, the bare server beside it and the primitives alone by turns, so that a slow moment of the machine
falls on all of them; and once more the gateway with a ledger, for the parts that its time goes to."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass

import aiohttp

from gateway.bench import Bar, Measure, measure
from gateway.bench.load import bare
from gateway.bench.load.driver import Load, Visit, apply
from gateway.bench.load.installation import Ground
from gateway.bench.load.primitives import primitives_ms
from gateway.bench.load.process import Cores, ServerProcess, free_port, tell
from gateway.bench.load.profiled import PARTS

IN_FLIGHT = 32
TURNS = 7
GATEWAY_S, BARE_S, LEDGER_S = 2.0, 1.0, 5.0
CPU_BAR = Bar(4, judges="ratio")
REST = "rest: aiohttp, event loop"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the turns came to: load on both servers, processor time of the primitives alone (ms a visit)."""

    gateway: Load
    bare: Load
    primitives_ms: float


@dataclass(frozen=True, slots=True)
class Turns:
    """Two servers under load. `what` is what a visit is called, `counts` how often it has each primitive."""

    what: str
    server: ServerProcess
    visit: Visit
    beside: ServerProcess
    bare_visit: Visit
    counts: Mapping[str, int]

    async def take(self, *, warm_up_s: float) -> Outcome:
        """Take the turns."""
        await apply(self.server, self.visit, seconds=warm_up_s, in_flight=IN_FLIGHT)
        await apply(self.beside, self.bare_visit, seconds=BARE_S, in_flight=IN_FLIGHT)
        served: list[Load] = []
        bared: list[Load] = []
        primitives: list[float] = []
        for turn in range(TURNS):
            load = await apply(self.server, self.visit, seconds=GATEWAY_S, in_flight=IN_FLIGHT)
            tell(f"turn {turn + 1}: {load.rate:.1f} {self.what} a second, {load.server_ms:.2f} ms each")
            served.append(load)
            bared.append(await apply(self.beside, self.bare_visit, seconds=BARE_S, in_flight=IN_FLIGHT))
            primitives.append(primitives_ms(self.counts))
        return Outcome(Load.middle_of(served), Load.middle_of(bared), sorted(primitives)[TURNS // 2])


def judge(name: str, outcome: Outcome, *, rate_bar: Bar) -> Iterator[Measure]:
    """Yield rate and processor time beside the bound, against their bars."""
    cost, bound = outcome.gateway.server_ms, outcome.bare.server_ms
    yield measure(name, "rate", value=outcome.gateway.rate, unit="/s", bound=outcome.bare.rate, bar=rate_bar)
    yield measure(name, "server-cpu", value=cost, unit="ms", bound=bound, bar=CPU_BAR)
    yield measure(name, "rate, had it the core alone", value=1000 / cost, unit="/s", bound=1000 / bound)
    yield measure(name, "primitives, alone", value=outcome.primitives_ms, unit="ms")
    yield measure(name, "load-generator-cpu", value=outcome.gateway.own_ms, unit="ms")


def judge_parts(name: str, parts: Mapping[str, float]) -> Iterator[Measure]:
    """Yield the share of each part, the largest first."""
    for part, share in sorted(parts.items(), key=lambda item: -item[1]):
        yield measure(name, f"share-{part}", value=100 * share, unit="%")


@contextlib.contextmanager
def bare_server(ground: Ground, cores: Cores, *, code_bytes: int = 0) -> Iterator[ServerProcess]:
    """Run the bare server on the gateway's core."""
    port = free_port()
    server = ServerProcess(
        ["-m", bare.__name__, str(port), str(code_bytes)],
        core=cores.server,
        port=port,
        ready="/ready",
        environment={},
    )
    with server.running(ground.data / "bare.log"):
        yield server


async def ledger_shares(
    ground: Ground, cores: Cores, work: Callable[[ServerProcess], Awaitable[float]]
) -> dict[str, float]:
    """Return the share of each part in what `work` costs a gateway with a ledger. It returns the gateway's processor
    seconds since it had the ledger begun."""
    path = ground.data / "ledger.json"
    with ground.gateway(cores.server, ledger=path).running(ground.log) as server:
        cpu_s = await work(server)
    seconds: dict[str, float] = json.loads(path.read_text())
    parts = {part: seconds.get(part, 0.0) / cpu_s for part in PARTS}
    return parts | {REST: max(0.0, 1 - sum(parts.values()))}


@contextlib.asynccontextmanager
async def open_http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client session for any number of connections."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        yield http
        await asyncio.sleep(0)
