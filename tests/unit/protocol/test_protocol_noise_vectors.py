"""The Noise engine against published vectors: byte for byte, both sides, all messages, and the handshake hash."""

import json
from pathlib import Path
from typing import Any

import pytest
from Crypto.Cipher import ChaCha20_Poly1305
from cryptography.exceptions import InvalidTag

from gateway.protocol.errors import HandshakeFailed, UnsupportedSuite
from gateway.protocol.noise import Functions, Handshake, HandshakeKeys, run_local
from gateway.protocol.patterns import parse_name
from gateway.protocol.primitives import DHS

VECTORS = Path(__file__).resolve().parents[2] / "vectors"
SHARED = Path(__file__).resolve().parents[4] / "shared" / "vectors" / "noise"


class XChaChaPoly:
    """The cipher of snow's extended vectors, which our suites don't use: 16 zero bytes | counter, little-endian."""

    def __init__(self, key: bytes) -> None:
        self.key = key

    def _cipher(self, counter: int, associated: bytes) -> Any:
        cipher = ChaCha20_Poly1305.new(key=self.key, nonce=bytes(16) + counter.to_bytes(8, "little"))
        cipher.update(associated)
        return cipher

    def encrypt(self, counter: int, data: bytes, associated: bytes) -> bytes:
        return b"".join(self._cipher(counter, associated).encrypt_and_digest(data))

    def decrypt(self, counter: int, data: bytes, associated: bytes) -> bytes:
        try:
            return self._cipher(counter, associated).decrypt_and_verify(data[:-16], data[-16:])
        except ValueError:
            raise InvalidTag from None


def load(path: Path) -> list[Any]:
    if not path.exists():
        return []
    return [pytest.param(v, id=v["protocol_name"]) for v in json.loads(path.read_text())["vectors"]]


def side(vector: dict[str, Any], who: str) -> Handshake:
    name = vector["protocol_name"]
    dh = DHS[name.split("_")[2]]

    def key(kind: str) -> Any:
        return dh.load(bytes.fromhex(vector[f"{who}_{kind}"])) if vector.get(f"{who}_{kind}") else None

    return Handshake(
        name,
        HandshakeKeys(
            static=key("static"),
            ephemeral=key("ephemeral"),
            remote_static=bytes.fromhex(vector.get(f"{who}_remote_static", "")) or None,
            psks=[bytes.fromhex(psk) for psk in vector.get(f"{who}_psks", [])],
        ),
        initiator=who == "init",
        prologue=bytes.fromhex(vector[f"{who}_prologue"]),
        functions=Functions(aead=XChaChaPoly) if "XChaChaPoly" in name else None,
    )


def check(vector: dict[str, Any]) -> None:
    initiator, responder = side(vector, "init"), side(vector, "resp")
    pattern = initiator.name.pattern
    for number, message in enumerate(vector["messages"]):
        from_initiator = number % 2 == 0 or pattern.one_way
        sender, receiver = (initiator, responder) if from_initiator else (responder, initiator)
        payload, expected = bytes.fromhex(message["payload"]), bytes.fromhex(message["ciphertext"])
        if number < len(pattern.messages):
            assert run_local(sender.write(payload)) == expected
            assert run_local(receiver.read(expected)) == payload
        else:
            assert sender.session.encrypt(payload) == expected
            assert receiver.session.decrypt(expected) == payload
    assert initiator.handshake_hash == responder.handshake_hash
    if "handshake_hash" in vector:
        assert initiator.handshake_hash.hex() == vector["handshake_hash"]


@pytest.mark.parametrize("vector", load(VECTORS / "noise-cacophony-25519.json"))
def test_cacophony(vector: dict[str, Any]) -> None:
    check(vector)


@pytest.mark.parametrize("vector", load(VECTORS / "noise-snow-p256.json"))
def test_snow_p256(vector: dict[str, Any]) -> None:
    check(vector)


@pytest.mark.skipif(not SHARED.exists(), reason="the full published files are not beside this clone")
def test_every_published_vector() -> None:
    checked = 0
    for path in sorted(SHARED.glob("*.json")):
        for vector in json.loads(path.read_text())["vectors"]:
            check(vector)
            checked += 1
    assert checked == 118 + 51


def test_a_changed_vector_is_noticed() -> None:
    vector = json.loads((VECTORS / "noise-cacophony-25519.json").read_text())["vectors"][0]
    vector["messages"][-1]["ciphertext"] = "00" + vector["messages"][-1]["ciphertext"][2:]
    with pytest.raises(AssertionError):
        check(vector)


def test_a_low_order_key_is_refused() -> None:
    dh = DHS["25519"]
    with pytest.raises(HandshakeFailed):
        dh.exchange(dh.generate(), dh.parse(bytes(32)))


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Noise_IK_P256_AESGCM",
        "Noise_IK_P256_AESGCM_SHA512",
        "Noise_QQ_P256_AESGCM_SHA256",
        "Noise_IKpsk9_P256_AESGCM_SHA256",
        "Noise_IKpskx_P256_AESGCM_SHA256",
        "Noise_IK+hfs_P256_AESGCM_SHA256",
        "Noise_IK_P256+MLKEM768_AESGCM_SHA256",
        "Noise_Nhfs_P256+MLKEM768_AESGCM_SHA256",
    ],
)
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(UnsupportedSuite):
        parse_name(name)


def test_where_hfs_stands() -> None:
    messages = parse_name("Noise_IKpsk0+hfs_P256+MLKEM768_AESGCM_SHA256").pattern.messages
    assert messages == (("psk", "e", "es", "e1", "s", "ss"), ("e", "ee", "ekem1", "se"))
    messages = parse_name("Noise_KKpsk0+hfs_P256+MLKEM768_AESGCM_SHA256").pattern.messages
    assert messages == (("psk", "e", "es", "e1", "ss"), ("e", "ee", "ekem1", "se"))
