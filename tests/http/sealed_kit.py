"""A gateway with a value in every sealed column, and what an operator does to its keys."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from approval_kit import ask, show_code
from attack_kit import begin, bind_phone
from gateway_kit import GatewayKit
from push_kit import Browser

from gateway.core.encoding import b64url_encode
from gateway.core.subjects import BindingRef
from gateway.core.transaction import Transaction
from gateway.key_life import SEALED, make_key_life, make_rewrapper
from gateway.keys import store
from gateway.keys.labels import KeyPurpose, wrap_label
from gateway.keys.life import KeyLife
from gateway.keys.rewrap import SETTLED_S
from gateway.keys.sealed import Row, SealedColumn, SealedKind
from gateway.keys.sealer import SealedAgreementKeys, Sealer
from gateway.phone.client import PhoneClient
from hsm_adapters.api import HashName
from hsm_adapters.errors import UnwrapFailed


@dataclass(frozen=True)
class Cell:
    """One sealed value where it lies."""

    sealed: SealedColumn
    row: Row

    @property
    def key(self) -> str:
        return str(self.row[self.sealed.key.name])

    @property
    def blob(self) -> bytes:
        return bytes(self.row[self.sealed.column.name])

    @property
    def generation(self) -> int:
        return int.from_bytes(self.blob[1:3], "big")


async def bind_two(kit: GatewayKit) -> list[PhoneClient]:
    """Bind a phone each for two customers; both are open to answers without a network."""
    phones = []
    for user in ("user-1", "user-2"):
        phone, channel = await bind_phone(kit, user=user)
        await channel.close()
        phones.append(phone)
    return phones


async def fill(kit: GatewayKit, phones: list[PhoneClient]) -> None:
    """Put a value into every sealed column of two rows: activations that phones are at, codes without a network,
    ratchet keys of both indexes, PINs, subscriptions, webhooks."""
    capabilities, installation = kit.now.capabilities, kit.now.installation
    for number, phone in enumerate(phones, 1):
        user = f"user-{number}"
        _, link = await begin(kit, user=user)
        await kit.phone().begin_link(link)
        await show_code(kit, await ask(kit, user=user))
        [binding] = phone.store.bindings()
        await phone.open(binding.binding_id)
        browser = Browser(f"https://push.example/{number}")
        await capabilities.approving.push.subscribe(
            BindingRef(kit.tenant_id, f"bnd_{b64url_encode(binding.binding_id)}", user),
            endpoint=browser.endpoint,
            p256dh=browser.p256dh,
            auth=browser.auth,
            key_label="tessera-push-1",
        )
        await installation.webhooks.create(
            tenant_id=kit.tenant_id, url=f"https://bank{number}.example/hook", events=()
        )


async def cells(kit: GatewayKit) -> list[Cell]:
    """Return every sealed value in the database."""

    def unit(tx: Transaction) -> list[Cell]:
        return [
            Cell(each, row) for each in SEALED for row in store.find_sealed(tx, each, after=None, limit=1_000)
        ]

    return await kit.now.installation.storage.read(unit)


async def put(kit: GatewayKit, cell: Cell, blob: bytes) -> None:
    """Write another value into a cell, as an insider does."""
    changes = [(cell.key, cell.blob, blob)]
    assert (
        await kit.now.installation.storage.write(lambda tx: store.replace_values(tx, cell.sealed, changes))
        == 1
    )


async def opens(kit: GatewayKit, cell: Cell) -> bool:
    """Whether the key store opens a cell's value for that cell."""
    adapter, ring = kit.now.installation.adapter, kit.now.installation.ring
    context = cell.sealed.context(cell.row)
    try:
        if cell.sealed.kind is SealedKind.SECRET:
            await Sealer(adapter, ring).open_for(cell.blob, context)
        elif cell.sealed.kind is SealedKind.SEED:
            seeds = kit.now.installation.seeds
            await seeds.macs_for(cell.blob, [b"\x00"], hash_name=HashName.SHA256, context=context)
        else:
            point = (await ring.current(KeyPurpose.AUDIT)).public_key or b""
            await SealedAgreementKeys(adapter).ecdh_wrapped(wrap_label(), cell.blob, context, [point])
    except UnwrapFailed:
        return False
    return True


def life_of(kit: GatewayKit) -> KeyLife:
    """What `tessera keys rotate` and `retire` work with, in a process of their own but for the database."""
    return make_key_life(kit.now.installation)


def rewrapper_of(kit: GatewayKit) -> Any:
    return make_rewrapper(kit.now.installation)


def catch_up(kit: GatewayKit) -> None:
    """Let so much time pass that a key made just now is settled; key stores keep their own time."""
    kit.clock.advance(max(0.0, time.time() - kit.clock.now()) + SETTLED_S + 1)


def pairs(found: list[Cell]) -> Iterator[tuple[Cell, Cell]]:
    """Yield each cell with each other one."""
    for here in found:
        for there in found:
            if here != there:
                yield here, there
