"""Bound phones over real sockets: the ratchet with every answer lost, copies of a phone found out, and what
the bank and the customer change while a channel is open."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from devices_kit import bind, change, copy_of, reopen
from gateway_kit import Cut, GatewayKit

from gateway.devices.channel import ResumeContact
from gateway.devices.desk import BindingDesk
from gateway.phone.errors import (
    BindingGone,
    CloneSuspected,
    ConnectionLost,
    GatewayProblem,
    GatewayRefused,
)
from gateway.protocol.errors import ErrorCode, HandshakeFailed


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[GatewayKit]:
    async with GatewayKit.running(tmp_path) as running:
        yield running


async def test_ratchet_turns_at_every_contact(kit: GatewayKit) -> None:
    phone = kit.phone()
    binding, channel = await bind(kit, phone)
    for index in range(1, 4):
        kit.clock.advance(60)
        channel = await reopen(phone, channel)
        assert channel.binding.index == index
        await channel.ping()
        [shown] = await kit.bindings()
        assert shown["last_seen_at"] > shown["added_at"]
    await kit.restart()
    channel = await reopen(phone, channel)
    assert channel.binding.index == 4
    assert shown["id"] == binding


@pytest.mark.parametrize("is_restarted", [False, True], ids=["same gateway", "gateway killed"])
@pytest.mark.parametrize("is_answer", [False, True], ids=["frame lost", "answer lost"])
@pytest.mark.parametrize("number", [1, 2], ids=["hello", "ready"])
@pytest.mark.parametrize("before", [0, 2], ids=["first", "third"])
async def test_no_lost_answer_locks_the_phone_out(
    kit: GatewayKit, number: int, is_answer: bool, is_restarted: bool, before: int
) -> None:
    async def happens() -> None:
        if is_restarted:
            await kit.restart()

    phone = kit.phone()
    _, channel = await bind(kit, phone)
    for _ in range(before):
        channel = await reopen(phone, channel)
    cut = Cut(number, is_answer=is_answer, happens=happens)
    broken = kit.phone(store=phone.store, cut=cut)  # type: ignore[arg-type]
    with pytest.raises(ConnectionLost):
        await broken.open(channel.binding.binding_id)
    assert cut.is_done
    for _ in range(3):
        channel = await reopen(phone, channel)
        await channel.ping()
    [shown] = await kit.bindings()
    assert shown["state"] == "active"


async def test_old_copy_of_the_phone_is_found_out(kit: GatewayKit) -> None:
    phone = kit.phone()
    binding, channel = await bind(kit, phone)
    stolen = copy_of(phone)
    channel = await reopen(phone, channel)
    channel = await reopen(phone, channel)
    with pytest.raises(CloneSuspected):
        await kit.phone(store=stolen).open(channel.binding.binding_id)
    assert (await kit.call("GET", f"/api/v1/bindings/{binding}"))["state"] == "suspended"
    # The phone itself hears it at once, and is not let in again.
    with pytest.raises(BindingGone):
        await channel.watch(10)
    with pytest.raises(GatewayRefused) as refused:
        await phone.open(channel.binding.binding_id)
    assert refused.value.error is ErrorCode.SUSPENDED


async def test_copy_that_was_first_is_found_out_by_the_phone(kit: GatewayKit) -> None:
    phone = kit.phone()
    binding, channel = await bind(kit, phone)
    channel = await reopen(phone, channel)
    thief = kit.phone(store=copy_of(phone))
    await (await thief.open(channel.binding.binding_id)).ping()
    await (await thief.open(channel.binding.binding_id)).ping()
    with pytest.raises(CloneSuspected):
        await phone.open(channel.binding.binding_id)
    assert (await kit.call("GET", f"/api/v1/bindings/{binding}"))["state"] == "suspended"


async def test_stranger_cannot_suspend_a_phone(kit: GatewayKit) -> None:
    phone = kit.phone()
    binding, channel = await bind(kit, phone)
    stranger = kit.phone()
    known = phone.store.binding(channel.binding.binding_id)
    assert known is not None
    own = type(known.keys).generate(phone._tools.random)
    stranger.store.put_binding(msgspec.structs.replace(known, keys=own, psk=bytes(32)))
    for index in (0, 1, 7):
        held = stranger.store.binding(known.binding_id)
        assert held is not None
        stranger.store.put_binding(msgspec.structs.replace(held, index=index))
        with pytest.raises((GatewayRefused, HandshakeFailed)):
            await stranger.open(known.binding_id)
    assert (await kit.call("GET", f"/api/v1/bindings/{binding}"))["state"] == "active"
    await channel.ping()


async def test_hybrid_is_due_after_thirty_days(kit: GatewayKit) -> None:
    phone = kit.phone()
    _, channel = await bind(kit, phone)
    channel = await reopen(phone, channel)
    first_due = channel.binding.hybrid_due
    assert first_due == int(kit.clock.now()) + 30 * 86_400
    kit.clock.advance(30 * 86_400)
    # A phone that does not know yet is told by `suite`, and one that does comes hybrid at once.
    held = channel.binding
    phone.store.put_binding(msgspec.structs.replace(held, hybrid_due=2**32))
    channel = await reopen(phone, channel)
    assert channel.binding.hybrid_due == int(kit.clock.now()) + 30 * 86_400
    channel = await reopen(phone, channel)
    await channel.ping()


async def test_classical_binding_is_never_due(kit: GatewayKit) -> None:
    phone = kit.phone()
    _, channel = await bind(kit, phone, suite="classical")
    kit.clock.advance(400 * 86_400)
    held = phone.store.binding(channel.binding.binding_id)
    assert held is not None
    phone.store.put_binding(msgspec.structs.replace(held, hybrid_due=2**32))
    channel = await reopen(phone, channel)
    assert channel.binding.hybrid_due == 2**32 - 1


async def test_three_messages_out_of_turn_close_the_socket(kit: GatewayKit) -> None:
    from gateway.protocol.messages import PinChange, Ready

    phone = kit.phone()
    _, channel = await bind(kit, phone)
    conversation = channel._conversation
    for message in (PinChange(), Ready(), PinChange()):
        await conversation.send(message)
        with pytest.raises(GatewayProblem):
            await conversation.receive(10)
    with pytest.raises(ConnectionLost):
        await conversation.receive(10)
    await (await phone.open(channel.binding.binding_id)).ping()


async def test_bank_suspends_resumes_and_removes(kit: GatewayKit) -> None:
    phone = kit.phone()
    binding, channel = await bind(kit, phone)
    path = f"/api/v1/bindings/{binding}"
    watching = asyncio.create_task(channel.watch(10))
    assert (await kit.call("POST", f"{path}/suspend", {}))["state"] == "suspended"
    with pytest.raises(BindingGone) as gone:
        await watching
    assert gone.value.state == "suspended"
    assert (await kit.call("POST", f"{path}/suspend", {}, status=409))["code"] == "conflict"
    assert (await kit.call("POST", f"{path}/resume", {}))["state"] == "active"
    channel = await phone.open(channel.binding.binding_id)
    watching = asyncio.create_task(channel.watch(10))
    assert (await kit.call("DELETE", path))["state"] == "removed"
    with pytest.raises(BindingGone) as gone:
        await watching
    assert gone.value.state == "removed"
    with pytest.raises(GatewayRefused) as refused:
        await phone.open(channel.binding.binding_id)
    assert refused.value.error is ErrorCode.UNKNOWN
    for step in ("suspend", "resume", "unblock-pin"):
        await kit.call("POST", f"{path}/{step}", {}, status=409)
    await kit.call("PATCH", path, {"name": "Neu"}, status=409)
    await kit.call("DELETE", path, status=409)


async def test_page_resumes_only_what_the_customer_suspended(kit: GatewayKit) -> None:
    binding, _ = await bind(kit, kit.phone(), user="alice")
    token = (await kit.call("POST", "/api/v1/page-tokens", {"user": "alice"}, status=201))["page_token"]
    path = f"/api/v1/bindings/{binding}"
    assert (await kit.call("GET", path))["suspended_by"] is None
    assert (await kit.call("POST", f"{path}/suspend", {}, token=token))["suspended_by"] == "customer"
    assert (await kit.call("GET", path, token=token))["suspended_by"] == "customer"
    resumed = await kit.call("POST", f"{path}/resume", {}, token=token)
    assert (resumed["state"], resumed["suspended_by"]) == ("active", None)
    await kit.call("POST", f"{path}/suspend", {}, token=token)
    assert (await kit.call("POST", f"{path}/resume", {}))["state"] == "active"
    assert (await kit.call("POST", f"{path}/suspend", {}))["suspended_by"] == "bank"
    refused = await kit.call("POST", f"{path}/resume", {}, token=token, status=409)
    assert refused["code"] == "conflict"
    assert "only the bank" in refused["detail"]
    assert refused["next_step"] == "Ask the bank to resume this phone."
    assert (await kit.call("GET", path))["state"] == "suspended"
    assert (await kit.call("POST", f"{path}/resume", {}))["suspended_by"] is None
    await kit.call("POST", f"{path}/suspend", {})
    assert (await kit.call("DELETE", path, token=token))["suspended_by"] is None


async def test_bank_takes_a_customers_suspension_over(kit: GatewayKit) -> None:
    binding, _ = await bind(kit, kit.phone(), user="alice")
    token = (await kit.call("POST", "/api/v1/page-tokens", {"user": "alice"}, status=201))["page_token"]
    path = f"/api/v1/bindings/{binding}"
    await kit.call("POST", f"{path}/suspend", {}, token=token)
    assert (await kit.call("POST", f"{path}/suspend", {}))["suspended_by"] == "bank"
    await kit.call("POST", f"{path}/suspend", {}, token=token, status=409)
    await kit.call("POST", f"{path}/resume", {}, token=token, status=409)
    assert (await kit.call("POST", f"{path}/resume", {}))["state"] == "active"


@pytest.mark.parametrize("step", ["suspend", "remove"])
async def test_phone_hears_of_a_change_between_the_turn_and_its_registration(
    kit: GatewayKit, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The change commits, and its event is told, when the ratchet has turned and the channel is not yet live."""
    phone = kit.phone()
    binding, channel = await bind(kit, phone)
    await channel.close()
    turn = ResumeContact._turn

    async def turn_then_change(*args: Any) -> Any:
        status = await turn(*args)
        await change(kit, binding, step)
        return status

    monkeypatch.setattr(ResumeContact, "_turn", turn_then_change)
    channel = await phone.open(channel.binding.binding_id)
    with pytest.raises(BindingGone) as gone:
        await channel.watch(10)
    assert gone.value.state == {"suspend": "suspended", "remove": "removed"}[step]


