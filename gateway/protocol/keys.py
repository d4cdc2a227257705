"""The key schedule around Noise: what is derived, and the exact bytes that are signed (wire specification,
sections 1 to 5). Pure functions over bytes; both ends call them. Results named key, psk, otk or export are
secrets: never log, format or compare them by ==."""

import hashlib
import hmac
import struct
from enum import StrEnum
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.protocol.errors import InvalidPoint, MalformedCode, SignatureInvalid
from gateway.protocol.frames import Suite

KEY_BYTES: Final = 32
TYPED_ROTATION: Final = 0xFFFF
LAST_ROTATION: Final = 0xFFFE
DEVICE_CODE_DIGITS: Final = 8

_CURVE: Final = ec.SECP256R1()
_SHA256: Final = hashes.SHA256()
_ES256: Final = ec.ECDSA(_SHA256)


class Label(StrEnum):
    """The labels of `export`, one purpose each."""

    DEVICE_CODE = "device-code"
    CODE_2 = "code2"
    BINDING_PSK = "binding-psk"
    RATCHET = "ratchet"


def hkdf(ikm: bytes, *, salt: bytes, info: bytes, length: int) -> bytes:
    """HKDF with SHA-256 (RFC 5869)."""
    return HKDF(algorithm=_SHA256, length=length, salt=salt, info=info).derive(ikm)


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    """HMAC with SHA-256 (RFC 2104), 32 bytes. The standard library's lets other threads run meanwhile, and then waits
    for its turn a hundred times as long as the work takes."""
    context = HMAC(key, _SHA256)
    context.update(data)
    return context.finalize()


def export(chaining_key: bytes, handshake_hash: bytes, label: Label) -> bytes:
    """Return the 32-byte key of a label: HMAC(HMAC(ck, "ask" | h), label | 0x01), h and ck after m2."""
    secret = hmac_sha256(chaining_key, b"ask" + handshake_hash)
    return hmac_sha256(secret, label.value.encode("ascii") + b"\x01")


def device_code(key: bytes) -> str:
    """Return the eight digits of export("device-code"): its first 8 bytes as u64 modulo 10^8."""
    return f"{int.from_bytes(key[:8], 'big') % 10**DEVICE_CODE_DIGITS:0{DEVICE_CODE_DIGITS}d}"


def check_device_code(key: bytes, typed: str) -> None:
    """Compare what was typed with the code of export("device-code"), in constant time. Spaces and hyphens are
    ignored. Raises MalformedCode when it is not eight digits, or not these."""
    digits = typed.replace(" ", "").replace("-", "")
    if len(digits) != DEVICE_CODE_DIGITS or not (digits.isascii() and digits.isdigit()):
        raise MalformedCode("a device code has eight digits")
    if not hmac.compare_digest(digits, device_code(key)):
        raise MalformedCode("not the code of this phone")


def one_time_key(seed: bytes, *, activation_id: bytes, rotation: int) -> bytes:
    """Return otk_n, 32 bytes: HKDF(seed, salt = activation id, info = "tessera otk" | n u16)."""
    if not 0 <= rotation <= LAST_ROTATION:
        raise MalformedCode("the rotation is at most 65,534")
    info = b"tessera otk" + rotation.to_bytes(2, "big")
    return hkdf(seed, salt=activation_id, info=info, length=KEY_BYTES)


