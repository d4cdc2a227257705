"""The people around approvals: a bank that asks by REST, the desktop's page that follows its request, phones on open
channels whose customers type their PIN. `approvals` sends them by the dozen; they check that everything came true,
since a load of failures would measure nothing."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from gateway.bench.load.customers import PATIENCE_S, PIN
from gateway.bench.load.installation import BankAccount
from gateway.bench.load.rest import Rest, bearer
from gateway.bench.load.seeding import SeededPhone
from gateway.core.clock import SystemClock
from gateway.core.secrets import system_random
from gateway.phone.channel import Channel, Tools, resume
from gateway.phone.store import MemoryStore
from gateway.phone.transport import FrameSocket, Network, Site
from gateway.protocol.messages import Facts

OPENING = 16
CREATED, APPROVED = "approval.created", "approval.approved"
PAYMENT = {
    "amount": "249.90",
    "currency": "EUR",
    "payee": "Boulangerie du Marché",
    "account": "FR76 3000 6000 0112 3456 7890 189",
    "purpose": "Invoice 2026-118",
}


class Asked(msgspec.Struct):
    """What the bank is told of a request."""

    id: str
    state: str


class Started(msgspec.Struct):
    """The answer to an order: the request, and its page's token."""

    approval: Asked
    page_token: str


@dataclass(slots=True)
class Holder:
    """One phone and what it keeps; its channel while it is open, and when it sent its last frame."""

    phone: SeededPhone
    store: MemoryStore = field(default_factory=MemoryStore)
    channel: Channel | None = None
    sent_at: float = 0.0

    def __post_init__(self) -> None:
        self.store.put_binding(self.phone.own)


class _NotingSocket(FrameSocket):
    """Notes when its holder sends."""

    def __init__(self, inner: FrameSocket, holder: Holder) -> None:
        self._inner = inner
        self._holder = holder

    async def send(self, frame: bytes) -> None:
        """Send one frame."""
        self._holder.sent_at = time.perf_counter()
        await self._inner.send(frame)

    async def receive(self, timeout: float | None = None) -> bytes:
        """Return the next frame."""
        return await self._inner.receive(timeout)

    async def close(self) -> None:
        """Close."""
        await self._inner.close()


class _NotingNetwork(Network):
    """The network of one holder."""

    def __init__(self, holder: Holder, site: Site, rest: Rest) -> None:
        super().__init__(site, rest.http)
        self._holder = holder

    async def connect(self) -> FrameSocket:
        """Open the channel's WebSocket."""
        return _NotingSocket(await super().connect(), self._holder)


class Approvers:
    """Those who use one gateway, each customer with one phone, which takes its next request when all others had
    theirs."""

    def __init__(self, rest: Rest, site: Site, account: BankAccount, holders: Sequence[Holder]) -> None:
        self.latencies: list[float] = []
        """Seconds from each phone's answer to the event on the page."""
        self._rest = rest
        self._site = site
        self._account = account
        self._holders = holders
        self._free: deque[Holder] = deque()

    async def open(self) -> None:
        """Open every phone's channel."""
        turns = iter(self._holders)

        async def work_on() -> None:
            for holder in turns:
                await self._open(holder)

        async with asyncio.TaskGroup() as group:
            for _ in range(OPENING):
                group.create_task(work_on())

    async def approve(self, _: int) -> None:
        """Have one payment approved: two requests, one of them the page's stream, and a channel. Raises whatever goes
        wrong on the way."""
        if not self._free:
            raise RuntimeError("every phone has a request: there are too few for this load")
        holder = self._free.popleft()
        order = {"user": holder.phone.user, "type": "payment", "fields": PAYMENT}
        started = await self._rest.post("/api/v1/approvals", order, self._account.headers, Started)
        stream = asyncio.create_task(self._follow(bearer(started.page_token)))
        try:
            await _answer(holder)
            async with asyncio.timeout(PATIENCE_S):
                self.latencies.append(await stream - holder.sent_at)
        finally:
            stream.cancel()
        self._free.append(holder)

    async def close(self) -> None:
        """Close the channels. What phones keep stays, for the next time."""
        for holder in self._holders:
            if holder.channel is not None:
                await holder.channel.close()
                holder.channel = None
        self._free.clear()

    async def _open(self, holder: Holder) -> None:
        kept = holder.store.binding(holder.phone.own.binding_id)
        if kept is None:
            raise RuntimeError("the phone has lost its binding")
        tools = Tools(
            store=holder.store,
            network=_NotingNetwork(holder, self._site, self._rest),
            random=system_random,
            clock=SystemClock(),
            facts=Facts(v=1, app="bench/1", platform="cli", lang="en"),
        )
        holder.channel = await resume(tools, kept)
        self._free.append(holder)

    async def _follow(self, page: dict[str, str]) -> float:
        """Read the page's event stream to the approval, check that nothing is missing, and return when it came."""
        told = []
        async with self._rest.http.get(f"{self._rest.url}/api/v1/events", headers=page) as answer:
            answer.raise_for_status()
            async for line in answer.content:
                if line.startswith(b"event: "):
                    told.append(line[7:].strip().decode())
                if line == b"\n" and told and told[-1] == APPROVED:
                    break
            heard_at = time.perf_counter()
        if told != [CREATED, APPROVED]:
            raise RuntimeError(f"the page was told {told}")
        return heard_at


async def _answer(holder: Holder) -> None:
    channel = holder.channel
    if channel is None:
        raise RuntimeError("the phone's channel is not open")
    async with asyncio.timeout(PATIENCE_S):
        ask = await channel.next_ask()
        await channel.answer(ask, "approve", pin=PIN)
