"""Key names, the keys the gateway makes, and sealing to a cell."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.clock import ManualClock
from gateway.keys.labels import KeyName, KeyPurpose, agree_label, audit_label, parse_label, wrap_label
from gateway.keys.ring import KeyRing
from gateway.keys.sealer import SealedAgreementKeys, Sealer, cell_context
from gateway.keys.service import default_store_uri, ensure_keys, ensure_tenant_key
from hsm_adapters.api import KeyKind
from hsm_adapters.errors import (
    HsmConfigurationError,
    HsmUnavailable,
    InvalidRequest,
    KeyNotFound,
    UnwrapFailed,
)
from hsm_adapters.software import SoftwareAdapter

TENANT = "ten_AAAAAAAAAAAAAAAAAAAAAA"


@pytest.fixture
async def adapter(tmp_path: Path) -> AsyncIterator[SoftwareAdapter]:
    store = await SoftwareAdapter.create(default_store_uri(str(tmp_path)))
    yield store
    await store.close()


async def sealer_of(adapter: SoftwareAdapter) -> Sealer:
    """Return a sealer that has just asked which keys there are."""
    await ensure_keys(adapter)
    return Sealer(adapter, KeyRing(adapter, ManualClock()))


# Names ------------------------------------------------------------------------------------------------------


def test_labels_are_those_of_the_contract() -> None:
    assert wrap_label() == "tessera-wrap-1"
    assert audit_label(2) == "tessera-audit-2"
    assert agree_label(TENANT) == f"tessera-{TENANT}-agree-1"
    assert len(agree_label("t" * 40, 65_535)) <= 64


@given(
    st.sampled_from(KeyPurpose), st.integers(1, 65_535), st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_-]{0,39}\Z")
)
def test_a_label_is_read_as_it_was_written(purpose: KeyPurpose, generation: int, tenant: str) -> None:
    name = KeyName(purpose, generation, tenant if purpose is KeyPurpose.AGREE else None)
    assert parse_label(name.label) == name


@given(st.text(max_size=70) | st.text("tesra-wupidg1290", max_size=40).map("tessera-".__add__))
def test_any_other_label_is_nobodys(label: str) -> None:
    name = parse_label(label)
    assert name is None or name.label == label


@pytest.mark.parametrize(
    "label",
    ["tessera-wrap-0", "tessera-wrap-01", "tessera-wrap-65536", "tessera-agree-1", "tessera--agree-1"],
)
def test_near_labels_are_nobodys(label: str) -> None:
    assert parse_label(label) is None


@pytest.mark.parametrize(
    "name",
    [
        KeyName(KeyPurpose.WRAP, 0),
        KeyName(KeyPurpose.WRAP, 65_536),
        KeyName(KeyPurpose.WRAP, 1, TENANT),
        KeyName(KeyPurpose.AGREE, 1),
        KeyName(KeyPurpose.AGREE, 1, "a b"),
        KeyName(KeyPurpose.AGREE, 1, "t" * 41),
    ],
)
def test_odd_names_have_no_label(name: KeyName) -> None:
    with pytest.raises(ValueError, match=r"."):
        _ = name.label


# Making keys ------------------------------------------------------------------------------------------------


async def test_keys_are_made_once(adapter: SoftwareAdapter) -> None:
    first = await ensure_keys(adapter)
    tenant = await ensure_tenant_key(adapter, TENANT)
    assert await ensure_keys(adapter) == first
    assert await ensure_tenant_key(adapter, TENANT) == tenant
    assert (first.wrapping.kind, first.audit.kind) == (KeyKind.WRAP_AES256, KeyKind.SIGN_P256)
    assert first.push.kind is KeyKind.SIGN_P256
    assert first.push.public_key != first.audit.public_key
    assert tenant.kind is KeyKind.AGREE_P256
    assert tenant.public_key is not None
    assert len(await adapter.list()) == 4


async def test_two_starting_at_once_agree(adapter: SoftwareAdapter, tmp_path: Path) -> None:
    others = [await SoftwareAdapter.open(default_store_uri(str(tmp_path))) for _ in range(3)]
    found = await asyncio.gather(*(ensure_keys(store) for store in [adapter, *others]))
    tenants = await asyncio.gather(*(ensure_tenant_key(store, TENANT) for store in [adapter, *others]))
    assert len(set(found)) == len(set(tenants)) == 1
    for store in others:
        await store.close()


async def test_the_newest_generation_is_in_force(adapter: SoftwareAdapter) -> None:
    await ensure_keys(adapter)
    for generation in (2, 10, 9):
        await adapter.generate(wrap_label(generation), KeyKind.WRAP_AES256)
    assert (await ensure_keys(adapter)).wrapping.label == wrap_label(10)


async def test_a_key_of_the_wrong_kind_is_not_taken(adapter: SoftwareAdapter) -> None:
    await adapter.generate(wrap_label(), KeyKind.MAC_SHA256)
    with pytest.raises(HsmConfigurationError, match="mac-sha256"):
        await ensure_keys(adapter)


@pytest.mark.parametrize("tenant", ["", "a b", "../a", "t" * 41])
async def test_odd_tenants_get_no_key(adapter: SoftwareAdapter, tenant: str) -> None:
    with pytest.raises(ValueError, match="tenant"):
        await ensure_tenant_key(adapter, tenant)


# Sealing ----------------------------------------------------------------------------------------------------

CELL = {"table": "activations", "column": "seed", "row": "act_1"}


async def test_what_was_sealed_opens_in_its_cell_alone(adapter: SoftwareAdapter) -> None:
    sealer = await sealer_of(adapter)
    blob = await sealer.seal(b"seed", **CELL)
    assert b"seed" not in blob
    assert blob[:3] == b"\x01\x00\x01"
    assert await sealer.open(blob, **CELL) == b"seed"
    for change in (
        {"table": "bindings"},
        {"column": "psk"},
        {"row": "act_2"},
        {"table": "activation", "column": "sseed"},
    ):
        with pytest.raises(UnwrapFailed):
            await sealer.open(blob, **{**CELL, **change})


async def test_any_changed_byte_does_not_open(adapter: SoftwareAdapter) -> None:
    sealer = await sealer_of(adapter)
    blob = await sealer.seal(b"seed", **CELL)
    for position in range(len(blob)):
        changed = bytearray(blob)
        changed[position] ^= 1
        with pytest.raises(UnwrapFailed):
            await sealer.open(bytes(changed), **CELL)
        with pytest.raises(UnwrapFailed):
            await sealer.open(blob[:position], **CELL)
    with pytest.raises(UnwrapFailed):
        await sealer.open(bytes(70_000), **CELL)


async def test_old_values_open_after_a_rotation(adapter: SoftwareAdapter) -> None:
    await ensure_keys(adapter)
    old = await Sealer(adapter, KeyRing(adapter, ManualClock())).seal(b"seed", **CELL)
    await adapter.generate(wrap_label(2), KeyKind.WRAP_AES256)
    sealer = await sealer_of(adapter)
    new = await sealer.seal(b"seed", **CELL)
    assert (old[:3], new[:3]) == (b"\x01\x00\x01", b"\x01\x00\x02")
    assert await sealer.open(old, **CELL) == await sealer.open(new, **CELL) == b"seed"
    with pytest.raises(UnwrapFailed):
        await sealer.open(new[:3] + old[3:], **CELL)
    await adapter.destroy(wrap_label(1))
    with pytest.raises(UnwrapFailed):
        await sealer.open(old, **CELL)


async def test_a_store_that_is_down_is_not_a_wrong_value(adapter: SoftwareAdapter) -> None:
    sealer = await sealer_of(adapter)
    blob = await sealer.seal(b"seed", **CELL)
    await adapter.close()
    with pytest.raises(HsmUnavailable):
        await sealer.open(blob, **CELL)
    with pytest.raises(HsmUnavailable):
        await sealer.seal(b"seed", **CELL)


@pytest.mark.parametrize("cell", [{"table": ""}, {"row": ""}, {"column": "c" * 256}])
async def test_a_cell_needs_names(adapter: SoftwareAdapter, cell: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="names"):
        await Sealer(adapter, KeyRing(adapter, ManualClock())).seal(b"", **{**CELL, **cell})


_names = st.text("ab|", min_size=1, max_size=4)


@given(st.tuples(_names, _names, _names), st.tuples(_names, _names, _names))
def test_no_two_cells_share_a_context(first: tuple[str, str, str], second: tuple[str, str, str]) -> None:
    assert (cell_context(*first) == cell_context(*second)) is (first == second)


# Wrapped agreement keys -------------------------------------------------------------------------------------


async def test_wrapped_keys_work_across_a_rotation(adapter: SoftwareAdapter) -> None:
    await ensure_keys(adapter)
    keys = SealedAgreementKeys(adapter)
    peer = (await ensure_tenant_key(adapter, TENANT)).public_key
    assert peer is not None
    made = await keys.generate_wrapped(wrap_label(), b"binding")
    shared = await keys.ecdh_wrapped(wrap_label(), made.blob, b"binding", [peer])
    assert shared == [await adapter.ecdh(agree_label(TENANT), made.public_key)]
    await adapter.generate(wrap_label(2), KeyKind.WRAP_AES256)
    assert await keys.ecdh_wrapped(wrap_label(2), made.blob, b"binding", [peer]) == shared
    for blob, context in (
        (made.blob, b"other"),
        (made.blob[:-1], b"binding"),
        (b"", b"binding"),
        (b"\x01\x00\x02" + made.blob[3:], b"binding"),
        (b"\x01\x00\x09" + made.blob[3:], b"binding"),
        (b"\x01\x00\x00" + made.blob[3:], b"binding"),
        (made.blob[3:], b"binding"),
    ):
        with pytest.raises(UnwrapFailed):
            await keys.ecdh_wrapped(wrap_label(), blob, context, [peer])
    with pytest.raises(UnwrapFailed):
        await Sealer(adapter, KeyRing(adapter, ManualClock())).open(made.blob, **CELL)


async def test_only_a_wrapping_key_wraps(adapter: SoftwareAdapter) -> None:
    keys = SealedAgreementKeys(adapter)
    for label in (audit_label(), "other", agree_label(TENANT)):
        with pytest.raises(InvalidRequest):
            await keys.generate_wrapped(label, b"")
    with pytest.raises(KeyNotFound):
        await keys.generate_wrapped(wrap_label(), b"")


async def test_a_key_that_was_retired_before_its_successor_was_heard_of_holds_nobody(
    adapter: SoftwareAdapter,
) -> None:
    sealer = await sealer_of(adapter)
    cell = {"table": "things", "column": "secret", "row": "1"}
    await sealer.seal(b"first", **cell)
    await adapter.generate(wrap_label(2), KeyKind.WRAP_AES256)
    await adapter.destroy(wrap_label(1))
    sealed = await sealer.seal(b"second", **cell)
    assert sealed[:3] == b"\x01\x00\x02"
    assert await sealer.open(sealed, **cell) == b"second"
