"""What a phone keeps: a first contact that may be taken up again, and bindings with their ratchet. Frozen; a
change makes a new record, which the store writes before the next frame is sent. All of it is secret."""

from typing import Literal, Self

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.core.secrets import RandomSource
from gateway.protocol.code import ActivationCode
from gateway.protocol.keys import compress
from gateway.protocol.oprf import ORDER
from gateway.protocol.pin import DEVICE_SECRET_BYTES
from gateway.protocol.primitives import P256, KeyPair

BindingState = Literal["committing", "active"]


class PhoneKeys(msgspec.Struct, frozen=True):
    """The phone's own keys, 32 bytes each: s_D and g_D (P-256 scalars) and the device secret."""

    static: bytes
    signing: bytes
    device_secret: bytes

    @classmethod
    def generate(cls, random: RandomSource) -> Self:
        """Make fresh keys (FIPS 186-5 appendix A.2.1)."""

        def scalar() -> bytes:
            return (int.from_bytes(random(48), "big") % (ORDER - 1) + 1).to_bytes(32, "big")

        return cls(scalar(), scalar(), random(DEVICE_SECRET_BYTES))

    def static_pair(self) -> KeyPair:
        """Return s_D as the handshake takes it."""
        return P256().load(self.static)

    def signing_pair(self) -> KeyPair:
        """Return g_D."""
        return P256().load(self.signing)

    def signing_key(self) -> ec.EllipticCurvePrivateKey:
        """Return g_D's private half."""
        key: ec.EllipticCurvePrivateKey = self.signing_pair().private
        return key

    def __repr__(self) -> str:
        return "PhoneKeys(<secret>)"


class PendingContact(msgspec.Struct, frozen=True, kw_only=True):
    """A first contact under way: `psk` is otk_n of `rotation` or the typed code's, `gateway_public` S (33 or 65
    bytes). Kept until the activation ends, so that a lost connection is taken up with the same keys and n."""

    host: str
    activation_id: bytes
    psk: bytes
    rotation: int
    gateway_public: bytes
    expiry: int
    keys: PhoneKeys

    @classmethod
    def of_code(cls, code: ActivationCode, *, host: str, keys: PhoneKeys) -> Self:
        """Begin with a scanned code."""
        return cls(
            host=host,
            activation_id=code.activation_id,
            psk=code.otk,
            rotation=code.rotation,
            gateway_public=code.gateway_public,
            expiry=code.expiry,
            keys=keys,
        )

    def __repr__(self) -> str:
        return "PendingContact(<secret>)"


class Binding(msgspec.Struct, frozen=True, kw_only=True):
    """A bound phone. `index`, `psk` and `gateway_public` (S, 33 bytes as scanned or 65) are those of the next contact;
    `next_psk` is kept beside them from `ready` to `welcome`. `committing` until the gateway has answered the commit, in
    this contact or a later one. `told` is what the bank told last when it was not `active`: suspended, removed,
    unknown."""

    binding_id: bytes
    activation_id: bytes
    host: str
    tenant: str
    label: str
    name: str
    gateway_public: bytes
    keys: PhoneKeys
    state: BindingState
    index: int
    psk: bytes
    next_psk: bytes | None = None
    hybrid_due: int
    digits: int
    added: int
    told: str | None = None

    @property
    def bank_key(self) -> bytes:
        """S in 33 bytes, as codes and configurations have it."""
        return compress(self.gateway_public) if len(self.gateway_public) == 65 else self.gateway_public

    def __repr__(self) -> str:
        return f"Binding({self.name!r}, {self.state}, <secret>)"
