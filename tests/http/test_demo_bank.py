"""The demo bank's back end against a gateway of the test's own on loopback."""

from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from demo_kit import IBAN, PAYMENT, log_in

from gateway.demo.browsers import describe_browser, describe_place


async def test_wrong_password_is_refused_and_gives_no_session(bank: Any) -> None:
    client, _, _ = bank
    answer = await client.post("/demo/api/login", json={"user": "claire", "password": "guess"})
    assert answer.status == 401
    assert (await (await client.get("/demo/api/session")).json())["customer"] is None


async def test_activation_is_started_for_the_customer_who_is_logged_in(bank: Any) -> None:
    client, recording, _ = bank
    csrf = await log_in(client)
    answer = await client.post(
        "/demo/api/activations",
        json={"two_step": True, "user": "thomas"},
        headers={"X-CSRF-Token": csrf, "Idempotency-Key": "click-1"},
    )
    assert answer.status == 201
    path, body, authorization, key = recording.asked[0]
    assert path == "/api/v1/activations"
    assert body == {"user": "claire", "label": "Claire Martin", "two_step": True}
    assert (authorization, key) == ("Bearer tsk_test", "click-1")


async def test_post_without_the_csrf_token_is_refused(bank: Any) -> None:
    client, recording, _ = bank
    await log_in(client)
    assert (await client.post("/demo/api/activations", json={})).status == 403
    assert recording.asked == []


async def test_session_ends_after_five_minutes_without_activity(bank: Any) -> None:
    client, _, clock = bank
    await log_in(client)
    for _ in range(3):  # looking at the session prolongs it, reading notices does not
        clock.advance(4 * 60)
        assert (await (await client.get("/demo/api/session")).json())["idle_s"] == 300
    clock.advance(4 * 60)
    assert (await client.get("/demo/api/notices")).status == 200
    clock.advance(61)
    assert (await client.get("/demo/api/notices")).status == 401


async def begin_login(client: TestClient[Any, Any]) -> None:
    answer = await client.post("/demo/api/login", json={"user": "claire", "lang": "fr"})
    assert answer.status == 202
    assert (await answer.json())["page_token"] == "ptk_a"


async def test_a_customer_with_a_phone_is_asked_there_and_the_password_opens_nothing(bank: Any) -> None:
    client, recording, _ = bank
    recording.has_phone = True
    answer = await client.post("/demo/api/login", json={"user": "claire", "password": "tessera"})
    assert answer.status == 202
    assert recording.approval["type"] == "login"
    assert (await (await client.get("/demo/api/session")).json())["customer"] is None
    assert (await client.post("/demo/api/login/finish", json={})).status == 409
    recording.approval["state"] = "refused"
    assert (await client.post("/demo/api/login/finish", json={})).status == 409


async def test_an_approved_login_opens_one_session(bank: Any) -> None:
    client, recording, _ = bank
    recording.has_phone = True
    await begin_login(client)
    kept = {cookie.key: cookie.value for cookie in client.session.cookie_jar}
    recording.approval["state"] = "approved"
    answer = await client.post("/demo/api/login/finish", json={})
    assert (await answer.json())["customer"]["user"] == "claire"
    again = await client.post("/demo/api/login/finish", json={}, cookies=kept)
    assert again.status == 409


async def test_a_login_is_finished_by_the_browser_that_began_it_and_for_its_customer(bank: Any) -> None:
    client, recording, _ = bank
    assert (await client.post("/demo/api/login/finish", json={})).status == 401
    recording.has_phone = True
    await begin_login(client)
    recording.approval |= {"state": "approved", "user": "thomas"}
    assert (await client.post("/demo/api/login/finish", json={})).status == 409


async def test_a_payment_is_carried_out_once_and_as_it_was_approved(bank: Any) -> None:
    client, recording, _ = bank
    headers = {"X-CSRF-Token": await log_in(client)}
    started = await (await client.post("/demo/api/transfers", json=PAYMENT, headers=headers)).json()
    assert recording.approval["fields"] == {
        "payee": "EDF",
        "account": IBAN.replace(" ", ""),
        "amount": "12.50",
        "currency": "EUR",
        "purpose": "",
    }
    settle = f"/demo/api/orders/{started['approval']['id']}/settle"
    assert (await (await client.post(settle, json={}, headers=headers)).json())["state"] == "pending"
    recording.approval["state"] = "approved"
    for _ in range(3):
        assert (await (await client.post(settle, json={}, headers=headers)).json())["state"] == "approved"
    session = await (await client.get("/demo/api/session")).json()
    assert session["customer"]["accounts"][0]["balance"] == 284_217 - 1_250
    listed = await (await client.get("/demo/api/transfers")).json()
    assert [item["state"] for item in listed["items"]] == ["approved"]


