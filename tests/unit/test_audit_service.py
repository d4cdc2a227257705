"""The audit log's running parts: the checkpointer, and verification of a log that grows or is long."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from gateway.audit import service, store
from gateway.audit.vouchers import audit_public_keys
from gateway.core.clock import ManualClock
from gateway.core.errors import Problem
from gateway.core.transaction import Transaction
from gateway.keys.ring import KeyRing
from gateway.keys.service import ensure_keys
from gateway.storage.engine import Storage
from gateway.storage.schema import metadata
from hsm_adapters.api import KeyKind
from hsm_adapters.software import SoftwareAdapter

TABLES = [store.audit_entries, store.audit_head, store.audit_checkpoints, store.audit_vouchers]


def tell(chain: store.AuditChain, n: int) -> Callable[[Transaction], None]:
    return lambda tx: chain.append(
        tx,
        tenant_id="ten_1",
        word="a:b:c",
        subject=f"subject-{n}",
        data={"n": n},
        at_ms=1_800_000_000_000 + n,
    )


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[tuple[Storage, SoftwareAdapter, ManualClock]]:
    url = f"sqlite:///{tmp_path}/log.db"
    engine = create_engine(url)
    metadata.create_all(engine, tables=TABLES)
    engine.dispose()
    storage = Storage(url)
    adapter = await SoftwareAdapter.create(
        f"software:file={tmp_path}/k.tessera?key-source=file:{tmp_path}/k.key"
    )
    yield storage, adapter, ManualClock()
    await adapter.close()
    await storage.close()


async def test_two_checkpointers_make_one_checkpoint(
    parts: tuple[Storage, SoftwareAdapter, ManualClock],
) -> None:
    storage, adapter, clock = parts
    await ensure_keys(adapter)
    pair = [
        service.Checkpointer(storage=storage, adapter=adapter, ring=KeyRing(adapter, clock), clock=clock)
        for _ in range(2)
    ]
    chain = store.AuditChain()
    assert await pair[0].checkpoint() is None
    for n in range(5):
        await storage.write(tell(chain, n))
        made = await asyncio.gather(*(checkpointer.checkpoint() for checkpointer in pair))
        assert len([checkpoint for checkpoint in made if checkpoint]) == 1
    report = await service.verify_log(storage, await audit_public_keys(adapter, storage))
    assert (report.entries, report.checkpoints, report.last, report.findings) == (5, 5, 5, ())


async def test_the_checkpointer_signs_by_count_and_by_time(
    parts: tuple[Storage, SoftwareAdapter, ManualClock],
) -> None:
    storage, adapter, clock = parts
    label = (await ensure_keys(adapter)).audit.label
    checkpointer = service.Checkpointer(
        storage=storage,
        adapter=adapter,
        ring=KeyRing(adapter, clock),
        clock=clock,
        interval_s=60,
        every=10,
        look_s=0.01,
    )
    chain = store.AuditChain()
    running = asyncio.create_task(checkpointer.run())

    async def signed(expected: int) -> None:
        for _ in range(500):
            if (await storage.read(store.read_head))[2] == expected:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(await storage.read(store.read_head))

    for n in range(9):
        await storage.write(tell(chain, n))
    await asyncio.sleep(0.1)
    assert (await storage.read(store.read_head))[2] == 0
    await storage.write(tell(chain, 9))
    await signed(10)
    await storage.write(tell(chain, 10))
    clock.advance(61)
    await signed(11)
    await adapter.destroy(label)  # the key store fails: tried again, and nothing ends
    await storage.write(tell(chain, 11))
    clock.advance(61)
    await asyncio.sleep(0.1)
    await adapter.generate(label, KeyKind.SIGN_P256)
    clock.advance(61)
    await signed(12)
    running.cancel()


async def test_a_log_is_verified_while_it_grows(parts: tuple[Storage, SoftwareAdapter, ManualClock]) -> None:
    storage, adapter, clock = parts
    await ensure_keys(adapter)
    checkpointer = service.Checkpointer(
        storage=storage, adapter=adapter, ring=KeyRing(adapter, clock), clock=clock
    )
    chain, growing = store.AuditChain(), True

    async def grow() -> int:
        n = 0
        while growing:
            n += 1
            await storage.write(lambda tx, n=n: [tell(chain, n * 50 + k)(tx) for k in range(50)])
            if n % 7 == 0:
                await checkpointer.checkpoint()
        return n * 50

    task = asyncio.create_task(grow())
    keys = await audit_public_keys(adapter, storage)
    seen: set[int] = set()
    while len(seen) < 8:
        seen.add((await service.verify_log(storage, keys)).last)
    growing = False
    total = await task
    report = await service.verify_log(storage, keys)
    assert report.entries == report.last == total >= max(seen)


async def test_a_long_log_is_read_in_pages(
    parts: tuple[Storage, SoftwareAdapter, ManualClock], monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, adapter, clock = parts
    monkeypatch.setattr(service, "PAGE", 7)
    await ensure_keys(adapter)
    checkpointer = service.Checkpointer(
        storage=storage, adapter=adapter, ring=KeyRing(adapter, clock), clock=clock
    )
    chain = store.AuditChain()
    keys = await audit_public_keys(adapter, storage)
    for n in range(29):
        await storage.write(tell(chain, n))
        if n % 3 == 0:
            await checkpointer.checkpoint()
        report = await service.verify_log(storage, keys)
        assert (report.entries, report.checkpoints) == (n + 1, n // 3 + 1)


async def test_without_its_tables_the_log_says_so(tmp_path: Path) -> None:
    storage = Storage(f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(Problem):
        await service.verify_log(storage, {})
    await storage.close()
