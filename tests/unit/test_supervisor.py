"""Tasks that work on their own are begun again when they fail, and readiness says so meanwhile."""

import asyncio

import pytest

from gateway.core import supervisor
from gateway.core.errors import Problem
from gateway.core.supervisor import Supervisor


async def until_begun(begun: list[int], times: int) -> None:
    async with asyncio.timeout(20):
        while len(begun) < times:
            await asyncio.sleep(0.005)


async def test_a_task_that_fails_is_begun_again_and_readiness_says_so_until_it_recovers() -> None:
    begun: list[int] = []

    async def work() -> None:
        begun.append(1)
        if len(begun) < 3:
            raise RuntimeError("PIN 123456")
        await asyncio.Event().wait()

    tasks = Supervisor(first_pause_s=0.01, settled_s=0.3)
    await tasks.check()
    async with tasks.running({"sweep": work}):
        await until_begun(begun, 2)
        with pytest.raises(Problem, match="sweep"):
            await tasks.check()
        await until_begun(begun, 3)
        async with asyncio.timeout(20):
            while True:
                try:
                    await tasks.check()
                    break
                except Problem:
                    await asyncio.sleep(0.01)
    assert len(begun) == 3


@pytest.mark.parametrize("is_cancelled_inside", [False, True])
async def test_a_task_that_ends_is_begun_again_too(is_cancelled_inside: bool) -> None:
    begun: list[int] = []

    async def work() -> None:
        begun.append(1)
        if is_cancelled_inside:
            raise asyncio.CancelledError

    async with Supervisor(first_pause_s=0.01).running({"follow": work}):
        await until_begun(begun, 2)


async def test_one_that_does_not_end_holds_up_no_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "STOP_S", 0.1)
    let_go = asyncio.Event()

    async def deaf() -> None:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue

    async with Supervisor().running({"deaf": deaf}):
        await asyncio.sleep(0)
    let_go.set()