async def test_a_payment_in_another_currency_costs_what_it_costs_in_euros(bank: Any) -> None:
    client, recording, _ = bank
    headers = {"X-CSRF-Token": await log_in(client)}
    wish = {**PAYMENT, "amount": "100.00", "currency": "CHF", "account": "0123456789"}
    started = await (await client.post("/demo/api/transfers", json=wish, headers=headers)).json()
    recording.approval["state"] = "approved"
    await client.post(f"/demo/api/orders/{started['approval']['id']}/settle", json={}, headers=headers)
    session = await (await client.get("/demo/api/session")).json()
    assert session["customer"]["accounts"][0]["balance"] == 284_217 - 10_600


async def test_what_waits_for_the_phone_cannot_be_paid_twice(bank: Any) -> None:
    client, recording, _ = bank
    headers = {"X-CSRF-Token": await log_in(client)}
    wish = {**PAYMENT, "amount": "2000"}
    assert (await client.post("/demo/api/transfers", json=wish, headers=headers)).status == 201
    answer = await client.post("/demo/api/transfers", json=wish, headers=headers)
    assert (answer.status, (await answer.json())["field"]) == (400, "balance")
    recording.approval["state"] = "refused"  # learned at the gateway before the money is counted again
    assert (await client.post("/demo/api/transfers", json=wish, headers=headers)).status == 201


async def test_another_order_than_was_approved_is_not_carried_out(bank: Any) -> None:
    client, recording, _ = bank
    headers = {"X-CSRF-Token": await log_in(client)}
    started = await (await client.post("/demo/api/transfers", json=PAYMENT, headers=headers)).json()
    recording.approval |= {"state": "approved", "fields": {**recording.approval["fields"], "amount": "1.00"}}
    settle = f"/demo/api/orders/{started['approval']['id']}/settle"
    assert (await client.post(settle, json={}, headers=headers)).status == 409
    session = await (await client.get("/demo/api/session")).json()
    assert session["customer"]["accounts"][0]["balance"] == 284_217


async def test_another_customers_order_is_none(bank: Any) -> None:
    client, _, _ = bank
    headers = {"X-CSRF-Token": await log_in(client)}
    started = await (await client.post("/demo/api/transfers", json=PAYMENT, headers=headers)).json()
    answer = await client.post("/demo/api/login", json={"user": "thomas", "password": "tessera"})
    others = {"X-CSRF-Token": (await answer.json())["csrf"]}
    settle = f"/demo/api/orders/{started['approval']['id']}/settle"
    assert (await client.post(settle, json={}, headers=others)).status == 404


async def test_a_restart_forgets_no_payment_and_opens_no_session_twice(served: Any) -> None:
    banks, recording, _ = served
    async with banks.open() as client:
        headers = {"X-CSRF-Token": await log_in(client)}
        started = await (await client.post("/demo/api/transfers", json=PAYMENT, headers=headers)).json()
        kept = {cookie.key: cookie.value for cookie in client.session.cookie_jar}
    recording.approval["state"] = "approved"
    settle = f"/demo/api/orders/{started['approval']['id']}/settle"
    for _ in range(2):
        async with banks.open() as client:
            answer = await client.post(settle, json={}, headers=headers, cookies=kept)
            assert (await answer.json())["state"] == "approved"
            session = await (await client.get("/demo/api/session", cookies=kept)).json()
            assert session["customer"]["accounts"][0]["balance"] == 284_217 - 1_250
    recording.has_phone = True
    async with banks.open() as client:
        await begin_login(client)
        kept = {cookie.key: cookie.value for cookie in client.session.cookie_jar}
    recording.approval["state"] = "approved"
    for status in (200, 409):
        async with banks.open() as client:
            answer = await client.post("/demo/api/login/finish", json={}, cookies=kept)
            assert answer.status == status


async def test_books_that_cannot_be_read_are_put_aside(served: Any, tmp_path: Path) -> None:
    banks, _, _ = served
    (tmp_path / "ledger.json").write_bytes(b'{"orders": ')
    async with banks.open() as client:
        assert (await client.get("/demo/api/session")).status == 200
    assert (tmp_path / "ledger.unreadable").read_bytes() == b'{"orders": '


@pytest.mark.parametrize(
    ("has_phone", "problem", "status", "fields"),
    [
        (False, {"code": "no-phone", "detail": "none"}, 409, {"code": "no-phone"}),
        (True, {"code": "no-phone", "detail": "too new"}, 409, {"code": "phone-cannot"}),
        (True, {"code": "rate-limited", "retry_after": 45}, 429, {"retry_after": 45}),
        (
            True,
            {"code": "invalid-request", "detail": "$.fields.payee: does not fit"},
            400,
            {"field": "payee"},
        ),
        (True, {"code": "unauthenticated", "detail": "the key"}, 502, {}),
    ],
)
async def test_why_the_phone_is_not_asked(
    bank: Any, has_phone: bool, problem: dict[str, Any], status: int, fields: dict[str, Any]
) -> None:
    client, recording, _ = bank
    headers = {"X-CSRF-Token": await log_in(client)}
    recording.has_phone = has_phone
    recording.problem = (status, problem)
    answer = await client.post("/demo/api/transfers", json=PAYMENT, headers=headers)
    assert answer.status == status
    said = await answer.json()
    assert {name: said.get(name) for name in fields} == fields
    assert (await (await client.get("/demo/api/transfers")).json())["items"] == []


