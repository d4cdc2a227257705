"""Identifiers: 16 random bytes, written as a kind and 22 base64url characters, as in `act_0f…`."""

from typing import NewType

from gateway.core.encoding import b64url_decode, b64url_encode

TenantId = NewType("TenantId", str)
ActivationId = NewType("ActivationId", str)
BindingId = NewType("BindingId", str)

ID_BYTES = 16


def encode_id(kind: str, raw: bytes) -> str:
    """Return the text of an identifier: `kind`, an underscore, base64url of its 16 bytes."""
    if len(raw) != ID_BYTES:
        raise ValueError(f"an identifier has {ID_BYTES} bytes")
    return f"{kind}_{b64url_encode(raw)}"


def decode_id(kind: str, text: str) -> bytes:
    """Return the 16 bytes of an identifier of that kind. Raises ValueError on anything else."""
    prefix = f"{kind}_"
    if not text.startswith(prefix) or len(text) != len(prefix) + 22:
        raise ValueError(f"not an identifier of kind {kind}")
    raw = b64url_decode(text[len(prefix) :])
    if len(raw) != ID_BYTES:
        raise ValueError(f"not an identifier of kind {kind}")
    return raw
