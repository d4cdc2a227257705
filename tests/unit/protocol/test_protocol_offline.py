"""Approving without a network: OCRA against RFC 6287 and against another implementation, codes, answers, and outside
bytes of any kind."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol import code, ocra, offline, pin
from gateway.protocol.errors import (
    InvalidKey,
    MalformedCode,
    MalformedSuite,
    OcraInputRefused,
    StaleCode,
    WrongOfflineAnswer,
)
from gateway.protocol.ocra import Inputs
from gateway.protocol.offline import OfflineKeys

VECTORS = Path(__file__).resolve().parents[2] / "vectors"
FILE = json.loads((VECTORS / "tessera-v1.json").read_text())
PUBLISHED = [
    {"suite": vector["suite"], "key": vector["key"], **response}
    for vector in json.loads((VECTORS / "ocra-rfc6287.json").read_text())["vectors"]
    for response in vector["responses"]
]
OTHERS = json.loads((VECTORS / "ocra-python-oath.json").read_text())["responses"]
SUITES, WRONG_SUITES = FILE["ocra_suites"]["suites"], FILE["ocra_suites"]["wrong"]
CODES, WRONG_CODES = FILE["offline_codes"], FILE["wrong_offline_codes"]
BINDING = bytes(range(16))
KEYS = [offline.derive_offline_keys(bytes((n,)) * 32, binding_id=BINDING, index=n) for n in (4, 5)]
STATEMENT = b'{"what":"is asked"}'


def seal(keys: Sequence[OfflineKeys] = KEYS, statement: bytes = STATEMENT) -> bytes:
    return offline.seal_offline(statement, binding_id=BINDING, keys=keys, random=lambda size: b"r" * size)


def answer(counter: int, *, keys: OfflineKeys = KEYS[0], verifier: bytes = bytes(32)) -> str:
    return offline.offline_answer(STATEMENT, answer_key=keys.answer_key, counter=counter, verifier=verifier)


def check(typed: str, *, next_counter: int, statement: bytes = STATEMENT, verifier: bytes = bytes(32)) -> int:
    return offline.check_offline_answer(
        typed, statement=statement, keys=KEYS, verifier=verifier, next_counter=next_counter
    )


def test_the_published_vectors_are_all_there() -> None:
    assert len(PUBLISHED) == 70
    assert len({vector["suite"] for vector in PUBLISHED}) == 9


@pytest.mark.parametrize("vector", PUBLISHED + OTHERS)
def test_ocra(vector: dict[str, Any]) -> None:
    inputs = Inputs(
        question=vector["question"],
        counter=vector.get("counter"),
        pin_hash=bytes.fromhex(vector["pin_hash"]) if "pin_hash" in vector else None,
        session=bytes.fromhex(vector["session"]) if "session" in vector else None,
        time_steps=vector.get("time_steps"),
    )
    suite = ocra.parse_suite(vector["suite"])
    assert ocra.respond(suite, inputs, key=bytes.fromhex(vector["key"])) == vector["response"]
    assert vector["question"] not in repr(inputs)


@pytest.mark.parametrize("text", SUITES)
def test_suites(text: str) -> None:
    assert ocra.parse_suite(text).text == text


@pytest.mark.parametrize("text", WRONG_SUITES)
def test_wrong_suites(text: str) -> None:
    with pytest.raises(MalformedSuite):
        ocra.parse_suite(text)


def test_members_of_a_suite() -> None:
    suite = ocra.parse_suite("OCRA-1:HOTP-SHA1-10:C-QN64-PSHA512-S512-T48H")
    assert (suite.hash, suite.digits, suite.counter, suite.form, suite.longest) == ("SHA1", 10, True, "N", 64)
    assert (suite.pin_hash, suite.session_bytes, suite.step) == ("SHA512", 512, "48H")


def test_a_suite_without_truncation_gives_the_whole_hmac() -> None:
    response = ocra.respond(ocra.parse_suite("OCRA-1:HOTP-SHA512-0:QA04"), Inputs(question="abcd"), key=b"k")
    assert re.fullmatch("[0-9a-f]{128}", response)


def test_an_odd_digit_fills_the_upper_half_of_its_byte() -> None:
    suite = ocra.parse_suite("OCRA-1:HOTP-SHA256-8:QH08")
    responses = {ocra.respond(suite, Inputs(question=q), key=b"k") for q in ("abc", "ABC", "abc0")}
    assert len(responses) == 1
    assert ocra.respond(suite, Inputs(question="0abc"), key=b"k") not in responses


@pytest.mark.parametrize(
    ("suite", "inputs"),
    [
        ("OCRA-1:HOTP-SHA1-6:QN08", {"question": ""}),
        ("OCRA-1:HOTP-SHA1-6:QN08", {"question": "1" * 17}),
        ("OCRA-1:HOTP-SHA1-6:QN08", {"question": "12a"}),
        ("OCRA-1:HOTP-SHA1-6:QN08", {"question": "１２"}),
        ("OCRA-1:HOTP-SHA1-6:QH08", {"question": "xyz"}),
        ("OCRA-1:HOTP-SHA1-6:QA08", {"question": "é"}),
        ("OCRA-1:HOTP-SHA1-6:QN08", {"question": "1", "counter": 0}),
        ("OCRA-1:HOTP-SHA1-6:QN08", {"question": "1", "pin_hash": bytes(20)}),
        ("OCRA-1:HOTP-SHA1-6:C-QN08", {"question": "1"}),
        ("OCRA-1:HOTP-SHA1-6:C-QN08", {"question": "1", "counter": -1}),
        ("OCRA-1:HOTP-SHA1-6:C-QN08", {"question": "1", "counter": 2**64}),
        ("OCRA-1:HOTP-SHA1-6:QN08-PSHA1", {"question": "1", "pin_hash": bytes(32)}),
        ("OCRA-1:HOTP-SHA1-6:QN08-S064", {"question": "1", "session": bytes(63)}),
        ("OCRA-1:HOTP-SHA1-6:QN08-T1M", {"question": "1"}),
    ],
)
def test_inputs_that_are_not_those_of_the_suite(suite: str, inputs: dict[str, Any]) -> None:
    with pytest.raises(OcraInputRefused):
        ocra.respond(ocra.parse_suite(suite), Inputs(**inputs), key=b"k")


@given(
    st.text(max_size=60)
    | st.from_regex(r"OCRA-1:HOTP-SHA\d{1,3}-\d{1,2}:(C-)?Q[ANHX]\d\d(-[PST]\w{1,6}){0,3}")
)
def test_any_text_is_a_suite_or_malformed(text: str) -> None:
    try:
        assert ocra.parse_suite(text).text == text
    except MalformedSuite:
        return


@pytest.mark.parametrize("vector", CODES, ids=lambda vector: len(vector["keys"]))
def test_offline_codes(vector: dict[str, Any]) -> None:
    binding, payload = bytes.fromhex(vector["binding_id"]), bytes.fromhex(vector["payload"])
    held = [
        offline.derive_offline_keys(bytes.fromhex(each["psk"]), binding_id=binding, index=each["index"])
        for each in vector["keys"]
    ]
    assert [(each.seal_key.hex(), each.answer_key.hex()) for each in held] == [
        (each["seal_key"], each["answer_key"]) for each in vector["keys"]
    ]
    parsed = offline.parse_offline(payload)
    assert parsed.hint.hex() == vector["hint"] == offline.offline_hint(binding).hex()
    for each in held:
        opened = offline.open_offline(parsed, binding_id=binding, keys=[each])
        assert opened == (bytes.fromhex(vector["statement"]), each)
        assert each.seal_key.hex() not in repr(each)
    assert code.read_scan(payload) == (None, payload)
    assert code.read_link(vector["link"]) == ("bank.example", payload)


@pytest.mark.parametrize("wrong", WRONG_CODES["malformed"], ids=lambda wrong: wrong["what"])
def test_malformed_offline_codes(wrong: dict[str, str]) -> None:
    with pytest.raises(MalformedCode):
        offline.parse_offline(bytes.fromhex(wrong["payload"]))


@pytest.mark.parametrize("wrong", WRONG_CODES["unopened"], ids=lambda wrong: wrong["what"])
def test_offline_codes_that_do_not_open(wrong: dict[str, Any]) -> None:
    keys = OfflineKeys(wrong["index"], bytes.fromhex(wrong["seal_key"]), bytes(32))
    parsed = offline.parse_offline(bytes.fromhex(wrong["payload"]))
    with pytest.raises(MalformedCode):
        offline.open_offline(parsed, binding_id=bytes.fromhex(wrong["binding_id"]), keys=[keys])


def test_a_phone_out_of_step_is_told_so() -> None:
    parsed = offline.parse_offline(seal(KEYS[:1]))
    with pytest.raises(StaleCode):
        offline.open_offline(parsed, binding_id=BINDING, keys=KEYS[1:])


def test_the_longest_code_is_read_from_either_form() -> None:
    payload = seal(statement=b"x" * offline.MAX_OFFLINE_STATEMENT)
    link = code.make_link("h" * 255, payload)
    assert code.read_scan(payload) == (None, payload)
    assert code.read_link(code.make_link("h" * 253, payload))[1] == payload
    assert len(link) <= 1_536
    with pytest.raises(MalformedCode):
        seal(statement=b"x" * (offline.MAX_OFFLINE_STATEMENT + 1))


@pytest.mark.parametrize("keys", [[], [KEYS[0]] * 3])
def test_one_or_two_indexes_are_sealed_for(keys: list[OfflineKeys]) -> None:
    with pytest.raises(InvalidKey):
        seal(keys)
    with pytest.raises(InvalidKey):
        offline.derive_offline_keys(b"short", binding_id=BINDING, index=0)


@given(st.binary(max_size=900) | st.tuples(st.integers(0, 108), st.integers(0, 255)))
def test_any_bytes_are_an_offline_code_or_malformed(change: bytes | tuple[int, int]) -> None:
    if isinstance(change, tuple):
        payload = bytearray(seal())
        payload[change[0] % len(payload)] = change[1]
        data = bytes(payload)
    else:
        data = b"\x03" + change
    try:
        opened, _ = offline.open_offline(offline.parse_offline(data), binding_id=BINDING, keys=KEYS)
    except MalformedCode:
        return
    assert data == seal()
    assert opened == STATEMENT


@pytest.mark.parametrize("vector", FILE["offline_answers"])
def test_offline_answers(vector: dict[str, Any]) -> None:
    secret, binding = bytes.fromhex(vector["device_secret"]), bytes.fromhex(vector["binding_id"])
    verifier = pin.offline_verifier(secret, binding_id=binding, pin=vector["pin"])
    assert verifier.hex() == vector["verifier"]
    statement, key = bytes.fromhex(vector["statement"]), bytes.fromhex(vector["answer_key"])
    made = offline.offline_answer(statement, answer_key=key, counter=vector["counter"], verifier=verifier)
    assert made == vector["answer"]
    assert made[:2] == f"{vector['counter'] % 100:02d}"


def test_the_gateway_finds_the_counter_in_its_window() -> None:
    for next_counter in (0, 7, 60, 99, 12_345):
        for ahead in (0, 1, offline.WINDOW - 1):
            counter = next_counter + ahead
            for keys in KEYS:
                assert check(answer(counter, keys=keys), next_counter=next_counter) == counter


def test_a_counter_outside_of_the_window_is_refused() -> None:
    for counter in (99, 100 + offline.WINDOW, 199, 200):
        with pytest.raises(WrongOfflineAnswer):
            check(answer(counter), next_counter=100)


def test_what_an_answer_depends_on() -> None:
    right = answer(7)
    assert check(f"{right[:4]} {right[4:]}", next_counter=0) == 7
    wrong = f"{right[:2]}{(int(right[2:]) + 1) % 10**6:06d}"
    for typed, change in (
        (wrong, {}),
        (right, {"statement": STATEMENT + b" "}),
        (right, {"verifier": b"\1" * 32}),
        (right, {"next_counter": 8}),
    ):
        with pytest.raises(WrongOfflineAnswer):
            check(typed, **{"next_counter": 0, **change})  # type: ignore[arg-type]


@pytest.mark.parametrize("typed", ["", "1234567", "123456789", "1234567a", "１２３４５６７８", "12345678\n"])
def test_answers_that_are_not_eight_digits(typed: str) -> None:
    with pytest.raises(MalformedCode):
        check(typed, next_counter=0)


def test_the_verifier_needs_its_parts() -> None:
    one = pin.offline_verifier(bytes(32), binding_id=bytes(16), pin="402857")
    assert one != pin.offline_verifier(bytes(32), binding_id=bytes(16), pin="402858")
    assert one != pin.offline_verifier(bytes(32), binding_id=b"\1" * 16, pin="402857")
    with pytest.raises(InvalidKey):
        pin.offline_verifier(b"short", binding_id=bytes(16), pin="402857")
