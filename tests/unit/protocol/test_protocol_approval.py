"""Statements and what is signed over them: vectors, one form alone, and outside bytes of any kind."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol import approval, keys
from gateway.protocol.approval import FreeFields, LoginFields, PaymentFields
from gateway.protocol.errors import InvalidKey, MalformedMessage

FILE = json.loads((Path(__file__).resolve().parents[2] / "vectors" / "tessera-v1.json").read_text())
STATEMENTS = [bytes.fromhex(vector["bytes"]) for vector in FILE["statements"]]
HEAD: dict[str, Any] = {
    "id": bytes(16),
    "bank": "Bank",
    "user": "alice",
    "created": 1,
    "expires": 61,
    "nonce": bytes(16),
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def canonical(value: Any) -> bytes:
    """RFC 8785 by another road: what statements hold, it writes alike."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


@pytest.mark.parametrize("vector", FILE["statements"], ids=lambda vector: vector["what"])
def test_statements(vector: dict[str, Any]) -> None:
    data, members = bytes.fromhex(vector["bytes"]), vector["members"]
    statement = approval.parse_statement(data)
    assert canonical(members) == data
    assert (statement.type, statement.bank, statement.user) == (
        members["type"],
        members["bank"],
        members["user"],
    )
    assert msgspec.structs.asdict(statement.fields) == members["fields"]
    made = approval.make_statement(
        statement.fields,
        id=statement.id,
        bank=statement.bank,
        user=statement.user,
        created=statement.created,
        expires=statement.expires,
        nonce=statement.nonce,
    )
    assert made == data


def test_each_type_has_a_vector() -> None:
    assert {vector["members"]["type"] for vector in FILE["statements"]} == set(approval.FIELD_TYPES.values())


@pytest.mark.parametrize("wrong", FILE["wrong_statements"], ids=lambda wrong: wrong["what"])
def test_wrong_statements(wrong: dict[str, str]) -> None:
    with pytest.raises(MalformedMessage) as caught:
        approval.parse_statement(bytes.fromhex(wrong["bytes"]))
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("fields", "head"),
    [
        (LoginFields(browser="x" * 129, place=""), {}),
        (LoginFields(browser="\ud800", place=""), {}),
        (PaymentFields(amount="0", currency="EUR", payee="p", account="a", purpose=""), {}),
        (FreeFields(title="t", text="\u202eevil"), {}),
        (LoginFields(browser="b", place="p"), {"bank": "x" * 65}),
        (LoginFields(browser="b", place="p"), {"created": -1}),
        (LoginFields(browser="b", place="p"), {"id": b"short"}),
    ],
)
def test_what_no_phone_could_read_is_not_written(fields: approval.Fields, head: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage):
        approval.make_statement(fields, **{**HEAD, **head})


def test_the_longest_texts_fit_a_statement() -> None:
    free = FreeFields(title="😀" * 128, text="😀" * 1_500)
    assert len(approval.make_statement(free, **HEAD)) <= approval.MAX_STATEMENT
    with pytest.raises(MalformedMessage):
        approval.make_statement(FreeFields(title="😀" * 128, text="😀" * 2_000), **HEAD)


@given(text=st.text(max_size=300))
def test_texts_are_shown_as_they_are_signed_or_not_at_all(text: str) -> None:
    for fields in (
        FreeFields(title="t", text=text),
        LoginFields(browser=text, place=text),
        PaymentFields(amount="1", currency="EUR", payee=text, account="a", purpose=text),
    ):
        try:
            data = approval.make_statement(fields, **HEAD)
        except MalformedMessage:
            continue
        assert approval.parse_statement(data).fields == fields
        assert canonical(json.loads(data)) == data


@st.composite
def nearly(draw: st.DrawFn) -> bytes:
    """A statement with a member replaced, or with one byte changed."""
    data = draw(st.sampled_from(STATEMENTS))
    if draw(st.booleans()):
        members = json.loads(data)
        where = draw(st.sampled_from([members, members["fields"]]))
        where[draw(st.sampled_from(sorted(where)))] = draw(JSON)
        return json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
    changed = bytearray(data)
    changed[draw(st.integers(0, len(changed) - 1))] = draw(st.integers(0, 255))
    return bytes(changed)


@given(st.binary(max_size=300) | nearly() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_statement_or_malformed(data: bytes) -> None:
    try:
        statement = approval.parse_statement(data)
    except MalformedMessage:
        return
    assert canonical(json.loads(data)) == data
    assert len(statement.id) == len(statement.nonce) == 16


@pytest.mark.parametrize("vector", FILE["answers"])
def test_answers(vector: dict[str, Any]) -> None:
    h, nonce = bytes.fromhex(vector["handshake_hash"]), bytes.fromhex(vector["nonce"])
    signed = approval.answer_input(
        bytes.fromhex(vector["statement"]),
        decision=vector["decision"],
        factor=vector["factor"],
        number=vector["number"],
        binding_id=bytes.fromhex(vector["binding_id"]),
        handshake_hash=h,
    )
    assert signed.hex() == vector["input"]
    keys.verify(bytes.fromhex(vector["public"]), bytes.fromhex(vector["signature"]), signed)
    pin_signed = approval.pin_input(signed, handshake_hash=h, nonce=nonce)
    assert pin_signed.hex() == vector["pin_input"]
    keys.verify(bytes.fromhex(vector["pin_public"]), bytes.fromhex(vector["pin_signature"]), pin_signed)
    assert approval.biometric_challenge(signed).hex() == vector["biometric_challenge"]


def test_no_two_answers_sign_the_same() -> None:
    one: dict[str, Any] = {
        "decision": "approve",
        "factor": "pin",
        "number": None,
        "binding_id": bytes(16),
        "handshake_hash": bytes(32),
    }
    others = [
        {"decision": "refuse"},
        {"factor": "possession"},
        {"number": 10},
        {"binding_id": b"\1" * 16},
        {"handshake_hash": b"\1" * 32},
    ]
    inputs = {approval.answer_input(STATEMENTS[0], **{**one, **other}) for other in ({}, *others)}
    assert len(inputs) == 1 + len(others)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"number": 9}, MalformedMessage),
        ({"number": 100}, MalformedMessage),
        ({"binding_id": b"short"}, InvalidKey),
        ({"handshake_hash": b"short"}, InvalidKey),
    ],
)
def test_what_does_not_fit_is_not_signed(change: dict[str, Any], error: type[Exception]) -> None:
    good: dict[str, Any] = {
        "decision": "approve",
        "factor": "pin",
        "number": 10,
        "binding_id": bytes(16),
        "handshake_hash": bytes(32),
    }
    with pytest.raises(error):
        approval.answer_input(STATEMENTS[0], **{**good, **change})
    with pytest.raises(InvalidKey):
        approval.pin_input(b"", handshake_hash=bytes(32), nonce=b"short")
