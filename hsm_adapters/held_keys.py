"""A software key in use: its bytes turned into a handle of `cryptography` once, and the operations on such handles.
`software.py` calls it. No public attribute or method gives a key's bytes, save a wrapped blob."""

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsm_adapters.api import HashName, KeyInfo, KeyKind, WrappedKey
from hsm_adapters.errors import InvalidPeerKey, UnwrapFailed, WrongKeyKind
from hsm_adapters.key_file import KeyRecord

_CURVE = ec.SECP256R1()
_ECDSA = ec.ECDSA(SHA256())
_ECDH = ec.ECDH()
_ELLIPTIC = frozenset({KeyKind.SIGN_P256, KeyKind.AGREE_P256})
_BLOB_VERSION = b"\x01"
_NONCE = 12
# The associated data begins with what the blob is, so that what `generate_wrapped` made never opens by `unwrap`: that
# would give an agreement key's bytes away.
_DATA, _AGREEMENT_KEY, _MAC_KEY = b"tessera data\x00", b"tessera agreement key\x00", b"tessera mac key\x00"

Handle = ec.EllipticCurvePrivateKey | AESGCM | HMAC
H = TypeVar("H", ec.EllipticCurvePrivateKey, AESGCM, HMAC)


@dataclass(frozen=True, slots=True, repr=False)
class HeldKey:
    """A key of the file in memory. `digest` is SHA-256 of its record, to see whether a reload changed it."""

    info: KeyInfo
    digest: bytes
    handle: Handle

    def _for(self, kind: KeyKind, handle_type: type[H]) -> H:
        if self.info.kind is not kind or not isinstance(self.handle, handle_type):
            raise WrongKeyKind(
                f"'{self.info.label}' is a key of kind {self.info.kind.value}, not {kind.value}."
            )
        return self.handle

    def _private(self, kind: KeyKind) -> ec.EllipticCurvePrivateKey:
        return self._for(kind, ec.EllipticCurvePrivateKey)  # type: ignore[type-abstract]

    def sign(self, message: bytes) -> bytes:
        """Return r | s, 64 bytes. Raises `WrongKeyKind`."""
        r, s = decode_dss_signature(self._private(KeyKind.SIGN_P256).sign(message, _ECDSA))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def agree(self, peer: bytes) -> bytes:
        """Return the x coordinate, 32 bytes. Raises `WrongKeyKind`, `InvalidPeerKey`."""
        return _shared_x(self._private(KeyKind.AGREE_P256), peer)

    def authenticate(self, message: bytes) -> bytes:
        """Return HMAC-SHA-256, 32 bytes. Raises `WrongKeyKind`."""
        context = self._for(KeyKind.MAC_SHA256, HMAC).copy()
        context.update(message)
        return context.finalize()

    def wrap(self, plaintext: bytes, context: bytes) -> bytes:
        """Return version 1 | nonce 12 | ciphertext | tag 16. Raises `WrongKeyKind`."""
        return self._seal(plaintext, _DATA + context)

    def unwrap(self, blob: bytes, context: bytes) -> bytes:
        """Return what `wrap` sealed. Raises `WrongKeyKind`, `UnwrapFailed`."""
        return self._open(blob, _DATA + context)

    def generate_wrapped(self, context: bytes) -> WrappedKey:
        """Return a fresh agreement key under this wrapping key (61-byte blob). Raises `WrongKeyKind`."""
        key = ec.generate_private_key(_CURVE)
        scalar = key.private_numbers().private_value.to_bytes(32, "big")
        return WrappedKey(self._seal(scalar, _AGREEMENT_KEY + context), uncompressed(key))

    def agree_wrapped(self, blob: bytes, context: bytes, peers: Sequence[bytes]) -> list[bytes]:
        """Return the x coordinates of a wrapped key with each peer. Raises `WrongKeyKind`, `UnwrapFailed`,
        `InvalidPeerKey`."""
        scalar = int.from_bytes(self.release(blob, context), "big")
        key = ec.derive_private_key(scalar, _CURVE)
        return [_shared_x(key, peer) for peer in peers]

    def release(self, blob: bytes, context: bytes) -> bytes:
        """Return the scalar of a wrapped agreement key, 32 bytes. Raises `WrongKeyKind`, `UnwrapFailed`."""
        return self._open(blob, _AGREEMENT_KEY + context)

    def take_in(self, scalar: bytes, context: bytes) -> WrappedKey:
        """Wrap an agreement key from elsewhere. Raises `WrongKeyKind`, ValueError for what is no scalar of P-256."""
        key = ec.derive_private_key(int.from_bytes(scalar, "big"), _CURVE)
        return WrappedKey(self._seal(scalar, _AGREEMENT_KEY + context), uncompressed(key))

    def wrap_mac_key(self, key: bytes, context: bytes) -> bytes:
        """Return the blob of an HMAC key (29 bytes longer). Raises `WrongKeyKind`."""
        return self._seal(key, _MAC_KEY + context)

    def open_mac_key(self, blob: bytes, context: bytes) -> bytes:
        """Return an HMAC key that `wrap_mac_key` sealed. Raises `WrongKeyKind`, `UnwrapFailed`."""
        return self._open(blob, _MAC_KEY + context)

    def authenticate_wrapped(
        self, blob: bytes, context: bytes, messages: Sequence[bytes], hash_name: HashName
    ) -> list[bytes]:
        """HMAC of each message under a wrapped key. Raises `WrongKeyKind`, `UnwrapFailed`."""
        key = self.open_mac_key(blob, context)
        return [hmac.digest(key, message, hash_name.value) for message in messages]

    def _seal(self, plaintext: bytes, associated: bytes) -> bytes:
        cipher = self._for(KeyKind.WRAP_AES256, AESGCM)
        nonce = secrets.token_bytes(_NONCE)
        return _BLOB_VERSION + nonce + cipher.encrypt(nonce, plaintext, _BLOB_VERSION + associated)

    def _open(self, blob: bytes, associated: bytes) -> bytes:
        cipher = self._for(KeyKind.WRAP_AES256, AESGCM)
        if len(blob) < 1 + _NONCE + 16 or blob[:1] != _BLOB_VERSION:
            raise UnwrapFailed("This is not a blob of this key store.")
        nonce, sealed = blob[1 : 1 + _NONCE], blob[1 + _NONCE :]
        try:
            return cipher.decrypt(nonce, sealed, _BLOB_VERSION + associated)
        except InvalidTag:
            raise UnwrapFailed("The blob is of another key or another context, or was changed.") from None


