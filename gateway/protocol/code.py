"""The codes that people scan, follow or type: the activation code (88 bytes, link, typed form) and code 2
of the two-step confirmation (wire specification, section 1). The gateway packs, the phone parses; every
parser takes arbitrary outside bytes and raises MalformedCode, MistypedCode or ForeignHost."""

import re
import struct
from dataclasses import dataclass, field
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.core.encoding import b64url_decode, b64url_encode
from gateway.core.secrets import RandomSource
from gateway.protocol import crockford
from gateway.protocol.errors import ForeignHost, MalformedCode, MistypedCode
from gateway.protocol.keys import LAST_ROTATION, sha256, typed_psk

PAYLOAD_BYTES: Final = 88
CODE_2_NONCE_BYTES: Final = 10
CODE_2_LABEL_BYTES: Final = 64
_LONGEST_SCAN: Final = 1_536
"""The longest is the link of an offline code: 806 bytes in base64url behind a HOST of 255."""
_ACTIVATION: Final = struct.Struct(">B16s32s33sIH")
_VERSION_1: Final = 1
_VERSION_2: Final = 2
_VERSIONS: Final = frozenset((_VERSION_1, _VERSION_2, 3))
"""The first byte of a payload; 3 is an offline code (`offline.py`)."""
_CODE_2_AAD: Final = b"TSR1 code2"
_CODE_2_SHORTEST: Final = 1 + 12 + 16 + CODE_2_NONCE_BYTES + 16
_LINK: Final = re.compile(
    r"\A(https?)://([A-Za-z0-9.\-]{1,253}(?::[0-9]{1,5})?|\[::1\](?::[0-9]{1,5})?)/a#([A-Za-z0-9_-]+)\Z"
)
_LOOPBACK: Final = re.compile(r"\A(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?\Z")


def is_loopback(host: str) -> bool:
    """Whether HOST is this machine itself, where development may do without TLS."""
    return _LOOPBACK.match(host) is not None


def make_link(host: str, payload: bytes, *, scheme: str = "https") -> str:
    """Return the link that a QR symbol carries. `scheme` is "https"; "http" is for a loopback host in
    development."""
    return f"{scheme}://{host}/a#{b64url_encode(payload)}"


def read_scan(scanned: bytes) -> tuple[str | None, bytes]:
    """Return (HOST or None, payload) of what a symbol carried: the payload itself or a link, either from
    either symbol. Raises MalformedCode."""
    if not 1 < len(scanned) <= _LONGEST_SCAN:
        raise MalformedCode("not a Tessera code")
    if scanned[0] in _VERSIONS:
        return None, scanned
    try:
        return read_link(scanned.decode("ascii"))
    except UnicodeDecodeError:
        raise MalformedCode("not a Tessera code") from None


def read_link(link: str) -> tuple[str, bytes]:
    """Return (HOST in lower case, payload) of a link. A plain http link is taken for a loopback host alone.
    Raises MalformedCode."""
    parts = _LINK.match(link.strip()) if len(link) <= _LONGEST_SCAN else None
    if parts is None:
        raise MalformedCode("not a Tessera link")
    scheme, host, fragment = parts.group(1), parts.group(2).lower(), parts.group(3)
    if scheme == "http" and not is_loopback(host):
        raise MalformedCode("not a Tessera link: https is needed")
    try:
        payload = b64url_decode(fragment)
    except ValueError:
        raise MalformedCode("not a Tessera link") from None
    return host.removesuffix(":443") if scheme == "https" else host, payload


def read_own_scan(scanned: bytes, *, own_host: str) -> bytes:
    """Return the payload of what a symbol carried, when it carries no HOST or the phone's own. Raises
    MalformedCode, ForeignHost."""
    host, payload = read_scan(scanned)
    if host is not None and host != own_host:
        raise ForeignHost(f"the code leads to {host}")
    return payload


