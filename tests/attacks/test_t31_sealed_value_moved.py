"""T31: an insider who writes to the database moves a sealed value to another row, column or table, so that the gateway
would use one customer's secret for another."""

import itertools
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.keys.labels import wrap_label
from gateway.keys.sealer import SealedAgreementKeys, Sealer
from gateway.keys.service import default_store_uri, ensure_keys
from hsm_adapters.errors import UnwrapFailed
from hsm_adapters.software import SoftwareAdapter

CELLS = [
    ("activations", "seed", "act_1"),
    ("activations", "seed", "act_2"),
    ("bindings", "psk_now", "bnd_1"),
    ("bindings", "psk_next", "bnd_1"),
    ("bindings", "psk_now", "bnd_2"),
]


@pytest.fixture
async def adapter(tmp_path: Path) -> AsyncIterator[SoftwareAdapter]:
    store = await SoftwareAdapter.create(default_store_uri(str(tmp_path)))
    await ensure_keys(store)
    yield store
    await store.close()


async def test_a_sealed_value_opens_in_its_own_cell_alone(adapter: SoftwareAdapter) -> None:
    """Every value is put by UPDATE into every other cell."""
    sealer = Sealer(adapter)
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE cells (t, c, r, value)")
    for number, (table, column, row) in enumerate(CELLS):
        blob = await sealer.seal(f"secret {number}".encode(), table=table, column=column, row=row)
        database.execute("INSERT INTO cells VALUES (?, ?, ?, ?)", (table, column, row, blob))
    where = "WHERE t = ? AND c = ? AND r = ?"
    for source, target in itertools.product(CELLS, CELLS):
        database.execute("SAVEPOINT attack")
        database.execute(
            f"UPDATE cells SET value = (SELECT value FROM cells {where}) {where}",  # noqa: S608
            (*source, *target),
        )
        (blob,) = database.execute(f"SELECT value FROM cells {where}", target).fetchone()  # noqa: S608
        table, column, row = target
        if source == target:
            assert await sealer.open(blob, table=table, column=column, row=row)
        else:
            with pytest.raises(UnwrapFailed):
                await sealer.open(blob, table=table, column=column, row=row)
        database.execute("ROLLBACK TO attack")


async def test_borders_between_names_do_not_slide(adapter: SoftwareAdapter) -> None:
    sealer = Sealer(adapter)
    blob = await sealer.seal(b"secret", table="a|b", column="c", row="d")
    for table, column, row in (
        ("a", "b|c", "d"),
        ("a|b|c", "d", "d"),
        ("a|b", "c|d", "d"),
        ("a|", "bc", "d"),
    ):
        with pytest.raises(UnwrapFailed):
            await sealer.open(blob, table=table, column=column, row=row)


async def test_one_bindings_pin_key_does_not_serve_another(adapter: SoftwareAdapter) -> None:
    keys = SealedAgreementKeys(adapter)
    first = await keys.generate_wrapped(wrap_label(), b"tessera oprf|bnd_1")
    second = await keys.generate_wrapped(wrap_label(), b"tessera oprf|bnd_2")
    assert await keys.ecdh_wrapped(wrap_label(), first.blob, b"tessera oprf|bnd_1", [second.public_key])
    with pytest.raises(UnwrapFailed):
        await keys.ecdh_wrapped(wrap_label(), first.blob, b"tessera oprf|bnd_2", [second.public_key])


async def test_a_wrapped_key_put_in_a_sealed_column_is_not_told(adapter: SoftwareAdapter) -> None:
    """Columns whose content a caller gets to see must not become a way to unwrap a PIN's key."""
    keys, sealer = SealedAgreementKeys(adapter), Sealer(adapter)
    made = await keys.generate_wrapped(wrap_label(), b"tessera oprf|bnd_1")
    for table, column, row in CELLS:
        with pytest.raises(UnwrapFailed):
            await sealer.open(made.blob, table=table, column=column, row=row)
    with pytest.raises(UnwrapFailed):
        await adapter.unwrap(wrap_label(), made.blob[3:], made.blob[:3] + b"tessera oprf|bnd_1")


async def test_what_remains_is_known(adapter: SoftwareAdapter) -> None:
    """The limit that THREAT_MODEL.md admits: an older value of the same cell opens (rollback)."""
    sealer = Sealer(adapter)
    old = await sealer.seal(b"old", table="bindings", column="psk_now", row="bnd_1")
    await sealer.seal(b"new", table="bindings", column="psk_now", row="bnd_1")
    assert await sealer.open(old, table="bindings", column="psk_now", row="bnd_1") == b"old"
