"""The functions that Noise is built from, wrapped from pyca/cryptography: DH over P-256 and 25519,
AES-256-GCM and ChaCha20-Poly1305 with Noise's nonces, ML-KEM-768. The handshake alone calls this. Private
keys here live in this process; a key held elsewhere is a `RemoteKey`, of which only the public half is
known."""

from collections.abc import Callable
from dataclasses import dataclass, field
from struct import Struct
from typing import Any, Final, Protocol

from cryptography.exceptions import InvalidTag as InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.protocol.errors import HandshakeFailed, InvalidKey, InvalidPoint
from gateway.protocol.keys import parse_point

_ECDH: Final = ec.ECDH()
_CURVE: Final = ec.SECP256R1()
ENCAPSULATION_KEY_BYTES: Final = 1_184
CIPHERTEXT_BYTES: Final = 1_088


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A DH key of this process: the library's private key object and the public bytes (65 for P-256, 32 for
    25519)."""

    private: Any = field(repr=False)
    public: bytes


@dataclass(frozen=True, slots=True)
class RemoteKey:
    """A DH key held elsewhere, in an HSM: public bytes only. Each use of it is a `DhRequest`."""

    public: bytes


class Dh(Protocol):
    """A DH function of Noise (revision 34, section 4.1). `size` is the length of a public key."""

    size: int

    def generate(self) -> KeyPair:
        """Return a fresh key pair."""

    def load(self, private: bytes) -> KeyPair:
        """Return the key pair of 32 private bytes. Raises InvalidKey."""

    def parse(self, public: bytes) -> Any:
        """Return the library's key of a public key, validated. Raises InvalidPoint."""

    def exchange(self, key: KeyPair, public: Any) -> bytes:
        """Return the shared secret, 32 bytes, with a parsed public key. Raises HandshakeFailed."""


class P256:
    """ECDH on P-256: public keys 65 bytes uncompressed, output the x coordinate (as CTAP 2.2 hybrid does
    it)."""

    size = 65

    def generate(self) -> KeyPair:
        """Return a fresh key pair."""
        return wrap_p256(ec.generate_private_key(_CURVE))

    def load(self, private: bytes) -> KeyPair:
        """Return the key pair of a scalar, 32 bytes. Raises InvalidKey when it is 0 or past the order."""
        try:
            return wrap_p256(ec.derive_private_key(int.from_bytes(private, "big"), _CURVE))
        except ValueError:
            raise InvalidKey("not a P-256 scalar") from None

    def parse(self, public: bytes) -> ec.EllipticCurvePublicKey:
        """Validate an uncompressed point. Raises InvalidPoint."""
        if len(public) != 65:
            raise InvalidPoint("a point has 65 bytes here")
        return parse_point(public)

    def exchange(self, key: KeyPair, public: Any) -> bytes:
        """Return the x coordinate, 32 bytes."""
        shared: bytes = key.private.exchange(_ECDH, public)
        return shared


class X25519:
    """X25519 (RFC 7748). Our suites don't use it; the published vectors of Noise do."""

    size = 32

    def generate(self) -> KeyPair:
        """Return a fresh key pair."""
        return self._wrap(x25519.X25519PrivateKey.generate())

    def load(self, private: bytes) -> KeyPair:
        """Return the key pair of 32 private bytes."""
        return self._wrap(x25519.X25519PrivateKey.from_private_bytes(private))

    def parse(self, public: bytes) -> x25519.X25519PublicKey:
        """Read 32 bytes. Raises InvalidPoint."""
        try:
            return x25519.X25519PublicKey.from_public_bytes(public)
        except ValueError:
            raise InvalidPoint("an X25519 key has 32 bytes") from None

    def exchange(self, key: KeyPair, public: Any) -> bytes:
        """Return the shared secret. Raises HandshakeFailed when it is all zero."""
        try:
            shared: bytes = key.private.exchange(public)
        except ValueError:
            raise HandshakeFailed("a low-order public key") from None
        return shared

    @staticmethod
    def _wrap(private: x25519.X25519PrivateKey) -> KeyPair:
        return KeyPair(private, private.public_key().public_bytes_raw())


def wrap_p256(private: ec.EllipticCurvePrivateKey) -> KeyPair:
    """Return the KeyPair of a P-256 private key that the caller holds."""
    public = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return KeyPair(private, public)