async def test_phone_hears_of_a_change_at_the_end_of_first_contact(
    kit: GatewayKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_open = BindingDesk.run_open

    async def change_then_run(self: BindingDesk, channel: Any, ref: Any, *, lang: Any) -> None:
        await change(kit, ref.binding_id, "suspend")
        await run_open(self, channel, ref, lang=lang)

    monkeypatch.setattr(BindingDesk, "run_open", change_then_run)
    _, channel = await bind(kit, kit.phone())
    with pytest.raises(BindingGone) as gone:
        await channel.watch(10)
    assert gone.value.state == "suspended"


async def test_phone_suspended_in_mid_resume_hears_so_and_comes_again_later(
    kit: GatewayKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = kit.phone()
    binding, channel = await bind(kit, phone)
    await channel.close()
    identifier = channel.binding.binding_id
    turn = ResumeContact._turn

    async def change_then_turn(*args: Any) -> Any:
        await change(kit, binding, "suspend")
        return await turn(*args)

    with monkeypatch.context() as patch:
        patch.setattr(ResumeContact, "_turn", change_then_turn)
        with pytest.raises(BindingGone) as gone:
            await phone.open(identifier)
    assert gone.value.state == "suspended"
    with pytest.raises(GatewayRefused) as refused:
        await phone.open(identifier)
    assert refused.value.error is ErrorCode.SUSPENDED
    await kit.call("POST", f"/api/v1/bindings/{binding}/resume", {})
    await (await phone.open(identifier)).ping()


async def test_phone_renames_and_removes_itself(kit: GatewayKit) -> None:
    phone = kit.phone()
    binding, channel = await bind(kit, phone)
    assert await channel.rename("Handy") == "Handy"
    assert (await kit.call("GET", f"/api/v1/bindings/{binding}"))["name"] == "Handy"
    await channel.remove()
    assert (await kit.call("GET", f"/api/v1/bindings/{binding}"))["state"] == "removed"
    assert phone.store.bindings() == []


async def test_newer_channel_replaces_the_older(kit: GatewayKit) -> None:
    phone = kit.phone()
    _, older = await bind(kit, phone)
    newer = await phone.open(older.binding.binding_id)
    with pytest.raises(ConnectionLost):
        await older.watch(10)
    await newer.ping()


async def test_customer_page_sees_its_own_phones_alone(kit: GatewayKit) -> None:
    mine, _ = await bind(kit, kit.phone(), user="alice")
    others, _ = await bind(kit, kit.phone(), user="bob")
    issued = await kit.call("POST", "/api/v1/page-tokens", {"user": "alice"}, status=201)
    token = issued["page_token"]
    page = await kit.call("GET", "/api/v1/bindings", token=token)
    assert [item["id"] for item in page["items"]] == [mine]
    await kit.call("GET", "/api/v1/bindings?user=bob", token=token, status=403)
    await kit.call("GET", f"/api/v1/bindings/{others}", token=token, status=404)
    await kit.call("POST", f"/api/v1/bindings/{others}/suspend", {}, token=token, status=404)
    await kit.call("DELETE", f"/api/v1/bindings/{others}", token=token, status=404)
    await kit.call("PATCH", f"/api/v1/bindings/{others}", {"name": "x"}, token=token, status=404)
    await kit.call("POST", f"/api/v1/bindings/{mine}/unblock-pin", {}, token=token, status=403)
    renamed = await kit.call("PATCH", f"/api/v1/bindings/{mine}", {"name": "Meins"}, token=token)
    assert renamed["name"] == "Meins"


async def test_list_goes_on_page_by_page(kit: GatewayKit) -> None:
    for _ in range(5):
        _, channel = await bind(kit, kit.phone())
        await channel.close()
        kit.clock.advance(1)
    seen: list[str] = []
    cursor = ""
    while True:
        page = await kit.call("GET", f"/api/v1/bindings?limit=2{cursor}")
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert len(seen) == len(set(seen)) == 5
    assert [item["id"] for item in await kit.bindings()] == seen
    assert await kit.bindings("?state=suspended") == []


async def test_phone_of_another_host_is_not_let_in(kit: GatewayKit) -> None:
    from gateway.phone.transport import Site

    phone = kit.phone()
    binding, channel = await bind(kit, phone)
    held = phone.store.binding(channel.binding.binding_id)
    assert held is not None
    phone.store.put_binding(msgspec.structs.replace(held, host="evil.example"))
    network: Any = phone._tools.network
    base = type(network).__mro__[1]
    network.site = Site("evil.example", kit.now.url)
    network.connect = lambda: base.connect(network)
    with pytest.raises(GatewayRefused):
        await phone.open(channel.binding.binding_id)
    assert binding
