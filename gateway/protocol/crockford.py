"""Crockford's Base32 for what people type: no U, I and L read as 1, O as 0, case and separators ignored.
Used by the typed codes alone."""

import re
from typing import Final

from gateway.protocol.errors import MalformedCode

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES: Final = {character: value for value, character in enumerate(ALPHABET)}
_ALIASES: Final = str.maketrans({"I": "1", "L": "1", "O": "0", "-": None, " ": None})
_LONGEST: Final = 64


def normalise(text: str, *, length: int) -> str:
    """Return what was typed as exactly `length` characters of the alphabet. Raises MalformedCode."""
    if len(text) > _LONGEST or not text.isascii():
        raise MalformedCode(f"{length} letters and digits are needed")
    plain = text.strip().upper().translate(_ALIASES)
    if len(plain) != length or any(character not in _VALUES for character in plain):
        raise MalformedCode(f"{length} letters and digits are needed")
    return plain


def from_bits(data: bytes) -> str:
    """Write one character for each byte's low five bits: a way from random bytes to random characters."""
    return "".join(ALPHABET[byte & 31] for byte in data)


def encode(data: bytes) -> str:
    """Write bytes, a multiple of five, eight characters for each five bytes, most significant bits first."""
    count = len(data) * 8 // 5
    value = int.from_bytes(data, "big")
    return "".join(ALPHABET[(value >> (5 * place)) & 31] for place in reversed(range(count)))


def decode(text: str) -> bytes:
    """Read what `encode` wrote; `text` must be normalised, a multiple of eight characters."""
    value = 0
    for character in text:
        value = value << 5 | _VALUES[character]
    return value.to_bytes(len(text) * 5 // 8, "big")


def character(value: int) -> str:
    """Return the character of a value modulo 32."""
    return ALPHABET[value % 32]


def group(text: str, sizes: tuple[int, ...]) -> str:
    """Put hyphens between groups of the given sizes."""
    parts = re.match("".join(f"(.{{{size}}})" for size in sizes) + r"\Z", text)
    if parts is None:
        raise MalformedCode("the groups do not fit")
    return "-".join(parts.groups())
