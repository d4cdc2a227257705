"""T43: a text reads as another: characters that turn what stands beside them around, that nobody sees, or that break
the line, in any field that the customer reads."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from approval_kit import PAYMENT, approve, ask, asked, exchange, make, state
from attack_kit import bind_phone
from gateway_kit import GatewayKit
from sqlalchemy import text

from gateway.phone.errors import ApprovalUnreadable
from gateway.protocol.approval import parse_statement
from gateway.protocol.errors import MalformedMessage
from gateway.protocol.messages import Answered, AnswerWrong

HIDDEN = {
    "right to left override": "\u202e",
    "left to right mark": "\u200e",
    "isolate": "\u2067",
    "pop": "\u202c",
    "Arabic letter mark": "\u061c",
    "zero width space": "\u200b",
    "byte order mark": "\ufeff",
    "soft hyphen": "\u00ad",
    "word joiner": "\u2060",
    "tag": "\U000e0041",
    "line separator": "\u2028",
    "paragraph separator": "\u2029",
    "null": "\x00",
    "backspace": "\x08",
    "escape": "\x1b[2K",
    "carriage return": "\r",
    "next line": "\x85",
    "line feed": "\n",
}
FIELDS: dict[str, dict[str, str]] = {
    "login": {"browser": "Firefox", "place": "Lyon"},
    "payment": PAYMENT,
    "contact": {"kind": "email", "value": "zoe@example.org", "previous": "z@example.org"},
    "free": {"title": "Card", "text": "A new card"},
    "device": {"mode": "add", "browser": "Firefox", "place": "Lyon"},
}
CHOICES = ("kind", "mode")
WITH_LINES = ("purpose", "text")


def spoiled(hidden: str) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Every text of every type, with the characters in its midst."""
    for kind, fields in FIELDS.items():
        for name, value in fields.items():
            if name not in CHOICES and not (hidden == "\n" and name in WITH_LINES):
                yield kind, name, {**fields, name: f"{value[:3]}{hidden}{value[3:]}"}


@pytest.mark.parametrize("what", HIDDEN)
async def test_the_gateway_asks_nothing_of_the_kind(kit: GatewayKit, what: str) -> None:
    await bind_phone(kit)
    for kind, name, fields in spoiled(HIDDEN[what]):
        body = {"user": "user-1", "type": kind, "fields": fields}
        refused = await kit.call("POST", "/api/v1/approvals", body, status=400)
        assert name in refused["detail"], (kind, name)
    assert (await kit.call("GET", "/api/v1/approvals"))["items"] == []
    await ask(kit)


@pytest.mark.parametrize(
    "blank", ["", " ", "\u3000", "\u00a0\u2003", "\u200d", "\u200c ", "\u2800", "\u3164", "\ufe0f"]
)
async def test_what_must_say_something_says_something(kit: GatewayKit, blank: str) -> None:
    await bind_phone(kit)
    for name in ("payee", "account"):
        body = {"user": "user-1", "type": "payment", "fields": {**PAYMENT, name: blank}}
        await kit.call("POST", "/api/v1/approvals", body, status=400)


@pytest.mark.parametrize(
    "amount", ["-1.00", "1,000.00", "1e3", "٣.00", "0.00", "01.00", "1.00 ", "+5", "\u0661"]
)
async def test_an_amount_is_written_in_one_way(kit: GatewayKit, amount: str) -> None:
    await bind_phone(kit)
    body = {"user": "user-1", "type": "payment", "fields": {**PAYMENT, "amount": amount}}
    await kit.call("POST", "/api/v1/approvals", body, status=400)


@pytest.mark.parametrize("what", HIDDEN)
async def test_the_phone_shows_and_signs_nothing_of_the_kind(kit: GatewayKit, what: str) -> None:
    """Even if an insider writes it into the row, or a gateway of the attacker's own lets it through."""
    _, channel = await bind_phone(kit)
    await channel.close()
    request = await ask(kit)
    await write_payee(kit, request, f"Zoé{HIDDEN[what]} Martin")
    channel = await channel.open_again()
    found = await asked(channel, request)
    assert found.statement is None
    with pytest.raises(ApprovalUnreadable):
        await channel.answer(found, "approve", pin="749205")
    assert await state_in_row(kit) == "pending"


async def write_payee(kit: GatewayKit, request: dict[str, Any], payee: str) -> None:
    """Write another payee into the row, as the JSON of a gateway that refuses nothing would have it."""
    storage = kit.now.installation.storage
    chosen = {"id": request["id"]}
    raw = await storage.read(
        lambda tx: tx.execute(text("SELECT statement FROM approvals WHERE id = :id"), chosen).scalar_one()
    )
    fields = json.loads(bytes(raw))
    fields["fields"]["payee"] = payee
    made = json.dumps(fields, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
    with pytest.raises(MalformedMessage):
        parse_statement(made)
    edit = text("UPDATE approvals SET statement = :value WHERE id = :id")
    await storage.write(lambda tx: tx.execute(edit, {**chosen, "value": made}))


async def state_in_row(kit: GatewayKit) -> str:
    found: str = await kit.now.installation.storage.read(
        lambda tx: tx.execute(text("SELECT state FROM approvals")).scalar_one()
    )
    return found


async def test_texts_of_every_script_go_through(kit: GatewayKit) -> None:
    """The control: joiners that some scripts are not written without, letters from right to left by themselves, line
    feeds in a purpose."""
    _, channel = await bind_phone(kit)
    for payee in ("می\u200cخواهم", "क्\u200dष", "דוד כהן", "Ζωή Müller", "👩\u200d💻 Ltd", "Å Ω"):
        request = await ask(kit, fields={**PAYMENT, "payee": payee, "purpose": "May\nRent"})
        found = await asked(channel, request)
        assert found.statement.fields.payee == payee
        assert isinstance(await approve(channel, found), Answered)
        assert await state(kit, request) == "approved"


async def test_what_one_form_says_no_other_says(kit: GatewayKit) -> None:
    """The same statement in another spelling is not one: members in another order, an escape for a letter, a space."""
    _, channel = await bind_phone(kit)
    found = await asked(channel, await ask(kit))
    spellings: list[Callable[[bytes], bytes]] = [
        lambda raw: raw.replace("é".encode(), b"\\u00e9"),
        lambda raw: raw.replace(b'":"', b'": "', 1),
        lambda raw: raw.replace(b'"v":1', b'"v":1.0'),
        lambda raw: raw.replace(b'{"bank"', b'{"v":1,"bank"'),
    ]
    for spell in spellings:
        other = spell(found.raw)
        assert other != found.raw
        with pytest.raises(MalformedMessage):
            parse_statement(other)
        answer = make(channel, other, id=found.id, factor="possession", decision="refuse")
        assert isinstance(await exchange(channel, answer), AnswerWrong)
    refusal = make(channel, found.raw, id=found.id, factor="possession", decision="refuse")
    assert isinstance(await exchange(channel, refusal), Answered)
