"""The load benches' parts: the ledger charges each moment to one part, the bare server takes a whole visit, the
customers and the seeded phones get through a real gateway, and a missing Node is told in one sentence."""

import asyncio
import json
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from click.testing import CliRunner

from gateway.bench import Unavailable, cli, robustness
from gateway.bench.load import bare
from gateway.bench.load.approvers import Approvers, Holder
from gateway.bench.load.bare_approvals import BareApprovers
from gateway.bench.load.customers import Customers
from gateway.bench.load.driver import Load, apply, apply_all, pace
from gateway.bench.load.installation import BankAccount, Ground
from gateway.bench.load.ledger import Ledger
from gateway.bench.load.offline_answers import OfflineAnswers
from gateway.bench.load.rest import Rest
from gateway.bench.load.seeding import Seeder
from gateway.core.clock import SystemClock
from gateway.core.secrets import system_random
from gateway.phone.channel import Tools, resume
from gateway.phone.store import MemoryStore
from gateway.phone.transport import Network, Site
from gateway.protocol.messages import Facts


class Work:
    """Something to be wrapped. Burning takes one second of a clock of its own."""

    now = 0.0

    def burn(self) -> None:
        type(self).now += 1.0

    def outer(self) -> None:
        self.burn()
        self.inner()

    def inner(self) -> None:
        self.burn()
        self.burn()

    async def waits(self) -> str:
        self.burn()
        await asyncio.sleep(0.01)
        self.burn()
        return "done"

    def steps(self, first: int) -> Generator[int, int, int]:
        self.burn()
        try:
            second = yield first
        except KeyError:
            second = 40
        return second + 1


@pytest.fixture
def work() -> type[Work]:
    """A class of the test's own."""
    return type("OwnWork", (Work,), dict(vars(Work)))


def test_time_is_charged_to_the_innermost_part(work: type[Work]) -> None:
    ledger = Ledger(lambda: work.now)
    ledger.wrap(work, "outer", "outside")
    ledger.wrap(work, "inner", "inside")
    work().burn()
    work().outer()
    assert ledger.totals() == {"outside": 1.0, "inside": 2.0}


async def test_waits_of_a_coroutine_are_not_charged(work: type[Work]) -> None:
    ledger = Ledger(lambda: work.now)
    ledger.wrap_coroutine(work, "waits", "waiting")
    one = work()

    async def beside() -> None:
        one.burn()

    answers = await asyncio.gather(one.waits(), one.waits(), beside())
    assert answers == ["done", "done", None]
    assert ledger.totals() == {"waiting": 4.0}


def test_generators_keep_their_ways(work: type[Work]) -> None:
    ledger = Ledger(lambda: work.now)
    ledger.wrap_steps(work, "steps", "stepping")
    steps = work().steps(1)
    assert next(steps) == 1
    with pytest.raises(StopIteration) as stop:
        steps.send(2)
    assert stop.value.value == 3
    thrown = work().steps(1)
    next(thrown)
    with pytest.raises(StopIteration) as stop:
        thrown.throw(KeyError())
    assert stop.value.value == 41
    assert ledger.totals() == {"stepping": 2.0}


