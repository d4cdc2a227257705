"""Idempotency keys on each database, with two nodes: a claim that its node left is taken over by one other, and what is
old is forgotten, claims without an answer too."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from gateway.core.clock import ManualClock
from gateway.core.errors import Problem, ProblemCode
from gateway.core.secrets import system_random
from gateway.core.transaction import Transaction
from gateway.http.idempotency import KEPT_S, LEASE_S, PRUNE, Answer, Claim, Idempotency, idempotency_keys
from gateway.storage.engine import Storage
from gateway.storage.migrate import migrate
from gateway.storage.schema import to_millis

ANSWER = Answer(201, "application/json", b'{"page_token":"ptk_1"}')
LATE = Answer(201, "application/json", b'{"page_token":"ptk_late"}')


@dataclass
class Node:
    """One process's store."""

    storage: Storage
    store: Idempotency

    async def begin(self, key: str = "one", body: bytes = b"{}") -> Claim | Answer:
        return await self.store.begin(
            key=key, credential="c", tenant_id="ten_1", route="POST /x", path="/x", body=body
        )

    async def claim(self, key: str = "one", body: bytes = b"{}") -> Claim:
        claim = await self.begin(key, body)
        assert isinstance(claim, Claim)
        return claim

    async def refusal(self, **wish: Any) -> ProblemCode:
        with pytest.raises(Problem) as caught:
            await self.begin(**wish)
        return caught.value.kind


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def nodes(database_url: str, clock: ManualClock) -> AsyncIterator[list[Node]]:
    """Two, on one database."""
    await asyncio.to_thread(migrate, database_url)
    storages = [Storage(database_url) for _ in range(2)]
    yield [
        Node(storage, Idempotency(storage=storage, clock=clock, random=system_random)) for storage in storages
    ]
    for storage in storages:
        await storage.close()


async def test_claim_of_a_dead_node_is_taken_over_when_its_lease_is_over(
    nodes: list[Node], clock: ManualClock
) -> None:
    dead = await nodes[0].claim()
    clock.advance(LEASE_S - 1)
    assert await nodes[1].refusal() is ProblemCode.CONFLICT
    clock.advance(1)
    taken = await nodes[1].claim()
    assert (taken.digest, taken.attempt) == (dead.digest, dead.attempt + 1)
    assert await nodes[0].refusal() is ProblemCode.CONFLICT, "the lease begins anew"


async def test_answer_that_comes_after_the_take_over_is_dropped(
    nodes: list[Node], clock: ManualClock
) -> None:
    dead = await nodes[0].claim()
    clock.advance(LEASE_S)
    taken = await nodes[1].claim()
    await nodes[0].store.finish(dead, LATE)
    assert await nodes[0].refusal() is ProblemCode.CONFLICT
    await nodes[1].store.finish(taken, ANSWER)
    await nodes[0].store.finish(dead, LATE)
    await nodes[0].store.abandon(dead)
    assert [await node.begin() for node in nodes] == [ANSWER, ANSWER]


async def test_one_of_many_takes_over(nodes: list[Node], clock: ManualClock) -> None:
    await nodes[0].claim()
    clock.advance(LEASE_S)
    got = await asyncio.gather(*(node.begin() for node in nodes * 10), return_exceptions=True)
    assert len([each for each in got if isinstance(each, Claim)]) == 1
    refusals = [each for each in got if isinstance(each, Problem)]
    assert len(refusals) == 19
    assert {each.kind for each in refusals} == {ProblemCode.CONFLICT}


async def test_taken_over_claim_still_is_for_the_same_request(nodes: list[Node], clock: ManualClock) -> None:
    await nodes[0].claim(body=b"{}")
    clock.advance(LEASE_S)
    assert await nodes[1].refusal(body=b'{"other":1}') is ProblemCode.IDEMPOTENCY_MISMATCH
    clock.advance(KEPT_S - LEASE_S + 1)
    await nodes[1].claim(body=b'{"other":1}')  # a day later the key is free


async def test_claim_that_was_given_back_is_free_at_once(nodes: list[Node]) -> None:
    first = await nodes[0].claim()
    await nodes[0].store.abandon(first)
    second = await nodes[1].claim()
    await nodes[1].store.finish(second, ANSWER)
    assert await nodes[0].begin() == ANSWER


async def test_forgetting_takes_abandoned_claims_along_and_leaves_the_young(
    nodes: list[Node], clock: ManualClock
) -> None:
    count, now = 2 * PRUNE + 1, to_millis(clock.now())
    row = {
        "tenant_id": "ten_1",
        "request_digest": bytes(32),
        "attempt": 1,
        "created_at": now,
        "lease_at": now,
    }
    states = ({"state": "started", "answer": None}, {"state": "done", "answer": None})
    rows = [row | states[n % 2] | {"digest": n.to_bytes(32, "big")} for n in range(count)]
    statement = insert(idempotency_keys)
    await nodes[0].storage.write(lambda tx: tx.execute(statement, rows))
    await nodes[0].claim("abandoned")
    clock.advance(KEPT_S)
    young = await nodes[0].claim("young")
    await nodes[1].store.prune()
    assert await left(nodes[1]) == count + 2, "a day, and no less"
    clock.advance(0.001)
    await nodes[1].store.prune()
    assert await left(nodes[1]) == 1
    await nodes[0].store.finish(young, ANSWER)
    assert await nodes[1].begin("young") == ANSWER
    await nodes[1].claim("abandoned")


async def left(node: Node) -> int:
    """Return how many rows there are."""

    def count(tx: Transaction) -> int:
        return int(tx.execute(select(func.count()).select_from(idempotency_keys)).scalar_one())

    return await node.storage.read(count)
