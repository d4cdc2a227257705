"""T33: an insider who writes to the database, without the key store, edits the row of a bound phone so that his phone
counts as the victim's."""

from typing import Any

import pytest
from attack_kit import bind_phone, refusal
from gateway_kit import PIN, GatewayKit
from msgspec.structs import replace
from sqlalchemy import text

from gateway.core.ids import encode_id
from gateway.keys.labels import agree_label
from gateway.keys.ring import ASKED_S
from gateway.phone.client import PhoneClient
from gateway.protocol.errors import ErrorCode
from hsm_adapters.api import KeyKind

OWNERS = [
    "UPDATE bindings SET user_ref = 'victim' WHERE id = :own",
    "UPDATE bindings SET tenant_id = 'ten_BBBBBBBBBBBBBBBBBBBBBB' WHERE id = :own",
]
"""The insider's own binding is given to somebody else."""

KEYS = [
    "static_key, signing_key",
    "static_key, signing_key, psk, psk_next, ratchet_index",
    "psk, psk_next, ratchet_index",
]
"""What of the insider's row is written over the victim's."""


async def edit(kit: GatewayKit, statement: str, **values: Any) -> None:
    storage = kit.now.installation.storage
    await storage.write(lambda tx: tx.execute(text(statement), values))


async def two_phones(kit: GatewayKit) -> tuple[PhoneClient, bytes, PhoneClient, bytes]:
    """Bind the insider's phone and the victim's; return each with the raw id of its binding."""
    own, own_channel = await bind_phone(kit, user="insider")
    theirs, their_channel = await bind_phone(kit, user="victim")
    for channel in (own_channel, their_channel):
        await channel.close()
    return own, own_channel.binding.binding_id, theirs, their_channel.binding.binding_id


@pytest.mark.parametrize("contacts", [0, 1, 2])
@pytest.mark.parametrize("statement", OWNERS)
async def test_a_binding_given_to_another_customer_or_bank_does_not_open(
    kit: GatewayKit, statement: str, contacts: int
) -> None:
    """At once, after later contacts, and after the phone has acted: each key is sealed for its owner."""
    own, own_id, theirs, their_id = await two_phones(kit)
    for number in range(contacts):
        opened = await own.open(own_id)
        await opened.rename(f"Contact {number}")
        await opened.close()
    await edit(kit, statement, own=encode_id("bnd", own_id))
    for _ in range(2):
        assert await refusal(own.open(own_id)) is ErrorCode.REFUSED
    await (await theirs.open(their_id)).ping()


@pytest.mark.parametrize("columns", KEYS)
async def test_the_insiders_keys_in_the_victims_row_do_not_open_it(kit: GatewayKit, columns: str) -> None:
    own, own_id, theirs, their_id = await two_phones(kit)
    names = {"own": encode_id("bnd", own_id), "theirs": encode_id("bnd", their_id)}
    await edit(
        kit,
        f"UPDATE bindings SET ({columns}) = (SELECT {columns} FROM bindings WHERE id = :own)"  # noqa: S608
        " WHERE id = :theirs",
        **names,
    )
    held = own.store.binding(own_id)
    assert held is not None
    own.store.put_binding(replace(held, binding_id=their_id))
    assert await refusal(own.open(their_id)) is ErrorCode.REFUSED
    assert await refusal(theirs.open(their_id)) is ErrorCode.REFUSED


@pytest.mark.parametrize("column", ["gateway_label", "next_gateway_label"])
@pytest.mark.parametrize("label", ["another bank's", "unknown", "not of our form", "the one before", None])
async def test_a_binding_under_another_gateway_key_opens_for_nobody_and_opens_again(
    kit: GatewayKit, column: str, label: str | None
) -> None:
    """Were it only the handshake that failed, the phone's own signature would suspend it for good: one statement, and
    every customer is locked out. As it is, the phone is refused while the row is wrong."""
    installation = kit.now.installation
    other = await installation.tenants.create("Banque du Sud")
    phone, channel = await bind_phone(kit)
    await channel.close()
    raw = channel.binding.binding_id
    await installation.adapter.generate(agree_label(kit.tenant_id, 2), KeyKind.AGREE_P256)
    kit.clock.advance(ASKED_S)
    opened = await phone.open(raw)  # index 1 is to run under the second key
    if column == "gateway_label":
        await opened.rename("Index 1 is in force")
    await opened.close()
    edited = {
        "another bank's": agree_label(other.id),
        "unknown": agree_label(kit.tenant_id, 9),
        "not of our form": "x",
        "the one before": agree_label(kit.tenant_id),
        None: None if column == "next_gateway_label" else "",
    }[label]
    name = encode_id("bnd", raw)
    statement = f"UPDATE bindings SET {column} = :label WHERE id = :own"  # noqa: S608
    await edit(kit, statement, own=name, label=edited)
    for _ in range(2):
        assert await refusal(phone.open(raw)) is ErrorCode.REFUSED
    assert (await kit.call("GET", f"/api/v1/bindings/{name}"))["state"] == "active"
    await edit(kit, statement, own=name, label=agree_label(kit.tenant_id, 2))
    opened = await phone.open(raw)
    await opened.prove_pin(PIN)


async def test_what_remains_is_known(kit: GatewayKit) -> None:
    """The limit that THREAT_MODEL.md admits: a state is no secret, so that a suspension can be undone by hand."""
    own, own_id, _, _ = await two_phones(kit)
    name = encode_id("bnd", own_id)
    await kit.call("POST", f"/api/v1/bindings/{name}/suspend", {})
    assert await refusal(own.open(own_id)) is ErrorCode.SUSPENDED
    await edit(kit, "UPDATE bindings SET state = 'active', suspended_by = NULL WHERE id = :own", own=name)
    await (await own.open(own_id)).ping()
