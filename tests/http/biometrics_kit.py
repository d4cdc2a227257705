"""A platform authenticator in software, with its browser: written from WebAuthn Level 3 alone (sections 5.8.1, 6.1 and
6.5), so that gateway and test share no code but `cryptography`. Every part can be made wrong by name."""

import json
import struct
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

UP, UV, BE, BS, AT, ED = 0x01, 0x04, 0x08, 0x10, 0x40, 0x80
RP_ID = "bank.example"
ORIGIN = "https://bank.example"


def head(kind: int, value: int) -> bytes:
    """The head of a CBOR item (RFC 8949 section 3)."""
    if value < 24:
        return bytes([kind << 5 | value])
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if value < 256**size:
            return bytes([kind << 5 | info]) + value.to_bytes(size, "big")
    raise ValueError(value)


def encode(value: Any) -> bytes:
    """CBOR of what WebAuthn uses; maps in the order given."""
    match value:
        case bool():
            return b"\xf5" if value else b"\xf4"
        case int():
            return head(0, value) if value >= 0 else head(1, -1 - value)
        case bytes():
            return head(2, len(value)) + value
        case str():
            return head(3, len(value.encode())) + value.encode()
        case list():
            return head(4, len(value)) + b"".join(map(encode, value))
        case dict():
            return head(5, len(value)) + b"".join(encode(k) + encode(v) for k, v in value.items())
        case _:
            raise TypeError(value)


def b64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def client_data(kind: str, challenge: bytes, *, origin: str = ORIGIN, **members: object) -> bytes:
    """CollectedClientData as browsers write it."""
    data = {"type": kind, "challenge": b64(challenge), "origin": origin, "crossOrigin": False, **members}
    return json.dumps(data, separators=(",", ":")).encode()


@dataclass
class Authenticator:
    """One credential on one device. `step` 0 keeps no sign count, as most phones do."""

    is_edwards: bool = False
    step: int = 1
    count: int = 0
    credential: bytes = b"credential-of-this-device"
    aaguid: bytes = bytes(range(16))
    key: Any = field(init=False)

    def __post_init__(self) -> None:
        self.key = (
            ed25519.Ed25519PrivateKey.generate()
            if self.is_edwards
            else ec.generate_private_key(ec.SECP256R1())
        )

    def cose(self) -> dict[int, Any]:
        if self.is_edwards:
            return {1: 1, 3: -8, -1: 6, -2: self.key.public_key().public_bytes_raw()}
        point = self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return {1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]}

    def sign(self, message: bytes) -> bytes:
        if self.is_edwards:
            signature: bytes = self.key.sign(message)
            return signature
        signature = self.key.sign(message, ec.ECDSA(hashes.SHA256()))
        return signature

    def data(self, flags: int, *, rp_id: str = RP_ID, tail: bytes = b"") -> bytes:
        self.count += self.step
        return sha256(rp_id.encode()).digest() + struct.pack(">BI", flags, self.count) + tail

    def create(
        self,
        challenge: bytes,
        *,
        flags: int = UP | UV | AT,
        rp_id: str = RP_ID,
        fmt: str = "none",
        statement: dict[str, Any] | None = None,
        cose: dict[int, Any] | None = None,
        tail: bytes | None = None,
        kind: str = "webauthn.create",
        **members: Any,
    ) -> dict[str, bytes]:
        """navigator.credentials.create: what `check_registration` takes."""
        if tail is None:
            public = encode(self.cose() if cose is None else cose)
            tail = self.aaguid + struct.pack(">H", len(self.credential)) + self.credential + public
        data = self.data(flags, rp_id=rp_id, tail=tail)
        attestation = {"fmt": fmt, "attStmt": statement or {}, "authData": data}
        return {
            "client_data": client_data(kind, challenge, **members),
            "attestation_object": encode(attestation),
        }

    def get(
        self,
        challenge: bytes,
        *,
        flags: int = UP | UV,
        rp_id: str = RP_ID,
        tail: bytes = b"",
        kind: str = "webauthn.get",
        **members: Any,
    ) -> dict[str, bytes]:
        """navigator.credentials.get: what `check_assertion` takes beside key and challenge."""
        data = self.data(flags, rp_id=rp_id, tail=tail)
        client = client_data(kind, challenge, **members)
        return {
            "client_data": client,
            "authenticator_data": data,
            "signature": self.sign(data + sha256(client).digest()),
        }
