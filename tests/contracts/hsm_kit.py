"""Peers, points and calls that the suite for key stores works with."""

import contextlib
from collections.abc import Awaitable, Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsm_adapters.api import HsmAdapter, KeyKind, WrappedAgreementKeys, WrappedMacKeys
from hsm_adapters.errors import OperationUnsupported

_PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1
"""The field of P-256 (SP 800-186 section 3.2.1.3)."""


def fresh_peer() -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    """Return a key pair made outside the store: the private key and the point, 65 bytes."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key, key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def point(public_key: bytes | None) -> ec.EllipticCurvePublicKey:
    """Return the public key of an uncompressed point."""
    assert public_key is not None
    assert len(public_key) == 65
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key)


def bad_points() -> dict[str, bytes]:
    """Return encodings that are not points of P-256 in the uncompressed form."""
    _, good = fresh_peer()
    x, y = good[1:33], good[33:]
    compressed = bytes([2 + (y[-1] & 1)]) + x
    return {
        "empty": b"",
        "infinity": b"\x00",
        "infinity, padded": bytes(65),
        "zero": b"\x04" + bytes(64),
        "off the curve": good[:-1] + bytes([good[-1] ^ 1]),
        "x is the prime": b"\x04" + _PRIME.to_bytes(32, "big") + y,
        "x above the prime": b"\x04" + b"\xff" * 32 + y,
        "compressed": compressed,
        "compressed, padded": compressed.ljust(65, b"\x00"),
        "hybrid": bytes([6 + (y[-1] & 1)]) + x + y,
        "one byte short": good[:-1],
        "one byte long": good + b"\x00",
    }


def wrapped_keys(adapter: HsmAdapter) -> WrappedAgreementKeys:
    """Return the capability, or skip the test for a store that lacks it."""
    if not isinstance(adapter, WrappedAgreementKeys):
        pytest.skip("this store has no wrapped agreement keys")
    return adapter


def wrapped_mac_keys(adapter: HsmAdapter) -> WrappedMacKeys:
    """Return the capability, or skip the test for a store that lacks it."""
    if not isinstance(adapter, WrappedMacKeys):
        pytest.skip("this store has no wrapped HMAC keys")
    return adapter


async def some_kind(adapter: HsmAdapter) -> KeyKind:
    """Return a kind of key that the store makes."""
    for kind in KeyKind:
        with contextlib.suppress(OperationUnsupported):
            await adapter.generate("some-kind", kind)
            await adapter.destroy("some-kind")
            return kind
    pytest.fail("the store makes no key of any kind")


def operations(adapter: HsmAdapter, label: str, peer: bytes) -> dict[str, Callable[[], Awaitable[object]]]:
    """Return every operation that names a key, ready to be called."""
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "sign": lambda: adapter.sign(label, b"message"),
        "ecdh": lambda: adapter.ecdh(label, peer),
        "mac": lambda: adapter.mac(label, b"message"),
        "wrap": lambda: adapter.wrap(label, b"text", b"context"),
        "unwrap": lambda: adapter.unwrap(label, bytes(61), b"context"),
    }
    if isinstance(adapter, WrappedAgreementKeys):
        keys = adapter
        calls["generate_wrapped"] = lambda: keys.generate_wrapped(label, b"context")
        calls["ecdh_wrapped"] = lambda: keys.ecdh_wrapped(label, bytes(61), b"context", [peer])
    return calls
