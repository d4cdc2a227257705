"""Seeds at rest on the software store and in a real module: where the HMAC runs, what a seed is bound to, and what
policy refuses."""

import hmac
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hsm_modules import p11_kit, softhsm

from gateway.core.clock import SystemClock
from gateway.core.secrets import system_random
from gateway.installation import open_installation
from gateway.keys.ring import KeyRing
from gateway.keys.sealer import Sealer
from gateway.keys.seeds import SeedKeeper
from gateway.settings import Settings
from hsm_adapters.api import HashName, HsmAdapter, KeyKind
from hsm_adapters.errors import OperationUnsupported, UnwrapFailed
from hsm_adapters.registry import create_store, open_store

SEED = bytes(range(20))
MESSAGES = [number.to_bytes(8, "big") for number in range(4)]
CELL = {"table": "tokens", "column": "seed", "row": "tok_1"}
EXPECTED = [hmac.digest(SEED, message, "sha256") for message in MESSAGES]


@pytest.fixture
async def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HsmAdapter]:
    """SoftHSM with a wrapping key."""
    with softhsm(tmp_path) as stand:
        for name, value in stand.environment.items():
            monkeypatch.setenv(name, value)
        adapter = await open_store(stand.uri)
        await adapter.generate("tessera-wrap-1", KeyKind.WRAP_AES256)
        yield adapter
        await adapter.close()


@pytest.fixture
async def software(tmp_path: Path) -> AsyncIterator[HsmAdapter]:
    """A key file with a wrapping key."""
    adapter = await create_store(f"software:file={tmp_path / 'keys'}?key-source=file:{tmp_path / 'key'}")
    await adapter.generate("tessera-wrap-1", KeyKind.WRAP_AES256)
    yield adapter
    await adapter.close()


def keeper(adapter: HsmAdapter, *, inside: bool) -> SeedKeeper:
    """Return a keeper under a policy."""
    return SeedKeeper(adapter, KeyRing(adapter, SystemClock()), inside=inside)


@pytest.mark.parametrize("inside", [True, False])
async def test_a_seed_authenticates_in_its_own_cell_alone(module: HsmAdapter, inside: bool) -> None:
    seeds = keeper(module, inside=inside)
    await seeds.check()
    sealed = await seeds.seal(SEED, **CELL)
    assert SEED not in sealed
    assert await seeds.macs(sealed, MESSAGES, hash_name=HashName.SHA256, **CELL) == EXPECTED
    for changed in ({"row": "tok_2"}, {"column": "other"}, {"table": "others"}):
        with pytest.raises(UnwrapFailed):
            await seeds.macs(sealed, MESSAGES, hash_name=HashName.SHA256, **{**CELL, **changed})
    for position in range(len(sealed)):
        altered = bytearray(sealed)
        altered[position] ^= 1
        with pytest.raises((UnwrapFailed, OperationUnsupported)):
            await seeds.macs(bytes(altered), MESSAGES, hash_name=HashName.SHA256, **CELL)
    for length in range(len(sealed)):
        with pytest.raises((UnwrapFailed, OperationUnsupported)):
            await seeds.macs(sealed[:length], MESSAGES, hash_name=HashName.SHA256, **CELL)


async def test_a_seed_inside_never_opens_as_data(module: HsmAdapter) -> None:
    sealed = await keeper(module, inside=True).seal(SEED, **CELL)
    for blob in (sealed, sealed[1:], b"\x01" + sealed[1:]):
        with pytest.raises(UnwrapFailed):
            await Sealer(module, KeyRing(module, SystemClock())).open(blob, **CELL)


async def test_policy_refuses_a_seed_that_would_come_out(module: HsmAdapter) -> None:
    sealed = await keeper(module, inside=False).seal(SEED, **CELL)
    with pytest.raises(OperationUnsupported, match="otp_inside"):
        await keeper(module, inside=True).macs(sealed, MESSAGES, hash_name=HashName.SHA256, **CELL)
    inside = await keeper(module, inside=True).seal(SEED, **CELL)
    relaxed = keeper(module, inside=False)
    assert await relaxed.macs(inside, MESSAGES, hash_name=HashName.SHA256, **CELL) == EXPECTED


async def test_policy_is_refused_where_no_module_can(software: HsmAdapter) -> None:
    with pytest.raises(OperationUnsupported, match="otp_inside"):
        await keeper(software, inside=True).check()
    with pytest.raises(OperationUnsupported):
        await keeper(software, inside=True).seal(SEED, **CELL)
    await keeper(software, inside=False).check()
    sealed = await keeper(software, inside=False).seal(SEED, **CELL)
    macs = await keeper(software, inside=False).macs(sealed, MESSAGES, hash_name=HashName.SHA256, **CELL)
    assert macs == EXPECTED


async def test_a_module_that_cannot_wrap_seeds_is_told_at_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with p11_kit(tmp_path) as stand:
        for name, value in stand.environment.items():
            monkeypatch.setenv(name, value)
        adapter = await open_store(stand.uri)
        with pytest.raises(OperationUnsupported, match="doctor"):
            await keeper(adapter, inside=True).check()
        await adapter.close()


async def test_a_gateway_whose_store_cannot_is_not_opened(tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path), otp_inside=True)
    with pytest.raises(OperationUnsupported, match="otp_inside"):
        async with open_installation(settings, clock=SystemClock(), random=system_random):
            pass
