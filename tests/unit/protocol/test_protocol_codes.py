"""Codes that people scan, follow and type: vectors, wrong ones, and outside bytes of any kind."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol import code, crockford, keys
from gateway.protocol.code import ActivationCode, Code2, TypedCode
from gateway.protocol.errors import ForeignHost, MalformedCode, MistypedCode, ProtocolError

FILE = json.loads((Path(__file__).resolve().parents[2] / "vectors" / "tessera-v1.json").read_text())
WRONG = FILE["wrong_codes"]


@pytest.mark.parametrize("vector", FILE["activation_codes"])
def test_activation_codes(vector: dict[str, Any]) -> None:
    payload = bytes.fromhex(vector["payload"])
    parsed = ActivationCode.parse(payload)
    assert len(payload) == 88
    assert parsed.pack() == payload
    assert (parsed.otk.hex(), parsed.rotation, parsed.expiry) == (
        vector["otk"],
        vector["rotation"],
        vector["expiry"],
    )
    assert vector["otk"] not in repr(parsed)
    assert parsed.otk.__repr__() not in repr(parsed)
    assert code.make_link(vector["host"], payload) == vector["link"]
    assert code.read_link(vector["link"]) == (vector["host"], payload)
    assert code.read_scan(payload) == (None, payload)
    assert code.read_own_scan(vector["link"].encode(), own_host=vector["host"]) == payload


@pytest.mark.parametrize("text", WRONG["links"])
def test_wrong_links(text: str) -> None:
    with pytest.raises(MalformedCode):
        code.read_link(text)


@pytest.mark.parametrize("text", WRONG["payloads"])
def test_wrong_payloads(text: str) -> None:
    with pytest.raises(MalformedCode):
        ActivationCode.parse(bytes.fromhex(text))


def test_foreign_links() -> None:
    for wrong in WRONG["foreign_links"]:
        with pytest.raises(ForeignHost):
            code.read_own_scan(wrong["link"].encode(), own_host=wrong["own_host"])


def test_hosts_of_links() -> None:
    payload = bytes.fromhex(FILE["activation_codes"][0]["payload"])
    for host, expected in (
        ("Bank.Example:443", "bank.example"),
        ("bank.example:8443", "bank.example:8443"),
        ("[::1]:8443", "[::1]:8443"),
    ):
        assert code.read_link(code.make_link(host, payload)) == (expected, payload)
    local = code.make_link("127.0.0.1:8080", payload, scheme="http")
    assert code.read_link(local) == ("127.0.0.1:8080", payload)


@pytest.mark.parametrize(
    "field", [{"otk": b""}, {"rotation": 0xFFFF}, {"expiry": 2**32}, {"activation_id": b"x"}]
)
def test_what_does_not_fit_is_not_packed(field: dict[str, Any]) -> None:
    members = {
        "activation_id": bytes(16),
        "otk": bytes(32),
        "gateway_public": bytes(33),
        "expiry": 0,
        "rotation": 0,
    }
    with pytest.raises(MalformedCode):
        ActivationCode(**{**members, **field}).pack()


@pytest.mark.parametrize("vector", FILE["typed_codes"])
def test_typed_codes(vector: dict[str, Any]) -> None:
    for text in (vector["typed"], *vector["also_typed_as"]):
        typed = TypedCode.parse(text)
        assert (typed.locator, typed.secret) == (vector["locator"], vector["secret"])
        assert typed.show() == vector["typed"]
        assert typed.psk(bytes.fromhex(vector["activation_id"])).hex() == vector["psk"]
        assert typed.secret not in repr(typed)


@pytest.mark.parametrize("wrong", WRONG["typed"])
def test_wrong_typed_codes(wrong: dict[str, str]) -> None:
    with pytest.raises(MalformedCode) as caught:
        TypedCode.parse(wrong["text"])
    assert caught.value.code == wrong["error"]


@given(
    random=st.binary(min_size=19, max_size=19),
    place=st.integers(0, 19),
    other=st.sampled_from(crockford.ALPHABET),
)
def test_a_wrong_character_mostly_shows(random: bytes, place: int, other: str) -> None:
    typed = TypedCode.generate(lambda size: random[:size])
    assert TypedCode.parse(typed.show()) == typed
    plain = typed.show().replace("-", "")
    changed = plain[:place] + other + plain[place + 1 :]
    try:
        parsed = TypedCode.parse(changed)
    except MistypedCode:
        return
    assert parsed.show().replace("-", "") == changed


@pytest.mark.parametrize("vector", FILE["second_codes"])
def test_second_codes(vector: dict[str, Any]) -> None:
    key, payload, binding = (bytes.fromhex(vector[name]) for name in ("key", "payload", "binding_id"))
    opened = code.open_code2(key, payload, binding_id=binding)
    assert (opened.nonce.hex(), opened.label) == (vector["nonce"], vector["label"])
    assert code.seal_code2(key, opened, iv=bytes.fromhex(vector["iv"])) == payload
    assert code.show_code2_nonce(opened.nonce) == vector["typed"]
    assert code.parse_code2_nonce(vector["typed"].lower()) == opened.nonce


@pytest.mark.parametrize("wrong", WRONG["second_codes"], ids=lambda wrong: wrong["what"])
def test_wrong_second_codes(wrong: dict[str, str]) -> None:
    binding = bytes.fromhex(wrong.get("binding_id", FILE["second_codes"][0]["binding_id"]))
    with pytest.raises(MalformedCode):
        code.open_code2(bytes.fromhex(wrong["key"]), bytes.fromhex(wrong["payload"]), binding_id=binding)


def test_a_mistyped_second_code() -> None:
    shown = code.show_code2_nonce(bytes(range(10)))
    with pytest.raises(MistypedCode):
        code.parse_code2_nonce(("1" if shown[0] != "1" else "2") + shown[1:])
    with pytest.raises(MalformedCode):
        code.show_code2_nonce(b"short")


@given(nonce=st.binary(min_size=10, max_size=10), label=st.text(max_size=128))
def test_second_codes_come_back(nonce: bytes, label: str) -> None:
    try:
        label.encode()
    except UnicodeEncodeError:
        return
    sealed = code.seal_code2(bytes(32), Code2(bytes(16), nonce, label), iv=bytes(12))
    opened = code.open_code2(bytes(32), sealed, binding_id=bytes(16))
    assert opened.nonce == nonce
    assert label.startswith(opened.label)
    assert len(opened.label.encode()) <= 64
    assert code.parse_code2_nonce(code.show_code2_nonce(nonce)) == nonce


@given(st.binary(max_size=1_100))
def test_any_bytes_are_a_code_or_malformed(data: bytes) -> None:
    for read in (
        ActivationCode.parse,
        code.read_scan,
        lambda value: code.read_own_scan(value, own_host="bank.example"),
        lambda value: code.open_code2(bytes(32), value, binding_id=bytes(16)),
    ):
        try:
            read(data)
        except ProtocolError:
            continue


@given(
    st.one_of(
        st.text(max_size=80), st.from_regex(r"https?://[a-z.\[\]:0-9]*/a#[A-Za-z0-9_-]*", fullmatch=True)
    )
)
def test_any_text_is_a_code_or_malformed(text: str) -> None:
    for read in (TypedCode.parse, code.parse_code2_nonce, code.read_link):
        try:
            read(text)
        except ProtocolError:
            continue


@pytest.mark.parametrize("vector", FILE["one_time_keys"])
def test_one_time_keys(vector: dict[str, Any]) -> None:
    seed, activation = bytes.fromhex(vector["seed"]), bytes.fromhex(vector["activation_id"])
    assert (
        keys.one_time_key(seed, activation_id=activation, rotation=vector["rotation"]).hex() == vector["otk"]
    )


def test_no_one_time_key_past_the_last_rotation() -> None:
    with pytest.raises(MalformedCode):
        keys.one_time_key(bytes(32), activation_id=bytes(16), rotation=0xFFFF)


@pytest.mark.parametrize("vector", FILE["rotations"])
def test_rotations(vector: dict[str, int]) -> None:
    n = keys.rotation_at(vector["now_ms"], created_ms=vector["created_ms"], period_ms=vector["period_ms"])
    assert n == vector["rotation"]


@pytest.mark.parametrize("vector", FILE["device_codes"])
def test_device_codes(vector: dict[str, str]) -> None:
    key = bytes.fromhex(vector["export"])
    assert keys.device_code(key) == vector["code"]
    keys.check_device_code(key, f"{vector['code'][:4]} {vector['code'][4:]}")
    wrong = f"{(int(vector['code']) + 1) % 10**8:08d}"
    for text in (wrong, "", "1234567", "abcdefgh", "１２３４５６７８", vector["code"] + "0"):
        with pytest.raises(MalformedCode):
            keys.check_device_code(key, text)


@pytest.mark.parametrize("host", ["", "Bank.Example", "bänk.example", "x" * 256])
def test_hosts_that_no_prologue_takes(host: str) -> None:
    with pytest.raises(MalformedCode):
        keys.resume_prologue(keys.Suite.RESUME_CLASSICAL, host=host, binding_id=bytes(16), index=0)