def hold(record: KeyRecord) -> HeldKey:
    """Return the handle of a record. Raises ValueError for a scalar that P-256 does not have."""
    handle: Handle
    public = None
    if record.kind in _ELLIPTIC:
        handle = ec.derive_private_key(int.from_bytes(record.material, "big"), _CURVE)
        public = uncompressed(handle)
    elif record.kind is KeyKind.WRAP_AES256:
        handle = AESGCM(record.material)
    else:
        handle = HMAC(record.material, SHA256())
    info = KeyInfo(record.label, record.kind, record.created_at, public)
    return HeldKey(info, digest_of(record), handle)


def digest_of(record: KeyRecord) -> bytes:
    """Return SHA-256 over a record's kind and 256-bit material, which says nothing about the material."""
    return sha256(b"tessera key digest" + record.kind.value.encode() + record.material).digest()


def fresh_material(kind: KeyKind) -> bytes:
    """Return 32 fresh bytes for a key of that kind: a scalar of P-256, or uniform ones."""
    if kind in _ELLIPTIC:
        return ec.generate_private_key(_CURVE).private_numbers().private_value.to_bytes(32, "big")
    return secrets.token_bytes(32)


def uncompressed(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the public point, 65 bytes (SEC 1 section 2.3.3)."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _shared_x(key: ec.EllipticCurvePrivateKey, peer: bytes) -> bytes:
    # from_encoded_point checks the curve equation (SP 800-56A section 5.6.2.3.4); P-256 has cofactor 1, so that is the
    # full validation. The length check refuses compressed points and the point at infinity.
    if len(peer) != 65:
        raise InvalidPeerKey("A peer's point has 65 bytes, uncompressed.")
    try:
        return key.exchange(_ECDH, ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, peer))
    except ValueError:
        raise InvalidPeerKey("The peer's key is not a point of P-256.") from None
