"""T31: an insider who writes to the database moves a sealed value to another row, column or table, so that the gateway
would use one customer's secret for another."""

import asyncio
import itertools
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from attack_kit import begin, bind_phone, refusal
from gateway_kit import PIN, GatewayKit
from sealed_kit import Cell, bind_two, cells, fill, life_of, opens, pairs, put, rewrapper_of
from sqlalchemy import bindparam, text

from gateway.core.clock import ManualClock
from gateway.core.transaction import Transaction
from gateway.key_life import SEALED
from gateway.keys.labels import KeyPurpose, wrap_label
from gateway.keys.ring import KeyRing
from gateway.keys.sealer import SealedAgreementKeys, Sealer
from gateway.keys.service import default_store_uri, ensure_keys
from gateway.phone.errors import GatewayProblem
from gateway.protocol.errors import ErrorCode
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
    sealer = Sealer(adapter, KeyRing(adapter, ManualClock()))
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
    sealer = Sealer(adapter, KeyRing(adapter, ManualClock()))
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
    keys, sealer = SealedAgreementKeys(adapter), Sealer(adapter, KeyRing(adapter, ManualClock()))
    made = await keys.generate_wrapped(wrap_label(), b"tessera oprf|bnd_1")
    for table, column, row in CELLS:
        with pytest.raises(UnwrapFailed):
            await sealer.open(made.blob, table=table, column=column, row=row)
    with pytest.raises(UnwrapFailed):
        await adapter.unwrap(wrap_label(), made.blob[3:], made.blob[:3] + b"tessera oprf|bnd_1")


async def test_what_remains_is_known(adapter: SoftwareAdapter) -> None:
    """The limit that THREAT_MODEL.md admits: an older value of the same cell opens (rollback)."""
    sealer = Sealer(adapter, KeyRing(adapter, ManualClock()))
    old = await sealer.seal(b"old", table="bindings", column="psk_now", row="bnd_1")
    await sealer.seal(b"new", table="bindings", column="psk_now", row="bnd_1")
    assert await sealer.open(old, table="bindings", column="psk_now", row="bnd_1") == b"old"


@pytest.mark.parametrize(
    "kit", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)
async def test_every_sealed_value_of_a_gateway_opens_where_it_lies_and_nowhere_else(kit: GatewayKit) -> None:
    """Two customers have a value in every sealed column there is; each is put in the place of each other one."""
    await fill(kit, await bind_two(kit))
    found = await cells(kit)
    assert {cell.sealed.name for cell in found} == {each.name for each in SEALED}
    assert min(Counter(cell.sealed.name for cell in found).values()) >= 2
    assert all([await opens(kit, cell) for cell in found])
    tried = 0
    for here, there in pairs(found):
        moved = Cell(here.sealed, {**here.row, here.sealed.column.name: there.blob})
        assert not await opens(kit, moved), (
            f"{there.sealed.name} {there.key} opens in {here.sealed.name} {here.key}"
        )
        tried += 1
    assert tried >= 20 * 19


async def test_a_value_that_was_moved_in_the_database_is_not_taken_along_by_a_rewrap(kit: GatewayKit) -> None:
    """A re-wrap that sealed what it finds for where it finds it would make the move good."""
    await fill(kit, await bind_two(kit))
    for column in (each.name for each in SEALED):
        here, there = [cell for cell in await cells(kit) if cell.sealed.name == column][:2]
        await put(kit, here, there.blob)
        assert not await opens(kit, await again(kit, here))
        await life_of(kit).rotate(KeyPurpose.WRAP)
        result = await rewrapper_of(kit).run()
        assert result.unopened == (f"{column} {here.key}",)
        kept = await again(kit, here)
        assert kept.blob == there.blob
        await put(kit, kept, here.blob)
        assert await opens(kit, await again(kit, here))


async def again(kit: GatewayKit, cell: Cell) -> Cell:
    """Read a cell anew."""
    return next(each for each in await cells(kit) if (each.sealed, each.key) == (cell.sealed, cell.key))


async def swap(kit: GatewayKit, table: str, columns: str, key: str, rows: tuple[str, str]) -> None:
    """Exchange cells of two rows of the gateway's own database, while the gateway is down: it remembers nothing."""
    await kit.restart()

    def unit(tx: Transaction) -> None:
        for column in columns.split():
            values = []
            for row in rows:
                read = text(f"SELECT {column} FROM {table} WHERE {key} = :row").columns()  # noqa: S608
                values.append(tx.execute(read, {"row": row}).scalar_one())
            assert None not in values
            assert values[0] != values[1]
            write = text(f"UPDATE {table} SET {column} = :value WHERE {key} = :row")  # noqa: S608
            for row, value in zip(rows, reversed(values), strict=True):
                tx.execute(write.bindparams(bindparam("value", value)), {"row": row})

    await kit.now.installation.storage.write(unit)


