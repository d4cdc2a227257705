"""Checks the audit log against itself and against what the key store signed, and says where it is wrong.
`ChainCheck` is pure and sees rows as the database holds them; `service.verify_log` feeds it page by page, so its
memory does not grow with the log. What it cannot see: entries cut after the last checkpoint together with the
head, which is why checkpoints are shipped away (`Checkpoint` values from elsewhere are taken in by `known`).

The steps, with the comments' numbers in the code: (1) sequences follow one another from 1; (2) each entry's hash
is that of its content and the entry before; (3) each checkpoint's signature is the audit key's; (4) each
checkpoint's hash is that of its entry; (5) each checkpoint names the one before; (6) the head is the last entry,
and knows the last checkpoint."""

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway.audit.models import Finding, FindingKind
from gateway.core.chain import GENESIS, Checkpoint, entry_hash
from gateway.protocol.errors import InvalidPoint, SignatureInvalid
from gateway.protocol.keys import verify

MAX_FINDINGS = 1_000
_MALFORMED = (struct.error, ValueError, TypeError, AttributeError, OverflowError)
UNSIGNED = (*_MALFORMED, SignatureInvalid, InvalidPoint)
"""What `check_signature` raises."""

Row = tuple[Any, ...]
"""Values of a row as the database holds them, in the order of AuditEntry's or Checkpoint's fields."""


class ChainCheck:
    """Feed it pages in order of their sequences, then the head; read `findings`."""

    def __init__(self, audit_keys: Mapping[str, bytes], known: Iterable[Checkpoint] = ()) -> None:
        """`audit_keys` are the audit keys' public points (65 bytes) by label, from the key store, never from the
        database. `known` are checkpoints that were kept elsewhere."""
        self._keys = audit_keys
        self._known = sorted(known, key=lambda checkpoint: checkpoint.sequence)
        self._next_known = 0
        self.findings: list[Finding] = []
        self.entries = 0
        self.checkpoints = 0
        self.last = 0
        # What the next entry may follow: the hash of the last one as stored and, when that differs, as computed.
        # Which of the two the next entry follows is the one that was written. Empty when neither is known.
        self._previous: tuple[bytes, ...] = (GENESIS,)
        self._doubtful = False
        self._last_checkpoint = 0
        self._last_good = 0

    def page(self, entries: Sequence[Row], checkpoints: Sequence[Row], head: Row | None) -> None:
        """Check rows of entries, and the checkpoints up to the last of them. `head` is the head's row in the same
        snapshot. An empty page of entries takes the checkpoints that are left."""
        end = head[0] if head is not None and isinstance(head[0], int) else 0
        waiting = 0
        for row in entries:
            self._check_entry(row, end)
            while waiting < len(checkpoints) and checkpoints[waiting][0] <= self.last:
                self._check_checkpoint(checkpoints[waiting])
                waiting += 1
            while self._next_known < len(self._known) and self._known[self._next_known].sequence <= self.last:
                self._check_known(self._known[self._next_known])
                self._next_known += 1
        for checkpoint in checkpoints[waiting:]:
            self._check_checkpoint(checkpoint)

    def finish(self, head: Row | None) -> None:
        """Check the head's row against all that was fed, and that nothing known from elsewhere is missing."""
        sequence, digest, checkpoint_sequence = head if head is not None else (0, GENESIS, 0)
        signed = max([self._last_checkpoint, *(checkpoint.sequence for checkpoint in self._known)])
        if not isinstance(sequence, int) or not isinstance(checkpoint_sequence, int):
            self._find(FindingKind.HEAD_ALTERED, self.last)
            sequence, checkpoint_sequence = self.last, self._last_checkpoint
        belongs = digest in self._previous or (self._doubtful and sequence == self.last)
        if signed > self.last or (sequence > self.last and not belongs):  # (6)
            self._find(FindingKind.CUT, self.last + 1, max(sequence, signed))
        elif sequence != self.last or not belongs:
            self._find(FindingKind.HEAD_ALTERED, self.last)
        if checkpoint_sequence != self._last_checkpoint:
            self._find(FindingKind.CHECKPOINT_MISSING, max(checkpoint_sequence, self._last_checkpoint))

    def _check_entry(self, row: Row, end: int) -> None:
        sequence, stored = row[0], row[6] if isinstance(row[6], bytes) and len(row[6]) == 32 else b""
        follows = sequence == self.last + 1
        computed = [_compute(previous, row) for previous in self._previous] if follows else []  # (2)
        holds = bool(stored) and stored in computed
        self.entries += 1
        if sequence <= self.last or (sequence > end and not holds):
            self._find(FindingKind.FOREIGN, sequence)
            return
        if not follows:  # (1)
            self._find(FindingKind.MISSING, self.last + 1, sequence - 1)
        if not holds:
            doubtful = self._doubtful or not follows or not self._previous
            self._find(FindingKind.UNPROVEN if doubtful else FindingKind.ALTERED, sequence)
        candidates = (stored,) if holds else (stored, *computed)
        self._previous = tuple(digest for digest in candidates if digest)
        self._doubtful = not holds
        self.last = sequence

    def _check_checkpoint(self, row: Row) -> None:
        self.checkpoints += 1
        previous, self._last_checkpoint = self._last_checkpoint, row[0]
        try:
            checkpoint = Checkpoint(*row)
            check_signature(checkpoint, self._keys)
        except UNSIGNED:
            self._find(FindingKind.CHECKPOINT_ALTERED, row[0])
            return
        if checkpoint.previous != previous:  # (5)
            self._find(FindingKind.CHECKPOINT_MISSING, checkpoint.previous)
        self._compare(checkpoint)

    def _check_known(self, checkpoint: Checkpoint) -> None:
        try:
            check_signature(checkpoint, self._keys)
        except UNSIGNED:
            self._find(FindingKind.CHECKPOINT_ALTERED, checkpoint.sequence)
            return
        self._compare(checkpoint)

    def _compare(self, checkpoint: Checkpoint) -> None:
        """(4) Compare with the entry last fed. When that entry is missing or doubtful, it has its finding already."""
        if checkpoint.sequence != self.last:
            return
        if checkpoint.hash in self._previous:
            self._last_good = checkpoint.sequence
        elif not self._doubtful:
            self._find(FindingKind.REWRITTEN, self._last_good + 1, checkpoint.sequence)

    def _find(self, kind: FindingKind, sequence: int, until: int | None = None) -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(kind, sequence, sequence if until is None else until))


def check_signature(checkpoint: Checkpoint, audit_keys: Mapping[str, bytes]) -> None:
    """(3) Raises one of UNSIGNED unless one of these keys (public points by label) signed the checkpoint."""
    public = audit_keys.get(checkpoint.key_label)
    if public is None:
        raise SignatureInvalid("signed by a key that is not an audit key of this key store")
    verify(public, checkpoint.signature, checkpoint.signed_bytes())


def _compute(previous: bytes, row: Row) -> bytes:
    """Return the hash of a row that follows `previous`; empty for values that no entry has."""
    sequence, tenant_id, at_ms, word, subject, data, _ = row
    try:
        return entry_hash(
            previous,
            sequence=sequence,
            at_ms=at_ms,
            tenant_id=tenant_id,
            word=word,
            subject=subject,
            data=data,
        )
    except _MALFORMED:
        return b""
