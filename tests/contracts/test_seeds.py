"""Seeds at rest on the software store and in a real module: where the HMAC runs, what a seed is bound to, and what
policy refuses."""

import hmac
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from hsm_modules import p11_kit, softhsm
from sqlalchemy import Column, LargeBinary, MetaData, String, Table

from gateway.core.clock import SystemClock
from gateway.core.errors import Problem
from gateway.core.secrets import system_random
from gateway.core.transaction import Transaction
from gateway.installation import Installation, open_installation
from gateway.key_life import make_key_life, make_migration
from gateway.keys import life_cli
from gateway.keys.labels import KeyName, KeyPurpose
from gateway.keys.ring import KeyRing
from gateway.keys.sealed import SealedColumn, SealedKind
from gateway.keys.sealer import Sealer, cell_context
from gateway.keys.seeds import SeedKeeper
from gateway.sealed_columns import SEALED
from gateway.settings import ConfigError, Settings
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
    with pytest.raises(ConfigError) as refused:
        async with open_installation(settings, clock=SystemClock(), random=system_random):
            pass
    assert [problem.key for problem in refused.value.problems] == ["otp_inside"]


async def test_a_seed_is_sealed_by_the_successor_of_a_key_that_was_just_retired(
    module: HsmAdapter, software: HsmAdapter
) -> None:
    for adapter, inside in ((module, True), (module, False), (software, False)):
        seeds = keeper(adapter, inside=inside)
        await seeds.seal(SEED, **CELL)  # it knows the first key now
        labels = sorted(info.label for info in await adapter.list())
        generation = int(labels[-1].rpartition("-")[2]) + 1
        await adapter.generate(f"tessera-wrap-{generation}", KeyKind.WRAP_AES256)
        await adapter.destroy(labels[-1])
        sealed = await seeds.seal(SEED, **CELL)
        assert int.from_bytes(sealed[1:3], "big") == generation
        assert await seeds.macs(sealed, MESSAGES, hash_name=HashName.SHA256, **CELL) == EXPECTED


async def test_a_seed_that_is_too_long_does_not_open(module: HsmAdapter) -> None:
    for inside in (True, False):
        sealed = await keeper(module, inside=inside).seal(SEED, **CELL)
        for length in (600, 70_000):
            with pytest.raises(UnwrapFailed):
                await keeper(module, inside=False).macs(
                    sealed + bytes(length), MESSAGES, hash_name=HashName.SHA256, **CELL
                )


# The life of keys ------------------------------------------------------------------------------------------

TOKENS = 70
_tokens = Table(
    "tokens",
    MetaData(),
    Column("id", String, primary_key=True),
    Column("seed", LargeBinary),
)
COLUMN = SealedColumn(
    _tokens.c.seed, lambda row: cell_context("tokens", "seed", row["id"]), kind=SealedKind.SEED
)


@pytest.fixture(autouse=True)
def _with_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of seeds among the sealed columns; nothing is under way when a key is retired."""
    monkeypatch.setattr("gateway.key_life.SEALED", (*SEALED, COLUMN))
    monkeypatch.setattr("gateway.keys.life.UNDER_WAY_S", 0.0)
    monkeypatch.setattr("gateway.keys.life.SETTLED_S", -1.0)


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty SoftHSM token; returns its URI."""
    with softhsm(tmp_path) as stand:
        for name, value in stand.environment.items():
            monkeypatch.setenv(name, value)
        yield stand.uri


@pytest.fixture
async def file(tmp_path: Path) -> str:
    """An empty key file; returns its URI."""
    uri = f"software:file={tmp_path / 'old'}?key-source=file:{tmp_path / 'oldkey'}"
    await (await create_store(uri)).close()
    return uri


def opening(folder: Path, **settings: Any) -> AbstractAsyncContextManager[Installation]:
    chosen = Settings(data=str(folder / "data"), **settings)
    return open_installation(chosen, clock=SystemClock(), random=system_random)


async def import_tokens(installation: Installation) -> None:
    rows = []
    for number in range(TOKENS):
        row = f"tok_{number:03}"
        seed = bytes([number]) * 20
        sealed = await installation.seeds.seal(seed, table="tokens", column="seed", row=row)
        rows.append({"id": row, "seed": sealed})

    def unit(tx: Transaction) -> None:
        _tokens.create(tx.connection, checkfirst=True)
        tx.execute(_tokens.insert(), rows)

    await installation.storage.write(unit)