async def test_the_seed_of_ones_own_activation_does_not_open_anothers(kit: GatewayKit) -> None:
    """The insider knows his own code, and puts its seed in the victim's row."""
    own, _ = await begin(kit, user="insider")
    victim, link = await begin(kit, user="victim")
    await swap(kit, "activations", "seed", "id", (own, victim))
    assert await refusal(kit.phone().begin_link(link)) is ErrorCode.REFUSED
    for activation in (own, victim):
        await kit.call("GET", f"/api/v1/activations/{activation}/code?form=qr", status=500)
        assert (await kit.activation(activation))["state"] == "waiting"
    await swap(kit, "activations", "seed", "id", (own, victim))
    await (await kit.phone().begin_link(link)).close()


async def test_the_device_code_of_ones_own_phone_does_not_confirm_anothers(kit: GatewayKit) -> None:
    """The insider knows the eight digits of his own phone, and puts them where the victim's are awaited: for a phone
    of his that came first with the victim's code."""
    own, own_link = await begin(kit, user="insider")
    victim, link = await begin(kit, user="victim")
    known = (await kit.phone().begin_link(own_link)).device_code
    right = (await kit.phone().begin_link(link)).device_code
    await swap(kit, "activations", "device_code", "id", (own, victim))
    await kit.confirm(victim, known, status=500)
    found = await kit.activation(victim)
    assert (found["state"], found["tries_left"]) == ("present", 3)
    await swap(kit, "activations", "device_code", "id", (own, victim))
    await kit.confirm(victim, known, status=422)
    assert (await kit.confirm(victim, right))["state"] == "confirmed"


async def test_the_ratchet_key_of_ones_own_phone_does_not_open_anothers(kit: GatewayKit) -> None:
    """Both stand at the same index."""
    phone, channel = await bind_phone(kit, user="insider")
    other, other_channel = await bind_phone(kit, user="victim")
    await channel.close()
    await other_channel.close()
    before = await kit.bindings()
    await swap(kit, "bindings", "psk", "id", (before[0]["id"], before[1]["id"]))
    for moved, binding in ((phone, channel.binding), (other, other_channel.binding)):
        assert await refusal(moved.open(binding.binding_id)) in (ErrorCode.BUSY, ErrorCode.REFUSED)
    assert await kit.bindings() == before, "nobody was suspended as a copy, nor seen"
    await swap(kit, "bindings", "psk", "id", (before[0]["id"], before[1]["id"]))
    await (await other.open(other_channel.binding.binding_id)).close()


@pytest.mark.parametrize("columns", ["oprf_blob", "oprf_blob oprf_public", "oprf_blob oprf_public pin_key"])
async def test_the_pin_of_ones_own_phone_does_not_serve_anothers(kit: GatewayKit, columns: str) -> None:
    """The insider knows his own PIN, and puts its key in the victim's row, with all that belongs to it."""
    _, channel = await bind_phone(kit, user="insider")
    phone, victim = await bind_phone(kit, user="victim")
    await channel.close()
    await victim.close()
    rows = tuple(item["id"] for item in await kit.bindings())
    await swap(kit, "pins", columns, "binding_id", rows)
    channel = await phone.open(victim.binding.binding_id)
    with pytest.raises(GatewayProblem) as refused:
        await channel.prove_pin(PIN)
    assert refused.value.problem == "internal"
    await channel.close()
    await swap(kit, "pins", columns, "binding_id", rows)
    channel = await phone.open(victim.binding.binding_id)
    await channel.prove_pin(PIN)
    await channel.close()


async def test_the_secret_of_ones_own_webhook_does_not_sign_for_anothers(tmp_path: Path) -> None:
    """Nothing is delivered rather than something that the insider could have signed."""
    got: list[Any] = []

    async def receive(request: web.Request) -> web.Response:
        got.append(dict(request.headers))
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/", receive)
    async with TestServer(app) as bank, GatewayKit.running(tmp_path, webhook_private=True) as kit:
        rows = []
        for _ in range(2):
            wish = {"url": str(bank.make_url("/"))}
            made = await kit.call("POST", "/api/v1/webhooks", wish, status=201)
            rows.append(made["id"])
        before: set[str] = set()
        for is_swapped in (True, False):
            await swap(kit, "webhook_endpoints", "secret", "id", (rows[0], rows[1]))
            activation, _ = await begin(kit)
            await kit.call("POST", f"/api/v1/activations/{activation}/cancel")
            for _ in range(100):
                items = (await kit.call("GET", "/api/v1/webhook-deliveries"))["items"]
                fresh = [item for item in items if item["id"] not in before]
                if len(fresh) == 2 and all(item["attempts"] for item in fresh):
                    break
                await asyncio.sleep(0.05)
            assert bool(got) is not is_swapped
            assert [bool(item["last_error"]) for item in fresh] == [is_swapped] * 2
            before = {item["id"] for item in items}
