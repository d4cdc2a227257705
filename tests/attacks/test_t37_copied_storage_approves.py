"""T37: a copy of the phone's storage is used to approve after the ratchet has moved on, online and offline."""

from typing import Any

import pytest
from approval_kit import (
    approve,
    ask,
    asked,
    digits_by,
    keys_of,
    payload_of,
    show_code,
    state,
    type_digits,
)
from attack_kit import bind_phone, copy_of
from gateway_kit import GatewayKit

from gateway.phone.client import PhoneClient
from gateway.phone.errors import GatewayRefused
from gateway.protocol.errors import ProtocolError
from gateway.protocol.messages import Answered
from gateway.protocol.offline import open_offline, parse_offline


async def move_on(kit: GatewayKit, phone: PhoneClient, contacts: int = 2) -> None:
    """The phone comes again, and does something there, so that nothing of the older index can be meant."""
    [binding] = phone.store.bindings()
    for _ in range(contacts):
        opened = await phone.open(binding.binding_id)
        await opened.ping()
        await opened.close()


async def code_of(kit: GatewayKit, request: dict[str, Any]) -> bytes:
    return payload_of(await show_code(kit, request))


def opened_by(phone: PhoneClient, payload: bytes) -> tuple[bytes, Any]:
    [binding] = phone.store.bindings()
    return open_offline(parse_offline(payload), binding_id=binding.binding_id, keys=keys_of(phone))


async def test_online_the_copy_opens_nothing_and_shows_itself(kit: GatewayKit) -> None:
    phone, channel = await bind_phone(kit)
    await channel.close()
    copy = copy_of(phone, kit)
    await move_on(kit, phone)
    await ask(kit)
    with pytest.raises(GatewayRefused):
        await copy.open(channel.binding.binding_id)
    [binding] = await kit.bindings()
    assert (binding["state"], binding["suspended_by"]) == ("suspended", "clone")
    refused = await kit.call(
        "POST",
        "/api/v1/approvals",
        {"user": "user-1", "type": "free", "fields": {"title": "A", "text": "B"}},
        status=409,
    )
    assert refused["code"] == "no-phone"


async def test_offline_the_copy_reads_no_code(kit: GatewayKit) -> None:
    """And the phone itself does, with the same code."""
    phone, channel = await bind_phone(kit)
    await channel.close()
    copy = copy_of(phone, kit)
    await move_on(kit, phone)
    request = await ask(kit)
    payload = await code_of(kit, request)
    with pytest.raises(ProtocolError):
        opened_by(copy, payload)
    raw, keys = opened_by(phone, payload)
    await type_digits(kit, request, digits_by(phone, raw, keys=keys))
    assert await state(kit, request) == "approved"


async def test_the_copys_digits_are_wrong_even_if_it_knows_statement_pin_and_count(kit: GatewayKit) -> None:
    """Somebody shows it the statement in clear: the answer key of an index left behind makes other digits."""
    phone, channel = await bind_phone(kit)
    await channel.close()
    copy = copy_of(phone, kit)
    await move_on(kit, phone)
    request = await ask(kit)
    raw, keys = opened_by(phone, await code_of(kit, request))
    for old in keys_of(copy):
        digits = digits_by(copy, raw, keys=old)
        assert (await type_digits(kit, request, digits, status=422))["code"] == "offline-answer-wrong"
    await type_digits(kit, request, digits_by(phone, raw, keys=keys))


async def test_a_code_that_was_shown_before_the_phone_moved_on_is_read_by_neither_alone(
    kit: GatewayKit,
) -> None:
    """A new code takes its place, and with it its keys: what the copy read of the old one is worth nothing then."""
    phone, channel = await bind_phone(kit)
    await channel.close()
    copy = copy_of(phone, kit)
    request = await ask(kit)
    raw, old_keys = opened_by(copy, await code_of(kit, request))
    await move_on(kit, phone)
    _, keys = opened_by(phone, await code_of(kit, request))
    stale = digits_by(copy, raw, keys=old_keys)
    assert (await type_digits(kit, request, stale, status=422))["code"] == "offline-answer-wrong"
    await type_digits(kit, request, digits_by(phone, raw, keys=keys))
    assert await state(kit, request) == "approved"


async def test_a_count_that_was_used_is_used_for_copies_too(kit: GatewayKit) -> None:
    """The copy is as new as the phone, but its count stands where the phone's was."""
    phone, channel = await bind_phone(kit)
    await channel.close()
    copy = copy_of(phone, kit)
    first, second = await ask(kit), await ask(kit)
    raw, keys = opened_by(phone, await code_of(kit, first))
    await type_digits(kit, first, digits_by(phone, raw, keys=keys, counter=0))
    raw, keys = opened_by(copy, await code_of(kit, second))
    again = digits_by(copy, raw, keys=keys, counter=0)
    assert (await type_digits(kit, second, again, status=422))["code"] == "offline-answer-wrong"


async def test_a_copy_that_tells_a_higher_count_locks_nobody_out(kit: GatewayKit) -> None:
    """The count never falls, and stays behind what is told by the answers that may still be typed."""
    from gateway.protocol.messages import OfflineCounted, OfflineCounter

    _, channel = await bind_phone(kit)
    for told, stands in ((12, 7), (8, 7), (0, 7), (14, 9)):
        counted = await channel._exchange(OfflineCounter(value=told), OfflineCounted)
        assert counted.value == stands


async def test_what_remains_is_known(kit: GatewayKit) -> None:
    """The limit that THREAT_MODEL.md admits: until the phone comes again, the copy is as good as the phone, for one
    who knows the PIN; the phone's next contact then shows it (T08)."""
    phone, channel = await bind_phone(kit)
    await channel.close()
    copy = copy_of(phone, kit)
    request = await ask(kit)
    opened = await copy.open(channel.binding.binding_id)
    assert isinstance(await approve(opened, await asked(opened, request)), Answered)
    with pytest.raises(GatewayRefused):
        await phone.open(channel.binding.binding_id)