def rotation_at(now_ms: int, *, created_ms: int, period_ms: int) -> int:
    """Return n at a moment (all in milliseconds; Unix time for the first two): floor of the elapsed
    periods, within 0 to 65,534."""
    return min(max(now_ms - created_ms, 0) // period_ms, LAST_ROTATION)


def typed_psk(secret: str, *, activation_id: bytes) -> bytes:
    """Return the psk of a typed code, 32 bytes; `secret` is its 14 Crockford characters in upper case."""
    return hkdf(secret.encode("ascii"), salt=activation_id, info=b"tessera typed", length=KEY_BYTES)


def _host_field(host: str) -> bytes:
    raw = host.encode("ascii", "strict") if host.isascii() else b""
    if not 0 < len(raw) <= 255 or raw != raw.lower():
        raise MalformedCode("HOST is 1 to 255 lower-case ASCII characters")
    return b"TSR1" + bytes((len(raw),)) + raw


def first_contact_prologue(
    suite: Suite, *, host: str, activation_id: bytes, rotation: int, expiry: int
) -> bytes:
    """Return the prologue of a first contact. `host` in lower case, with the port when it is not 443;
    `expiry` of the activation in Unix seconds."""
    if len(activation_id) != 16:
        raise MalformedCode("an activation id has 16 bytes")
    return _host_field(host) + activation_id + struct.pack(">HIB", rotation, expiry, suite)


def resume_prologue(suite: Suite, *, host: str, binding_id: bytes, index: int) -> bytes:
    """Return the prologue of a later contact; `index` is the ratchet index, u32."""
    if len(binding_id) != 16:
        raise MalformedCode("a binding id has 16 bytes")
    return _host_field(host) + binding_id + struct.pack(">IB", index, suite)


def bind_input(handshake_hash: bytes) -> bytes:
    """What g_D signs in m3."""
    return b"bind" + handshake_hash


def commit_input(handshake_hash: bytes, nonce: bytes) -> bytes:
    """What g_D signs in m7; `nonce` is the 10 bytes of m6 or of code 2."""
    return b"commit" + handshake_hash + nonce


def pin_enrol_input(handshake_hash: bytes, nonce: bytes = b"") -> bytes:
    """What a new PIN key signs; `nonce` is the evaluation's 16 bytes on an open channel, empty in first
    contact."""
    return b"pin-enrol" + handshake_hash + nonce


def pin_proof_input(handshake_hash: bytes, nonce: bytes) -> bytes:
    """What the PIN key signs to prove the PIN; `nonce` is the evaluation's 16 bytes."""
    return b"pin-proof" + handshake_hash + nonce


def stale_input(binding_id: bytes, *, index: int, nonce: bytes, prologue: bytes, hello: bytes) -> bytes:
    """What g_D signs in answer to a stale challenge; `nonce` is the challenge's 32 bytes, `hello` the whole frame that
    was challenged, and `prologue` that of its handshake: a hello that somebody altered, made or sent elsewhere is none
    that the phone signs for."""
    return b"stale" + binding_id + index.to_bytes(4, "big") + nonce + sha256(prologue + hello)


def sign(private_key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """ES256: ECDSA on P-256 with SHA-256, as r | s in 64 bytes (RFC 7518 section 3.4)."""
    r, s = decode_dss_signature(private_key.sign(message, _ES256))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def verify(public_key: bytes, signature: bytes, message: bytes) -> None:
    """Check an ES256 signature (64 bytes) by a P-256 key (65 or 33 bytes). Raises InvalidPoint,
    SignatureInvalid."""
    key = parse_point(public_key)
    if len(signature) != 64:
        raise SignatureInvalid("a signature has 64 bytes")
    der = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    try:
        key.verify(der, message, _ES256)
    except InvalidSignature:
        raise SignatureInvalid("the signature does not verify") from None


def parse_point(data: bytes) -> ec.EllipticCurvePublicKey:
    """Return the P-256 key of a point in SEC 1 encoding, 65 or 33 bytes. Raises InvalidPoint for anything
    else; the identity has no such encoding."""
    if not (len(data) == 65 and data[0] == 4) and not (len(data) == 33 and data[0] in (2, 3)):
        raise InvalidPoint("a point has 65 or 33 bytes")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, data)
    except ValueError:
        raise InvalidPoint("not a point of P-256") from None


def compress(point: bytes) -> bytes:
    """Return the 33-byte form of an uncompressed point (65 bytes), which must have been validated."""
    if len(point) != 65 or point[0] != 4:
        raise InvalidPoint("an uncompressed point has 65 bytes")
    return bytes((2 + (point[64] & 1),)) + point[1:33]


def sha256(data: bytes) -> bytes:
    """SHA-256, 32 bytes."""
    return hashlib.sha256(data).digest()
