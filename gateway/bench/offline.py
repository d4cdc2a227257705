"""Bench `offline`: answers without a network checked a second by one gateway process on one core, SQLite with every
commit on the disk, beside what a bare aiohttp server makes of JSON posts, by turns on the same core. Requests are made
and their codes drawn before each turn, by the process that takes the answers: another node reads what this one has at
hand. Then once more with a ledger, which shows where the gateway's time goes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import uvloop

from gateway.bench import Bar, Measure, measure, register
from gateway.bench.load.approvers import Holder
from gateway.bench.load.bare_approvals import BareApprovers
from gateway.bench.load.driver import Load, apply_all
from gateway.bench.load.installation import BankAccount, Ground
from gateway.bench.load.offline_answers import OfflineAnswers
from gateway.bench.load.process import Cores, ServerProcess, tell, tell_load
from gateway.bench.load.rest import Rest
from gateway.bench.load.seeding import Seeder
from gateway.bench.load.turns import bare_server, judge_parts, ledger_shares, open_http

PHONES = 600
"""One answer of each in a turn."""
TURNS = 11
IN_FLIGHT = 256
"""Answers on their way at once, to each server: the more, the more of them a commit serves."""
FEW, FEW_TURNS = 32, 3
"""The same with few of them, for comparison."""
POSTS = 2_000
RATE_BAR = Bar(0.35, "at least", judges="ratio")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The turn of the median ratio: each server's share of it ran beside the other's."""

    gateway: Load
    bare: Load


@register("offline")
def offline() -> Iterator[Measure]:
    """Yield the rate beside bare JSON posts, processor times, and the gateway's parts. Takes about a minute. Raises
    Unavailable where there is no /proc."""
    cores = Cores.split()
    tell_load()
    with Ground.temporary() as ground, cores.load_here():
        outcome, few, parts = uvloop.run(_run(ground, cores))
    tell_load()
    served, bared = outcome.gateway, outcome.bare
    yield measure("offline", "rate", value=served.rate, unit="/s", bound=bared.rate, bar=RATE_BAR)
    yield measure("offline", f"rate, {FEW} at once", value=few.gateway.rate, unit="/s", bound=few.bare.rate)
    yield measure("offline", "server-cpu", value=served.server_ms, unit="ms", bound=bared.server_ms)
    yield measure("offline", "load-generator-cpu", value=served.own_ms, unit="ms", bound=bared.own_ms)
    yield from judge_parts("offline", parts)


async def _run(ground: Ground, cores: Cores) -> tuple[Outcome, Outcome, dict[str, float]]:
    async with ground.opened() as installation:
        account = await BankAccount.open(installation)
        seeder = await Seeder.prepare(installation, account, host=ground.host)
        holders = [Holder(phone) for phone in await seeder.seed_enrolled(PHONES)]
    async with open_http() as http:
        with ground.gateway(cores.server).running(ground.log) as server, bare_server(ground, cores) as beside:
            answers = OfflineAnswers(Rest(http, server.url), account, holders)
            visitor = BareApprovers(http, beside.url)
            outcome = await _take_turns(server, answers, beside, visitor)
            few = await _take_turns(server, answers, beside, visitor, turns=FEW_TURNS, in_flight=FEW)
    parts = await ledger_shares(ground, cores, lambda server: _work(server, account, holders))
    return outcome, few, parts


async def _take_turns(
    server: ServerProcess,
    answers: OfflineAnswers,
    beside: ServerProcess,
    visitor: BareApprovers,
    *,
    turns: int = TURNS,
    in_flight: int = IN_FLIGHT,
) -> Outcome:
    taken: list[Outcome] = []
    for turn in range(turns):
        ready = await answers.prepare()
        load = await apply_all(server, answers.answer, visits=ready, in_flight=in_flight)
        beside_it = await apply_all(beside, visitor.type, visits=POSTS, in_flight=in_flight)
        tell(f"turn {turn + 1}: {load.rate:.1f} answers a second, {beside_it.rate:.1f} bare posts")
        taken.append(Outcome(load, beside_it))
    return sorted(taken, key=lambda each: each.gateway.rate / each.bare.rate)[turns // 2]


async def _work(server: ServerProcess, account: BankAccount, holders: Sequence[Holder]) -> float:
    async with open_http() as http:
        answers = OfflineAnswers(Rest(http, server.url), account, holders)
        ready = await answers.prepare()
        server.begin_ledger()
        load = await apply_all(server, answers.answer, visits=ready, in_flight=IN_FLIGHT)
        return load.server_cpu_s
