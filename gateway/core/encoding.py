"""Base64url without padding (RFC 4648 section 5), strict: one text for each value."""

import binascii

_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_+/=", b"+/!!!")
_LAST = (frozenset("AEIMQUYcgkosw048"), frozenset("AQgw"))
"""What the last of three characters may be, and of two: the bits that no byte takes are 0."""


def b64url_encode(data: bytes) -> str:
    """Return unpadded base64url."""
    return binascii.b2a_base64(data, newline=False).translate(_TO_URL, b"=").decode("ascii")


def b64url_decode(text: str) -> bytes:
    """Decode unpadded base64url. Raises ValueError on padding, other characters or stray low bits."""
    missing = -len(text) % 4
    if missing == 3 or (missing and text[-1] not in _LAST[missing - 1]):
        raise ValueError("not base64url")
    try:
        return binascii.a2b_base64(
            text.encode("ascii").translate(_FROM_URL) + b"=" * missing, strict_mode=True
        )
    except ValueError as error:  # UnicodeEncodeError and binascii.Error are
        raise ValueError("not base64url") from error
