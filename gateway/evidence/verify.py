"""Verifies an evidence file by nothing but itself, and an audit key that one got elsewhere: no database, no network, no
clock. Pure; `tessera evidence verify` and the tests call it. What it finds wrong it names by its place in the file.

The steps, with the comments' numbers in the code: (1) the file is of its one form, within its bounds (`models.py`);
(2) in each part of the log, each entry's hash is that of its content and the hash before; (3) the audit key signed the
last hash of each part; (4) that key is one of the pinned ones, where there are any; (5) the parts follow one another,
and what they show in full is one bank's; (6) the statement is one that a phone shows, and the request's own; (7) the
log holds one request with the SHA-256 of the statement, and after it one answer with that of the proof; (8) before the
answer the log ties the binding to the SHA-256 of the signing key; (9) that key signed decision, factor, number,
binding, channel and statement (protocol, section 10); (10) the factor's own part verifies: the PIN key's signature, or
the WebAuthn assertion by a credential that the log holds from before; digits of an offline answer verify by the log
alone, since the bank has their keys too."""

import re
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET

from gateway.core.chain import Checkpoint, content_hash, link_hash
from gateway.core.encoding import b64url_encode
from gateway.evidence.models import (
    Answered,
    Evidence,
    EvidenceBroken,
    Opened,
    Part,
    decode_evidence,
    lower_form,
)
from gateway.protocol import approval as signing
from gateway.protocol.errors import InvalidPoint, MalformedMessage, ProtocolError, SignatureInvalid
from gateway.protocol.keys import sha256, verify
from gateway.protocol.proof import BiometricProof, Proof, encode_proof
from gateway.protocol.webauthn import WebAuthnRefused, check_assertion

CREATED = "bank:approval:create"
ANSWERED: Mapping[str, str] = {
    "approve": "phone:approval:approve",
    "refuse": "phone:approval:refuse",
    "report": "phone:approval:report",
}
BOUND = "phone:binding:add"
ENROLLED = "phone:biometric:enrol"
_ORIGIN = re.compile(r"https?://[a-z0-9.:\[\]-]{1,255}")
_MALFORMED = (struct.error, ValueError, OverflowError)


