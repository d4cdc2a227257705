"""Registration and assertion of the binding's WebAuthn platform credential, as the relying party checks them (W3C Web
Authentication Level 3, sections 7.1 and 7.2). The biometrics call it when a phone enrols or answers, evidence when an
answer is verified years later. Pure: parsing and COSE keys are python-fido2's, behind a check of size and depth, since
its CBOR reader takes cut and deep input.

The steps, with the comments' numbers in the code; all are of both sections but where one is named: (1) the client
data is JSON (section 5.8.1) of the ceremony's type; (2) its challenge is the one given; (3) its origin is one of ours,
and no other page was around it; (4) the authenticator data has the form of section 6.1, (7.1) with a credential, in an
attestation object; (5) its rpIdHash is that of the page's host; (6) UP: somebody was there; (7) UV: the device verified
its user; (8) BE and BS agree; (9) the public key is of an algorithm that was asked for, and a point of its curve; (10,
7.1) the attestation is of a form that may come unasked, and nothing of it is believed; (11, 7.1) the credential id has
at most 1,023 bytes; (12, 7.2) the signature over authenticator data and hash of the client data verifies. The caller
compares the credential id and the sign count (7.2), and sees that a challenge serves once."""

import hmac
import struct
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import msgspec
from cryptography.exceptions import InvalidSignature
from fido2 import cbor
from fido2.cose import ES256, CoseKey, EdDSA
from fido2.webauthn import AttestationObject, AuthenticatorData

from gateway.core.encoding import b64url_encode
from gateway.protocol.errors import ProtocolError
from gateway.protocol.keys import sha256

ALGORITHMS: Final = (ES256.ALGORITHM, EdDSA.ALGORITHM)
"""COSE algorithms of credentials, in order of preference: ES256 and EdDSA with Ed25519."""
MAX_CREDENTIAL: Final = 1_023
MAX_DEPTH: Final = 6
MAX_ITEMS: Final = 256
_FORMATS: Final = ("none", "packed")
_COORDINATE: Final = 32
_FOREIGN = (struct.error, ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError)
"""What python-fido2 and cryptography raise for bytes that are not what they should be."""


class WebAuthnRefused(ProtocolError):
    """A registration or assertion does not verify. `step` names the check, for logs and evidence."""

    code: ClassVar[str] = "biometric-refused"

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(f"{step}: {reason}")
        self.step = step


@dataclass(frozen=True, slots=True)
class Registered:
    """A new credential: its id, COSE public key, sign count, and the model of its authenticator (16 bytes, not
    proved)."""

    credential: bytes
    key: bytes
    sign_count: int
    aaguid: bytes


class _ClientData(msgspec.Struct, frozen=True):
    """CollectedClientData (section 5.8.1). Further members are passed over, as the specification wants."""

    type: str
    challenge: str
    origin: str
    crossOrigin: bool = False
    topOrigin: str | None = None


def check_registration(
    *, client_data: bytes, attestation_object: bytes, challenge: bytes, origins: Collection[str]
) -> Registered:
    """Check a new credential (section 7.1) made on a page of one of `origins`, and return what is kept of it. Raises
    WebAuthnRefused."""
    rp_id = _check_client_data(client_data, kind="webauthn.create", challenge=challenge, origins=origins)
    _check_cbor("attestation-object", attestation_object)
    attestation = _parsed("attestation-object", AttestationObject, attestation_object)  # (4)
    if attestation.fmt not in _FORMATS:  # (10)
        raise WebAuthnRefused("attestation-object", "a form of attestation that was not asked for")
    data = attestation.auth_data
    _check_authenticator(data, rp_id)
    made = data.credential_data
    if made is None:
        raise WebAuthnRefused("attestation-object", "no credential was made")
    if not 0 < len(made.credential_id) <= MAX_CREDENTIAL:  # (11)
        raise WebAuthnRefused("credential", "its id is empty or longer than 1,023 bytes")
    key = cbor.encode(made.public_key)
    parse_key(key)  # (9)
    return Registered(bytes(made.credential_id), key, data.counter, bytes(made.aaguid))


def check_assertion(
    *,
    client_data: bytes,
    authenticator_data: bytes,
    signature: bytes,
    key: bytes,
    challenge: bytes,
    origins: Collection[str],
) -> int:
    """Check an assertion (section 7.2) by the credential of public key `key` (COSE), made on a page of one of
    `origins`, and return its sign count. Raises WebAuthnRefused."""
    rp_id = _check_client_data(client_data, kind="webauthn.get", challenge=challenge, origins=origins)
    if len(authenticator_data) > 37:
        _check_extensions(authenticator_data)
    data = _parsed("authenticator-data", AuthenticatorData, authenticator_data)  # (4)
    _check_authenticator(data, rp_id)
    public = parse_key(key)  # (9)
    try:
        public.verify(authenticator_data + sha256(client_data), signature)  # (12)
    except (InvalidSignature, *_FOREIGN):
        raise WebAuthnRefused("signature", "not made by the credential over these bytes") from None
    return int(data.counter)