def test_threads_have_accounts_of_their_own(work: type[Work], tmp_path: Path) -> None:
    ticks = threading.local()

    def thread_time() -> float:
        ticks.now = getattr(ticks, "now", 0.0) + 1.0
        return float(ticks.now)

    ledger = Ledger(thread_time)
    ledger.wrap(work, "inner", "inside")
    threads = [threading.Thread(target=work().inner) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledger.save(tmp_path / "ledger.json")
    assert json.loads((tmp_path / "ledger.json").read_text())["inside"] == 3.0


class StandingServer:
    """A server whose processor time is told."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def cpu_s(self) -> float:
        return self.seconds


async def test_the_driver_keeps_places_taken() -> None:
    server, under_way, most = StandingServer(), 0, 0

    async def visit(_: int) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        server.seconds += 0.002

    load_taken = await apply(server, visit, seconds=0.3, in_flight=4)  # type: ignore[arg-type]
    assert most == 4
    assert under_way == 0
    assert load_taken.visits > 4
    assert load_taken.server_ms == pytest.approx(2.0)


def test_the_middle_slice_is_the_one_of_median_cost() -> None:
    slices = [Load(10, 5, 1.0, cpu, 0.01) for cpu in (0.09, 0.02, 0.03)]
    assert Load.middle_of(slices) is slices[2]


async def test_a_failed_visit_ends_the_load() -> None:
    async def visit(number: int) -> None:
        if number == 3:
            raise RuntimeError("the page was told nothing")
        await asyncio.sleep(0)

    with pytest.raises(ExceptionGroup) as caught:
        await apply(StandingServer(), visit, seconds=5, in_flight=2)  # type: ignore[arg-type]
    assert caught.group_contains(RuntimeError, match="told nothing")


async def test_the_bare_server_takes_visits() -> None:
    async with TestServer(bare.make_app(9_000)) as server, aiohttp.ClientSession() as http:
        visitor = bare.BareVisitor(http, str(server.make_url("")).rstrip("/"))
        await asyncio.gather(*(visitor.visit(number) for number in range(5)))
        socket = await visitor.open_idle()
        await socket.close()


async def test_the_bare_server_takes_approvals() -> None:
    async with TestServer(bare.make_app(0)) as server, aiohttp.ClientSession() as http:
        visitor = BareApprovers(http, str(server.make_url("")).rstrip("/"))
        await visitor.open(2)
        await asyncio.gather(*(visitor.approve(number) for number in range(2)))
        await visitor.approve(2)
        await visitor.type(0)
        assert len(visitor.latencies) == 3
        assert all(0 < seconds < 5 for seconds in visitor.latencies)


async def test_visits_begin_at_their_pace() -> None:
    begun: list[float] = []

    async def visit(_: int) -> None:
        begun.append(time.perf_counter())
        await asyncio.sleep(0.3)

    await pace(visit, rate=50, seconds=0.2)
    assert len(begun) == 10
    assert begun[-1] - begun[0] == pytest.approx(0.18, abs=0.1)


async def test_so_many_visits_are_made() -> None:
    made: list[int] = []

    async def visit(number: int) -> None:
        made.append(number)
        await asyncio.sleep(0.001)

    load_taken = await apply_all(StandingServer(), visit, visits=40, in_flight=4)  # type: ignore[arg-type]
    assert sorted(made) == list(range(40))
    assert (load_taken.visits, load_taken.steady) == (40, 31)


async def test_approvers_and_offline_answers_get_through(ground: Ground, serving: Any) -> None:
    async with ground.opened() as installation:
        account = await BankAccount.open(installation)
        seeder = await Seeder.prepare(installation, account, host=ground.host)
        holders = [Holder(phone) for phone in await seeder.seed_enrolled(3)]
    site = Site(ground.host, f"http://{ground.host}")
    async with serving(ground), aiohttp.ClientSession() as http:
        rest = Rest(http, site.url)
        answers = OfflineAnswers(rest, account, holders)
        assert await answers.prepare() == 3
        await asyncio.gather(*(answers.answer(number) for number in range(3)))
        approvers = Approvers(rest, site, account, holders)
        for _ in range(2):  # what the phones keep opens the next channels
            await approvers.open()
            await asyncio.gather(*(approvers.approve(number) for number in range(3)))
            await approvers.close()
        assert len(approvers.latencies) == 6
        assert all(0 < seconds < 5 for seconds in approvers.latencies)
        with pytest.raises(RuntimeError, match="too few"):
            await approvers.approve(3)


def test_a_ledger_begins_anew(work: type[Work]) -> None:
    ledger = Ledger(lambda: work.now)
    ledger.wrap(work, "inner", "inside")
    work().inner()
    ledger.clear()
    work().inner()
    assert ledger.totals() == {"inside": 2.0}


async def test_customers_and_seeded_phones_get_through(ground: Ground, serving: Any) -> None:
    async with ground.opened() as installation:
        account = await BankAccount.open(installation)
        seeder = await Seeder.prepare(installation, account, host=ground.host)
        phones = await seeder.seed(3)
    site = Site(ground.host, f"http://{ground.host}")
    async with serving(ground), aiohttp.ClientSession() as http:
        customers = Customers(http, site, account)
        assert len(await customers.fetch_code()) > 5_000
        await asyncio.gather(*(customers.activate(number) for number in range(2)))
        tools: dict[str, Any] = {
            "network": Network(site, http),
            "random": system_random,
            "clock": SystemClock(),
            "facts": Facts(v=1, app="bench/1", platform="cli", lang="en"),
        }
        for phone in phones:
            channel = await resume(Tools(store=MemoryStore(), **tools), phone.own)
            assert channel.binding.index == 1
            assert channel.pin is not None
            assert channel.pin.left == 5
            await channel.close()


def test_lines_of_the_robustness_script() -> None:
    line = {
        "bench": "robustness",
        "case": "blur, 88 bytes",
        "value": 0.9,
        "unit": "share",
        "bound": 0.6,
        "ratio": 1.5,
        "bar": "no worse than QR level M, no wrong payload",
        "meets": True,
        "frames": 50,
        "wrong": 0,
    }
    figure = robustness.parse_line(json.dumps(line))
    assert (figure.bench, figure.case, figure.ratio, figure.meets) == (
        "robustness",
        "blur, 88 bytes",
        1.5,
        True,
    )
    assert robustness.parse_line(json.dumps(line | {"p95": 31.5})).line()["p95"] == 31.5
    assert robustness.parse_line(json.dumps(line | {"wrong": 2, "meets": False})).case.endswith("2 WRONG")


def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(robustness.shutil, "which", lambda _: None)
    with pytest.raises(Unavailable, match="Node 20"):
        robustness.find_node()
    monkeypatch.setattr(robustness.shutil, "which", lambda _: "/usr/bin/node")
    monkeypatch.setattr(robustness, "WEB", tmp_path)
    with pytest.raises(Unavailable, match="make setup"):
        robustness.find_node()


def test_a_bench_that_cannot_run_says_so_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking() -> Generator[Any, None, None]:
        raise Unavailable("Node is missing: install Node 20 or newer")
        yield

    monkeypatch.setattr(cli, "BENCHES", {"lacking": lacking})
    monkeypatch.setattr(cli, "load_benches", lambda: None)
    result = CliRunner().invoke(cli.bench, ["lacking"])
    assert result.exit_code == cli.EXIT_CRASHED
    assert result.stderr == "bench lacking cannot run: Node is missing: install Node 20 or newer\n"
