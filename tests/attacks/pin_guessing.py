"""A dictionary over PINs, run against what somebody holds: used by the attacks on the PIN's secrecy (T11, T12)."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from gateway_kit import PIN, GatewayKit

from gateway.core.subjects import BindingRef
from gateway.phone.models import Binding
from gateway.pin import store
from gateway.protocol.errors import InvalidKey, InvalidPoint
from gateway.protocol.oprf import ORDER, Blinded, blind_with, evaluation_peers
from gateway.protocol.pin import oprf_input, pin_key
from gateway.protocol.primitives import wrap_p256

DICTIONARY = [f"{n:06d}" for n in range(261_030, 999_999, 60_013)] + [PIN, "281946"]
"""A slice of the million PINs that holds the right ones."""

Oracle = Callable[[bytes], bool]
"""Says whether a PIN key's public half (65 bytes) is the right one."""


def secrets_in(*records: Any) -> list[bytes]:
    """Return every run of 32 bytes that stands in some records, and those at each end of a longer value: what might be
    a scalar."""
    found: set[bytes] = set()
    for value in _bytes_of(msgspec.to_builtins(list(records), builtin_types=(bytes,), enc_hook=bytes)):
        if len(value) >= 32:
            found |= {value[:32], value[-32:], value[1:33]}
        if len(value) == 48:
            found.add((int.from_bytes(value, "big") % (ORDER - 1) + 1).to_bytes(32, "big"))
    return sorted(found)


def _bytes_of(value: Any) -> Iterable[bytes]:
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _bytes_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from _bytes_of(item)


def scalars_of(secrets: Iterable[bytes]) -> list[int]:
    """Return them as scalars, with the few that come to mind first."""
    made = {int.from_bytes(secret, "big") % ORDER for secret in secrets}
    return sorted((made | {1, 2, ORDER - 1}) - {0})


def key_from(point: bytes, pin: str, binding: Binding) -> bytes:
    """Return the public PIN key (65 bytes) that follows if `point` (33 bytes) is the unblinded evaluation."""
    data = oprf_input(pin, binding_id=binding.binding_id)
    output = Blinded(point, data, 1).finalize(point)
    key = pin_key(output, device_secret=binding.keys.device_secret, binding_id=binding.binding_id)
    return wrap_p256(key).public


def guess_with_blinds(
    evaluated: bytes, blinds: Iterable[int], *, binding: Binding, is_right: Oracle
) -> set[str]:
    """Take each scalar for the blind of a recorded evaluation, with each PIN; return the PINs that fit."""
    found = set()
    for pin in DICTIONARY:
        data = oprf_input(pin, binding_id=binding.binding_id)
        for scalar in blinds:
            output = Blinded(evaluated, data, scalar).finalize(evaluated)
            key = pin_key(output, device_secret=binding.keys.device_secret, binding_id=binding.binding_id)
            if is_right(wrap_p256(key).public):
                found.add(pin)
    return found


def guess_with_keys(scalars: Iterable[int], *, binding: Binding, is_right: Oracle) -> set[str]:
    """Take each scalar for the OPRF key, with each PIN; return the PINs that fit."""
    found = set()
    for pin in DICTIONARY:
        for scalar in scalars:
            try:
                point = blind_with(oprf_input(pin, binding_id=binding.binding_id), scalar).element
            except (InvalidKey, InvalidPoint):
                continue
            if is_right(key_from(point, pin, binding)):
                found.add(pin)
    return found


async def guess_with_the_hsm(kit: GatewayKit, *, binding: Binding, is_right: Oracle) -> set[str]:
    """Have each PIN evaluated by the gateway's own key store, past the counter, as only its owner could."""
    row, pins = await pin_row(kit), kit.now.capabilities.pins
    found = set()
    for pin in DICTIONARY:
        blinded = blind_with(oprf_input(pin, binding_id=binding.binding_id), 1)
        context = b"tessera oprf|" + row.binding_id.encode()
        point = await pins._evaluate(
            evaluation_peers(blinded.element), blob=row.oprf_blob, public=row.oprf_public, context=context
        )
        if is_right(key_from(point, pin, binding)):
            found.add(pin)
    return found


async def ref_of(kit: GatewayKit) -> BindingRef:
    """Return the one binding as the gateway names it."""
    [binding] = await kit.bindings()
    return BindingRef(kit.tenant_id, binding["id"], binding["user"])


async def pin_row(kit: GatewayKit) -> Any:
    """Return the gateway's half of the PIN, as its database has it."""
    ref = await ref_of(kit)
    storage = kit.now.installation.storage
    return await storage.read(lambda tx: store.find(tx, tenant_id=ref.tenant_id, binding_id=ref.binding_id))
