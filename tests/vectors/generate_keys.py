"""What the generators of tessera-v1.json share: fixed bytes and keys as arguments, and signatures that come out
the same each time."""

from collections.abc import Callable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from gateway.protocol.primitives import KeyPair

Fixed = Callable[..., bytes]
FixedKey = Callable[[str], KeyPair]


def scalar(key: KeyPair) -> str:
    """Return a private key as 32 bytes in hex."""
    return key.private.private_numbers().private_value.to_bytes(32, "big").hex()


def sign_fixed(key: KeyPair, message: bytes) -> bytes:
    """ES256 with the nonce of RFC 6979, so that the file is the same each time."""
    der = key.private.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    r, s = decode_dss_signature(der)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")
