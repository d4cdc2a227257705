"""Approving without a network, by the reference phone: which codes open, what digits come, and what is stored when."""

from pathlib import Path

import msgspec
import pytest
import scripted_requests
from offline_kit import STATEMENT, check, code_for
from phone_desk import OTHER_PIN, PIN, Desk

from gateway.core.encoding import b64url_encode
from gateway.phone.errors import (
    ApprovalUnreadable,
    BindingNotFound,
    ConnectionLost,
    OfflineForeign,
    OfflineStale,
    PinHasOtherDigits,
)
from gateway.phone.offline import open_code, read_code_text
from gateway.phone.store import FileStore
from gateway.protocol.code import make_link
from gateway.protocol.errors import ForeignHost, MalformedCode, WrongOfflineAnswer


async def test_each_answer_serves_once_and_needs_the_pin(desk: Desk) -> None:
    await (await desk.bind()).close()
    phone, payload = desk.phone, code_for(desk.gateway)
    heard = list(desk.gateway.seen)
    ask = phone.open_offline(payload)
    assert ask.raw == STATEMENT
    assert ask.statement.fields == scripted_requests.PAYMENT
    first, second = phone.offline_answer(ask, PIN), phone.offline_answer(ask, PIN)
    assert check(desk.gateway, first) == 0
    assert check(desk.gateway, second, following=1) == 1
    with pytest.raises(WrongOfflineAnswer):
        check(desk.gateway, first, following=1)
    with pytest.raises(WrongOfflineAnswer):
        check(desk.gateway, phone.offline_answer(ask, OTHER_PIN))
    with pytest.raises(PinHasOtherDigits):
        phone.offline_answer(ask, "12345")
    assert desk.store.offline_counter(desk.gateway.binding_id) == 3
    assert desk.gateway.seen == heard, "nothing went over the network"


async def test_a_changed_pin_is_the_one_that_counts(desk: Desk) -> None:
    channel = await desk.bind()
    await channel.change_pin(PIN, OTHER_PIN)
    await channel.close()
    ask = desk.phone.open_offline(code_for(desk.gateway))
    assert check(desk.gateway, desk.phone.offline_answer(ask, OTHER_PIN)) == 0
    with pytest.raises(WrongOfflineAnswer):
        check(desk.gateway, desk.phone.offline_answer(ask, PIN), following=1)


@pytest.mark.parametrize("fault", ["ready", "welcome"])
async def test_a_lost_welcome_locks_no_code_out(desk: Desk, fault: str) -> None:
    """The gateway has stored n + 1 or has not; the phone can't know, and tries both."""
    await (await desk.bind()).close()
    desk.gateway.faults.add(fault)
    with pytest.raises(ConnectionLost):
        await desk.reopen()
    ask = desk.phone.open_offline(code_for(desk.gateway))
    assert check(desk.gateway, desk.phone.offline_answer(ask, PIN)) == 0


async def test_the_next_contact_tells_how_many_were_made(desk: Desk) -> None:
    await (await desk.bind()).close()
    await (await desk.reopen()).close()
    assert "OfflineCounter" not in desk.gateway.seen
    ask = desk.phone.open_offline(code_for(desk.gateway))
    for _ in range(3):
        desk.phone.offline_answer(ask, PIN)
    await (await desk.reopen()).close()
    assert desk.gateway.requests.counter == 3
    assert desk.store.offline_counter(desk.gateway.binding_id) == 3  # the gateway told less
    with pytest.raises(OfflineStale):
        desk.phone.offline_answer(ask, PIN)


async def test_a_gateway_that_takes_no_counts_does_not_lock_the_phone_out(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await desk.bind()).close()
    desk.phone.offline_answer(desk.phone.open_offline(code_for(desk.gateway)), PIN)
    monkeypatch.setattr(desk.gateway.requests, "reply", lambda *_: None)
    channel = await desk.reopen()
    assert "OfflineCounter" in desk.gateway.seen
    assert await channel.ping()
    await channel.close()


async def test_codes_that_do_not_open(desk: Desk) -> None:
    await (await desk.bind()).close()
    old = code_for(desk.gateway)
    channel = await desk.reopen()
    await channel.prove_pin(PIN)
    await channel.close()
    with pytest.raises(OfflineStale):
        desk.phone.open_offline(old)
    payload = code_for(desk.gateway)
    with pytest.raises(OfflineForeign):
        desk.phone.open_offline(payload[:1] + bytes(4) + payload[5:])
    with pytest.raises(OfflineStale):
        desk.phone.open_offline(payload[:-1] + bytes((payload[-1] ^ 1,)))
    for nonsense in (payload[:40], b"\x02" + payload[1:], desk.gateway.screen().pack(), b"\x03"):
        with pytest.raises(MalformedCode):
            desk.phone.open_offline(nonsense)
    with pytest.raises(ApprovalUnreadable):
        desk.phone.open_offline(code_for(desk.gateway, statement=b'{"v":2}'))
    with pytest.raises(ForeignHost):
        desk.phone.open_offline(make_link("other.example", payload).encode())
    with pytest.raises(ForeignHost):
        open_code(desk.store, payload, host="other.example")
    assert desk.store.offline_counter(desk.gateway.binding_id) == 0


async def test_a_code_in_writing(desk: Desk) -> None:
    await (await desk.bind()).close()
    payload = code_for(desk.gateway)
    assert read_code_text(f" {make_link('bank.example', payload)}\n") == ("bank.example", payload)
    assert read_code_text(b64url_encode(payload)) == (None, payload)
    for text in ("", "no code!", "https://bank.example/other#AA"):
        with pytest.raises(MalformedCode):
            read_code_text(text)


async def test_a_binding_that_is_gone_answers_nothing(desk: Desk) -> None:
    await (await desk.bind()).close()
    ask = desk.phone.open_offline(code_for(desk.gateway))
    desk.phone.offline_answer(ask, PIN)
    desk.store.drop_binding(desk.gateway.binding_id)
    with pytest.raises(BindingNotFound):
        desk.phone.offline_answer(ask, PIN)
    assert desk.store.offline_counter(desk.gateway.binding_id) == 0


async def test_no_counter_is_used_twice_after_a_crash(desk: Desk, tmp_path: Path) -> None:
    await (await desk.bind()).close()
    [binding] = desk.store.bindings()
    path, key_file = tmp_path / "phone.keys", tmp_path / "key"
    with FileStore.open(path, key_file=key_file) as store:
        store.put_binding(binding)
        assert store.take_offline_counter(binding.binding_id) == 0
    with FileStore.open(path, key_file=key_file) as store:
        store.put_binding(msgspec.structs.replace(binding, name="A copy held over a contact"))
        assert store.take_offline_counter(binding.binding_id) == 1
