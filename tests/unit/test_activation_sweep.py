"""The sweep over more than one batch: everything that is due ends, once, however much there is; what has been over for
long is erased batch by batch."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rules_kit import TENANT, FixedKeys, NoFurtherPhones, OpenSealer, Rules
from sqlalchemy import func, select

from gateway.activation import store
from gateway.activation.models import ActivationPolicy, ActivationState
from gateway.activation.page_tokens import PageTokens
from gateway.activation.service import ActivationService, StartOrder
from gateway.core.errors import Problem, ProblemCode
from gateway.core.secrets import system_random

POLICY = ActivationPolicy()


@pytest.fixture
async def rules(tmp_path: Path) -> AsyncIterator[Rules]:
    async with Rules.on(tmp_path) as ground:
        yield ground


@pytest.fixture
def service(rules: Rules) -> ActivationService:
    return node_of(rules)


def node_of(rules: Rules) -> ActivationService:
    """Return the service of one process."""
    common = {
        "storage": rules.storage,
        "journal": rules.journal,
        "clock": rules.clock,
        "random": system_random,
        "policy": POLICY,
    }
    return ActivationService(
        sealer=OpenSealer(),
        keys=FixedKeys(),
        further=NoFurtherPhones(),
        tokens=PageTokens(**common),  # type: ignore[arg-type]
        **common,  # type: ignore[arg-type]
    )


async def start(service: ActivationService, count: int) -> list[str]:
    """Start that many; return their ids."""
    order = StartOrder(tenant_id=TENANT, user="user-1", label="Compte")
    started = await asyncio.gather(*(service.start(order) for _ in range(count)))
    return [activation.id for activation, _ in started]


def ended(rules: Rules) -> Counter[str]:
    """Return how often the end of each activation was told."""
    return Counter(fact.subject for fact in rules.journal.facts if fact.event == "activation.ended")


async def count(rules: Rules, state: ActivationState | None = None) -> int:
    query = select(func.count()).select_from(store.activations)
    if state is not None:
        query = query.where(store.activations.c.state == state.value)
    return await rules.storage.read(lambda tx: int(tx.execute(query).scalar_one()))


@pytest.mark.parametrize("due", [0, 1, store.SWEEP_BATCH, 2 * store.SWEEP_BATCH + 5])
async def test_all_that_is_due_ends_in_one_sweep_and_is_told_once(
    rules: Rules, service: ActivationService, due: int
) -> None:
    old = await start(service, due)
    rules.clock.advance(POLICY.life_s - 1)
    young = await start(service, 3)
    assert await service.sweep() == 0
    rules.clock.advance(1)
    assert await service.sweep() == due
    assert ended(rules) == Counter(old)
    assert await count(rules, ActivationState.EXPIRED) == due
    assert await count(rules, ActivationState.WAITING) == len(young)
    assert await service.sweep() == 0


async def test_two_nodes_sweep_at_once_and_tell_each_end_once(
    rules: Rules, service: ActivationService
) -> None:
    old = await start(service, store.SWEEP_BATCH + 20)
    rules.clock.advance(POLICY.life_s)
    await asyncio.gather(service.sweep(), node_of(rules).sweep())
    assert ended(rules) == Counter(old)
    assert await count(rules, ActivationState.EXPIRED) == len(old)


async def test_sweep_that_failed_half_way_is_made_good_by_the_next(
    rules: Rules, service: ActivationService, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await start(service, store.SWEEP_BATCH + 20)
    rules.clock.advance(POLICY.life_s)
    batches = 0
    find_due = store.find_due

    def failing(*arguments: object) -> list[str]:
        nonlocal batches
        batches += 1
        if batches == 2:
            raise Problem(ProblemCode.UNAVAILABLE, "the database does not answer")
        return find_due(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "find_due", failing)
    with pytest.raises(Problem):
        await service.sweep()
    assert len(ended(rules)) == store.SWEEP_BATCH
    assert await service.sweep() == 20
    assert ended(rules) == Counter(old)


async def test_what_has_been_over_for_long_is_erased_batch_by_batch(
    rules: Rules, service: ActivationService
) -> None:
    await start(service, 1)
    [row] = await rules.storage.read(lambda tx: tx.execute(select(store.activations)).mappings().all())
    over = {"locator": None, "state": ActivationState.EXPIRED.value, "open_until_at": None}
    copies = [dict(row) | over | {"id": f"act_{n:05}"} for n in range(2 * store.PRUNE_BATCH + 1)]
    statement = store.activations.insert()
    await rules.storage.write(lambda tx: tx.execute(statement, copies))
    rules.clock.advance(POLICY.life_s + POLICY.retention_s)
    await service.sweep()
    assert await count(rules) == len(copies) + 1, "the retention's time, and no less"
    rules.clock.advance(1)
    left = []
    for _ in range(3):
        await service.sweep()
        left.append(await count(rules))
    assert left == [store.PRUNE_BATCH + 2, 2, 0]
