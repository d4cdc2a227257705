"""Bench `activations`: whole activations a second by one gateway process on one core, SQLite with every commit on
the disk, beside what cannot be left out: a bare aiohttp server with the same requests and messages that runs the
primitives alone, by turns on the same core. The bank, the pages and the phones are this process, on the other cores.
Then once more with a ledger, which shows where the gateway's time goes."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import aiohttp
import uvloop

from gateway.bench import Bar, Measure, measure, register
from gateway.bench.load import bare
from gateway.bench.load.customers import Customers
from gateway.bench.load.driver import Load, apply
from gateway.bench.load.installation import BankAccount, Ground
from gateway.bench.load.primitives import activation_ms
from gateway.bench.load.process import Cores, ServerProcess, free_port, tell, tell_load
from gateway.bench.load.profiled import PARTS
from gateway.phone.transport import Site

IN_FLIGHT = 32
TURNS = 7
GATEWAY_S, BARE_S, LEDGER_S, WARM_UP_S = 2.0, 1.0, 5.0, 1.0
RATE_BAR = Bar(60, "at least")
CPU_BAR = Bar(4, judges="ratio")
REST = "rest: aiohttp, event loop"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the turns came to: load on both servers, processor time of the primitives alone (ms an activation), and the
    gateway's by part (share of all)."""

    gateway: Load
    bare: Load
    primitives_ms: float
    parts: dict[str, float]


@register("activations")
def activations() -> Iterator[Measure]:
    """Yield the rate, the processor time of an activation beside its bound, and the gateway's parts. Takes about 40 s.
    Raises Unavailable where there is no /proc."""
    cores = Cores.split()
    tell_load()
    with Ground.temporary() as ground, cores.load_here():
        outcome = uvloop.run(_run(ground, cores))
    tell_load()
    yield from _measures(outcome)


def _measures(outcome: Outcome) -> Iterator[Measure]:
    name, cost, bound = "activations", outcome.gateway.server_ms, outcome.bare.server_ms
    yield measure(name, "rate", value=outcome.gateway.rate, unit="/s", bound=outcome.bare.rate, bar=RATE_BAR)
    yield measure(name, "server-cpu", value=cost, unit="ms", bound=bound, bar=CPU_BAR)
    yield measure(name, "rate, had it the core alone", value=1000 / cost, unit="/s", bound=1000 / bound)
    yield measure(name, "primitives, alone", value=outcome.primitives_ms, unit="ms")
    yield measure(name, "load-generator-cpu", value=outcome.gateway.own_ms, unit="ms")
    for part, share in sorted(outcome.parts.items(), key=lambda item: -item[1]):
        yield measure(name, f"share-{part}", value=100 * share, unit="%")


async def _run(ground: Ground, cores: Cores) -> Outcome:
    async with ground.opened() as installation:
        account = await BankAccount.open(installation)
    async with _http() as http:
        with ground.gateway(cores.server).running(ground.log) as server:
            customers = Customers(http, Site(ground.host, server.url), account)
            code_bytes = len(await customers.fetch_code())
            port = free_port()
            beside = ServerProcess(
                ["-m", bare.__name__, str(port), str(code_bytes)],
                core=cores.server,
                port=port,
                ready="/ready",
                environment={},
            )
            with beside.running(ground.data / "bare.log"):
                visitor = bare.BareVisitor(http, beside.url)
                loads = await _take_turns(server, customers, beside, visitor)
        parts = await _shares(ground, cores, account)
    return Outcome(*loads, parts)


async def _take_turns(
    server: ServerProcess, customers: Customers, beside: ServerProcess, visitor: bare.BareVisitor
) -> tuple[Load, Load, float]:
    """Load the gateway, the bare server and the primitives by turns, so that a slow moment falls on all."""
    await apply(server, customers.activate, seconds=WARM_UP_S, in_flight=IN_FLIGHT)
    await apply(beside, visitor.visit, seconds=WARM_UP_S, in_flight=IN_FLIGHT)
    served: list[Load] = []
    bared: list[Load] = []
    primitives: list[float] = []
    for turn in range(TURNS):
        load = await apply(server, customers.activate, seconds=GATEWAY_S, in_flight=IN_FLIGHT)
        tell(f"turn {turn + 1}: {load.rate:.1f} activations a second, {load.server_ms:.2f} ms each")
        served.append(load)
        bared.append(await apply(beside, visitor.visit, seconds=BARE_S, in_flight=IN_FLIGHT))
        primitives.append(activation_ms())
    return Load.middle_of(served), Load.middle_of(bared), sorted(primitives)[TURNS // 2]


async def _shares(ground: Ground, cores: Cores, account: BankAccount) -> dict[str, float]:
    """Return the share of each part in the gateway's processor time, from a run with a ledger."""
    path = ground.data / "ledger.json"
    async with _http() as http:
        with ground.gateway(cores.server, ledger=path).running(ground.log) as server:
            customers = Customers(http, Site(ground.host, server.url), account)
            load = await apply(server, customers.activate, seconds=LEDGER_S, in_flight=IN_FLIGHT)
    tell(f"with a ledger: {load.rate:.1f} activations a second, {load.server_ms:.2f} ms each")
    seconds: dict[str, float] = json.loads(path.read_text())
    parts = {part: seconds.get(part, 0.0) / load.server_cpu_s for part in PARTS}
    return parts | {REST: max(0.0, 1 - sum(parts.values()))}


@contextlib.asynccontextmanager
async def _http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        yield http
        await asyncio.sleep(0)