def parse_key(key: bytes) -> CoseKey:
    """Read a credential's public key: COSE, ES256 on P-256 or EdDSA on Ed25519, its members and no others. Raises
    WebAuthnRefused."""
    _check_cbor("key", key)
    members = _parsed("key", cbor.decode, key)
    if not isinstance(members, dict):
        raise WebAuthnRefused("key", "not a COSE key")
    match members:
        case {1: 2, 3: ES256.ALGORITHM, -1: 1, -2: bytes(x), -3: bytes(y), **rest}:
            is_sized = len(x) == len(y) == _COORDINATE and not rest
        case {1: 1, 3: EdDSA.ALGORITHM, -1: 6, -2: bytes(x), **rest}:
            is_sized = len(x) == _COORDINATE and not rest
        case _:
            raise WebAuthnRefused("key", "neither ES256 nor Ed25519")
    if not is_sized or cbor.encode(members) != key:
        raise WebAuthnRefused("key", "not in the form of its algorithm")
    public = CoseKey.parse(members)
    try:
        public.verify(b"", b"")  # refuses a point that is not on the curve before it is kept
    except InvalidSignature:
        return public
    except _FOREIGN:
        raise WebAuthnRefused("key", "not a point of the curve") from None
    raise WebAuthnRefused("key", "it takes an empty signature")


def _check_client_data(raw: bytes, *, kind: str, challenge: bytes, origins: Collection[str]) -> str:
    """Return the RP ID: the host name of the page, which is what browsers take when none is named (section 5.1.3)."""
    try:
        data = msgspec.json.decode(raw, type=_ClientData)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise WebAuthnRefused("client-data", "not the JSON of a WebAuthn client") from None
    if data.type != kind:  # (1)
        raise WebAuthnRefused("type", f"it is not {kind}")
    if not hmac.compare_digest(data.challenge.encode(), b64url_encode(challenge).encode()):  # (2)
        raise WebAuthnRefused("challenge", "another was given")
    if data.origin not in origins:  # (3)
        raise WebAuthnRefused("origin", "made for a page of somebody else")
    if data.crossOrigin or data.topOrigin is not None:
        raise WebAuthnRefused("origin", "made inside a page of somebody else")
    return urlsplit(data.origin).hostname or ""


def _check_authenticator(data: AuthenticatorData, rp_id: str) -> None:
    if not hmac.compare_digest(data.rp_id_hash, sha256(rp_id.encode())):  # (5)
        raise WebAuthnRefused("rp-id", "made for another host")
    if not data.is_user_present():  # (6)
        raise WebAuthnRefused("user-present", "nobody was there")
    if not data.is_user_verified():  # (7)
        raise WebAuthnRefused("user-verified", "the device did not verify its user")
    if data.is_backed_up() and not data.is_backup_eligible():  # (8)
        raise WebAuthnRefused("backup", "backed up, but not of the kind that is")


def _check_extensions(authenticator_data: bytes) -> None:
    flags = authenticator_data[32]
    if flags & AuthenticatorData.FLAG.AT:
        raise WebAuthnRefused("authenticator-data", "an assertion makes no credential")
    _check_cbor("authenticator-data", authenticator_data[37:])


def _parsed(step: str, parse: Any, raw: bytes) -> Any:
    try:
        return parse(raw)
    except _FOREIGN:
        raise WebAuthnRefused(step, "not of its form") from None


def _check_cbor(step: str, raw: bytes) -> None:
    """Check that `raw` is one CBOR item of definite lengths (RFC 8949), whole, not deep, and of no more kinds than
    WebAuthn uses."""
    left, place, open_items = MAX_ITEMS, 0, [1]
    while open_items:
        if open_items[-1] == 0:
            open_items.pop()
            continue
        open_items[-1] -= 1
        left -= 1
        place, inner = _skip_head(step, raw, place)
        if inner:
            open_items.append(inner)
        if left < 0 or len(open_items) > MAX_DEPTH:
            raise WebAuthnRefused(step, "too deep, or of too many items")
    if place != len(raw):
        raise WebAuthnRefused(step, "bytes are left over")


def _skip_head(step: str, raw: bytes, place: int) -> tuple[int, int]:
    """Return where the next item begins, and how many items this one holds."""
    if place >= len(raw):
        raise WebAuthnRefused(step, "cut short")
    kind, info = raw[place] >> 5, raw[place] & 0x1F
    size = {24: 1, 25: 2, 26: 4, 27: 8}.get(info, 0)
    if info > 27 or kind == 6 or (kind == 7 and info not in (20, 21)):
        raise WebAuthnRefused(step, "a kind of value that has no place there")
    after = place + 1 + size
    value = int.from_bytes(raw[place + 1 : after], "big") if size else info
    if kind in (2, 3):
        after += value
    if after > len(raw):
        raise WebAuthnRefused(step, "cut short")
    inner = value * (kind - 3) if kind in (4, 5) else 0
    if inner > MAX_ITEMS:
        raise WebAuthnRefused(step, "too deep, or of too many items")
    return after, inner
