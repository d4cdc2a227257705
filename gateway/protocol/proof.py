"""What a phone gave to answer a request, as one value with one form in bytes: approvals store the bytes, the audit log
holds their SHA-256, and evidence shows them. Nothing here verifies; `gateway.evidence` does, years later."""

from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import Meta, Struct

from gateway.protocol.errors import MalformedMessage
from gateway.protocol.messages import Decision, Factor, TwoDigits
from gateway.protocol.wiretypes import (
    AuthenticatorBytes,
    BoundedBytes,
    Bytes16,
    Bytes32,
    Bytes64,
    Bytes65,
    ClientDataBytes,
    CredentialBytes,
    DerSignatureBytes,
    Seconds,
    decode_hook,
    encode_hook,
)

MAX_PROOF: Final = 16_384
"""Bytes of a proof, at most."""


class CoseBytes(BoundedBytes):
    """A COSE public key (RFC 9052 section 7)."""

    MAX: ClassVar[int] = 512


class PinProof(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The PIN: `signature` by the PIN key `key` over `approval.pin_input` with the evaluation's nonce."""

    nonce: Bytes16
    key: Bytes65
    signature: Bytes64


class BiometricProof(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fingerprint or face: the WebAuthn assertion over `approval.biometric_challenge`, and the credential's public key
    `key` (COSE)."""

    credential: CredentialBytes
    key: CoseBytes
    client_data: ClientDataBytes
    authenticator_data: AuthenticatorBytes
    signature: DerSignatureBytes


class OfflineProof(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The eight digits that the customer typed, and the phone's counter that they were made with."""

    counter: Seconds
    digits: Annotated[str, Meta(pattern=r"\A[0-9]{8}\Z")]


class Proof(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An answer: by channel `signature` of g_D (`key`) over `approval.answer_input` with the handshake hash `h`, and
    the factor's part; offline neither, but the digits."""

    binding: Bytes16
    key: Bytes65
    decision: Decision
    factor: Factor
    number: TwoDigits | None
    h: Bytes32 | None
    signature: Bytes64 | None
    pin: PinProof | None
    biometric: BiometricProof | None
    offline: OfflineProof | None


_encoder = msgspec.json.Encoder(enc_hook=encode_hook)
_decoder = msgspec.json.Decoder(Proof, dec_hook=decode_hook)


def encode_proof(proof: Proof) -> bytes:
    """Return the one form of a proof in bytes: JSON, members in the order of the struct, no spaces."""
    return _encoder.encode(proof)


def decode_proof(data: bytes) -> Proof:
    """Read a proof in its one form. Raises MalformedMessage."""
    if len(data) > MAX_PROOF:
        raise MalformedMessage("the proof is too long")
    try:
        proof = _decoder.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedMessage(f"the proof is not valid ({type(error).__name__})") from None
    if encode_proof(proof) != data:
        raise MalformedMessage("the proof is not in its one form")
    return proof
