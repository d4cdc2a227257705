"""What the audit log is made of: entries in one hash chain an installation, and checkpoints: signatures of the
key store over the chain's hash at one place. Pure data and hashing; the store writes it, the verifier reads it.

    entry hash = SHA-256("tessera audit entry 1\\0" | sequence u64 | previous entry's hash 32 | at u64 (Unix ms)
                         | for tenant, word, subject, data: u32 length | UTF-8)
    signed     = "tessera audit checkpoint 1\\0" | previous checkpoint's sequence u64 | sequence u64 | entry hash 32
                 | made at u64 (Unix ms) | u32 length | key label

Integers are big-endian. The first entry has sequence 1 and 32 zero bytes for the previous hash. `data` is hashed
as the text that is stored: nothing is parsed or written anew to verify it."""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

GENESIS = bytes(32)
MAX_DATA = 16_384
MAX_SUBJECT = 128
MAX_WORD = 64

_ENTRY_TAG = b"tessera audit entry 1\x00"
_CHECKPOINT_TAG = b"tessera audit checkpoint 1\x00"
_U64 = struct.Struct(">Q")

AuditData = Mapping[str, str | int | bool | None]


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that happened. `data` is canonical JSON; `hash` (32 bytes) covers all of it and every entry before."""

    sequence: int
    tenant_id: str
    at_ms: int
    word: str
    subject: str
    data: str
    hash: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The key store's word that entry `sequence` has this `hash` (32 bytes). `previous` is the sequence of the
    checkpoint before (0 for the first); `signature` is ES256, r | s, 64 bytes, by the key `key_label`."""

    sequence: int
    previous: int
    hash: bytes
    made_at: int
    key_label: str
    signature: bytes

    def signed_bytes(self) -> bytes:
        """Return what is signed. Raises struct.error or ValueError for numbers that do not fit."""
        label = self.key_label.encode()
        if len(self.hash) != 32:
            raise ValueError("a hash has 32 bytes")
        numbers = _U64.pack(self.previous) + _U64.pack(self.sequence)
        return b"".join(
            (
                _CHECKPOINT_TAG,
                numbers,
                self.hash,
                _U64.pack(self.made_at),
                struct.pack(">I", len(label)),
                label,
            )
        )

    def fields(self) -> dict[str, str | int]:
        """Return the checkpoint as plain values, bytes in hexadecimal: for logs, and for keeping elsewhere."""
        return {
            "sequence": self.sequence,
            "previous": self.previous,
            "hash": self.hash.hex(),
            "made_at": self.made_at,
            "key_label": self.key_label,
            "signature": self.signature.hex(),
        }


class FindingKind(StrEnum):
    """What can be wrong with the log."""

    ALTERED = "altered"
    MISSING = "missing"
    CUT = "cut"
    FOREIGN = "foreign"
    UNPROVEN = "unproven"
    REWRITTEN = "rewritten"
    CHECKPOINT_ALTERED = "checkpoint-altered"
    CHECKPOINT_MISSING = "checkpoint-missing"
    HEAD_ALTERED = "head-altered"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with the entries from `sequence` to `until` (both included)."""

    kind: FindingKind
    sequence: int
    until: int

    def __str__(self) -> str:
        """Return a sentence for the operator."""
        where = f"entry {self.sequence}"
        if self.until > self.sequence:
            where = f"entries {self.sequence} to {self.until}"
        return _SENTENCES[self.kind].format(where=where, at=self.sequence)


_SENTENCES = {
    FindingKind.ALTERED: "{where}: not what was written (changed, or moved here from another place)",
    FindingKind.MISSING: "{where}: missing",
    FindingKind.CUT: "{where}: missing from the end of the log",
    FindingKind.FOREIGN: "{where}: never written by the gateway",
    FindingKind.UNPROVEN: "{where}: cannot be proved, since what it follows is not there any more",
    FindingKind.REWRITTEN: "{where}: the chain holds together, but is not the one that a checkpoint signed",
    FindingKind.CHECKPOINT_ALTERED: "the checkpoint at entry {at}: its signature does not verify",
    FindingKind.CHECKPOINT_MISSING: "{where}: a checkpoint made there is missing",
    FindingKind.HEAD_ALTERED: "the head of the log, at entry {at}, was changed",
}


def entry_hash(
    previous: bytes, *, sequence: int, at_ms: int, tenant_id: str, word: str, subject: str, data: str
) -> bytes:
    """Return the hash of an entry, 32 bytes. `previous` is the hash of the entry before. Raises struct.error,
    ValueError or TypeError for values that cannot stand in an entry."""
    if len(previous) != 32:
        raise ValueError("a hash has 32 bytes")
    parts = [_ENTRY_TAG, _U64.pack(sequence), previous, _U64.pack(at_ms)]
    for text in (tenant_id, word, subject, data):
        encoded = text.encode()
        parts.append(len(encoded).to_bytes(4, "big"))
        parts.append(encoded)
    return sha256(b"".join(parts)).digest()


def canonical_json(data: AuditData) -> str:
    """Return `data` as JSON: members in order of their names, no spaces, UTF-8. Raises ValueError for values that
    are not text, integers of 64 bits, booleans or null, and for more than 16 KiB."""
    for name, value in data.items():
        if not (value is None or isinstance(value, str | bool | int)):
            raise ValueError(f"audit data '{name}' is of a type that entries do not hold")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ValueError(f"audit data '{name}' is a number beyond 64 bits")
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if len(text.encode()) > MAX_DATA:
        raise ValueError(f"audit data is longer than {MAX_DATA} bytes")
    return text
