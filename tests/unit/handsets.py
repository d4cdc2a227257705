"""Bound phones for the rules of approvals: what the gateway knows of each, and the keys that only the phone has."""

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from rules_kit import TENANT

from gateway.core.ids import ID_BYTES, decode_id, encode_id
from gateway.core.secrets import system_random
from gateway.core.subjects import BindingRef
from gateway.protocol.offline import (
    OfflineKeys,
    derive_offline_keys,
    offline_answer,
    open_offline,
    parse_offline,
)

USER = "user-1"


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def fresh() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class Evaluation:
    """One evaluation of a PIN; `is_right` says whether the customer typed the right one."""

    nonce: bytes
    pin_key: bytes
    key: ec.EllipticCurvePrivateKey
    left: int = 4


@dataclass
class Handset:
    """One bound phone: what the gateway knows of it (the port `Phone`), and what only the phone has."""

    user: str = USER
    name: str = "Handy"
    state: str = "active"
    added_at: int = 0
    id: str = field(default_factory=lambda: encode_id("bnd", system_random(ID_BYTES)))
    key: ec.EllipticCurvePrivateKey = field(default_factory=fresh)
    pin: ec.EllipticCurvePrivateKey = field(default_factory=fresh)
    psk: bytes = field(default_factory=lambda: system_random(32))
    verifier: bytes | None = field(default_factory=lambda: system_random(32))
    offline_count: int = 0
    has_biometric: bool = False

    @property
    def signing_key(self) -> bytes:
        return point(self.key)

    @property
    def raw(self) -> bytes:
        return decode_id("bnd", self.id)

    @property
    def ref(self) -> BindingRef:
        return BindingRef(TENANT, self.id, self.user)

    def evaluate(self, *, is_right: bool = True) -> Evaluation:
        key = self.pin if is_right else fresh()
        return Evaluation(system_random(16), point(self.pin), key)

    def keys(self) -> list[OfflineKeys]:
        return [derive_offline_keys(self.psk, binding_id=self.raw, index=0)]

    def read_code(self, payload: bytes) -> str:
        """Answer a code as a phone of no network does."""
        statement, keys = open_offline(parse_offline(payload), binding_id=self.raw, keys=self.keys())
        counter, self.offline_count = self.offline_count, self.offline_count + 1
        assert self.verifier is not None
        return offline_answer(statement, answer_key=keys.answer_key, counter=counter, verifier=self.verifier)
