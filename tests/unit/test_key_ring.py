"""Which key is in force, as a process knows it: asked for once a minute, believed for two."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.core.clock import ManualClock
from gateway.keys.labels import KeyPurpose, agree_label, audit_label, wrap_label
from gateway.keys.ring import ASKED_S, USED_S, KeyRing
from hsm_adapters.api import KeyInfo, KeyKind
from hsm_adapters.errors import HsmUnavailable, KeyNotFound

TENANT = "ten_AAAAAAAAAAAAAAAAAAAAAA"


class Store:
    """A key store of which only the list is asked for."""

    def __init__(self, *labels: str) -> None:
        self.labels = list(labels)
        self.asked = 0
        self.is_silent = False

    async def list(self) -> Sequence[KeyInfo]:
        self.asked += 1
        await asyncio.sleep(0)
        if self.is_silent:
            raise HsmUnavailable("gone")
        kinds = {"wrap": KeyKind.WRAP_AES256, "audit": KeyKind.SIGN_P256, "push": KeyKind.SIGN_P256}
        return [
            KeyInfo(
                label,
                kinds.get(label.split("-")[-2 if "-" in label else 0], KeyKind.AGREE_P256),
                None,
                bytes(65),
            )
            for label in self.labels
        ]


def ring_over(store: Store) -> tuple[KeyRing, ManualClock]:
    clock = ManualClock()
    return KeyRing(store, clock), clock  # type: ignore[arg-type]


async def test_the_highest_generation_is_in_force() -> None:
    store = Store(
        wrap_label(9), wrap_label(10), audit_label(2), agree_label(TENANT, 3), "other", wrap_label(2)
    )
    ring, _ = ring_over(store)
    assert await ring.wrapping_label() == wrap_label(10)
    assert await ring.wrapping_generation() == 10
    assert await ring.audit_label() == audit_label(2)
    assert (await ring.current(KeyPurpose.AGREE, TENANT)).label == agree_label(TENANT, 3)
    assert await ring.find(KeyPurpose.AGREE, "ten_other") is None
    assert await ring.has_older_wrapping()
    with pytest.raises(KeyNotFound, match="tessera keys init"):
        await ring.current(KeyPurpose.PUSH)
    assert store.asked == 1


async def test_a_key_of_another_kind_is_never_in_force() -> None:
    store = Store(wrap_label(1))
    ring, _ = ring_over(store)
    keys = await store.list()
    bad = KeyInfo(wrap_label(2), KeyKind.MAC_SHA256, None, None)

    async def both() -> Sequence[KeyInfo]:
        return [*keys, bad]

    store.list = both  # type: ignore[method-assign]
    assert await ring.wrapping_label() == wrap_label(1)


async def test_the_store_is_asked_once_a_minute_however_many_ask() -> None:
    store = Store(wrap_label(1))
    ring, clock = ring_over(store)
    assert ring.known(KeyPurpose.WRAP) is None
    await asyncio.gather(*(ring.wrapping_label() for _ in range(50)))
    assert store.asked == 1
    store.labels.append(wrap_label(2))
    clock.advance(ASKED_S - 1)
    assert await ring.wrapping_label() == wrap_label(1)
    clock.advance(1)
    first, *others = await asyncio.gather(*(ring.wrapping_label() for _ in range(50)))
    assert (first, set(others)) == (wrap_label(2), {wrap_label(1)}), (
        "the others do not wait for the one that asks"
    )
    assert (await ring.wrapping_label(), store.asked) == (wrap_label(2), 2)
    known = ring.known(KeyPurpose.WRAP)
    assert known is not None
    assert known.label == wrap_label(2)


async def test_a_clock_that_is_set_back_keeps_nothing_alive() -> None:
    store = Store(wrap_label(1))
    ring, clock = ring_over(store)
    await ring.wrapping_label()
    store.labels.append(wrap_label(2))
    clock.advance(ASKED_S)
    clock.step(-10_000)
    assert await ring.wrapping_label() == wrap_label(2)


async def test_a_silent_store_is_believed_for_two_minutes() -> None:
    store = Store(wrap_label(1))
    ring, clock = ring_over(store)
    await ring.wrapping_label()
    store.is_silent = True
    clock.advance(ASKED_S)
    for _ in range(10):
        assert await ring.wrapping_label() == wrap_label(1)
    assert store.asked == 2, "not asked again at once"
    clock.advance(USED_S - ASKED_S - 0.5)
    assert await ring.wrapping_label() == wrap_label(1)
    clock.advance(0.5)
    for _ in range(3):
        with pytest.raises(HsmUnavailable):
            await ring.wrapping_label()
    store.is_silent = False
    assert await ring.wrapping_label() == wrap_label(1)


async def test_a_store_that_never_answered_gives_its_own_error() -> None:
    store = Store(wrap_label(1))
    store.is_silent = True
    ring, _ = ring_over(store)
    with pytest.raises(HsmUnavailable, match="gone"):
        await ring.wrapping_label()
