"""Which agreement key is in force, where a bound phone moves, and what a key that is not there means."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.core.clock import ManualClock
from gateway.keys.agreement import AgreementKeys
from gateway.keys.labels import agree_label
from gateway.keys.ring import ASKED_S, KeyRing
from hsm_adapters.api import HsmAdapter, KeyKind
from hsm_adapters.errors import HsmUnavailable, KeyNotFound
from hsm_adapters.registry import create_store

TENANT = "ten_1"
FIRST, SECOND, THIRD = (agree_label(TENANT, generation) for generation in (1, 2, 3))


@pytest.fixture
async def adapter(tmp_path: Path) -> AsyncIterator[HsmAdapter]:
    opened = await create_store(f"software:file={tmp_path}/keys?key-source=file:{tmp_path}/key")
    yield opened
    await opened.close()


async def rotate(adapter: HsmAdapter, label: str) -> bytes:
    """Make a later key; return its point."""
    made = await adapter.generate(label, KeyKind.AGREE_P256)
    assert made.public_key is not None
    return made.public_key


async def test_a_later_key_is_found_within_a_minute(adapter: HsmAdapter) -> None:
    clock = ManualClock()
    keys = AgreementKeys(adapter, KeyRing(adapter, clock))
    assert await keys.next_label(TENANT, FIRST) == FIRST
    point = await rotate(adapter, SECOND)
    assert await keys.next_label(TENANT, FIRST) == FIRST
    clock.advance(ASKED_S)
    assert await keys.current_label(TENANT) == await keys.next_label(TENANT, FIRST) == SECOND
    assert await keys.public_key(SECOND) == point


async def test_no_phone_moves_back(adapter: HsmAdapter) -> None:
    """One node has heard of the later key, the other has not: the phone meets them in turn."""
    clock = ManualClock()
    slow = AgreementKeys(adapter, KeyRing(adapter, clock))
    assert await slow.current_label(TENANT) == FIRST
    await rotate(adapter, SECOND)
    assert await AgreementKeys(adapter, KeyRing(adapter, clock)).next_label(TENANT, FIRST) == SECOND
    assert await slow.current_label(TENANT) == FIRST
    assert await slow.next_label(TENANT, SECOND) == SECOND


async def test_a_key_that_is_gone_is_told_from_one_that_is_not_there_yet(adapter: HsmAdapter) -> None:
    clock = ManualClock()
    keys = AgreementKeys(adapter, KeyRing(adapter, clock))
    await keys.current_label(TENANT)
    peer = await rotate(adapter, SECOND)
    clock.advance(ASKED_S)
    for asked in (keys, AgreementKeys(adapter, KeyRing(adapter, clock))):
        with pytest.raises(HsmUnavailable):
            await asked.public_key(THIRD)
        with pytest.raises(HsmUnavailable):
            await asked.agree(THIRD, peer)
    await adapter.destroy(FIRST)
    with pytest.raises(KeyNotFound):
        await AgreementKeys(adapter, KeyRing(adapter, clock)).public_key(FIRST)
    await keys.public_key(FIRST)  # remembered, and of no use:
    with pytest.raises(KeyNotFound):
        await keys.agree(FIRST, peer)


async def test_a_tenant_that_nobody_made_gets_no_key(adapter: HsmAdapter) -> None:
    keys = AgreementKeys(adapter, KeyRing(adapter, ManualClock()))
    with pytest.raises(HsmUnavailable):
        await keys.public_key(agree_label("invented"))
    assert await adapter.list() == []
    with pytest.raises(KeyNotFound):
        await keys.public_key("not-one-of-ours")
