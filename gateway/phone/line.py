"""A binding's channel that is opened again whenever it is lost, for those who stay: requests that come are given once,
and an answer whose connection broke is made anew on the next one, where the gateway counts it once."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.core.clock import Clock
from gateway.phone.asks import Ask, PastPage
from gateway.phone.channel import Channel
from gateway.phone.conversation import is_refused
from gateway.phone.errors import ConnectionLost, GatewayProblem, GatewayRefused
from gateway.protocol.errors import ErrorCode
from gateway.protocol.messages import ApprovalEnd, Decision, InboxPage

_T = TypeVar("_T")
RETRY_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)
GRACE_S = 15.0
"""How long after a request's end its answer may still wait for a connection: it may have arrived in time."""


class Line:
    """One binding, connected. `on_lost` hears of every lost connection. Every method may raise GatewayRefused,
    CloneSuspected and BindingGone, which no new connection mends."""

    def __init__(self, channel: Channel, *, clock: Clock, on_lost: Callable[[], None] = lambda: None) -> None:
        self.channel = channel
        self._clock = clock
        self._on_lost = on_lost
        self._is_lost = False

    async def next_ask(self) -> Ask:
        """Wait for a request that was not returned before, as long as it takes."""
        return await self._through(lambda channel: channel.next_ask())

    async def answer(
        self, ask: Ask, decision: Decision, *, pin: str | None = None, number: int | None = None
    ) -> ApprovalEnd:
        """Answer a request, as `Channel.answer`. Raises ConnectionLost when none comes back in time."""
        return await self._through(
            lambda channel: channel.answer(ask, decision, pin=pin, number=number),
            until=ask.expires_at + GRACE_S,
        )

    async def until_settled(self, ask: Ask) -> ApprovalEnd:
        """Wait until the gateway says that a request is over, as long as it takes."""
        return await self._through(lambda channel: channel.until_settled(ask))

    async def past(self, before: bytes | None = None) -> PastPage:
        """Return a page of the past, as `Channel.past`."""
        return await self._through(lambda channel: channel.past(before), until=self._soon)

    async def inbox(self, before: bytes | None = None) -> InboxPage:
        """Return a page of messages, as `Channel.inbox`."""
        return await self._through(lambda channel: channel.inbox(before), until=self._soon)

    async def close(self) -> None:
        """Close the channel."""
        await self.channel.close()

    @property
    def _soon(self) -> float:
        return self._clock.now() + GRACE_S

    async def _through(self, work: Callable[[Channel], Awaitable[_T]], *, until: float | None = None) -> _T:
        """Do `work` on the channel, and anew on the next one after each loss, but not beyond `until`."""
        while True:
            if self._is_lost:  # also when somebody who waited for the next channel was called off
                await self._open_again(until=until)
            try:
                return await work(self.channel)
            except ConnectionLost:
                self._is_lost = True
                self._on_lost()

    async def _open_again(self, *, until: float | None) -> None:
        given = self.channel.news.given
        await self.channel.close()
        for attempt in itertools.count():
            await asyncio.sleep(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)])
            try:
                self.channel = await self.channel.open_again()
            except ConnectionLost:
                if until is not None and self._clock.now() >= until:
                    raise
            except GatewayRefused as error:
                if not is_refused(error, ErrorCode.BUSY):
                    raise
            except GatewayProblem as problem:
                if not problem.is_passing:
                    raise
            else:
                break
        self._is_lost = False
        self.channel.news.pass_over(given)
