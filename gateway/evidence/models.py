"""The evidence file: its members, and its one form in bytes. The service writes it, the verifier reads it; a file that
holds the same members written otherwise is not one. Places in it are named as `log[0].entries[3].hash`."""

import re
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.protocol.proof import Proof
from gateway.protocol.wiretypes import (
    Bytes32,
    Bytes64,
    Bytes65,
    StatementBytes,
    decode_hook,
    encode_hook,
)

MAX_FILE: Final = 16 * 1024 * 1024
"""Bytes of a file, at most. Each part of the log runs to the next checkpoint: some 1,000 entries of 150 bytes."""
MAX_PARTS: Final = 16
MAX_LINKS: Final = 20_000
Sequence64 = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Count64 = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Short = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"\A[\x20-\x7e]*\Z")]
"""Printable ASCII: the report shows it on terminals."""


class EvidenceBroken(Exception):
    """The file proves nothing. `place` names the member or the line, `reason` says what is wrong there."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place = place
        self.reason = reason


class Opened(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an entry of the audit log says; `at` in Unix milliseconds, `data` as the text that the log holds."""

    at: Count64
    tenant: Short
    word: Short
    subject: Short
    data: Annotated[str, Meta(max_length=16_384)]


class Link(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of the chain: in full where it is about this approval or its phone, by the SHA-256 of its content where
    it is about somebody else. `hash` is that of the chain up to here."""

    hash: Bytes32
    entry: Opened | UnsetType = UNSET
    content: Bytes32 | UnsetType = UNSET


class Signed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The checkpoint over the last entry of a part: the sequence of the one before, when (Unix milliseconds), by which
    key, and the signature (`gateway.core.chain.Checkpoint`)."""

    previous: Count64
    made_at: Count64
    key_label: Short
    signature: Bytes64


class Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Entries that follow one another from sequence `first` to a checkpoint; `previous` is the chain's hash before the
    first, `key` the public point of the audit key that signed."""

    first: Sequence64
    previous: Bytes32
    entries: Annotated[tuple[Link, ...], Meta(min_length=1, max_length=MAX_LINKS)]
    checkpoint: Signed
    key: Bytes65


class Answered(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The approval: what the customer read, byte for byte, and what the phone gave in answer."""

    id: Short
    statement: StatementBytes
    proof: Proof


class Evidence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One approval with its answer, and the parts of the bank's signed log that tell of it and of the phone's key."""

    format: Literal["tessera evidence 1"]
    approval: Answered
    log: Annotated[tuple[Part, ...], Meta(min_length=1, max_length=MAX_PARTS)]


_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the group of P-256 (SEC 2 section 2.4.2)."""


def lower_form(signature: bytes) -> bytes:
    """Return an ES256 signature (r | s) with the smaller of s and n - s: both verify, and a file holds this one, so
    that nobody can write a second file that holds as well."""
    s = int.from_bytes(signature[32:], "big")
    return signature[:32] + min(s, _ORDER - s).to_bytes(32, "big") if 0 < s < _ORDER else signature


_encoder = msgspec.json.Encoder(enc_hook=encode_hook)
_decoder = msgspec.json.Decoder(Evidence, dec_hook=decode_hook)
_BYTE = re.compile(r"byte (\d+)")
_PATH = re.compile(r"at `\$\.?([^`]*)`")


def encode_evidence(evidence: Evidence) -> bytes:
    """Return the file: JSON in UTF-8, a member a line, in the order of the structs, and a line feed."""
    return msgspec.json.format(_encoder.encode(evidence), indent=1) + b"\n"


def decode_evidence(data: bytes) -> Evidence:
    """Read a file in its one form. Raises EvidenceBroken with the member or the line that is wrong."""
    if len(data) > MAX_FILE:
        raise EvidenceBroken("the file", f"is longer than {MAX_FILE:,} bytes")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise EvidenceBroken(_line(data, error.start), "is not UTF-8") from None
    try:
        evidence = _decoder.decode(data)
    except msgspec.ValidationError as error:
        raise _misfit(data, str(error)) from None
    except (msgspec.DecodeError, RecursionError) as error:
        found = _BYTE.search(str(error))
        place = _line(data, int(found[1])) if found else "the end of the file"
        raise EvidenceBroken(place, "is not JSON") from None
    written = encode_evidence(evidence)
    if written != data:
        differs = next(
            (n for n, (a, b) in enumerate(zip(written, data, strict=False)) if a != b),
            min(len(written), len(data)),
        )
        raise EvidenceBroken(_line(data, differs), "is not written as evidence is")
    return evidence


def _line(data: bytes, place: int) -> str:
    number = data.count(b"\n", 0, place) + 1
    return f"line {number}"


def _misfit(data: bytes, text: str) -> EvidenceBroken:
    """Name the member that does not fit; the library leaves the numbers of lists out."""
    found = _PATH.search(text)
    path = found[1] if found else ""
    reason = "is not what belongs there"
    if "[...]" not in path:
        return EvidenceBroken(path or "the file", reason)
    for number, part in enumerate(msgspec.json.decode(data)["log"]):
        links = part.get("entries") if isinstance(part, dict) else None
        for index, link in enumerate(links if isinstance(links, list) else ()):
            if not _fits(link, Link):
                return EvidenceBroken(f"log[{number}].entries[{index}]", reason)
        if not _fits(part, Part):
            member = path.partition("].")[2]
            return EvidenceBroken(f"log[{number}]" + (f".{member}" if "[" not in member else ""), reason)
    return EvidenceBroken("log", reason)


def _fits(value: Any, kind: type[Any]) -> bool:
    try:
        msgspec.convert(value, kind, dec_hook=decode_hook)
    except msgspec.ValidationError:
        return False
    return True
