"""Webhooks: outbox, sender and list on a real SQLite, with a receiving server on loopback. The receiver checks
signatures with the demo bank's verifier, which was written from the specification apart from the sender."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import bindparam
from webhooks_kit import TENANT, Bench, running_bench

from gateway.core.errors import Problem, ProblemCode
from gateway.core.events import WebhookEvent
from gateway.demo.webhook import WebhookVerifier
from gateway.storage.schema import to_millis
from gateway.webhooks import store
from gateway.webhooks.models import BACKOFF_SECONDS, DeliveryState
from gateway.webhooks.sender import BATCH, EACH, OUTAGE_SECONDS
from hsm_adapters.errors import (
    HsmConfigurationError,
    HsmError,
    HsmUnavailable,
    OperationUnsupported,
    PinLocked,
    PinRefused,
    TokenFull,
)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with running_bench(tmp_path) as running:
        yield running


async def test_delivery_carries_a_signature_that_the_bank_can_check(bench: Bench) -> None:
    _, secret = await bench.service.create(tenant_id=TENANT, url=bench.url, events=())
    async with bench.sending():
        await bench.tell(user="claire")

        async def delivered() -> bool:
            return await bench.states() == [(DeliveryState.DELIVERED, 1)]

        await bench.until(delivered)
    headers, body = bench.receiver.got[0]
    verifier = WebhookVerifier(secret.reveal().decode())
    verifier.verify({key.lower(): value for key, value in headers.items()}, body, now=bench.clock.now())
    content = json.loads(body)
    assert content["type"] == "activation.active"
    assert content["data"] == {"user": "claire"}
    assert content["timestamp"].endswith("Z")


async def test_only_events_that_the_endpoint_wants_are_sent(bench: Bench) -> None:
    await bench.service.create(tenant_id=TENANT, url=bench.url, events=("binding.removed",))
    await bench.tell("activation.active")
    await bench.tell("binding.removed")
    assert len(await bench.states()) == 1


@pytest.mark.parametrize("status", [500, 302, 404])
async def test_failed_attempts_are_repeated_with_growing_waits_under_one_id(
    bench: Bench, status: int
) -> None:
    await bench.service.create(tenant_id=TENANT, url=bench.url, events=())
    bench.receiver.answers = [status, status]
    await bench.tell()
    for attempt in (1, 2):
        async with bench.sending():

            async def tried(attempt: int = attempt) -> bool:
                return await bench.states() == [(DeliveryState.PENDING, attempt)]

            await bench.until(tried)
        due = await bench.storage.read(lambda tx: store.next_due(tx, ()))
        assert due is not None
        wait = due / 1000 - bench.clock.now()
        assert 0.79 * BACKOFF_SECONDS[attempt - 1] <= wait <= 1.21 * BACKOFF_SECONDS[attempt - 1]
        bench.clock.advance(wait + 0.01)
    async with bench.sending():

        async def delivered() -> bool:
            return await bench.states() == [(DeliveryState.DELIVERED, 3)]

        await bench.until(delivered)
    assert len({headers["webhook-id"] for headers, _ in bench.receiver.got}) == 1


async def test_given_up_delivery_is_told_to_the_audit_log_and_can_be_sent_again(bench: Bench) -> None:
    await bench.service.create(tenant_id=TENANT, url=bench.url, events=())
    bench.receiver.answers = [500] * (len(BACKOFF_SECONDS) + 1)
    await bench.tell()
    for _ in range(len(BACKOFF_SECONDS) + 1):
        before = await bench.states()
        async with bench.sending():

            async def moved(before: Any = before) -> bool:
                now = await bench.states()
                return now != before and now[0][0] is not DeliveryState.SENDING

            await bench.until(moved)
        bench.clock.advance(200_000)
    assert [fact.word for fact in bench.journal.facts][-1] == "gateway:webhook:fail"
    failed = await bench.service.deliveries(
        tenant_id=TENANT, state=DeliveryState.FAILED, before=None, limit=5
    )
    assert len(failed) == 1
    async with bench.sending():
        await bench.service.redeliver(tenant_id=TENANT, delivery_id=failed[0].id)

        async def delivered() -> bool:
            return await bench.states() == [(DeliveryState.DELIVERED, 1)]

        await bench.until(delivered)


async def test_secret_that_does_not_open_is_a_failed_attempt_and_holds_up_no_other(bench: Bench) -> None:
    broken, _ = await bench.service.create(tenant_id=TENANT, url=bench.url, events=("binding.active",))
    await bench.service.create(tenant_id=TENANT, url=bench.url, events=("activation.active",))
    values = {"b_id": broken.id, "b_secret": b"another cell's"}
    statement = store.endpoints.update().where(store.endpoints.c.id == bindparam("b_id"))
    await bench.storage.write(lambda tx: tx.execute(statement.values(secret=bindparam("b_secret")), values))
    await bench.tell("binding.active")
    await bench.tell("activation.active")

    async def settled() -> bool:
        return {state for state, _ in await bench.states()} == {
            DeliveryState.DELIVERED,
            DeliveryState.PENDING,
        }

    async with bench.sending():
        await bench.until(settled)
        for wait in BACKOFF_SECONDS:
            attempts = max(tries for state, tries in await bench.states() if state is DeliveryState.PENDING)
            bench.clock.advance(wait * 1.3)
            bench.outbox.wake()

            async def tried(before: int = attempts) -> bool:
                return any(tries > before for _, tries in await bench.states())

            await bench.until(tried)
    failed = await bench.service.deliveries(
        tenant_id=TENANT, state=DeliveryState.FAILED, before=None, limit=5
    )
    assert [(row.endpoint_id, row.last_error, row.attempts) for row in failed] == [
        (broken.id, "unwrap-failed", 9)
    ]
    assert bench.journal.facts[-1].data["error"] == "unwrap-failed"
    assert len(bench.receiver.got) == 1


@pytest.mark.parametrize(
    "outage", [HsmUnavailable, TokenFull, HsmConfigurationError, PinRefused, PinLocked, OperationUnsupported]
)
async def test_key_store_that_is_away_costs_no_attempt(bench: Bench, outage: type[HsmError]) -> None:
    """Asked again every 5 seconds, whatever keeps it away, for one delivery or many."""
    await bench.service.create(tenant_id=TENANT, url=bench.url, events=())
    bench.sealer.is_away, bench.sealer.outage = True, outage
    for _ in range(50):
        await bench.tell()

    async def all_wait() -> bool:
        return await bench.states() == [(DeliveryState.PENDING, 0)] * 50 and bench.sealer.asked > 0

    async def delivered() -> bool:
        return await bench.states() == [(DeliveryState.DELIVERED, 1)] * 50

    async with bench.sending():
        await bench.until(all_wait)
        asked = bench.sealer.asked
        bench.outbox.wake()
        await asyncio.sleep(0.05)
        assert bench.sealer.asked == asked <= EACH, "all wait, not each"
        bench.sealer.is_away = False
        bench.clock.advance(OUTAGE_SECONDS)
        bench.outbox.wake()
        await bench.until(delivered)
    assert len(bench.receiver.got) == 50


async def test_failed_deliveries_are_kept_for_thirty_days(bench: Bench) -> None:
    await bench.service.create(tenant_id=TENANT, url=bench.url, events=())
    await bench.tell("binding.active")
    await bench.storage.write(
        lambda tx: tx.execute(store.deliveries.update().values(state=DeliveryState.FAILED.value))
    )
    bench.clock.advance(30 * 86_400 - 60)

    async def told() -> bool:
        return (DeliveryState.DELIVERED, 1) in await bench.states()

    async with bench.sending():
        await bench.tell()
        await bench.until(told)
    assert (DeliveryState.FAILED, 0) in await bench.states()
    bench.clock.advance(3_600)

    async def forgotten() -> bool:
        return await bench.states() == [(DeliveryState.DELIVERED, 1)]

    async with bench.sending():
        await bench.until(forgotten)


async def test_a_receiver_that_is_silent_holds_up_nobody_else(bench: Bench) -> None:
    silent, _ = await bench.service.create(
        tenant_id=TENANT, url=bench.url.replace("/in", "/silent"), events=("binding.removed",)
    )
    await bench.service.create(tenant_id=TENANT, url=bench.url, events=("activation.active",))
    for _ in range(3 * BATCH):
        await bench.tell("binding.removed")
    await bench.tell("activation.active")

    async def told() -> bool:
        return len(bench.receiver.got) == 1

    async with bench.sending():
        await bench.until(told)
        states = await bench.service.deliveries(tenant_id=TENANT, state=None, before=None, limit=200)
        asked = [row for row in states if row.endpoint_id == silent.id and row.state is DeliveryState.SENDING]
        assert 0 < len(asked) <= EACH
        bench.receiver.silence.set()


async def test_claim_of_a_node_that_died_is_taken_up_by_another(bench: Bench) -> None:
    await bench.service.create(tenant_id=TENANT, url=bench.url, events=())
    await bench.tell()
    now = to_millis(bench.clock.now())
    claim = lambda at: bench.storage.write(  # noqa: E731
        lambda tx: store.claim_due(tx, now_ms=at, until_ms=at + 60_000, most=5, each=5, busy={})
    )
    assert len(await claim(now)) == 1
    assert await claim(now + 59_000) == []
    assert len(await claim(now + 61_000)) == 1


async def test_two_nodes_never_claim_the_same_delivery(bench: Bench) -> None:
    await bench.service.create(tenant_id=TENANT, url=bench.url, events=())
    for _ in range(30):
        await bench.tell()
    now = to_millis(bench.clock.now())
    claims = await asyncio.gather(
        *(
            bench.storage.write(
                lambda tx: store.claim_due(tx, now_ms=now, until_ms=now + 60_000, most=20, each=20, busy={})
            )
            for _ in range(4)
        )
    )
    ids = [delivery.id for claim in claims for delivery in claim]
    assert len(ids) == len(set(ids)) == 30


async def test_another_tenants_delivery_is_not_found(bench: Bench) -> None:
    await bench.service.create(tenant_id=TENANT, url=bench.url, events=())
    await bench.tell()
    [delivery] = await bench.service.deliveries(tenant_id=TENANT, state=None, before=None, limit=5)
    with pytest.raises(Problem) as refusal:
        await bench.service.redeliver(tenant_id="ten_other", delivery_id=delivery.id)
    assert refusal.value.kind is ProblemCode.NOT_FOUND
    with pytest.raises(Problem) as refusal:
        await bench.service.redeliver(tenant_id=TENANT, delivery_id=delivery.id)
    assert refusal.value.kind is ProblemCode.CONFLICT


async def test_deleted_endpoint_takes_its_open_deliveries_along(bench: Bench) -> None:
    endpoint, _ = await bench.service.create(tenant_id=TENANT, url=bench.url, events=())
    await bench.tell()
    await bench.service.delete(tenant_id=TENANT, endpoint_id=endpoint.id)
    assert await bench.states() == []


@pytest.mark.parametrize("steps", range(12))
async def test_sender_ends_when_stopped_however_close_to_a_wake_up(bench: Bench, steps: int) -> None:
    task = asyncio.create_task(bench.make_sender().run())
    await asyncio.sleep(0.1)  # it has found nothing due, and waits
    bench.outbox.wake()
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=20)
    task.cancel()
    assert done


def test_readme_lists_what_is_told() -> None:
    text = (Path(__file__).parents[2] / "gateway/webhooks/README.md").read_text()
    listed = {
        word for row in text.splitlines() if row.startswith("| `") for word in row.split("|")[1].split(", ")
    }
    assert {word.strip(" `") for word in listed} == set(WebhookEvent)
