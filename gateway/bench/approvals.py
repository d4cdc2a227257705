"""Bench `approvals`: payments approved a second by one gateway process on one core, SQLite with every commit on the
disk, beside a bare aiohttp server with the same requests and messages that runs the primitives alone, by turns on the
same core. The bank, the pages and the phones, whose channels stay open, are this process, on the other cores. Then how
long the page waits after its phone's answer at half that load, and once more with a ledger, which shows where the
gateway's time goes."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import uvloop

from gateway.bench import Bar, Measure, measure, percentile, register
from gateway.bench.load.approvers import Approvers, Holder
from gateway.bench.load.bare_approvals import BareApprovers
from gateway.bench.load.driver import apply, pace
from gateway.bench.load.installation import BankAccount, Ground
from gateway.bench.load.primitives import APPROVAL
from gateway.bench.load.process import Cores, ServerProcess, tell, tell_load
from gateway.bench.load.rest import Rest
from gateway.bench.load.seeding import Seeder
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

PHONES = 300
"""So many that none comes near what one customer and one phone may do in a minute."""
LEDGER_PHONES = 100
WARM_UP_S = 4.0
"""Long enough for each phone's first answer, with which its ratchet settles."""
PACED_S = 8.0
RATE_BAR = Bar(120, "at least")


@dataclass(frozen=True, slots=True)
class Latencies:
    """Seconds from the phone's answer to the page's event, at one pace, at the gateway and at the bare server."""

    rate: float
    gateway: Sequence[float]
    bare: Sequence[float]


@register("approvals")
def approvals() -> Iterator[Measure]:
    """Yield the rate, the processor time of an approval beside its bound, latencies, and the gateway's parts. Takes
    about a minute. Raises Unavailable where there is no /proc."""
    cores = Cores.split()
    tell_load()
    with Ground.temporary() as ground, cores.load_here():
        outcome, latencies, parts = uvloop.run(_run(ground, cores))
    tell_load()
    yield from judge("approvals", outcome, rate_bar=RATE_BAR)
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        yield measure(
            "approvals",
            f"answer to event, {name} at {latencies.rate:.0f}/s",
            value=1000 * percentile(latencies.gateway, share),
            unit="ms",
            bound=1000 * percentile(latencies.bare, share),
        )
    yield from judge_parts("approvals", parts)


async def _run(ground: Ground, cores: Cores) -> tuple[Outcome, Latencies, dict[str, float]]:
    async with ground.opened() as installation:
        account = await BankAccount.open(installation)
        seeder = await Seeder.prepare(installation, account, host=ground.host)
        began = time.perf_counter()
        holders = [Holder(phone) for phone in await seeder.seed_enrolled(PHONES)]
        tell(f"{PHONES} phones bound, their PINs enrolled, in {time.perf_counter() - began:.1f} s")
    async with open_http() as http:
        with ground.gateway(cores.server).running(ground.log) as server:
            approvers = Approvers(Rest(http, server.url), Site(ground.host, server.url), account, holders)
            await approvers.open()
            with bare_server(ground, cores) as beside:
                visitor = BareApprovers(http, beside.url)
                await visitor.open(PHONES)
                turns = Turns(
                    "approvals", server, approvers.approve, beside, visitor.approve, counts=APPROVAL
                )
                outcome = await turns.take(warm_up_s=WARM_UP_S)
                latencies = await _pace(approvers, visitor, rate=outcome.gateway.rate / 2)
            await approvers.close()
    parts = await ledger_shares(
        ground, cores, lambda server: _work(ground, server, account, holders[:LEDGER_PHONES])
    )
    return outcome, latencies, parts


async def _pace(approvers: Approvers, visitor: BareApprovers, *, rate: float) -> Latencies:
    """Send visits at that rate to both servers, one after the other."""
    for each in (approvers, visitor):
        each.latencies.clear()
        await pace(each.approve, rate=rate, seconds=PACED_S)
    return Latencies(rate, approvers.latencies, visitor.latencies)


async def _work(
    ground: Ground, server: ServerProcess, account: BankAccount, holders: Sequence[Holder]
) -> float:
    async with open_http() as http:
        approvers = Approvers(Rest(http, server.url), Site(ground.host, server.url), account, holders)
        await approvers.open()
        server.begin_ledger()
        load = await apply(server, approvers.approve, seconds=LEDGER_S, in_flight=IN_FLIGHT)
        await approvers.close()
        return load.server_cpu_s