@pytest.mark.parametrize(
    ("kind", "value", "status"),
    [
        ("email", "claire@example.net", 201),
        ("email", "claire@", 400),
        ("phone", "+33 6 12 34 56 78", 201),
        ("phone", "call me", 400),
        ("address", "1, rue des Halles", 400),
    ],
)
async def test_contact_data_changes_by_the_word_of_the_phone(
    bank: Any, kind: str, value: str, status: int
) -> None:
    client, recording, _ = bank
    headers = {"X-CSRF-Token": await log_in(client)}
    answer = await client.post("/demo/api/contact", json={"kind": kind, "value": value}, headers=headers)
    assert answer.status == status
    if status != 201:
        return
    before = (await (await client.get("/demo/api/session")).json())["customer"]["contact"]
    assert recording.approval["fields"] == {"kind": kind, "value": value, "previous": before[kind]}
    recording.approval["state"] = "approved"
    await client.post(f"/demo/api/orders/{recording.approval['id']}/settle", json={}, headers=headers)
    after = (await (await client.get("/demo/api/session")).json())["customer"]["contact"]
    assert after == {**before, kind: value}


async def test_the_banks_desk_writes_in_one_language(bank: Any) -> None:
    client, recording, _ = bank
    headers = {"X-CSRF-Token": await log_in(client)}
    typed = {"title": " Bonjour ", "body": "Une\r\ncarte", "lang": "fr"}
    assert (await client.post("/demo/api/messages", json=typed, headers=headers)).status == 201
    assert recording.asked[-1][1] == {
        "user": "claire",
        "texts": {"fr": {"title": "Bonjour", "body": "Une\ncarte"}},
    }
    answer = await client.post("/demo/api/messages", json={**typed, "body": " "}, headers=headers)
    assert (await answer.json())["field"] == "body"


@pytest.mark.parametrize(
    ("member", "value", "field"),
    [
        ("amount", "0", "amount"),
        ("amount", "-5", "amount"),
        ("amount", "1.234", "amount"),
        ("amount", "NaN", "amount"),
        ("amount", "2842.18", "balance"),
        ("payee", " ", "payee"),
        ("amount", "1e3000", "amount"),
        ("account", "F!", "account"),
        ("account", "FR76 3000 4000 0312 3456 7890 144", "account"),
        ("account", "FR76 3000", "account"),
        ("purpose", "x" * 1_001, "purpose"),
        ("currency", "JPY", "currency"),
    ],
)
async def test_a_payment_that_cannot_be_asked_names_its_field(
    bank: Any, member: str, value: str, field: str
) -> None:
    client, recording, _ = bank
    headers = {"X-CSRF-Token": await log_in(client)}
    answer = await client.post("/demo/api/transfers", json={**PAYMENT, member: value}, headers=headers)
    assert answer.status == 400
    assert (await answer.json())["field"] == field
    assert recording.asked == []


async def test_a_further_phone_needs_the_word_of_the_one_at_hand(bank: Any) -> None:
    client, recording, _ = bank
    headers = {"X-CSRF-Token": await log_in(client)}
    recording.has_phone = True
    assert (await client.post("/demo/api/activations", json={}, headers=headers)).status == 403
    answer = await client.post("/demo/api/further-phone", json={"mode": "move"}, headers=headers)
    assert answer.status == 201
    assert recording.approval["fields"]["mode"] == "move"
    wish = {"approval": recording.approval["id"]}
    assert (await client.post("/demo/api/activations", json=wish, headers=headers)).status == 201
    assert recording.asked[-1][1]["approval"] == recording.approval["id"]


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0", "Firefox 131 on Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0",
            "Edge 130 on Windows",
        ),
        (
            "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/130.0.0.0 Mobile Safari/537.36",
            "Chrome 130 on Android",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/18.0 Mobile/15E148 Safari/604.1",
            "Safari 18 on iPhone",
        ),
        ("<script>\u202e", "Unknown browser"),
        ("", "Unknown browser"),
    ],
)
def test_a_browser_in_words(agent: str, said: str) -> None:
    assert describe_browser(agent, "en") == said


def test_a_place_in_words() -> None:
    assert describe_place("127.0.0.1", "fr") == "cet ordinateur"
    assert describe_place("192.168.1.5", "en") == "your local network"
    assert describe_place("8.8.8.8", "en") == ""
    assert describe_place(None, "en") == ""
