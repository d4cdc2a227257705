"""Approvals through the whole gateway: the bank asks by HTTP, real phones answer on their channels or by eight digits,
the page follows with its token."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from asking_kit import APPROVALS, OTHER_PIN, PAYMENT, POLICIES, ask, read
from devices_kit import bind, change, reopen
from gateway_kit import PIN, GatewayKit

from gateway.bus import events as bus_events
from gateway.core.ids import decode_id
from gateway.phone.channel import Channel
from gateway.phone.errors import AnswerIsWrong, ApprovalEnded, PhoneError


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[GatewayKit]:
    async with GatewayKit.running(tmp_path) as running:
        yield running


async def asked(channel: Channel) -> Any:
    return await asyncio.wait_for(channel.next_ask(), 10)


async def test_a_payment_is_read_signed_and_told(kit: GatewayKit) -> None:
    binding, channel = await bind(kit, kit.phone())
    started = await ask(kit)
    shown = started["approval"]
    assert (shown["state"], shown["fields"], shown["number"], shown["binding"]) == (
        "pending",
        PAYMENT,
        None,
        None,
    )
    assert (shown["online"], shown["offline"], shown["answered_at"]) == (True, True, None)
    request = await asked(channel)
    assert request.statement.fields.payee == "Zoë Müller"
    assert request.statement.bank == "Banque du Nord"
    assert await channel.answer(request, "approve", pin=PIN) == "approved"
    page = await read(kit, started)
    assert (page["state"], page["binding"], page["factor"], page["via"]) == (
        "approved",
        binding,
        "pin",
        "channel",
    )
    past = await channel.past()
    assert [(each.state, each.here) for each in past.items] == [("approved", True)]
    assert past.items[0].statement == request.statement


async def test_a_login_matches_the_number_on_the_page(kit: GatewayKit) -> None:
    _, channel = await bind(kit, kit.phone())
    started = await ask(kit, "login")
    number = started["approval"]["number"]
    request = await asked(channel)
    assert (request.number, len(request.numbers)) == ("choose", 3)
    assert number in request.numbers
    assert await channel.answer(request, "approve", pin=PIN, number=number) == "approved"
    assert (await read(kit, started))["number"] is None
    second = await ask(kit, "login")
    request = await asked(channel)
    other = next(each for each in request.numbers if each != second["approval"]["number"])
    with pytest.raises(AnswerIsWrong) as wrong:
        await channel.answer(request, "approve", pin=PIN, number=other)
    assert (wrong.value.left, wrong.value.until) == (0, None)
    assert (await read(kit, second))["state"] == "failed"


@pytest.mark.parametrize(("decision", "state"), [("refuse", "refused"), ("report", "reported")])
async def test_what_the_customer_does_not_want(kit: GatewayKit, decision: Any, state: str) -> None:
    _, channel = await bind(kit, kit.phone())
    started = await ask(kit, "login")
    assert await channel.answer(await asked(channel), decision) == state
    assert (await read(kit, started))["state"] == state
    kit.clock.advance(31)
    following = await ask(kit, "login")
    assert following["approval"]["number_match"] == ("type" if decision == "report" else "choose")
    if decision == "report":
        number = following["approval"]["number"]
        assert await channel.answer(await asked(channel), "approve", pin=PIN, number=number) == "approved"


async def next_event(stream: aiohttp.ClientResponse) -> tuple[str, Any]:
    """Read one event: its type and its data."""
    kind = ""
    async with asyncio.timeout(10):
        async for line in stream.content:
            text = line.decode().rstrip("\n")
            if text.startswith("event: "):
                kind = text.removeprefix("event: ")
            elif text.startswith("data: "):
                return kind, json.loads(text.removeprefix("data: "))
    raise EOFError


def refuse_to_poll(*_: Any) -> Any:
    raise AssertionError("the table of events was looked at")


@pytest.mark.parametrize("way", ["channel", "digits"])
async def test_the_page_hears_of_the_answer_by_its_commit(
    kit: GatewayKit, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """The event is pushed down the open stream: the clock stands, and nobody looks at the table of events."""
    phone = kit.phone()
    _, channel = await bind(kit, phone)
    started = await ask(kit)
    one, token = f"{APPROVALS}/{started['approval']['id']}", started["page_token"]
    shown = await kit.call("POST", f"{one}/offline-code", {}, token=token)
    headers = {"Authorization": f"Bearer {token}"}
    async with kit.session.get(f"{kit.now.url}/api/v1/events", headers=headers) as stream:
        assert (await next_event(stream))[0] == "approval.created"
        for reading in ("read_after", "read_topics_after"):
            monkeypatch.setattr(bus_events, reading, refuse_to_poll)
        if way == "channel":
            await channel.answer(await asked(channel), "approve", pin=PIN)
        else:
            digits = phone.offline_answer(phone.open_offline(shown["link"].encode()), PIN)
            await kit.call("POST", f"{one}/offline-answer", {"code": digits}, token=token)
        kind, data = await next_event(stream)
    assert (kind, data["approval"]) == ("approval.approved", started["approval"]["id"])


async def test_the_page_follows_its_request_alone(kit: GatewayKit) -> None:
    _, channel = await bind(kit, kit.phone())
    started, other = await ask(kit), await ask(kit)
    headers = {"Authorization": f"Bearer {started['page_token']}"}
    async with kit.session.get(f"{kit.now.url}/api/v1/events", headers=headers) as stream:
        assert stream.status == 200
        for _ in range(2):
            await channel.answer(await asked(channel), "approve", pin=PIN)
        events = [await next_event(stream) for _ in range(2)]
    assert [kind for kind, _ in events] == ["approval.created", "approval.approved"]
    assert {data["approval"] for _, data in events} == {started["approval"]["id"]}
    assert all("number" not in data for _, data in events)
    token, foreign = started["page_token"], f"{APPROVALS}/{other['approval']['id']}"
    for method, path, body in (
        ("GET", foreign, None),
        ("POST", f"{foreign}/cancel", {}),
        ("POST", f"{foreign}/offline-code", {}),
        ("POST", f"{foreign}/offline-answer", {"code": "12345678"}),
    ):
        await kit.call(method, path, body, token=token, status=404)
    await kit.call("GET", APPROVALS, token=token, status=403)
    await kit.call("GET", POLICIES, token=token, status=403)


async def test_the_first_phone_that_answers_wins_and_the_other_is_told(kit: GatewayKit) -> None:
    (_, first), (_, second) = await bind(kit, kit.phone()), await bind(kit, kit.phone("Second"))
    started = await ask(kit)
    requests = [await asked(first), await asked(second)]
    await first.answer(requests[0], "approve", pin=PIN)
    assert await asyncio.wait_for(second.until_settled(requests[1]), 10) == "approved"
    with pytest.raises(ApprovalEnded):
        await second.answer(requests[1], "refuse")
    assert (await read(kit, started))["state"] == "approved"
    assert [each.here for each in (await second.past()).items] == [False]


async def test_a_request_for_one_phone_reaches_no_other(kit: GatewayKit) -> None:
    (named, first), (_, second) = await bind(kit, kit.phone()), await bind(kit, kit.phone("Second"))
    await ask(kit, binding=named)
    await ask(kit)
    assert (await asked(first)).id != (await asked(second)).id
    await first.answer(await asked(first), "approve", pin=PIN)


async def test_what_waits_is_told_when_a_phone_opens_also_after_a_restart(kit: GatewayKit) -> None:
    phone = kit.phone()
    _, channel = await bind(kit, phone)
    await channel.close()
    started = await ask(kit)
    await kit.restart()
    channel = await reopen(phone, channel)
    await channel.answer(await asked(channel), "approve", pin=PIN)
    assert (await read(kit, started))["state"] == "approved"


async def test_page_and_bank_take_a_request_back(kit: GatewayKit) -> None:
    _, channel = await bind(kit, kit.phone())
    for by_page in (True, False):
        started = await ask(kit)
        request = await asked(channel)
        path = f"{APPROVALS}/{started['approval']['id']}/cancel"
        token = started["page_token"] if by_page else None
        assert (await kit.call("POST", path, {}, token=token))["state"] == "cancelled"
        assert await asyncio.wait_for(channel.until_settled(request), 10) == "cancelled"
        with pytest.raises(PhoneError):
            await channel.answer(request, "approve", pin=PIN)
        assert (await read(kit, started))["state"] == "cancelled"


async def test_a_request_is_over_at_its_end(kit: GatewayKit) -> None:
    _, channel = await bind(kit, kit.phone())
    started = await ask(kit, life_s=10)
    request = await asked(channel)
    kit.clock.advance(10)
    with pytest.raises(ApprovalEnded) as ended:
        await channel.answer(request, "approve", pin=PIN)
    assert ended.value.state == "expired"
    assert (await read(kit, started))["state"] == "expired"
    path = f"{APPROVALS}/{started['approval']['id']}/cancel"
    assert (await kit.call("POST", path, {}, status=410))["state"] == "expired"
    await channel.prove_pin(PIN)
    assert channel.binding is not None


async def test_five_wrong_pins_in_a_row_block_the_phone_until_time_or_the_bank_unblocks(
    kit: GatewayKit,
) -> None:
    binding, channel = await bind(kit, kit.phone())
    await ask(kit)
    request = await asked(channel)
    for left in (4, 3, 2, 1, 0):
        with pytest.raises(AnswerIsWrong) as wrong:
            await channel.answer(request, "approve", pin=OTHER_PIN)
        assert wrong.value.left == left
    assert wrong.value.until == int(kit.clock.now()) + 300
    assert "blocked" in (await ask(kit, status=409))["detail"]
    await kit.call("POST", f"/api/v1/bindings/{binding}/unblock-approvals", {}, status=204)
    await kit.call("POST", f"/api/v1/bindings/{binding}/unblock-pin", {})
    await ask(kit)
    assert await channel.answer(await asked(channel), "approve", pin=PIN) == "approved"


@pytest.mark.parametrize("step", ["suspend", "remove"])
async def test_a_phone_that_is_gone_is_not_asked(kit: GatewayKit, step: str) -> None:
    binding, channel = await bind(kit, kit.phone())
    await change(kit, binding, step)
    problem = await ask(kit, status=409)
    assert (problem["code"], "next_step" in problem) == ("no-phone", True)
    await channel.close()


async def test_a_phone_bound_just_now_approves_small_sums_alone(kit: GatewayKit) -> None:
    await bind(kit, kit.phone())
    large = {**PAYMENT, "amount": "1000.01"}
    assert "first hours" in (await ask(kit, fields=large, status=409))["next_step"]
    kit.clock.advance(24 * 3_600)
    await ask(kit, fields=large)


# Policies, lists, limits ---------------------------------------------------------------------------------------


async def test_policies_are_read_and_changed(kit: GatewayKit) -> None:
    policies = await kit.call("GET", POLICIES)
    assert set(policies) == {"login", "payment", "contact", "free", "device"}
    assert policies["login"]["number_match"]
    payment = policies["payment"]
    assert payment["new_phone"] == {"hours": 24, "max_amount": "1000.00", "max_count": 10}
    wish = {
        **payment,
        "life_s": 300,
        "step_up": [{"above": "100", "currency": "EUR", "factors": "pin"}],
    }
    assert await kit.call("PUT", f"{POLICIES}/payment", wish) == wish
    assert await kit.call("GET", f"{POLICIES}/payment") == wish
    await kit.call("GET", f"{POLICIES}/other", status=404)
    for bad in (
        {"life_s": 9},
        {"life_s": 601},
        {"factors": "none"},
        {"via": "post"},
        {"unknown": 1},
        {"step_up": [{"above": "-1", "currency": "EUR", "factors": "pin"}]},
        {"new_phone": {"hours": 169, "max_amount": None, "max_count": None}},
        {"new_phone": {"hours": 24}},
        {"factors": "biometric", "via": "offline"},
    ):
        problem = await kit.call("PUT", f"{POLICIES}/payment", {**wish, **bad}, status=400)
        assert problem["code"] == "invalid-request"
    for name in wish:  # nothing is left to defaults, which may be weaker than what was in force
        part = {member: value for member, value in wish.items() if member != name}
        assert name in (await kit.call("PUT", f"{POLICIES}/payment", part, status=400))["detail"]
    assert await kit.call("GET", f"{POLICIES}/payment") == wish


async def test_keys_need_their_scopes(kit: GatewayKit) -> None:
    keys = kit.now.installation.api_keys
    _, made = await keys.create(tenant_id=kit.tenant_id, name="reader", scopes=["approvals:read"])
    reader = made.reveal().decode()
    await bind(kit, kit.phone())
    started = await ask(kit)
    one = f"{APPROVALS}/{started['approval']['id']}"
    await kit.call("GET", APPROVALS, token=reader)
    await kit.call("GET", one, token=reader)
    for method, path in (
        ("POST", APPROVALS),
        ("POST", f"{one}/cancel"),
        ("POST", f"{one}/offline-code"),
        ("POST", f"{one}/offline-answer"),
        ("GET", POLICIES),
        ("PUT", f"{POLICIES}/login"),
        ("POST", "/api/v1/bindings/bnd_x/unblock-approvals"),
    ):
        await kit.call(method, path, {} if method != "GET" else None, token=reader, status=403)


async def test_lists_go_by_cursor_and_filters(kit: GatewayKit) -> None:
    _, channel = await bind(kit, kit.phone())
    made = []
    for kind in ("payment", "login", "payment"):
        made.append((await ask(kit, kind))["approval"]["id"])
        kit.clock.advance(1)
    await channel.answer(await asked(channel), "approve", pin=PIN)
    seen: list[str] = []
    cursor = ""
    while True:
        page = await kit.call("GET", f"{APPROVALS}?limit=2{cursor}")
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == made[::-1]
    for query, count in (
        ("?type=login", 1),
        ("?state=approved", 1),
        ("?user=user-1&type=payment&state=pending", 1),
        ("?user=nobody", 0),
    ):
        assert len((await kit.call("GET", APPROVALS + query))["items"]) == count
    await kit.call("GET", f"{APPROVALS}?type=login{cursor}", status=400)
    await kit.call("GET", f"{APPROVALS}?state=unknown", status=400)


async def test_the_same_order_under_one_key_asks_once(kit: GatewayKit) -> None:
    _, channel = await bind(kit, kit.phone())
    headers = {"Authorization": f"Bearer {kit.api_key}", "Idempotency-Key": "order-1"}
    body = {"user": "user-1", "type": "payment", "fields": PAYMENT}
    ids = set()
    for _ in range(3):
        async with kit.session.post(f"{kit.now.url}{APPROVALS}", json=body, headers=headers) as answer:
            assert answer.status == 201
            ids.add((await answer.json())["approval"]["id"])
    assert len(ids) == 1
    assert (await asked(channel)).id == decode_id("apr", ids.pop())
    assert len((await kit.call("GET", APPROVALS))["items"]) == 1


async def test_a_customer_is_asked_twenty_times_a_minute_at_most(kit: GatewayKit) -> None:
    await bind(kit, kit.phone())
    for _ in range(20):
        started = await ask(kit)
        await kit.call("POST", f"{APPROVALS}/{started['approval']['id']}/cancel", {})
    assert (await ask(kit, status=429))["code"] == "rate-limited"
    await ask(kit, user="user-2", status=409)  # another customer, who has no phone


async def test_another_bank_finds_nothing(kit: GatewayKit) -> None:
    binding, _ = await bind(kit, kit.phone())
    started = await ask(kit)
    installation = kit.now.installation
    other = (await installation.tenants.create("Banque du Sud")).id
    _, made = await installation.api_keys.create(tenant_id=other, name="other", scopes=["*"])
    key = made.reveal().decode()
    one = f"{APPROVALS}/{started['approval']['id']}"
    for method, path, body in (
        ("GET", one, None),
        ("POST", f"{one}/cancel", {}),
        ("POST", f"{one}/offline-code", {}),
        ("POST", f"{one}/offline-answer", {"code": "12345678"}),
        ("POST", f"/api/v1/bindings/{binding}/unblock-approvals", {}),
    ):
        await kit.call(method, path, body, token=key, status=404)
    assert (await kit.call("GET", APPROVALS, token=key))["items"] == []


async def test_a_payment_must_be_one(kit: GatewayKit) -> None:
    await bind(kit, kit.phone())
    for wrong in (
        {"amount": "0.00"},
        {"amount": "1,5"},
        {"amount": "01"},
        {"currency": "eur"},
        {"payee": ""},
        {"payee": " "},
        {"payee": "Bob\u202eecila"},
        {"account": "1\n2"},
        {"purpose": "x" * 1_001},
    ):
        problem = await ask(kit, fields={**PAYMENT, **wrong}, status=400)
        assert problem["code"] == "invalid-request"
        assert f"fields.{next(iter(wrong))}" in problem["detail"]
    short = {name: value for name, value in PAYMENT.items() if name != "payee"}
    assert "payee" in (await ask(kit, fields=short, status=400))["detail"]
    assert "iban" in (await ask(kit, fields={**PAYMENT, "iban": "x"}, status=400))["detail"]
    assert (await kit.call("GET", APPROVALS))["items"] == []