@dataclass(frozen=True, slots=True)
class Found:
    """An entry that the file shows in full, its sequence, and where in the file it stands."""

    sequence: int
    entry: Opened
    data: Mapping[str, Any]
    place: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What was verified. `keys` are the audit keys' public points (65 bytes) by label, `is_pinned` whether they were
    compared with keys from elsewhere, `checkpoints` the sequence and time (Unix ms) of each signature over the log,
    `origin` the page on which fingerprint or face were asked for."""

    evidence: Evidence
    statement: signing.Statement
    created: Found
    answered: Found
    bound: Found
    checkpoints: tuple[tuple[int, int], ...]
    keys: Mapping[str, bytes]
    is_pinned: bool
    origin: str | None


def verify_evidence(data: bytes, *, pinned: Collection[bytes] = ()) -> Verified:
    """Verify a file. `pinned` are audit keys (points, 65 bytes) that the bank published; without them the file is
    measured by the keys that it brings itself. Raises EvidenceBroken."""
    evidence = decode_evidence(data)  # (1)
    found: list[Found] = []
    checkpoints: list[tuple[int, int]] = []
    keys: dict[str, bytes] = {}
    after = 0
    for number, part in enumerate(evidence.log):
        place = f"log[{number}]"
        if part.first <= after:  # (5)
            raise EvidenceBroken(f"{place}.first", "does not come after the part before")
        after, digest = _follow(part, place, found)
        _check_checkpoint(part, place, sequence=after, digest=digest)
        if pinned and part.key not in pinned:  # (4)
            label = part.checkpoint.key_label
            raise EvidenceBroken(
                f"{place}.key",
                f"is not an audit key that was given: it was signed under '{label}', whose public half "
                "`tessera audit keys` prints, retired ones too",
            )
        if keys.setdefault(part.checkpoint.key_label, part.key) != part.key:
            raise EvidenceBroken(f"{place}.key", "is not the key that signed under this label before")
        checkpoints.append((after, part.checkpoint.made_at))
    _check_tenant(found)
    statement = _check_statement(evidence.approval)
    created, answered, bound = _check_story(evidence.approval, statement, found)
    origin = _check_answer(evidence.approval, found, answered)
    # The digest comes last: what it alone covers has no nearer place.
    if answered.data.get("proof") != sha256(encode_proof(evidence.approval.proof)).hex():  # (7)
        raise EvidenceBroken("approval.proof", f"is not the answer that {answered.place} holds")
    return Verified(
        evidence=evidence,
        statement=statement,
        created=created,
        answered=answered,
        bound=bound,
        checkpoints=tuple(checkpoints),
        keys=keys,
        is_pinned=bool(pinned),
        origin=origin,
    )


def _follow(part: Part, place: str, found: list[Found]) -> tuple[int, bytes]:
    """(2) Follow the chain through a part; return sequence and hash of its last entry."""
    digest, sequence = bytes(part.previous), part.first - 1
    for index, link in enumerate(part.entries):
        sequence += 1
        here = f"{place}.entries[{index}]"
        entry = link.entry
        if (entry is UNSET) is (link.content is UNSET):
            raise EvidenceBroken(here, "holds an entry and its digest, or neither")
        content = link.content if isinstance(entry, msgspec.UnsetType) else _content(entry, here)
        try:
            digest = link_hash(digest, sequence=sequence, content=content)  # type: ignore[arg-type]
        except _MALFORMED:
            raise EvidenceBroken(here, "cannot be an entry of a log") from None
        if digest != link.hash:
            raise EvidenceBroken(here, "is not what was written there, or does not follow what stands before")
        if not isinstance(entry, msgspec.UnsetType):
            found.append(Found(sequence, entry, _data(entry, here), here))
    return sequence, digest


def _content(entry: Opened, place: str) -> bytes:
    try:
        return content_hash(
            at_ms=entry.at,
            tenant_id=entry.tenant,
            word=entry.word,
            subject=entry.subject,
            data=entry.data,
        )
    except _MALFORMED:
        raise EvidenceBroken(place, "cannot be an entry of a log") from None


def _data(entry: Opened, place: str) -> Mapping[str, Any]:
    try:
        return msgspec.json.decode(entry.data, type=dict[str, str | int | bool | None])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise EvidenceBroken(f"{place}.entry.data", "is not the data of an entry") from None


def _check_checkpoint(part: Part, place: str, *, sequence: int, digest: bytes) -> None:
    signed = part.checkpoint
    checkpoint = Checkpoint(
        sequence, signed.previous, digest, signed.made_at, signed.key_label, signed.signature
    )
    if signed.signature != lower_form(signed.signature):
        raise EvidenceBroken(f"{place}.checkpoint.signature", "is not written as evidence is")
    try:
        verify(part.key, signed.signature, checkpoint.signed_bytes())  # (3)
    except InvalidPoint:
        raise EvidenceBroken(f"{place}.key", "is not a public key") from None
    except (SignatureInvalid, *_MALFORMED):
        raise EvidenceBroken(
            f"{place}.checkpoint", f"its signature is not that of {place}.key over the entries of {place}"
        ) from None


def _check_tenant(found: list[Found]) -> None:
    for each in found:
        if each.entry.tenant != found[0].entry.tenant:
            raise EvidenceBroken(f"{each.place}.entry.tenant", "is another bank's")  # (5)


def _check_statement(approval: Answered) -> signing.Statement:
    try:
        return signing.parse_statement(approval.statement)  # (6)
    except MalformedMessage as error:
        raise EvidenceBroken("approval.statement", str(error)) from None


def _check_story(
    approval: Answered, statement: signing.Statement, found: list[Found]
) -> tuple[Found, Found, Found]:
    """Return the entries of the request, of the answer and of the binding."""
    proof = approval.proof
    created = _only(found, (CREATED,), approval.id, member="approval.id")
    answered = _only(found, tuple(ANSWERED.values()), approval.id, member="approval.id")
    if answered.entry.word != ANSWERED[proof.decision]:
        raise EvidenceBroken("approval.proof.decision", f"is not the one that {answered.place} holds")
    digest = sha256(approval.statement).hex()
    for each in (created, answered):  # (7)
        if each.data.get("statement") != digest:
            raise EvidenceBroken("approval.statement", f"is not the one that {each.place} holds")
    if approval.id != f"apr_{b64url_encode(statement.id)}":
        raise EvidenceBroken("approval.id", "is not the request that approval.statement names")
    binding_id = f"bnd_{b64url_encode(proof.binding)}"
    if answered.data.get("binding") != binding_id:
        raise EvidenceBroken("approval.proof.binding", f"is not the phone that {answered.place} names")
    bound = _only(found, (BOUND,), binding_id, member="approval.proof.binding")  # (8)
    if bound.data.get("key") != sha256(proof.key).hex():
        raise EvidenceBroken("approval.proof.key", f"is not the phone's key that {bound.place} holds")
    if not (created.sequence < answered.sequence and bound.sequence < answered.sequence):
        raise EvidenceBroken(answered.place, "the answer stands before the request, or before its phone")
    return created, answered, bound


def _only(found: list[Found], words: tuple[str, ...], subject: str, *, member: str) -> Found:
    matching = [each for each in found if each.entry.word in words and each.entry.subject == subject]
    if not matching:
        raise EvidenceBroken(member, f"is not one of which the log says {' or '.join(words)}")
    if len(matching) > 1:
        raise EvidenceBroken(matching[1].place, f"says {matching[1].entry.word} a second time")
    return matching[0]


def _check_answer(approval: Answered, found: list[Found], answered: Found) -> str | None:
    """Verify what the phone gave; return the origin of a biometric answer."""
    proof = approval.proof
    if proof.offline is not None:
        if (proof.h, proof.signature, proof.pin, proof.biometric) != (None, None, None, None):
            raise EvidenceBroken("approval.proof", "is of an offline answer and of another")
        if (proof.decision, proof.factor) != ("approve", "pin"):
            raise EvidenceBroken("approval.proof.decision", "is not one that digits can stand for")
        return None
    if proof.h is None or proof.signature is None:
        raise EvidenceBroken("approval.proof.signature", "is missing")
    if (proof.factor == "pin") is (proof.pin is None) or (proof.factor == "biometric") is (
        proof.biometric is None
    ):
        raise EvidenceBroken("approval.proof.factor", "is not that of what was given")
    try:
        signed = signing.answer_input(
            approval.statement,
            decision=proof.decision,
            factor=proof.factor,
            number=proof.number,
            binding_id=proof.binding,
            handshake_hash=proof.h,
        )
        verify(proof.key, proof.signature, signed)  # (9)
    except ProtocolError:
        raise EvidenceBroken(
            "approval.proof",
            "signature is not that of key over decision, factor, number, binding, h and statement",
        ) from None
    _check_pin(proof, signed)
    return None if proof.biometric is None else _check_biometric(proof.biometric, signed, found, answered)


def _check_pin(proof: Proof, signed: bytes) -> None:
    if proof.pin is None or proof.h is None:
        return
    try:
        expected = signing.pin_input(signed, handshake_hash=proof.h, nonce=proof.pin.nonce)
        verify(proof.pin.key, proof.pin.signature, expected)  # (10)
    except ProtocolError:
        raise EvidenceBroken("approval.proof.pin", "does not verify for this answer") from None


def _check_biometric(part: BiometricProof, signed: bytes, found: list[Found], answered: Found) -> str:
    place = "approval.proof.biometric"
    digest = sha256(part.key).hex()
    enrolled = [
        each
        for each in found
        if each.entry.word == ENROLLED
        and each.entry.subject == answered.data.get("binding")
        and each.sequence < answered.sequence
    ]
    if not any(each.data.get("key") == digest for each in enrolled):
        raise EvidenceBroken(f"{place}.key", "is not a credential that the log holds for this phone")
    try:
        origin = msgspec.json.decode(part.client_data, type=_Origin).origin
        if not _ORIGIN.fullmatch(origin):
            raise ValueError("not an origin")
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise EvidenceBroken(f"{place}.client_data", "is not that of a browser") from None
    try:
        check_assertion(
            client_data=part.client_data,
            authenticator_data=part.authenticator_data,
            signature=part.signature,
            key=part.key,
            challenge=signing.biometric_challenge(signed),
            origins=(origin,),
        )  # (10)
    except WebAuthnRefused as refused:
        raise EvidenceBroken(place, str(refused)) from None
    return origin


class _Origin(msgspec.Struct, frozen=True):
    origin: str
