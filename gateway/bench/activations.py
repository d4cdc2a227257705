"""Bench `activations`: whole activations a second by one gateway process on one core, SQLite with every commit on
the disk, beside what cannot be left out: a bare aiohttp server with the same requests and messages that runs the
primitives alone, by turns on the same core. The bank, the pages and the phones are this process, on the other cores.
Then once more with a ledger, which shows where the gateway's time goes."""

from collections.abc import Iterator

import uvloop

from gateway.bench import Bar, Measure, register
from gateway.bench.load.bare import BareVisitor
from gateway.bench.load.customers import Customers
from gateway.bench.load.driver import apply
from gateway.bench.load.installation import BankAccount, Ground
from gateway.bench.load.primitives import ACTIVATION
from gateway.bench.load.process import Cores, ServerProcess, tell_load
from gateway.bench.load.turns import (
    IN_FLIGHT,
    LEDGER_S,
    Outcome,
    Turns,
    bare_server,
    judge,
    judge_parts,
    ledger_shares,
    open_http,
)
from gateway.phone.transport import Site

WARM_UP_S = 1.0
RATE_BAR = Bar(60, "at least")


@register("activations")
def activations() -> Iterator[Measure]:
    """Yield the rate, the processor time of an activation beside its bound, and the gateway's parts. Takes about 40 s.
    Raises Unavailable where there is no /proc."""
    cores = Cores.split()
    tell_load()
    with Ground.temporary() as ground, cores.load_here():
        outcome, parts = uvloop.run(_run(ground, cores))
    tell_load()
    yield from judge("activations", outcome, rate_bar=RATE_BAR)
    yield from judge_parts("activations", parts)


async def _run(ground: Ground, cores: Cores) -> tuple[Outcome, dict[str, float]]:
    async with ground.opened() as installation:
        account = await BankAccount.open(installation)
    async with open_http() as http:
        with ground.gateway(cores.server).running(ground.log) as server:
            customers = Customers(http, Site(ground.host, server.url), account)
            code_bytes = len(await customers.fetch_code())
            with bare_server(ground, cores, code_bytes=code_bytes) as beside:
                visitor = BareVisitor(http, beside.url)
                turns = Turns(
                    "activations", server, customers.activate, beside, visitor.visit, counts=ACTIVATION
                )
                outcome = await turns.take(warm_up_s=WARM_UP_S)
        parts = await ledger_shares(ground, cores, lambda server: _work(ground, server, account))
    return outcome, parts


async def _work(ground: Ground, server: ServerProcess, account: BankAccount) -> float:
    async with open_http() as http:
        customers = Customers(http, Site(ground.host, server.url), account)
        server.begin_ledger()
        load = await apply(server, customers.activate, seconds=LEDGER_S, in_flight=IN_FLIGHT)
        return load.server_cpu_s
