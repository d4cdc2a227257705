"""Bench `channels`: what an open phone channel costs the gateway in memory with thousands of them open, beside a bare
aiohttp WebSocket, and whether a change of state reaches every phone. The phones are this process: each resumes a
binding that was written beforehand, and listens; then the bank suspends them all by REST."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import aiohttp
import uvloop

from gateway.bench import Bar, Measure, measure, register
from gateway.bench.load import bare
from gateway.bench.load.installation import BankAccount, Ground
from gateway.bench.load.process import Cores, ServerProcess, free_port, tell, tell_load
from gateway.bench.load.seeding import SeededPhone, Seeder
from gateway.core.clock import SystemClock
from gateway.core.secrets import system_random
from gateway.phone.channel import Channel, Tools, resume
from gateway.phone.errors import BindingGone
from gateway.phone.store import MemoryStore
from gateway.phone.transport import Network, Site
from gateway.protocol.messages import Facts

CHANNELS = 5_000
WARM_UP = 200
AT_ONCE = 32
SETTLE_S = 1.0
PATIENCE_S = 60.0
MEMORY_BAR = Bar(40)

_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class Outcome:
    """Bytes an open channel costs, bytes a bare WebSocket does, channels opened a second, phones that heard of their
    suspension, and how many heard a second."""

    channel_bytes: float
    bare_bytes: float
    opened_rate: float
    delivered: int
    delivered_rate: float


@register("channels")
def channels() -> Iterator[Measure]:
    """Yield memory a channel, events delivered, and the rates. Takes about a minute. Raises Unavailable where there is
    no /proc, or too few sockets may be open."""
    cores = Cores.split()
    tell_load()
    with Ground.temporary() as ground, cores.load_here():
        outcome = uvloop.run(_run(ground, cores))
    tell_load()
    yield measure(
        "channels",
        f"memory a channel, {CHANNELS} open",
        value=outcome.channel_bytes / 1024,
        unit="KiB",
        bound=outcome.bare_bytes / 1024,
        bar=MEMORY_BAR,
    )
    yield measure(
        "channels",
        "events delivered",
        value=outcome.delivered,
        unit="phones",
        bound=CHANNELS,
        bar=Bar(CHANNELS, "at least"),
    )
    yield measure("channels", "events delivered, rate", value=outcome.delivered_rate, unit="/s")
    yield measure("channels", "channels resumed, rate", value=outcome.opened_rate, unit="/s")


async def _run(ground: Ground, cores: Cores) -> Outcome:
    async with ground.opened() as installation:
        account = await BankAccount.open(installation)
        seeder = await Seeder.prepare(installation, account, host=ground.host)
        phones = await seeder.seed(CHANNELS + WARM_UP)
    tell(f"{len(phones)} bindings written")
    bare_bytes = await _measure_bare(ground, cores)
    async with _http() as http:
        with ground.gateway(cores.server).running(ground.log) as server:
            bench = _Phones(http, Site(ground.host, server.url), account)
            await bench.warm_up(phones[:WARM_UP])
            before, began = server.memory_bytes(), time.perf_counter()
            await bench.open(phones[WARM_UP:])
            opened_rate = CHANNELS / (time.perf_counter() - began)
            await asyncio.sleep(SETTLE_S)
            channel_bytes = (server.memory_bytes() - before) / CHANNELS
            tell(f"{CHANNELS} channels open, {channel_bytes / 1024:.1f} KiB each")
            delivered, rate = await bench.suspend_all(phones[WARM_UP:])
            tell(f"{delivered} phones heard of their suspension")
    return Outcome(channel_bytes, bare_bytes, opened_rate, delivered, rate)


async def _measure_bare(ground: Ground, cores: Cores) -> float:
    """Return the bytes that a bare WebSocket costs with as many open."""
    port = free_port()
    server = ServerProcess(
        ["-m", bare.__name__, str(port), "0"], core=cores.server, port=port, ready="/ready", environment={}
    )
    async with _http() as http:
        with server.running(ground.data / "bare.log"):
            visitor = bare.BareVisitor(http, server.url)
            opened = await _gather([visitor.open_idle] * WARM_UP)
            await _gather([socket.close for socket in opened])
            before = server.memory_bytes()
            opened = await _gather([visitor.open_idle] * CHANNELS)
            await asyncio.sleep(SETTLE_S)
            each = (server.memory_bytes() - before) / CHANNELS
    tell(f"{CHANNELS} bare WebSockets, {each / 1024:.1f} KiB each")
    return each


class _Phones:
    """The phones at one gateway, and the bank that suspends them."""

    def __init__(self, http: aiohttp.ClientSession, site: Site, account: BankAccount) -> None:
        self._http = http
        self._site = site
        self._headers = account.headers
        self._listening: list[asyncio.Task[bool]] = []

    async def warm_up(self, phones: Sequence[SeededPhone]) -> None:
        """Open some channels and close them, so that what a process takes once is taken."""
        opened = await _gather([partial(self._resume, phone) for phone in phones])
        await _gather([channel.close for channel in opened])

    async def open(self, phones: Sequence[SeededPhone]) -> None:
        """Open a channel for each, and have it listen."""
        opened = await _gather([partial(self._resume, phone) for phone in phones])
        self._listening = [asyncio.create_task(_hears_suspension(channel)) for channel in opened]

    async def suspend_all(self, phones: Sequence[SeededPhone]) -> tuple[int, float]:
        """Suspend each by REST; return how many phones heard of it, and how many a second."""
        began = time.perf_counter()
        await _gather([partial(self._suspend, phone) for phone in phones])
        await asyncio.wait(self._listening, timeout=PATIENCE_S)
        heard = sum(task.done() and task.result() for task in self._listening)
        for task in self._listening:
            task.cancel()
        return heard, heard / (time.perf_counter() - began)

    async def _resume(self, phone: SeededPhone) -> Channel:
        tools = Tools(
            store=MemoryStore(),
            network=Network(self._site, self._http),
            random=system_random,
            clock=SystemClock(),
            facts=Facts(v=1, app="bench/1", platform="cli", lang="en"),
        )
        return await resume(tools, phone.own)

    async def _suspend(self, phone: SeededPhone) -> None:
        url = f"{self._site.url}/api/v1/bindings/{phone.binding_id}/suspend"
        async with self._http.post(url, headers=self._headers) as answer:
            await answer.read()
            answer.raise_for_status()


async def _hears_suspension(channel: Channel) -> bool:
    try:
        await channel.watch(10 * PATIENCE_S)
    except BindingGone as gone:
        return gone.state == "suspended"
    return False


async def _gather(works: Sequence[Callable[[], Awaitable[_Made]]]) -> list[_Made]:
    """Do all of it, some at once, and return what came of each."""
    turns = iter(enumerate(works))
    made: dict[int, _Made] = {}

    async def work_on() -> None:
        for place, work in turns:
            made[place] = await work()

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work_on())
    return [made[place] for place in range(len(works))]


@contextlib.asynccontextmanager
async def _http() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        yield http
