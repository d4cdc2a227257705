"""What an operator hears of webhooks that do not arrive: figures and a warning when a bank's address is dead, which is
no fault of the gateway; a failed task when the sender itself is broken."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gateway_kit import GatewayKit
from webhooks_kit import TENANT, Bench, running_bench

from gateway.core.errors import Problem, ProblemCode
from gateway.core.transaction import Transaction
from gateway.webhooks import store
from gateway.webhooks.models import DeliveryState
from gateway.webhooks.sender import LATE_SECONDS, MEASURE_SECONDS, WARN_SECONDS, WebhookSender

WARNING = "webhooks have waited for long"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with running_bench(tmp_path) as running:
        yield running


@pytest.fixture
async def sender(bench: Bench) -> AsyncIterator[WebhookSender]:
    """A sender at work."""
    made = bench.make_sender()
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def wait_a(bench: Bench, seconds: float) -> None:
    """Let time pass, and wait until the sender has tried what is due then."""
    bench.clock.advance(seconds)
    before = [attempts for _, attempts in await bench.states()]
    bench.outbox.wake()

    async def tried() -> bool:
        now = await bench.states()
        return [attempts for _, attempts in now] > before and all(
            state is not DeliveryState.SENDING for state, _ in now
        )

    await bench.until(tried)


def warnings(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return the warnings since the last call."""
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    return [line for line in lines if line["event"] == WARNING]


async def test_dead_address_shows_in_the_figures_and_is_warned_of_once_an_hour(
    bench: Bench, sender: WebhookSender, capsys: pytest.CaptureFixture[str]
) -> None:
    dead, _ = await bench.service.create(tenant_id=TENANT, url=bench.url, events=("binding.active",))
    await bench.service.create(tenant_id=TENANT, url=bench.url, events=("activation.active",))
    bench.receiver.answers = [500] * 100
    for _ in range(2):
        await bench.tell("binding.active")
    await wait_a(bench, MEASURE_SECONDS)
    assert (sender.waiting, sender.oldest_s) == (2, MEASURE_SECONDS)
    assert warnings(capsys) == []
    await wait_a(bench, LATE_SECONDS)
    [warning] = warnings(capsys)
    assert (warning["endpoints"], warning["deliveries"]) == ([dead.id], 2)
    assert warning["oldest_s"] == MEASURE_SECONDS + LATE_SECONDS
    assert (sender.waiting, sender.oldest_s) == (2, MEASURE_SECONDS + LATE_SECONDS)
    await wait_a(bench, WARN_SECONDS - 1)
    assert warnings(capsys) == []
    await wait_a(bench, 4 * WARN_SECONDS)
    assert len(warnings(capsys)) == 1
    bench.receiver.answers = []
    await wait_a(bench, 24 * WARN_SECONDS)
    bench.clock.advance(MEASURE_SECONDS)
    bench.outbox.wake()

    async def told() -> bool:
        return (sender.waiting, sender.oldest_s) == (0, 0.0)

    await bench.until(told)


async def test_database_that_fails_is_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await bench.service.create(tenant_id=TENANT, url=bench.url, events=())
    failures = 2
    next_due = store.next_due

    def failing(tx: Transaction, full: Any) -> int | None:
        nonlocal failures
        if failures:
            failures -= 1
            bench.outbox.wake()
            raise Problem(ProblemCode.UNAVAILABLE, "the database does not answer")
        return next_due(tx, full)

    monkeypatch.setattr(store, "next_due", failing)
    await bench.tell()

    async def delivered() -> bool:
        return await bench.states() == [(DeliveryState.DELIVERED, 1)]

    async with bench.sending():
        await bench.until(delivered)
    assert failures == 0


async def test_fault_of_the_sender_is_told_to_whoever_keeps_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(store, "next_due", broken)
    with pytest.raises(ZeroDivisionError):
        await bench.make_sender().run()


async def test_metrics_tell_what_waits_and_the_gateway_stays_ready(tmp_path: Path) -> None:
    async with GatewayKit.running(tmp_path, webhook_private=True) as kit:
        # Nothing listens on port 1.
        await kit.call("POST", "/api/v1/webhooks", {"url": "http://127.0.0.1:1/"}, status=201)
        started = await kit.begin()
        path = f"/api/v1/activations/{started['activation']['id']}/cancel"
        await kit.call("POST", path)
        kit.clock.advance(MEASURE_SECONDS)
        kit.now.installation.outbox.wake()

        async def figures() -> dict[str, float]:
            async with kit.session.get(kit.now.url + "/metrics") as answer:
                lines = (line.split() for line in (await answer.text()).splitlines())
                return {line[0]: float(line[1]) for line in lines if line[0].startswith("tessera_webhooks")}

        async with asyncio.timeout(20):
            while not (await figures())["tessera_webhooks_waiting"]:
                await asyncio.sleep(0.01)
        assert await figures() == {
            "tessera_webhooks_waiting": 1.0,
            "tessera_webhooks_oldest_seconds": MEASURE_SECONDS,
        }
        async with kit.session.get(kit.now.url + "/readyz") as answer:
            assert (await answer.json())["ready"]
