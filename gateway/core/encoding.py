"""Base64url without padding (RFC 4648 section 5), strict: one text for each value."""

import base64
import binascii
import re

_ALPHABET = re.compile(r"\A[A-Za-z0-9_-]*\Z")


def b64url_encode(data: bytes) -> str:
    """Return unpadded base64url."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def b64url_decode(text: str) -> bytes:
    """Decode unpadded base64url. Raises ValueError on padding, other characters or stray low bits."""
    if not _ALPHABET.match(text) or len(text) % 4 == 1:
        raise ValueError("not base64url")
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    if b64url_encode(data) != text:
        raise ValueError("not canonical base64url")
    return data