class Aead(Protocol):
    """An AEAD with a key inside. Nonces are those of Noise: a 64-bit counter."""

    def encrypt(self, counter: int, data: bytes, associated: bytes) -> bytes:
        """Return ciphertext and tag."""

    def decrypt(self, counter: int, data: bytes, associated: bytes) -> bytes:
        """Return the plaintext. Raises cryptography's InvalidTag, which the caller translates."""


class AesGcm:
    """AES-256-GCM, nonce = 4 zero bytes | counter, big-endian (Noise section 12.4)."""

    __slots__ = ("_aead",)
    _nonce = Struct(">4xQ").pack

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def encrypt(self, counter: int, data: bytes, associated: bytes) -> bytes:
        """Return ciphertext and tag."""
        return self._aead.encrypt(self._nonce(counter), data, associated)

    def decrypt(self, counter: int, data: bytes, associated: bytes) -> bytes:
        """Return the plaintext. Raises InvalidTag."""
        return self._aead.decrypt(self._nonce(counter), data, associated)


class ChaChaPoly:
    """ChaCha20-Poly1305, nonce = 4 zero bytes | counter, little-endian (Noise section 12.3)."""

    __slots__ = ("_aead",)
    _nonce = Struct("<4xQ").pack

    def __init__(self, key: bytes) -> None:
        self._aead = ChaCha20Poly1305(key)

    def encrypt(self, counter: int, data: bytes, associated: bytes) -> bytes:
        """Return ciphertext and tag."""
        return self._aead.encrypt(self._nonce(counter), data, associated)

    def decrypt(self, counter: int, data: bytes, associated: bytes) -> bytes:
        """Return the plaintext. Raises InvalidTag."""
        return self._aead.decrypt(self._nonce(counter), data, associated)


class Kem(Protocol):
    """A key encapsulation for the hfs modifier. A test may give one with fixed randomness."""

    def generate(self) -> tuple[Any, bytes]:
        """Return (private key object, encapsulation key bytes)."""

    def parse(self, public: bytes) -> Any:
        """Return the encapsulation key object. Raises InvalidKey."""

    def encapsulate(self, public: Any) -> tuple[bytes, bytes]:
        """Return (shared secret, ciphertext) for a parsed encapsulation key."""

    def decapsulate(self, private: Any, ciphertext: bytes) -> bytes:
        """Return the shared secret. Raises InvalidKey for a wrong length."""


class MlKem768:
    """ML-KEM-768 (FIPS 203): encapsulation key 1,184 bytes, ciphertext 1,088, shared secret 32."""

    def generate(self) -> tuple[mlkem.MLKEM768PrivateKey, bytes]:
        """Return a fresh key and its encapsulation key."""
        private = mlkem.MLKEM768PrivateKey.generate()
        return private, private.public_key().public_bytes_raw()

    def parse(self, public: bytes) -> mlkem.MLKEM768PublicKey:
        """Read 1,184 bytes. Raises InvalidKey when they fail the check of FIPS 203 section 7.2."""
        try:
            return mlkem.MLKEM768PublicKey.from_public_bytes(public)
        except ValueError:
            raise InvalidKey("not an ML-KEM-768 encapsulation key") from None

    def encapsulate(self, public: mlkem.MLKEM768PublicKey) -> tuple[bytes, bytes]:
        """Return (shared secret, ciphertext)."""
        return public.encapsulate()

    def decapsulate(self, private: mlkem.MLKEM768PrivateKey, ciphertext: bytes) -> bytes:
        """Return the shared secret; a foreign ciphertext gives an unrelated one (implicit rejection)."""
        try:
            return private.decapsulate(ciphertext)
        except ValueError:
            raise InvalidKey("an ML-KEM-768 ciphertext has 1,088 bytes") from None


AeadFactory = Callable[[bytes], Aead]
DHS: Final[dict[str, Dh]] = {"P256": P256(), "25519": X25519()}
AEADS: Final[dict[str, AeadFactory]] = {"AESGCM": AesGcm, "ChaChaPoly": ChaChaPoly}
KEMS: Final[dict[str, Kem]] = {"MLKEM768": MlKem768()}
