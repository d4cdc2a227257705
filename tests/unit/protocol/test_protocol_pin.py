"""OPRF against RFC 9497, the way from PIN to PIN key, refused PINs, and signatures."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.protocol import keys, oprf, pin
from gateway.protocol.errors import InvalidKey, InvalidPoint, ProtocolError, SignatureInvalid, WeakPin
from gateway.protocol.primitives import P256, wrap_p256

VECTORS = Path(__file__).resolve().parents[2] / "vectors"
FILE = json.loads((VECTORS / "tessera-v1.json").read_text())
RFC = json.loads((VECTORS / "oprf-rfc9497-p256.json").read_text())["suites"][0]


def evaluate(key: Any, element: bytes) -> bytes:
    answers = [P256().exchange(key, keys.parse_point(peer)) for peer in oprf.evaluation_peers(element)]
    return oprf.recover(*answers, key.public)


@pytest.mark.parametrize("vector", RFC["vectors"])
def test_rfc_9497(vector: dict[str, str]) -> None:
    key = P256().load(bytes.fromhex(RFC["skSm"]))
    blinded = oprf.blind_with(bytes.fromhex(vector["Input"]), int(vector["Blind"], 16))
    assert blinded.element.hex() == vector["BlindedElement"]
    evaluated = evaluate(key, blinded.element)
    assert evaluated.hex() == vector["EvaluationElement"]
    assert blinded.finalize(evaluated).hex() == vector["Output"]


@pytest.mark.parametrize("vector", FILE["pin_keys"])
def test_from_pin_to_pin_key(vector: dict[str, Any]) -> None:
    binding = bytes.fromhex(vector["binding_id"])
    data = pin.oprf_input(vector["pin"], binding_id=binding)
    blinded = oprf.blind_with(data, int(vector["blind"], 16))
    key = P256().load(bytes.fromhex(vector["oprf_key"]["private"]))
    assert data.hex() == vector["oprf_input"]
    assert blinded.element.hex() == vector["blinded"]
    assert [peer.hex() for peer in oprf.evaluation_peers(blinded.element)] == vector["ecdh_peers"]
    element = evaluate(key, blinded.element)
    assert element.hex() == vector["evaluated"]
    output = blinded.finalize(element)
    assert output.hex() == vector["oprf_output"]
    made = pin.pin_key(output, device_secret=bytes.fromhex(vector["device_secret"]), binding_id=binding)
    assert wrap_p256(made).public.hex() == vector["pin_key"]["public"]
    assert vector["pin"] not in repr(blinded)


@settings(max_examples=20, deadline=None)
@given(data=st.binary(max_size=40), blind=st.integers(1, oprf.ORDER - 1))
def test_the_output_does_not_depend_on_the_blind(data: bytes, blind: int) -> None:
    key = P256().load(bytes(31) + b"\x07")
    first, second = oprf.blind_with(data, blind), oprf.blind_with(data, 5)
    assert first.finalize(evaluate(key, first.element)) == second.finalize(evaluate(key, second.element))


def test_points_at_the_edge() -> None:
    generator = P256().load(bytes(31) + b"\x01").public
    negative = bytes((keys.compress(generator)[0] ^ 1,)) + generator[1:33]
    with pytest.raises(InvalidPoint):
        oprf.evaluation_peers(negative)
    key = P256().load(bytes(31) + b"\x07")
    assert evaluate(key, keys.compress(generator)) == keys.compress(key.public)


def test_answers_that_do_not_belong_together() -> None:
    key, other = P256().generate(), P256().generate()
    blinded = oprf.blind(b"x", lambda size: b"\x05" * size)
    answers = [
        P256().exchange(key, keys.parse_point(peer)) for peer in oprf.evaluation_peers(blinded.element)
    ]
    with pytest.raises(InvalidPoint):
        oprf.recover(*answers, other.public)
    with pytest.raises(InvalidPoint):
        oprf.recover(answers[0], answers[0], key.public)
    with pytest.raises(InvalidPoint):
        oprf.recover(b"\xff" * 32, answers[1], key.public)


@given(st.binary(max_size=70))
def test_any_element_is_a_point_or_refused(data: bytes) -> None:
    for read in (oprf.evaluation_peers, oprf.blind_with(b"x", 3).finalize, keys.parse_point):
        try:
            read(data)
        except ProtocolError:
            continue


@pytest.mark.parametrize("scalar", [0, oprf.ORDER, -1])
def test_blinds_that_are_none(scalar: int) -> None:
    with pytest.raises(InvalidKey):
        oprf.blind_with(b"", scalar)


@pytest.mark.parametrize("vector", FILE["pins"])
def test_pins(vector: dict[str, Any]) -> None:
    if vector["weak"] is None:
        pin.check_pin(vector["pin"], digits=vector["digits"])
        return
    with pytest.raises(WeakPin) as caught:
        pin.check_pin(vector["pin"], digits=vector["digits"])
    assert caught.value.reason == vector["weak"]
    assert vector["pin"] not in str(caught.value)


def test_how_many_pins_remain() -> None:
    assert sum(pin.weakness(f"{n:06d}", digits=6) is None for n in range(10**6)) == 913_307


@given(st.text(max_size=13), st.integers(4, 12))
def test_any_text_is_judged(text: str, digits: int) -> None:
    reason = pin.weakness(text, digits=digits)
    assert reason is None or reason in pin.WeakReason
    assert reason is not None or (len(text) == digits and text.isascii() and text.isdigit())


@pytest.mark.parametrize("vector", FILE["signatures"], ids=lambda vector: vector["what"])
def test_signature_inputs(vector: dict[str, Any]) -> None:
    h = bytes.fromhex(vector.get("handshake_hash", ""))
    nonce = bytes.fromhex(vector.get("nonce", ""))
    made = {
        "bind": lambda: keys.bind_input(h),
        "commit": lambda: keys.commit_input(h, nonce),
        "pin-enrol": lambda: keys.pin_enrol_input(h, nonce),
        "pin-proof": lambda: keys.pin_proof_input(h, nonce),
        "stale": lambda: keys.stale_input(
            bytes.fromhex(vector["binding_id"]),
            index=vector["index"],
            nonce=nonce,
            prologue=bytes.fromhex(vector["prologue"]),
            hello=bytes.fromhex(vector["hello"]),
        ),
    }[vector["what"]]()
    public, signature = bytes.fromhex(vector["public"]), bytes.fromhex(vector["signature"])
    assert made.hex() == vector["input"]
    keys.verify(public, signature, made)
    keys.verify(keys.compress(public), signature, made)
    for wrong in (signature[:-1], signature[:-1] + bytes((signature[-1] ^ 1,)), bytes(64), b"\xff" * 64):
        with pytest.raises(SignatureInvalid):
            keys.verify(public, wrong, made)
    with pytest.raises(SignatureInvalid):
        keys.verify(public, signature, made + b"\x00")


def test_our_own_signatures_verify() -> None:
    pair = P256().generate()
    for number in range(20):
        message = bytes((number,))
        keys.verify(pair.public, keys.sign(pair.private, message), message)
