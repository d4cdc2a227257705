"""Writes tests/vectors/tessera-v1.json: the binding protocol with every random value fixed, for the Python
and the TypeScript tests. Run it from anywhere: `python tests/vectors/generate.py` rewrites the file,
`--check` fails when it would change. A test runs the check, so the file can't drift from the code. The
schema is in README.md."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import mlkem

sys.path.insert(0, str(Path(__file__).resolve().parent))
from generate_parts import all_parts

from gateway.protocol import keys, messages
from gateway.protocol.code import ActivationCode
from gateway.protocol.first_contact import FirstContactInitiator, FirstContactResponder
from gateway.protocol.frames import Hello, Kind, Suite
from gateway.protocol.noise import Functions, run_local
from gateway.protocol.primitives import P256, KeyPair
from gateway.protocol.resume import ResumeInitiator, ResumeResponder
from gateway.protocol.session import Session
from gateway.protocol.suites import NAMES
from gateway.protocol.wiretypes import Bytes16

HERE = Path(__file__).resolve().parent
OUTPUT = HERE / "tessera-v1.json"
HOST = "bank.example"
EXPIRY = 1_800_000_300
TIME = 1_800_000_012
FACTS = messages.Facts(v=1, app="tessera-vectors/1", platform="cli", lang="en")
TRANSPORT = (
    ("initiator", '{"t":"ping"}'),
    ("responder", '{"t":"pong","time":1800000013}'),
    ("responder", '{"t":"state","state":"active"}'),
    ("initiator", '{"t":"rename","name":"T\\u00e9l\\u00e9phone"}'),
)


def fixed(name: str, size: int = 32) -> bytes:
    """Return bytes that depend on the name alone."""
    return hashlib.sha256(b"tessera vector " + name.encode()).digest()[:size]


def fixed_key(name: str) -> KeyPair:
    """Return a P-256 key that depends on the name alone."""
    return P256().load(fixed(name))


class RecordedKem:
    """ML-KEM-768 with the key and the encapsulation of one record of mlkem768-fixed.json."""

    def __init__(self, record: dict[str, str]) -> None:
        self.record = {name: bytes.fromhex(value) for name, value in record.items()}
        self.private = mlkem.MLKEM768PrivateKey.from_seed_bytes(self.record["seed"])
        shared = self.private.decapsulate(self.record["ciphertext"])
        public = self.private.public_key().public_bytes_raw()
        if (shared, public) != (self.record["shared_secret"], self.record["encapsulation_key"]):
            raise SystemExit("mlkem768-fixed.json does not agree with pyca/cryptography")

    def generate(self) -> tuple[mlkem.MLKEM768PrivateKey, bytes]:
        """Return the recorded key."""
        return self.private, self.record["encapsulation_key"]

    def parse(self, public: bytes) -> bytes:
        """Take the recorded encapsulation key alone."""
        if public != self.record["encapsulation_key"]:
            raise SystemExit("another encapsulation key than the recorded one")
        return public

    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        """Return the recorded encapsulation."""
        return self.record["shared_secret"], self.record["ciphertext"]

    def decapsulate(self, private: mlkem.MLKEM768PrivateKey, ciphertext: bytes) -> bytes:
        """Decapsulate for real."""
        return private.decapsulate(ciphertext)


def kem_for(name: str) -> tuple[Functions | None, dict[str, str] | None]:
    """Return the recorded KEM of a hybrid case and its record."""
    records = json.loads((HERE / "mlkem768-fixed.json").read_text())["encapsulations"]
    return (Functions(kem=RecordedKem(records[name])), records[name]) if name in records else (None, None)


def channel(initiator: Session, responder: Session) -> dict[str, Any]:
    """Run the transport messages through both ends and record them with the exports."""
    transport = []
    for sender, plaintext in TRANSPORT:
        source, sink = (initiator, responder) if sender == "initiator" else (responder, initiator)
        message = source.encrypt(plaintext.encode())
        assert sink.decrypt(message).decode() == plaintext
        transport.append({"from": sender, "plaintext": plaintext, "message": message.hex()})
    assert initiator.handshake_hash == responder.handshake_hash
    return {
        "handshake_hash": initiator.handshake_hash.hex(),
        "chaining_key": initiator._chaining_key.hex(),
        "exports": {label.value: initiator.export(label).hex() for label in keys.Label},
        "transport": transport,
    }


def key_fields(name: str) -> tuple[dict[str, KeyPair], dict[str, Any]]:
    """Return the four keys of a case, and their fields."""
    kinds = ("gateway_static", "phone_static", "initiator_ephemeral", "responder_ephemeral")
    pairs = {kind: fixed_key(f"{kind} {name}") for kind in kinds}
    fields = {}
    for kind, pair in pairs.items():
        fields[kind] = {
            "private": pair.private.private_numbers().private_value.to_bytes(32, "big").hex(),
            "public": pair.public.hex(),
        }
    return pairs, fields


def first_contact(name: str, suite: Suite) -> dict[str, Any]:
    """Run one first contact with everything fixed."""
    pairs, fields = key_fields(name)
    activation_id, rotation = fixed(f"activation {name}", 16), 7
    seed = fixed(f"seed {name}")
    psk = keys.one_time_key(seed, activation_id=activation_id, rotation=rotation)
    prologue = keys.first_contact_prologue(
        suite, host=HOST, activation_id=activation_id, rotation=rotation, expiry=EXPIRY
    )
    functions, record = kem_for(name)
    gateway_public = keys.compress(pairs["gateway_static"].public)
    initiator = FirstContactInitiator(
        suite,
        prologue=prologue,
        psk=psk,
        static=pairs["phone_static"],
        gateway_public=gateway_public,
        ephemeral=pairs["initiator_ephemeral"],
        functions=functions,
    )
    responder = FirstContactResponder(
        suite,
        prologue=prologue,
        psk=psk,
        static_public=pairs["gateway_static"].public,
        ephemeral=pairs["responder_ephemeral"],
        functions=functions,
    )
    answer = messages.FirstAnswer(
        binding=Bytes16(fixed(f"binding {name}", 16)),
        tenant="Example Bank",
        label="Account 1234",
        pin=messages.PinPolicy(digits=6),
        biometric="optional",
        two_step=False,
        time=TIME,
        expires=EXPIRY,
    )
    m1 = run_local(initiator.write_m1(FACTS))
    assert (
        run_local(responder.read_m1(m1), pairs["gateway_static"]).phone_public == pairs["phone_static"].public
    )
    frame = run_local(responder.write_m2(answer))
    assert run_local(initiator.read_m2(frame[1:])) == answer
    code = ActivationCode(activation_id, psk, gateway_public, EXPIRY, rotation)
    return {
        "name": name,
        "suite": int(suite),
        "protocol_name": NAMES[suite],
        "host": HOST,
        "activation_id": activation_id.hex(),
        "seed": seed.hex(),
        "rotation": rotation,
        "expiry": EXPIRY,
        "code": code.pack().hex(),
        "psk": psk.hex(),
        **fields,
        "mlkem768": record,
        "prologue": prologue.hex(),
        "m1_payload": messages.encode(FACTS).decode(),
        "m1": m1.hex(),
        "hello": Hello(Kind.FIRST_CONTACT, suite, activation_id, rotation, m1).encode().hex(),
        "m2_payload": messages.encode(answer).decode(),
        "m2": frame[1:].hex(),
        "answer_frame": frame.hex(),
        **channel(initiator.session, responder.session),
        "device_code": keys.device_code(initiator.session.export(keys.Label.DEVICE_CODE)),
    }


def resume(name: str, suite: Suite) -> dict[str, Any]:
    """Run one later contact with everything fixed."""
    pairs, fields = key_fields(name)
    binding_id, index, psk = fixed(f"binding {name}", 16), 41, fixed(f"psk {name}")
    prologue = keys.resume_prologue(suite, host=HOST, binding_id=binding_id, index=index)
    functions, record = kem_for(name)
    initiator = ResumeInitiator(
        suite,
        prologue=prologue,
        psk=psk,
        static=pairs["phone_static"],
        gateway_public=pairs["gateway_static"].public,
        ephemeral=pairs["initiator_ephemeral"],
        functions=functions,
    )
    responder = ResumeResponder(
        suite,
        prologue=prologue,
        psk=psk,
        static_public=pairs["gateway_static"].public,
        phone_public=pairs["phone_static"].public,
        ephemeral=pairs["responder_ephemeral"],
        functions=functions,
    )
    answer = messages.ResumeAnswer(time=TIME)
    m1 = run_local(initiator.write_m1(FACTS))
    assert run_local(responder.read_m1(m1), pairs["gateway_static"]) == FACTS
    frame = run_local(responder.write_m2(answer))
    assert run_local(initiator.read_m2(frame[1:])) == answer
    return {
        "name": name,
        "suite": int(suite),
        "protocol_name": NAMES[suite],
        "host": HOST,
        "binding_id": binding_id.hex(),
        "index": index,
        "psk": psk.hex(),
        **fields,
        "mlkem768": record,
        "prologue": prologue.hex(),
        "m1_payload": messages.encode(FACTS).decode(),
        "m1": m1.hex(),
        "hello": Hello(Kind.RESUME, suite, binding_id, index, m1).encode().hex(),
        "m2_payload": messages.encode(answer).decode(),
        "m2": frame[1:].hex(),
        "answer_frame": frame.hex(),
        **channel(initiator.session, responder.session),
        "next_psk": initiator.session.export(keys.Label.RATCHET).hex(),
    }


def wrong_handshakes(contacts: list[dict[str, Any]], later: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Changes to a recorded handshake that its receiver must refuse, and where."""
    cases: list[dict[str, Any]] = []
    for case in (*contacts, *later):
        first = "activation_id" in case
        stranger = fixed_key(f"stranger {case['name']}")
        number = stranger.private.private_numbers().private_value.to_bytes(32, "big")
        changes: list[tuple[str, dict[str, Any]]] = [
            ("another psk", {"psk": fixed("another psk").hex()}),
            ("another host in the prologue", {"host": "other.example"}),
            ("another S", {"gateway_static": {"private": number.hex(), "public": stranger.public.hex()}}),
        ]
        if first:
            changes += [
                ("another activation", {"activation_id": fixed("another", 16).hex()}),
                ("another rotation", {"rotation": case["rotation"] + 1}),
                ("another expiry", {"expiry": EXPIRY + 1}),
            ]
        else:
            changes += [
                ("another binding", {"binding_id": fixed("another", 16).hex()}),
                ("another index", {"index": case["index"] + 1}),
            ]
        cases += [
            {"of": case["name"], "what": what, "change": change, "fails": "m1"} for what, change in changes
        ]
        for message in ("m1", "m2"):
            size = len(case[message]) // 2
            places = sorted({1, 33, 64, 65, 80, 81, size // 2, size - 17, size - 1})
            cases.append(
                {
                    "of": case["name"],
                    "what": "one bit flipped",
                    "flip": places,
                    "message": message,
                    "fails": message,
                }
            )
    return cases


def generate() -> dict[str, Any]:
    """Return the whole file."""
    contacts = [
        first_contact("first-contact-hybrid", Suite.FIRST_HYBRID),
        first_contact("first-contact-classical", Suite.FIRST_CLASSICAL),
    ]
    later = [
        resume("resume-classical", Suite.RESUME_CLASSICAL),
        resume("resume-hybrid", Suite.RESUME_HYBRID),
    ]
    return {
        "comment": "The binding protocol, version 1. Written by tests/vectors/generate.py; see README.md beside it.",
        "version": 1,
        "first_contact": contacts,
        "resume": later,
        "wrong_handshakes": wrong_handshakes(contacts, later),
        **all_parts(fixed, fixed_key),
    }


def main() -> None:
    """Write the file, or check it."""
    text = json.dumps(generate(), indent=1, ensure_ascii=True) + "\n"
    if "--check" not in sys.argv:
        OUTPUT.write_text(text)
    elif OUTPUT.read_text() != text:
        raise SystemExit("tessera-v1.json is not what generate.py writes")


if __name__ == "__main__":
    main()