@dataclass(frozen=True, slots=True)
class ActivationCode:
    """The code on the screen: activation id (16 bytes), otk_n (32 bytes, secret), S compressed (33 bytes),
    the activation's end (Unix seconds, u32) and rotation n (at most 65,534)."""

    activation_id: bytes
    otk: bytes = field(repr=False)
    gateway_public: bytes
    expiry: int
    rotation: int

    def pack(self) -> bytes:
        """Return the 88 bytes. Raises MalformedCode when a member does not fit."""
        lengths = len(self.activation_id), len(self.otk), len(self.gateway_public)
        if lengths != (16, 32, 33) or not 0 <= self.rotation <= LAST_ROTATION or not 0 <= self.expiry < 2**32:
            raise MalformedCode("a member of the code does not fit")
        return _ACTIVATION.pack(
            _VERSION_1, self.activation_id, self.otk, self.gateway_public, self.expiry, self.rotation
        )

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Read the 88 bytes. Whether S is a point is checked by the handshake. Raises MalformedCode."""
        if len(payload) != PAYLOAD_BYTES or payload[0] != _VERSION_1:
            raise MalformedCode("not an activation code")
        _, activation_id, otk, public, expiry, rotation = _ACTIVATION.unpack(payload)
        if public[0] not in (2, 3) or rotation > LAST_ROTATION:
            raise MalformedCode("not an activation code")
        return cls(activation_id, otk, public, expiry, rotation)


@dataclass(frozen=True, slots=True)
class TypedCode:
    """The typed form: locator (5 characters, finds the activation) and secret (14 characters, 70 bits)."""

    locator: str
    secret: str = field(repr=False)

    @classmethod
    def generate(cls, random: RandomSource) -> Self:
        """Make a fresh code out of 19 random bytes."""
        characters = crockford.from_bits(random(19))
        return cls(characters[:5], characters[5:])

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what was typed. Raises MalformedCode, MistypedCode."""
        plain = crockford.normalise(text, length=20)
        if _check(b"TSR1 typed", plain[:19]) != plain[19]:
            raise MistypedCode("a character of the code is wrong")
        return cls(plain[:5], plain[5:19])

    def show(self) -> str:
        """Return the 20 characters as 5-5-5-5."""
        body = self.locator + self.secret
        return crockford.group(body + _check(b"TSR1 typed", body), (5, 5, 5, 5))

    def psk(self, activation_id: bytes) -> bytes:
        """Return the handshake psk of this code for the activation that its locator found."""
        return typed_psk(self.secret, activation_id=activation_id)


def _check(purpose: bytes, characters: str) -> str:
    return crockford.character(sha256(purpose + characters.encode("ascii"))[0])


@dataclass(frozen=True, slots=True)
class Code2:
    """What code 2 says: binding id (16 bytes), nonce (10 bytes, secret until the phone has it) and the
    account's label, cut to 64 bytes of UTF-8."""

    binding_id: bytes
    nonce: bytes = field(repr=False)
    label: str


def seal_code2(key: bytes, code: Code2, *, iv: bytes) -> bytes:
    """Return code 2's payload under export("code2"); `iv` is 12 fresh random bytes, new for each drawing."""
    if len(iv) != 12 or len(code.binding_id) != 16 or len(code.nonce) != CODE_2_NONCE_BYTES:
        raise MalformedCode("a member of code 2 does not fit")
    label = cut_code2_label(code.label).encode("utf-8")
    sealed = AESGCM(key).encrypt(iv, code.binding_id + code.nonce + label, _CODE_2_AAD)
    return bytes((_VERSION_2,)) + iv + sealed


def cut_code2_label(label: str) -> str:
    """Return what of a label fits into code 2: at most 64 bytes of UTF-8, cut at a character's end."""
    return label.encode("utf-8")[:CODE_2_LABEL_BYTES].decode("utf-8", "ignore")


def open_code2(key: bytes, payload: bytes, *, binding_id: bytes) -> Code2:
    """Open code 2 with export("code2") and check that it is for the binding of m2. Raises MalformedCode."""
    if (
        not _CODE_2_SHORTEST <= len(payload) <= _CODE_2_SHORTEST + CODE_2_LABEL_BYTES
        or payload[0] != _VERSION_2
    ):
        raise MalformedCode("not a second code")
    try:
        plain = AESGCM(key).decrypt(payload[1:13], payload[13:], _CODE_2_AAD)
        label = plain[16 + CODE_2_NONCE_BYTES :].decode("utf-8")
    except (InvalidTag, UnicodeDecodeError):
        raise MalformedCode("the second code is not for this phone") from None
    if plain[:16] != binding_id:
        raise MalformedCode("the second code is for another binding")
    return Code2(binding_id, plain[16 : 16 + CODE_2_NONCE_BYTES], label)


def show_code2_nonce(nonce: bytes) -> str:
    """Return the typed form of code 2: the nonce (10 bytes) and a check character as 5-6-6."""
    if len(nonce) != CODE_2_NONCE_BYTES:
        raise MalformedCode("the nonce has 10 bytes")
    body = crockford.encode(nonce)
    return crockford.group(body + _check(_CODE_2_AAD, body), (5, 6, 6))


def parse_code2_nonce(text: str) -> bytes:
    """Read the typed form of code 2. Raises MalformedCode, MistypedCode."""
    plain = crockford.normalise(text, length=17)
    if _check(_CODE_2_AAD, plain[:16]) != plain[16]:
        raise MistypedCode("a character of the code is wrong")
    return crockford.decode(plain[:16])
