"""T11: a thief with a copy of the phone's storage, unlocked, guesses the PIN without the gateway."""

import msgspec
from attack_kit import bind_phone
from gateway_kit import PIN, GatewayKit
from pin_guessing import (
    DICTIONARY,
    guess_with_keys,
    guess_with_the_hsm,
    key_from,
    pin_row,
    scalars_of,
    secrets_in,
)

from gateway.phone.client import PhoneClient
from gateway.phone.store import MemoryStore


def stored(phone: PhoneClient) -> bytes:
    """Return all that the phone keeps."""
    store = phone.store
    assert isinstance(store, MemoryStore)
    return msgspec.json.encode([store._pending, store.bindings()], enc_hook=repr)


async def test_the_storage_is_the_same_whatever_the_pin_is(kit: GatewayKit) -> None:
    """The storage before and after the PIN was changed is one and the same, byte for byte: so nothing computed from it
    can tell one PIN from another."""
    phone, channel = await bind_phone(kit)
    await channel.ping()
    before = stored(phone)
    await channel.change_pin(PIN, "281946")
    assert stored(phone) == before
    await channel.prove_pin("281946")
    await channel.rename("Other")
    assert stored(phone) != before, "the control: what does change is seen"


async def test_the_dictionary_finds_nothing_without_the_gateways_key(kit: GatewayKit) -> None:
    """The thief is given more than he has: a way to know the right PIN when he meets it (the public PIN key, from the
    gateway's database). Every secret in the storage is tried as the OPRF key, with every PIN; and every PIN as if the
    OPRF were not there. With the gateway's key store the same dictionary finds the PIN."""
    phone, channel = await bind_phone(kit)
    binding, row = channel.binding, await pin_row(kit)

    def is_right(public: bytes) -> bool:
        return bool(public == row.pin_key)

    scalars = scalars_of(secrets_in(binding, row.oprf_public, row.oprf_blob))
    assert len(scalars) > 12
    assert guess_with_keys(scalars, binding=binding, is_right=is_right) == set()
    assert not any(
        is_right(key_from(point, pin, binding))
        for pin in DICTIONARY
        for point in (b"\x02" + row.pin_key[1:33],)
    )
    assert await guess_with_the_hsm(kit, binding=binding, is_right=is_right) == {PIN}
    assert phone.store.binding(binding.binding_id) is not None


async def test_another_bindings_oprf_key_is_no_help(kit: GatewayKit) -> None:
    """A thief who is a customer himself has his own binding evaluate the victim's PINs: each binding has a key of its
    own."""
    _, victim = await bind_phone(kit)
    row = await pin_row(kit)
    _, own = await bind_phone(kit, user="thief")
    for pin in (PIN, "281946"):
        blinded_as_victim = type(own.binding)(
            **{**msgspec.structs.asdict(own.binding), "binding_id": victim.binding.binding_id,
               "keys": victim.binding.keys}
        )  # fmt: skip
        own.binding = blinded_as_victim
        evaluated = await own._evaluate(pin)
        assert evaluated.public != row.pin_key
    again = await victim._evaluate(PIN)
    assert again.public == row.pin_key, "the control: the victim's own binding gives the key"
