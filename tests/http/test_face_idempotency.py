"""A request sent twice under one Idempotency-Key is done once, and answered twice the same."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from face_kit import PAGE_TOKEN, Face, running_face
from sqlalchemy import insert, select

from gateway.core.errors import Problem, ProblemCode
from gateway.core.transaction import Transaction
from gateway.http.idempotency import KEPT_S, LEASE_S, Claim, Idempotency, idempotency_keys
from gateway.tenants.store import tenants


@pytest.fixture
async def face(tmp_path: Path) -> AsyncIterator[Face]:
    async with running_face(tmp_path) as running:
        yield running


async def order(face: Face, key: str, name: str = "x", **more: Any) -> tuple[int, Any, Any]:
    return await face.ask("POST", "/t/orders", json={"name": name}, headers={"Idempotency-Key": key}, **more)


async def test_second_request_gets_the_first_answer(face: Face) -> None:
    first = await order(face, "one")
    second = await order(face, "one")
    assert first[:2] == second[:2]
    assert first[0] == 201
    assert "Idempotency-Replayed" not in first[2]
    assert second[2]["Idempotency-Replayed"] == "true"
    assert face.made == ["x"]


async def test_other_keys_run_anew(face: Face) -> None:
    numbers = [(await order(face, key))[1]["number"] for key in ("one", "two", "one")]
    assert numbers == [1, 2, 1]


async def test_same_key_with_another_body_or_path_is_refused(face: Face) -> None:
    await order(face, "one")
    status, body, _ = await order(face, "one", name="y")
    assert (status, body["code"]) == (422, "idempotency-mismatch")
    status, _, _ = await face.ask(
        "POST", "/t/page-orders", json={"name": "x"}, headers={"Idempotency-Key": "one"}
    )
    assert status == 200, "a key belongs to its route"


async def test_keys_of_other_callers_are_their_own(face: Face) -> None:
    _, other = await face.new_key("*")
    await order(face, "one")
    assert (await order(face, "one", token=other))[1]["number"] == 2
    headers = {"Idempotency-Key": "one"}
    await face.ask("POST", "/t/page-orders", token=PAGE_TOKEN, json={"name": "p"}, headers=headers)
    assert face.made == ["x", "x", "p"]


async def test_concurrent_requests_run_once(face: Face) -> None:
    first = asyncio.create_task(order(face, "one", name="slow"))
    while not await face.storage.read(lambda tx: tx.execute(select(idempotency_keys.c.digest)).all()):
        await asyncio.sleep(0.01)
    status, body, headers = await order(face, "one", name="slow")
    assert (status, body["code"], headers["Retry-After"]) == (409, "conflict", "1")
    face.gate.set()
    assert (await first)[0] == 201
    assert (await order(face, "one", name="slow"))[2]["Idempotency-Replayed"] == "true"
    assert face.made == ["slow"]


async def test_kept_problem_is_given_again(face: Face) -> None:
    first = await order(face, "one", name="taken")
    second = await order(face, "one", name="taken")
    assert first[:2] == second[:2]
    assert first[0] == 409
    assert face.made == ["taken"]


async def test_invalid_body_is_kept_too(face: Face) -> None:
    for _ in range(2):
        assert (await order(face, "one", name=""))[0] == 400


async def test_inner_failure_is_not_kept(face: Face) -> None:
    assert (await order(face, "one", name="broken"))[0] == 500
    assert (await order(face, "one", name="broken"))[0] == 201


async def test_refused_credential_or_limit_is_not_kept(face: Face) -> None:
    _, narrow = await face.new_key("audit:read")
    assert (await order(face, "one", token=narrow))[0] == 403
    rows = await face.storage.read(lambda tx: tx.execute(select(idempotency_keys)).all())
    assert rows == []


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\u00e9", "a\tb"])
async def test_keys_have_a_shape(face: Face, key: str) -> None:
    status, body, _ = await order(face, key)
    assert (status, body["code"]) == (400, "invalid-request")


async def test_answers_are_forgotten_after_a_day(face: Face) -> None:
    await order(face, "one")
    face.clock.advance(KEPT_S + 1)
    assert (await order(face, "one"))[1]["number"] == 2


async def test_pruning_forgets_old_answers_alone(face: Face) -> None:
    store = Idempotency(storage=face.storage, clock=face.clock, random=lambda size: bytes(size))
    await order(face, "old")
    face.clock.advance(KEPT_S - 10)
    await order(face, "new")
    face.clock.advance(11)
    await store.prune()
    rows = await face.storage.read(lambda tx: tx.execute(select(idempotency_keys.c.digest)).all())
    assert len(rows) == 1
    assert (await order(face, "new"))[2]["Idempotency-Replayed"] == "true"


async def test_claim_of_a_dead_node_is_taken_over_and_its_late_answer_dropped(face: Face) -> None:
    store = Idempotency(storage=face.storage, clock=face.clock, random=lambda size: bytes(size))
    common: dict[str, Any] = {
        "key": "one",
        "credential": f"Bearer {face.key}",
        "tenant_id": face.tenant,
        "route": "POST /t/orders",
        "path": "/t/orders",
        "body": b'{"name": "x"}',
    }
    dead = await store.begin(**common)
    assert (await order(face, "one"))[0] == 409
    face.clock.advance(LEASE_S + 1)
    assert (await order(face, "one"))[1]["number"] == 1
    await store.abandon(dead)  # type: ignore[arg-type]
    assert (await order(face, "one"))[2]["Idempotency-Replayed"] == "true"


async def lose_the_answer(*_: object) -> None:
    raise Problem(ProblemCode.UNAVAILABLE, "the database does not answer")


async def assert_outcome_unknown(face: Face, name: str) -> None:
    status, body, _ = await order(face, "one", name=name)
    assert (status, body["code"]) == (409, "idempotency-outcome-unknown")
    assert face.made == [name]


async def test_change_whose_answer_was_not_kept_is_answered_and_not_made_again(
    face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(face.idempotency, "finish", lose_the_answer)
        assert (await order(face, "one", name="stored"))[0] == 201
    status, body, headers = await order(face, "one", name="stored")
    assert (status, body["code"], headers["Retry-After"]) == (409, "conflict", "1")
    face.clock.advance(LEASE_S + 1)
    await assert_outcome_unknown(face, "stored")


@pytest.mark.parametrize("name", ["stored, then slow", "stored"])
async def test_change_of_a_node_that_died_before_the_answer_is_not_made_again(
    face: Face, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    dead = asyncio.Event()

    async def die(*_: object) -> None:
        dead.set()
        await asyncio.sleep(3600)

    monkeypatch.setattr(face.idempotency, "finish", die)
    monkeypatch.setattr(face.idempotency, "abandon", die)
    asking = asyncio.create_task(order(face, "one", name=name))
    while not (face.made if name != "stored" else dead.is_set()):
        await asyncio.sleep(0.01)
    asking.cancel()
    monkeypatch.undo()
    face.clock.advance(LEASE_S + 1)
    await assert_outcome_unknown(face, name)


async def test_failure_after_the_change_does_not_free_the_key(face: Face) -> None:
    assert (await order(face, "one", name="stored, then broken"))[0] == 500
    await assert_outcome_unknown(face, "stored, then broken")


CLAIM: dict[str, Any] = {
    "key": "one",
    "credential": "c",
    "tenant_id": "ten_x",
    "route": "POST /x",
    "path": "/x",
    "body": b"",
}


async def claim_of(face: Face) -> Claim:
    claim = await face.idempotency.begin(**CLAIM)
    assert isinstance(claim, Claim)
    return claim


def change(tx: Transaction) -> None:
    tx.execute(insert(tenants).values(tenant_id="ten_x", name="x", created_at=0))


async def test_change_whose_waiting_was_cancelled_is_not_made_again(face: Face) -> None:
    claim = await claim_of(face)

    async def run() -> None:
        try:
            with face.idempotency.covering(claim):
                await face.storage.write(change)
        except asyncio.CancelledError:
            await face.idempotency.abandon(claim)

    running = asyncio.create_task(run())
    await asyncio.sleep(0)
    running.cancel()
    await running
    with pytest.raises(Problem) as caught:
        await claim_of(face)
    assert caught.value.kind is ProblemCode.IDEMPOTENCY_OUTCOME_UNKNOWN


async def test_change_under_a_claim_that_was_taken_over_comes_to_nothing(face: Face) -> None:
    slow = await claim_of(face)
    face.clock.advance(LEASE_S + 1)
    second = await claim_of(face)
    with face.idempotency.covering(slow), pytest.raises(Problem) as caught:
        await face.storage.write(change)
    assert caught.value.kind is ProblemCode.CONFLICT
    with face.idempotency.covering(second):
        await face.storage.write(change)


async def test_task_that_outlives_its_request_changes_nothing_of_its_claim(face: Face) -> None:
    claim = await claim_of(face)
    over = asyncio.Event()

    async def work() -> None:
        await over.wait()
        await face.storage.write(change)

    with face.idempotency.covering(claim):
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
    over.set()
    await task
    await face.idempotency.abandon(claim)
    await claim_of(face)


async def test_database_alone_does_not_tell_kept_answers(face: Face, tmp_path: Path) -> None:
    _, body, _ = await order(face, "a-telling-key")
    await face.storage.close()
    stored = await asyncio.to_thread(
        lambda: b"".join(path.read_bytes() for path in tmp_path.glob("face.db*"))
    )
    assert body["secret"].encode() not in stored
    assert b"a-telling-key" not in stored


async def test_get_takes_no_key(face: Face) -> None:
    for _ in range(2):
        _, _, headers = await face.ask("GET", "/t/either", headers={"Idempotency-Key": "one"})
        assert "Idempotency-Replayed" not in headers
