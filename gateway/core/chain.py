"""The audit log's hash chain as bytes: what an entry's hash covers and what the key store signs, in the words that the
log and the evidence drawn from it share. Pure data and hashing; nothing here reads, writes or verifies a signature.

    content    = SHA-256("tessera audit content 2\\0" | at u64 (Unix ms)
                         | for tenant, word, subject, data: u32 length | UTF-8)
    entry hash = SHA-256("tessera audit entry 2\\0" | sequence u64 | previous entry's hash 32 | content 32)
    signed     = "tessera audit checkpoint 1\\0" | previous checkpoint's sequence u64 | sequence u64 | entry hash 32
                 | made at u64 (Unix ms) | u32 length | key label

Integers are big-endian. The first entry has sequence 1 and 32 zero bytes for the previous hash. `data` is hashed
as the text that is stored: nothing is parsed or written anew to verify it. The content goes in by its digest, so that
the chain can be shown to somebody who may not read all of it."""

import struct
from dataclasses import dataclass
from hashlib import sha256

GENESIS = bytes(32)
HASH_BYTES = 32

_CONTENT_TAG = b"tessera audit content 2\x00"
_ENTRY_TAG = b"tessera audit entry 2\x00"
_CHECKPOINT_TAG = b"tessera audit checkpoint 1\x00"
_U64 = struct.Struct(">Q")


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

    def content(self) -> bytes:
        """Return the digest of what it says, 32 bytes. Raises as `content_hash` does."""
        return content_hash(
            at_ms=self.at_ms, tenant_id=self.tenant_id, word=self.word, subject=self.subject, data=self.data
        )


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
        if len(self.hash) != HASH_BYTES:
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


@dataclass(frozen=True, slots=True)
class ChainPart:
    """Entries that follow one another up to one that a checkpoint signed. `previous` is the hash before the first, and
    `public_key` (65 bytes) the audit key of the checkpoint."""

    previous: bytes
    entries: tuple[AuditEntry, ...]
    checkpoint: Checkpoint
    public_key: bytes


def content_hash(*, at_ms: int, tenant_id: str, word: str, subject: str, data: str) -> bytes:
    """Return the digest of what an entry says, 32 bytes. Raises struct.error, ValueError or TypeError for values that
    cannot stand in an entry."""
    parts = [_CONTENT_TAG, _U64.pack(at_ms)]
    for text in (tenant_id, word, subject, data):
        encoded = text.encode()
        parts.append(len(encoded).to_bytes(4, "big"))
        parts.append(encoded)
    return sha256(b"".join(parts)).digest()


def link_hash(previous: bytes, *, sequence: int, content: bytes) -> bytes:
    """Return the hash of an entry of which only the digest of its content is known. Raises struct.error or
    ValueError."""
    if len(previous) != HASH_BYTES or len(content) != HASH_BYTES:
        raise ValueError("a hash has 32 bytes")
    return sha256(_ENTRY_TAG + _U64.pack(sequence) + previous + content).digest()


def entry_hash(
    previous: bytes, *, sequence: int, at_ms: int, tenant_id: str, word: str, subject: str, data: str
) -> bytes:
    """Return the hash of an entry, 32 bytes. `previous` is the hash of the entry before. Raises struct.error,
    ValueError or TypeError for values that cannot stand in an entry."""
    content = content_hash(at_ms=at_ms, tenant_id=tenant_id, word=word, subject=subject, data=data)
    return link_hash(previous, sequence=sequence, content=content)
