"""Handshake patterns of Noise (revision 34, sections 7, 9 and 18) and the parsing of protocol names: the
twelve fundamental, the one-way and the deferred patterns with any psk modifiers, and the hfs extension
placed as snow places it. Called once a protocol name; the result is cached and immutable."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from gateway.protocol.errors import UnsupportedSuite

# Lines: pre-message of initiator, of responder, then messages from the initiator in turns.
_PATTERNS: Final = {
    "N": "/s/e,es",
    "K": "s/s/e,es,ss",
    "X": "/s/e,es,s,ss",
    "NN": "//e/e,ee",
    "NK": "/s/e,es/e,ee",
    "NX": "//e/e,ee,s,es",
    "KN": "s//e/e,ee,se",
    "KK": "s/s/e,es,ss/e,ee,se",
    "KX": "s//e/e,ee,se,s,es",
    "XN": "//e/e,ee/s,se",
    "XK": "/s/e,es/e,ee/s,se",
    "XX": "//e/e,ee,s,es/s,se",
    "IN": "//e,s/e,ee,se",
    "IK": "/s/e,es,s,ss/e,ee,se",
    "IX": "//e,s/e,ee,se,s,es",
    "NK1": "/s/e/e,ee,es",
    "NX1": "//e/e,ee,s/es",
    "X1N": "//e/e,ee/s/se",
    "X1K": "/s/e,es/e,ee/s/se",
    "XK1": "/s/e/e,ee,es/s,se",
    "X1K1": "/s/e/e,ee,es/s/se",
    "X1X": "//e/e,ee,s,es/s/se",
    "XX1": "//e/e,ee,s/es,s,se",
    "X1X1": "//e/e,ee,s/es,s/se",
    "K1N": "s//e/e,ee/se",
    "K1K": "s/s/e,es/e,ee/se",
    "KK1": "s/s/e/e,ee,se,es",
    "K1K1": "s/s/e/e,ee,es/se",
    "K1X": "s//e/e,ee,s,es/se",
    "KX1": "s//e/e,ee,se,s/es",
    "K1X1": "s//e/e,ee,s/se,es",
    "I1N": "//e,s/e,ee/se",
    "I1K": "/s/e,es,s/e,ee/se",
    "IK1": "/s/e,s/e,ee,se,es",
    "I1K1": "/s/e,s/e,ee,es/se",
    "I1X": "//e,s/e,ee,s,es/se",
    "IX1": "//e,s/e,ee,se,s/es",
    "I1X1": "//e,s/e,ee,s/se,es",
}


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern with its modifiers applied. `initiator_pre` and `responder_pre` are the tokens known
    beforehand, `messages` the tokens of each message, in turns; `psks` how many pre-shared keys it
    takes."""

    initiator_pre: tuple[str, ...]
    responder_pre: tuple[str, ...]
    messages: tuple[tuple[str, ...], ...]
    psks: int
    one_way: bool


@dataclass(frozen=True, slots=True)
class ProtocolName:
    """A parsed name; `dh`, `kem` ("" without hfs), `cipher` are names of `primitives`."""

    name: str
    pattern: Pattern
    dh: str
    kem: str
    cipher: str


@lru_cache(maxsize=512)
def parse_name(name: str) -> ProtocolName:
    """Parse a Noise protocol name with SHA256 as its hash. Raises UnsupportedSuite."""
    parts = name.split("_")
    if len(parts) != 5 or parts[0] != "Noise" or parts[4] != "SHA256":
        raise UnsupportedSuite("not a known Noise protocol name")
    base, modifiers = _split_modifiers(parts[1])
    dh, _, kem = parts[2].partition("+")
    if base not in _PATTERNS or ("hfs" in modifiers) != bool(kem):
        raise UnsupportedSuite("not a known Noise pattern")
    return ProtocolName(name, _apply(base, modifiers), dh, kem, parts[3])


def _split_modifiers(text: str) -> tuple[str, list[str]]:
    for base in sorted(_PATTERNS, key=len, reverse=True):
        if text.startswith(base):
            rest = text[len(base) :]
            return base, rest.split("+") if rest else []
    raise UnsupportedSuite("not a known Noise pattern")


def _apply(base: str, modifiers: list[str]) -> Pattern:
    lines = [tuple(token for token in line.split(",") if token) for line in _PATTERNS[base].split("/")]
    messages = [list(line) for line in lines[2:]]
    psks = 0
    for modifier in modifiers:
        if modifier == "hfs":
            _place_hfs(messages)
        elif modifier.startswith("psk") and modifier[3:].isdigit() and int(modifier[3:]) <= len(messages):
            place = int(modifier[3:])
            messages[max(place - 1, 0)].insert(0 if place == 0 else len(messages[place - 1]), "psk")
            psks += 1
        else:
            raise UnsupportedSuite("not a known modifier")
    return Pattern(
        lines[0], lines[1], tuple(tuple(message) for message in messages), psks, one_way=len(messages) == 1
    )


def _place_hfs(messages: list[list[str]]) -> None:
    """Insert e1 after the first message's first DH (or its e when it has none), and ekem1 after the first
    ee."""
    first = messages[0]
    dh = next((place for place, token in enumerate(first) if token in ("es", "ss")), first.index("e"))
    first.insert(dh + 1, "e1")
    for message in messages[1:]:
        if "ee" in message:
            message.insert(message.index("ee") + 1, "ekem1")
            return
    raise UnsupportedSuite("this pattern has no ee")