async def check_codes(installation: Installation, generation: int) -> set[int]:
    """Check every token's codes, and that a wrapping key of that generation sealed each; return the versions."""
    rows = await installation.storage.read(lambda tx: tx.execute(_tokens.select()).all())
    assert len(rows) == TOKENS
    for number, row in enumerate(sorted(rows, key=lambda row: str(row.id))):
        cell = {"table": "tokens", "column": "seed", "row": row.id}
        macs = await installation.seeds.macs(row.seed, MESSAGES, hash_name=HashName.SHA256, **cell)
        assert macs == [hmac.digest(bytes([number]) * 20, message, "sha256") for message in MESSAGES]
        assert int.from_bytes(row.seed[1:3], "big") == generation
    return {row.seed[0] for row in rows}


@pytest.mark.parametrize(("where", "inside"), [("token", True), ("token", False), ("file", False)])
async def test_codes_come_out_after_a_rotation(
    tmp_path: Path, request: pytest.FixtureRequest, where: str, inside: bool
) -> None:
    if where == "token":
        uri = request.getfixturevalue("token")
    else:
        uri = f"software:file={tmp_path / 'k'}?key-source=file:{tmp_path / 'kk'}"
        await (await create_store(uri)).close()
    async with opening(tmp_path, hsm=uri, otp_inside=inside) as installation:
        await import_tokens(installation)
        life = make_key_life(installation)
        await life.rotate(KeyPurpose.WRAP)
        with pytest.raises(Problem, match="70 values"):
            await life.retire(KeyName(KeyPurpose.WRAP, 1))
        assert await life.rewrapper.count_left() == TOKENS
        result = await life.rewrapper.run()
        assert (result.done, result.unopened) == (TOKENS, ())
        assert await life.rewrapper.count_left() == 0
        await life.retire(KeyName(KeyPurpose.WRAP, 1))
        assert await check_codes(installation, 2) == {2 if inside else 1}


async def test_seeds_that_are_opened_here_move_into_an_hsm(
    tmp_path: Path, token: str, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opening(tmp_path, hsm=file) as installation:
        await import_tokens(installation)
    opens, now, most = Sealer.open_for, 0, 0

    async def counted(self: Sealer, blob: bytes, context: bytes) -> bytes:
        nonlocal now, most
        now += 1
        most = max(most, now)
        try:
            return await opens(self, blob, context)
        finally:
            now -= 1

    async with opening(tmp_path, hsm=token, hsm_previous=file) as installation:
        migration = make_migration(installation)
        await life_cli._move(migration, is_waiting=False, yes=True)
        monkeypatch.setattr(Sealer, "open_for", counted)
        assert await migration.verify() == []
        assert most == 64, "a batch at once"
    async with opening(tmp_path, hsm=token) as installation:
        assert await check_codes(installation, 2) == {1}


async def test_seeds_inside_a_module_stop_a_move_before_anything_changes(
    tmp_path: Path, token: str, file: str
) -> None:
    async with opening(tmp_path, hsm=token, otp_inside=True) as installation:
        await import_tokens(installation)
    async with opening(tmp_path, hsm=file, hsm_previous=token) as installation:
        with pytest.raises(Problem, match="70 are inside the old store"):
            await make_migration(installation).check()
        assert await check_codes(installation, 1) == {2}, "they are served until then"
        await make_key_life(installation).rotate(KeyPurpose.WRAP)
        with pytest.raises(OperationUnsupported, match="does not go to another"):
            await make_key_life(installation).rewrapper.run()
        assert await check_codes(installation, 1) == {2}, "none is lost"


async def test_no_seed_is_taken_for_inside_while_the_old_store_seals(
    tmp_path: Path, token: str, file: str
) -> None:
    async with opening(tmp_path, hsm=file) as installation:
        await installation.storage.write(lambda tx: _tokens.create(tx.connection))
    async with opening(tmp_path, hsm=token, hsm_previous=file, otp_inside=True) as installation:
        with pytest.raises(OperationUnsupported, match="migrate"):
            await installation.seeds.seal(SEED, **CELL)
        await life_cli._move(make_migration(installation), is_waiting=False, yes=True)
        sealed = await installation.seeds.seal(SEED, **CELL)
        assert sealed[:3] == b"\x02\x00\x02"
