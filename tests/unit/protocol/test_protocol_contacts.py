"""First contact and resume against our own vectors, and every way in which they must fail."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import mlkem
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.protocol import keys, messages
from gateway.protocol.errors import (
    ChannelFailed,
    HandshakeFailed,
    InvalidKey,
    InvalidPoint,
    OutOfTurn,
    UnsupportedSuite,
)
from gateway.protocol.first_contact import FirstContactInitiator, FirstContactResponder, uncompress
from gateway.protocol.frames import Suite, parse_hello
from gateway.protocol.noise import Functions, run_async, run_local
from gateway.protocol.primitives import P256, KeyPair, MlKem768
from gateway.protocol.resume import ResumeInitiator, ResumeResponder, next_key
from gateway.protocol.wiretypes import Bytes16

VECTORS = Path(__file__).resolve().parents[2] / "vectors"
FILE = json.loads((VECTORS / "tessera-v1.json").read_text())
CASES = {case["name"]: case for case in (*FILE["first_contact"], *FILE["resume"])}


class RecordedKem(MlKem768):
    """ML-KEM-768 with the key and the encapsulation of a vector."""

    def __init__(self, record: dict[str, str]) -> None:
        self.record = {name: bytes.fromhex(value) for name, value in record.items()}

    def generate(self) -> tuple[mlkem.MLKEM768PrivateKey, bytes]:
        return mlkem.MLKEM768PrivateKey.from_seed_bytes(self.record["seed"]), self.record["encapsulation_key"]

    def encapsulate(self, public: mlkem.MLKEM768PublicKey) -> tuple[bytes, bytes]:
        return self.record["shared_secret"], self.record["ciphertext"]


def pair(case: dict[str, Any], kind: str) -> KeyPair:
    return P256().load(bytes.fromhex(case[kind]["private"]))


def options(case: dict[str, Any]) -> dict[str, Any]:
    suite = Suite(case["suite"])
    if "activation_id" in case:
        prologue = keys.first_contact_prologue(
            suite,
            host=case["host"],
            activation_id=bytes.fromhex(case["activation_id"]),
            rotation=case["rotation"],
            expiry=case["expiry"],
        )
    else:
        prologue = keys.resume_prologue(
            suite, host=case["host"], binding_id=bytes.fromhex(case["binding_id"]), index=case["index"]
        )
    functions = Functions(kem=RecordedKem(case["mlkem768"])) if case["mlkem768"] else None
    return {"prologue": prologue, "psk": bytes.fromhex(case["psk"]), "functions": functions}


def initiator(case: dict[str, Any]) -> FirstContactInitiator | ResumeInitiator:
    kind = FirstContactInitiator if "activation_id" in case else ResumeInitiator
    return kind(
        Suite(case["suite"]),
        static=pair(case, "phone_static"),
        gateway_public=bytes.fromhex(case["gateway_static"]["public"]),
        ephemeral=pair(case, "initiator_ephemeral"),
        **options(case),
    )


def responder(case: dict[str, Any]) -> FirstContactResponder | ResumeResponder:
    common = {
        "static_public": bytes.fromhex(case["gateway_static"]["public"]),
        "ephemeral": pair(case, "responder_ephemeral"),
        **options(case),
    }
    if "activation_id" in case:
        return FirstContactResponder(Suite(case["suite"]), **common)
    return ResumeResponder(
        Suite(case["suite"]), phone_public=bytes.fromhex(case["phone_static"]["public"]), **common
    )


def answer_of(case: dict[str, Any]) -> Any:
    decode = messages.decode_first_answer if "activation_id" in case else messages.decode_resume_answer
    return decode(case["m2_payload"].encode())


def test_the_file_is_what_the_generator_writes() -> None:
    subprocess.run([sys.executable, VECTORS / "generate.py", "--check"], check=True)


@pytest.mark.parametrize("name", CASES)
def test_vectors_byte_for_byte(name: str) -> None:
    case = CASES[name]
    phone, gateway = initiator(case), responder(case)
    assert options(case)["prologue"].hex() == case["prologue"]
    m1 = run_local(phone.write_m1(messages.decode_facts(case["m1_payload"].encode())))
    assert m1.hex() == case["m1"]
    assert parse_hello(bytes.fromhex(case["hello"])).message == m1
    run_local(gateway.read_m1(m1), pair(case, "gateway_static"))
    frame = run_local(gateway.write_m2(answer_of(case)))
    assert frame.hex() == case["answer_frame"]
    assert run_local(phone.read_m2(frame[1:])) == answer_of(case)
    for end in (phone.session, gateway.session):
        assert end.handshake_hash.hex() == case["handshake_hash"]
        assert {label.value: end.export(label).hex() for label in keys.Label} == case["exports"]
    for message in case["transport"]:
        ends = (phone.session, gateway.session)
        sender, receiver = ends if message["from"] == "initiator" else ends[::-1]
        assert sender.encrypt(message["plaintext"].encode()).hex() == message["message"]
        assert receiver.decrypt(bytes.fromhex(message["message"])).decode() == message["plaintext"]
    if "device_code" in case:
        assert keys.device_code(phone.session.export(keys.Label.DEVICE_CODE)) == case["device_code"]
    else:
        assert next_key(phone.session).hex() == case["next_psk"]


@pytest.mark.parametrize(
    "wrong", FILE["wrong_handshakes"], ids=lambda w: f"{w['of']} {w['what']} {w['fails']}"
)
def test_wrong_handshakes_are_refused(wrong: dict[str, Any]) -> None:
    case = CASES[wrong["of"]]
    key = pair(case, "gateway_static")
    for place in wrong.get("flip", [None]):
        changed = dict(case, **wrong.get("change", {}))
        if place is not None:
            data = bytearray.fromhex(case[wrong["message"]])
            data[place] ^= 1
            changed[wrong["message"]] = data.hex()
        if wrong["fails"] == "m1":
            receiver = responder(changed)
            static = pair(changed, "gateway_static")
            with pytest.raises(HandshakeFailed):
                run_local(receiver.read_m1(bytes.fromhex(changed["m1"])), static)
            with pytest.raises(OutOfTurn):
                run_local(receiver.write_m2(answer_of(case)))
        else:
            phone, gateway = initiator(case), responder(case)
            run_local(
                gateway.read_m1(
                    run_local(phone.write_m1(messages.decode_facts(case["m1_payload"].encode())))
                ),
                key,
            )
            with pytest.raises(HandshakeFailed):
                run_local(phone.read_m2(bytes.fromhex(changed["m2"])))
            with pytest.raises(OutOfTurn):
                _ = phone.session


@settings(max_examples=150, deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(CASES)))
def test_any_altered_m1_or_m2_is_refused(data: st.DataObject, name: str) -> None:
    case = CASES[name]
    which = data.draw(st.sampled_from(["m1", "m2"]))
    message = bytearray.fromhex(case[which])
    bit = data.draw(st.integers(0, len(message) * 8 - 1))
    message[bit // 8] ^= 1 << bit % 8
    if which == "m1":
        with pytest.raises(HandshakeFailed):
            run_local(responder(case).read_m1(bytes(message)), pair(case, "gateway_static"))
    else:
        phone = initiator(case)
        run_local(phone.write_m1(messages.decode_facts(case["m1_payload"].encode())))
        with pytest.raises(HandshakeFailed):
            run_local(phone.read_m2(bytes(message)))


@settings(max_examples=150, deadline=None)
@given(message=st.binary(max_size=2_000), name=st.sampled_from(sorted(CASES)))
def test_outside_bytes_never_leave_by_another_door(message: bytes, name: str) -> None:
    case = CASES[name]
    with pytest.raises(HandshakeFailed):
        run_local(responder(case).read_m1(message), pair(case, "gateway_static"))
    phone = initiator(case)
    run_local(phone.write_m1(messages.decode_facts(case["m1_payload"].encode())))
    with pytest.raises(HandshakeFailed):
        run_local(phone.read_m2(message))


def fresh(suite: Suite = Suite.FIRST_HYBRID) -> tuple[FirstContactInitiator, FirstContactResponder, KeyPair]:
    static = P256().generate()
    common = {"prologue": b"p", "psk": bytes(range(32))}
    phone = FirstContactInitiator(
        suite, static=P256().generate(), gateway_public=keys.compress(static.public), **common
    )
    return phone, FirstContactResponder(suite, static_public=static.public, **common), static


FACTS = messages.Facts(v=1, app="x", platform="cli", lang="fr")
ANSWER = messages.FirstAnswer(
    binding=Bytes16(bytes(16)),
    tenant="t",
    label="l",
    pin=messages.PinPolicy(digits=6),
    biometric="off",
    two_step=True,
    time=1,
    expires=2,
)


@pytest.mark.parametrize("suite", [Suite.FIRST_HYBRID, Suite.FIRST_CLASSICAL])
async def test_with_a_key_held_elsewhere(suite: Suite) -> None:
    phone, gateway, static = fresh(suite)
    asked: list[bytes] = []

    async def hsm(public: bytes) -> bytes:
        asked.append(public)
        await asyncio.sleep(0)
        return P256().exchange(static, keys.parse_point(public))

    m1 = await run_async(gateway.read_m1(run_local(phone.write_m1(FACTS))), hsm)
    assert m1.facts == FACTS
    assert len(asked) == 2
    assert asked[1] == m1.phone_public
    frame = await run_async(gateway.write_m2(ANSWER), hsm)
    assert len(asked) == 2
    assert run_local(phone.read_m2(frame[1:])) == ANSWER
    assert gateway.session.decrypt(phone.session.encrypt(b"hello")) == b"hello"
    assert "hello" not in repr(phone.session)


async def test_what_the_hsm_raises_goes_through_and_kills_the_handshake() -> None:
    phone, gateway, _ = fresh()

    async def hsm(public: bytes) -> bytes:
        raise ConnectionError("down")

    m1 = run_local(phone.write_m1(FACTS))
    with pytest.raises(ConnectionError):
        await run_async(gateway.read_m1(m1), hsm)
    with pytest.raises(OutOfTurn):
        await run_async(gateway.read_m1(m1), hsm)


def test_without_the_key_the_step_says_so() -> None:
    phone, gateway, _ = fresh()
    with pytest.raises(OutOfTurn):
        run_local(gateway.read_m1(run_local(phone.write_m1(FACTS))))


def test_steps_out_of_turn() -> None:
    phone, gateway, _ = fresh()
    with pytest.raises(OutOfTurn):
        run_local(gateway.write_m2(ANSWER))
    with pytest.raises(OutOfTurn):
        run_local(phone.read_m2(b""))
    run_local(phone.write_m1(FACTS))
    with pytest.raises(OutOfTurn):
        run_local(phone.write_m1(FACTS))


def test_an_invalid_encapsulation_key_is_refused_at_m1() -> None:
    class OffKem(MlKem768):
        def generate(self) -> tuple[mlkem.MLKEM768PrivateKey, bytes]:
            private, public = super().generate()
            return private, b"\xff" * 384 + public[384:]

    _, gateway, static = fresh()
    phone = FirstContactInitiator(
        Suite.FIRST_HYBRID,
        prologue=b"p",
        psk=bytes(range(32)),
        static=P256().generate(),
        gateway_public=static.public,
        functions=Functions(kem=OffKem()),
    )
    with pytest.raises(HandshakeFailed):
        run_local(gateway.read_m1(run_local(phone.write_m1(FACTS))), static)


def test_a_suite_of_the_other_kind_is_refused() -> None:
    with pytest.raises(UnsupportedSuite):
        FirstContactResponder(
            Suite.RESUME_HYBRID, prologue=b"", psk=bytes(32), static_public=P256().generate().public
        )


def test_bad_keys_are_refused_at_the_start() -> None:
    good = P256().generate()
    with pytest.raises(InvalidKey):
        FirstContactResponder(Suite.FIRST_HYBRID, prologue=b"", psk=bytes(31), static_public=good.public)
    with pytest.raises(InvalidPoint):
        uncompress(b"\x02" + b"\xff" * 32)
    with pytest.raises(InvalidPoint):
        ResumeResponder(
            Suite.RESUME_CLASSICAL,
            prologue=b"",
            psk=bytes(32),
            static_public=good.public,
            phone_public=b"\x04" + bytes(64),
        )


@pytest.mark.parametrize("fault", ["reordered", "repeated", "dropped", "altered", "reflected"])
def test_a_disturbed_channel_is_dead(fault: str) -> None:
    phone, gateway, static = fresh(Suite.FIRST_CLASSICAL)
    run_local(gateway.read_m1(run_local(phone.write_m1(FACTS))), static)
    run_local(phone.read_m2(run_local(gateway.write_m2(ANSWER))[1:]))
    first, second, third = (phone.session.encrypt(text) for text in (b"one", b"two", b"three"))
    delivered = {
        "reordered": [second, first],
        "repeated": [first, first],
        "dropped": [first, third],
        "altered": [first[:-1] + bytes((first[-1] ^ 1,))],
        "reflected": [gateway.session.encrypt(b"mine")],
    }[fault]
    with pytest.raises(ChannelFailed):
        for message in delivered:
            gateway.session.decrypt(message)
    with pytest.raises(ChannelFailed):
        gateway.session.decrypt(second)


def test_a_closed_session_opens_nothing() -> None:
    phone, gateway, static = fresh(Suite.FIRST_CLASSICAL)
    run_local(gateway.read_m1(run_local(phone.write_m1(FACTS))), static)
    run_local(gateway.write_m2(ANSWER))
    gateway.session.close()
    with pytest.raises(ChannelFailed):
        gateway.session.encrypt(b"")
