"""What the adapter does with keys inside a token. Runs in a worker, one call a work.

Sealing takes one of two ways, the best that the token has, and the blob says which:

    1 | nonce 12 | AES-256-GCM by the token (CKM_AES_GCM)
    2 | salt 32 | nonce 12 | AES-256-GCM here, under a data key of its own: CKM_AES_ECB of the salt by the token

In the second the master key stays inside as well; the data key exists in this process while its one value does
anyway. What a sealed value is stands first in its associated data, so that a wrapped key never opens as data. A
wrapped key is wrapped by the companion inside the token first (RFC 5649, or CBC with a random IV where the token
lacks it), and the result sealed: the seal binds it to its context, and the inner wrap keeps the key from this
process."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hsm_adapters.api import HashName, KeyKind, WrappedKey
from hsm_adapters.cryptoki import constants as ck
from hsm_adapters.cryptoki.binding import Cryptoki, CryptokiError
from hsm_adapters.cryptoki.objects import P256, KeyObjects
from hsm_adapters.cryptoki.structures import Mechanism, Template, ecdh
from hsm_adapters.cryptoki.workers import Session
from hsm_adapters.errors import InvalidPeerKey, OperationUnsupported, UnwrapFailed

DATA, AGREEMENT_KEY, MAC_KEY = b"tessera data\x00", b"tessera agreement key\x00", b"tessera mac key\x00"
_BY_TOKEN, _BY_DATA_KEY = b"\x01", b"\x02"
_NONCE, _SALT, _TAG, _IV = 12, 32, 16, 16
_CANARY = b"tessera canary"
_MAX_HELD = 256
_MAC_KEY_BYTES = 64
_BAD = frozenset({ck.CKR_ENCRYPTED_DATA_INVALID, ck.CKR_ENCRYPTED_DATA_LEN_RANGE, ck.CKR_AEAD_DECRYPT_FAILED})
_VAGUE = frozenset({ck.CKR_GENERAL_ERROR, ck.CKR_FUNCTION_FAILED})

ECDSA = Mechanism(ck.CKM_ECDSA)
SHA256_HMAC = Mechanism(ck.CKM_SHA256_HMAC)
AES_ECB = Mechanism(ck.CKM_AES_ECB)
_HMACS = {
    HashName.SHA1: (Mechanism(ck.CKM_SHA_1_HMAC), 20),
    HashName.SHA256: (SHA256_HMAC, 32),
    HashName.SHA512: (Mechanism(ck.CKM_SHA512_HMAC), 64),
}
_SECRET = ((ck.CKA_CLASS, ck.CKO_SECRET_KEY), (ck.CKA_KEY_TYPE, ck.CKK_GENERIC_SECRET), (ck.CKA_TOKEN, False))
_SHARED = Template(*_SECRET, (ck.CKA_SENSITIVE, False), (ck.CKA_EXTRACTABLE, True), (ck.CKA_VALUE_LEN, 32))
_HELD_MAC = Template(
    *_SECRET,
    (ck.CKA_SENSITIVE, True),
    (ck.CKA_EXTRACTABLE, False),
    (ck.CKA_SIGN, True),
)
_DEFAULT_MAC = Template(*_SECRET, (ck.CKA_SIGN, True))
_LEAVING_MAC = Template(*_SECRET, (ck.CKA_SENSITIVE, True), (ck.CKA_EXTRACTABLE, True), (ck.CKA_SIGN, True))
_PRIVATE = (
    (ck.CKA_CLASS, ck.CKO_PRIVATE_KEY),
    (ck.CKA_KEY_TYPE, ck.CKK_EC),
    (ck.CKA_TOKEN, False),
    (ck.CKA_SENSITIVE, True),
    (ck.CKA_DERIVE, True),
)
_HELD_PRIVATE = (*_PRIVATE, (ck.CKA_EXTRACTABLE, False))
_LEAVING_PRIVATE = (*_PRIVATE, (ck.CKA_EXTRACTABLE, True))
_POINT = 65

KEY_WRAPS = {1: ck.CKM_AES_KEY_WRAP_KWP, 2: ck.CKM_AES_KEY_WRAP_PAD, 3: ck.CKM_AES_CBC_PAD}
"""Mechanisms that wrap keys, by the byte that names them in a blob; the best first."""


@dataclass(frozen=True, slots=True)
class Ways:
    """How this token does what it does: whether it seals by GCM itself, by which mechanism of `KEY_WRAPS` it wraps
    private keys and HMAC keys (None: not at all), and whether it must be told the point of a private key that comes in,
    as NSS must."""

    seals_by_gcm: bool
    wraps_private: int | None = None
    wraps_mac: int | None = None
    wants_point: bool = False


class Operations:
    """The operations. `ways` is settled when the token was probed."""

    def __init__(self, cryptoki: Cryptoki, keys: KeyObjects) -> None:
        self._cryptoki = cryptoki
        self._keys = keys
        self.ways = Ways(seals_by_gcm=False)

    # By label -------------------------------------------------------------------------------------------

    def sign(self, session: Session, label: str, digest: bytes) -> bytes:
        """ECDSA over a SHA-256 digest: r | s, 64 bytes."""
        key = self._keys.get(session, label).of(KeyKind.SIGN_P256)
        return self._cryptoki.sign(session.handle, ECDSA, key, digest, 64)

    def ecdh(self, session: Session, label: str, peer: bytes) -> bytes:
        """The x coordinate, 32 bytes. `peer` was checked (`check_point`)."""
        return self.agree(session, self._keys.get(session, label).of(KeyKind.AGREE_P256), peer)

    def mac(self, session: Session, label: str, message: bytes) -> bytes:
        """HMAC-SHA-256, 32 bytes."""
        key = self._keys.get(session, label).of(KeyKind.MAC_SHA256)
        return self._cryptoki.sign(session.handle, SHA256_HMAC, key, message, 32)

    def wrap(self, session: Session, label: str, plaintext: bytes, context: bytes) -> bytes:
        """Seal data."""
        key = self._keys.get(session, label).of(KeyKind.WRAP_AES256)
        return self.seal(session, key, plaintext, DATA + context)

    def unwrap(self, session: Session, label: str, blob: bytes, context: bytes) -> bytes:
        """Open data. Raises `UnwrapFailed`."""
        key = self._keys.get(session, label).of(KeyKind.WRAP_AES256)
        return self.open(session, key, blob, DATA + context)

    # Wrapped agreement keys -----------------------------------------------------------------------------

    def generate_wrapped(self, session: Session, label: str, context: bytes) -> WrappedKey:
        """Generate an agreement key and wrap it."""
        wrapping = self._keys.get(session, label)
        companion = self._keys.companion(session, wrapping)
        way = _able(self.ways.wraps_private, "wrap private keys")
        public, private = self._keys.make_pair(session, None, b"", signs=False, leaves=True)
        try:
            point = self._keys.point_of(session, public)
            if point is None:
                raise OperationUnsupported("The token tells no point of a fresh P-256 key.")
            inner = point + self.wrap_key(session, way, companion, private)
        finally:
            self._forget(session, public, private)
        return WrappedKey(self.seal(session, wrapping.handle, inner, AGREEMENT_KEY + context), point)

    def ecdh_wrapped(
        self, session: Session, label: str, blob: bytes, context: bytes, peers: Sequence[bytes]
    ) -> list[bytes]:
        """Agree by a wrapped key. Raises `UnwrapFailed`."""
        wrapping = self._keys.get(session, label)
        companion = self._keys.companion(session, wrapping)
        inner = self.open(session, wrapping.handle, blob, AGREEMENT_KEY + context)
        key = self.unwrap_private(session, companion, inner)
        try:
            return [self.agree(session, key, peer) for peer in peers]
        finally:
            self._forget(session, key)

    def rewrap(
        self, session: Session, label: str, blob: bytes, context: bytes, new_label: str, new_context: bytes
    ) -> bytes:
        """The same agreement key under another wrapping key. Raises `UnwrapFailed`."""
        old, new = self._keys.get(session, label), self._keys.get(session, new_label)
        companions = self._keys.companion(session, old), self._keys.companion(session, new)
        way = _able(self.ways.wraps_private, "wrap private keys")
        inner = self.open(session, old.handle, blob, AGREEMENT_KEY + context)
        key = self.unwrap_private(session, companions[0], inner, leaves=True)
        try:
            inner = inner[:_POINT] + self.wrap_key(session, way, companions[1], key)
        finally:
            self._forget(session, key)
        return self.seal(session, new.handle, inner, AGREEMENT_KEY + new_context)

    def import_wrapped(
        self, session: Session, label: str, scalar: bytes, point: bytes, context: bytes
    ) -> WrappedKey:
        """Wrap an agreement key from elsewhere: its scalar (32 bytes) and point (65 bytes)."""
        wrapping = self._keys.get(session, label)
        companion = self._keys.companion(session, wrapping)
        way = _able(self.ways.wraps_private, "wrap private keys")
        given = ((ck.CKA_EC_PARAMS, P256), (ck.CKA_VALUE, scalar))
        template = self._private_template(point, *_LEAVING_PRIVATE, *given)
        try:
            key = self._cryptoki.create(session.handle, template)
        finally:
            template.wipe()
        try:
            inner = point + self.wrap_key(session, way, companion, key)
        finally:
            self._forget(session, key)
        return WrappedKey(self.seal(session, wrapping.handle, inner, AGREEMENT_KEY + context), point)

    # Wrapped HMAC keys ----------------------------------------------------------------------------------

    def wrap_mac_key(self, session: Session, label: str, key: bytes, context: bytes) -> bytes:
        """Wrap an HMAC key, zero-padded to 64 bytes: HMAC does the same to a key within its block (RFC 2104 section 2),
        some modules refuse shorter ones, and the blob does not tell its length."""
        wrapping = self._keys.get(session, label)
        companion = self._keys.companion(session, wrapping)
        inner = self.wrap_seed(session, _able(self.ways.wraps_mac, "wrap HMAC keys"), companion, key)
        return self.seal(session, wrapping.handle, inner, MAC_KEY + context)

    def mac_wrapped(
        self,
        session: Session,
        label: str,
        blob: bytes,
        context: bytes,
        messages: Sequence[bytes],
        hash_name: HashName,
    ) -> list[bytes]:
        """HMAC by a wrapped key. The session keeps the last 256 such keys as objects of its own, so that a token's
        next code costs no unwrapping. Raises `UnwrapFailed`."""
        wrapping = self._keys.get(session, label)
        name = hashlib.sha256(len(blob).to_bytes(4, "big") + blob + context).digest()
        held, place = session.held, (wrapping.info.key_id or label.encode(), name)
        key = held.pop(place, None)
        if key is None:
            inner = self.open(session, wrapping.handle, blob, MAC_KEY + context)
            companion = self._keys.companion(session, wrapping)
            try:
                key = self.unwrap_mac(session, companion, inner)
            except CryptokiError as error:
                if error.value != ck.CKR_DEVICE_MEMORY or not held:
                    raise
                self._forget(session, *held.values())  # the token has less room than that
                held.clear()
                key = self.unwrap_mac(session, companion, inner)
        held[place] = key  # the newest last
        macs = [self.hmac(session, key, message, hash_name) for message in messages]
        if len(held) > _MAX_HELD:
            self._forget(session, held.pop(next(iter(held))))
        return macs

    def rewrap_mac_key(
        self, session: Session, label: str, blob: bytes, context: bytes, new_label: str, new_context: bytes
    ) -> bytes:
        """The same HMAC key under another wrapping key. Raises `UnwrapFailed`."""
        old, new = self._keys.get(session, label), self._keys.get(session, new_label)
        companions = self._keys.companion(session, old), self._keys.companion(session, new)
        way = _able(self.ways.wraps_mac, "wrap HMAC keys")
        inner = self.open(session, old.handle, blob, MAC_KEY + context)
        key = self._unwrap_leaving_mac(session, companions[0], inner)
        try:
            inner = self.wrap_key(session, way, companions[1], key)
        finally:
            self._forget(session, key)
        return self.seal(session, new.handle, inner, MAC_KEY + new_context)

    # By handle ------------------------------------------------------------------------------------------

    def agree(self, session: Session, key: int, peer: bytes) -> bytes:
        """ECDH with a point (65 bytes): the x coordinate, 32 bytes."""
        mechanism = ecdh(ck.CKM_ECDH1_DERIVE, kdf=ck.CKD_NULL, public=peer)
        shared = self._cryptoki.derive(session.handle, mechanism, key, _SHARED)
        try:
            return self._cryptoki.value_of(session.handle, shared, ck.CKA_VALUE, 32).rjust(32, b"\0")
        finally:
            self._forget(session, shared)

    def seal(self, session: Session, key: int, plaintext: bytes, associated: bytes) -> bytes:
        """Seal by the better way of the two."""
        nonce = self._cryptoki.fresh_nonce()
        if self.ways.seals_by_gcm:
            sealed = self._cryptoki.seal(session.handle, key, plaintext, nonce, _BY_TOKEN + associated)
            return _BY_TOKEN + nonce + sealed
        salt = secrets.token_bytes(_SALT)
        cipher = AESGCM(self._cryptoki.encrypt(session.handle, AES_ECB, key, salt, _SALT))
        return _BY_DATA_KEY + salt + nonce + cipher.encrypt(nonce, plaintext, _BY_DATA_KEY + associated)

    def open(self, session: Session, key: int, blob: bytes, associated: bytes) -> bytes:
        """Open what `seal` made. Raises `UnwrapFailed`."""
        way, rest = blob[:1], blob[1:]
        if way == _BY_TOKEN and len(rest) >= _NONCE + _TAG:
            return self._open_by_token(session, key, rest[:_NONCE], rest[_NONCE:], way + associated)
        if way == _BY_DATA_KEY and len(rest) >= _SALT + _NONCE + _TAG:
            salt, nonce, sealed = rest[:_SALT], rest[_SALT : _SALT + _NONCE], rest[_SALT + _NONCE :]
            cipher = AESGCM(self._cryptoki.encrypt(session.handle, AES_ECB, key, salt, _SALT))
            try:
                return cipher.decrypt(nonce, sealed, way + associated)
            except InvalidTag:
                raise _not_ours() from None
        raise UnwrapFailed("This is not a blob of this key store.")

    def _open_by_token(
        self, session: Session, key: int, nonce: bytes, sealed: bytes, associated: bytes
    ) -> bytes:
        try:
            return self._cryptoki.open(session.handle, key, sealed, nonce, associated)
        except CryptokiError as error:
            if error.value in _BAD or (error.value in _VAGUE and self._is_sound(session, key)):
                raise _not_ours() from None
            raise

    def _is_sound(self, session: Session, key: int) -> bool:
        """Whether the key opens what it seals just now: then a vague error was about the blob, not about the token.
        Raises `CryptokiError` when it is about the token."""
        nonce = self._cryptoki.fresh_nonce()
        sealed = self._cryptoki.seal(session.handle, key, _CANARY, nonce, _CANARY)
        return self._cryptoki.open(session.handle, key, sealed, nonce, _CANARY) == _CANARY

    def wrap_key(self, session: Session, way: int, companion: int, key: int) -> bytes:
        """Wrap a key of the session: way u8 | IV (CBC alone) | what the token made."""
        mechanism, iv = _key_wrap(way, None)
        return bytes([way]) + iv + self._cryptoki.wrap(session.handle, mechanism, companion, key, 512)

    def wrap_seed(self, session: Session, way: int, companion: int, key: bytes) -> bytes:
        """Wrap an HMAC key from elsewhere, padded to 64 bytes."""
        pairs = (*_SECRET, (ck.CKA_SENSITIVE, True), (ck.CKA_EXTRACTABLE, True), (ck.CKA_SIGN, True))
        padded = key.ljust(_MAC_KEY_BYTES, b"\0")
        template = Template(*pairs, (ck.CKA_VALUE, padded))
        try:
            held = self._cryptoki.create(session.handle, template)
        finally:
            template.wipe()
        try:
            return self.wrap_key(session, way, companion, held)
        finally:
            self._forget(session, held)

    def unwrap_private(self, session: Session, companion: int, inner: bytes, *, leaves: bool = False) -> int:
        """Unwrap an agreement key (point 65 | what `wrap_key` made) as an object of the session, which stays there
        unless it `leaves`."""
        point, wrapped = inner[:_POINT], inner[_POINT:]
        template = self._private_template(point, *(_LEAVING_PRIVATE if leaves else _HELD_PRIVATE))
        return self._unwrap(session, companion, wrapped, template)

    def unwrap_mac(self, session: Session, companion: int, inner: bytes) -> int:
        """Unwrap an HMAC key as an object of the session that stays there."""
        return self._unwrap(session, companion, inner, _HELD_MAC)

    def _unwrap_leaving_mac(self, session: Session, companion: int, inner: bytes) -> int:
        """Unwrap an HMAC key so that it can be wrapped again. opencryptoki lets it, and lets nobody say so."""
        try:
            return self._unwrap(session, companion, inner, _LEAVING_MAC)
        except CryptokiError as error:
            if error.value != ck.CKR_ATTRIBUTE_READ_ONLY:
                raise
        return self._unwrap(session, companion, inner, _DEFAULT_MAC)

    def hmac(self, session: Session, key: int, message: bytes, hash_name: HashName) -> bytes:
        """HMAC by a handle."""
        mechanism, size = _HMACS[hash_name]
        return self._cryptoki.sign(session.handle, mechanism, key, message, size)

    def _private_template(self, point: bytes, *pairs: tuple[int, bool | int | bytes]) -> Template:
        return Template(*pairs, *([(ck.CKA_NSS_DB, point)] if self.ways.wants_point else []))

    # The seal says that this store wrapped it for this context: what does not unwrap now is no fault of the blob.
    def _unwrap(self, session: Session, companion: int, inner: bytes, template: Template) -> int:
        mechanism, iv = _key_wrap(inner[0], inner[1 : 1 + _IV])
        return self._cryptoki.unwrap(session.handle, mechanism, companion, inner[1 + len(iv) :], template)

    def _forget(self, session: Session, *handles: int) -> None:
        for handle in handles:
            self._cryptoki.destroy(session.handle, handle)


def check_point(peer: bytes) -> None:
    """Refuse what is no uncompressed point of P-256 (full validation, SP 800-56A section 5.6.2.3.3: the curve has
    cofactor 1). Raises `InvalidPeerKey`."""
    if len(peer) != 65:
        raise InvalidPeerKey("A peer's point has 65 bytes, uncompressed.")
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), peer)
    except ValueError:
        raise InvalidPeerKey("The peer's key is not a point of P-256.") from None


def _key_wrap(way: int, iv: bytes | None) -> tuple[Mechanism, bytes]:
    """Return the mechanism of a way, and its IV (empty where it has none); `iv` is None when a key is wrapped."""
    mechanism = KEY_WRAPS.get(way)
    if mechanism is None:
        raise UnwrapFailed("The key was wrapped in a way that is not known here.")
    if mechanism != ck.CKM_AES_CBC_PAD:
        return Mechanism(mechanism), b""
    iv = secrets.token_bytes(_IV) if iv is None else iv
    return Mechanism(mechanism, iv), iv


def _able(way: int | None, what: str) -> int:
    if way is None:
        raise OperationUnsupported(f"The token cannot {what}. Run: tessera keys doctor")
    return way


def _not_ours() -> UnwrapFailed:
    return UnwrapFailed("The blob is of another key or another context, or was changed.")
