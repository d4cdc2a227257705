"""What can be wrong with the audit log, and how data goes into an entry. Entries, checkpoints and the bytes that are
hashed and signed are in `gateway.core.chain`: one hash chain an installation, and signatures of the key store over the
chain's hash at one place. The store writes it, the verifier reads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

MAX_DATA = 16_384
MAX_SUBJECT = 128
MAX_WORD = 64

_encode = msgspec.json.Encoder(order="deterministic").encode

AuditData = Mapping[str, str | int | bool | None]


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


def canonical_json(data: AuditData) -> str:
    """Return `data` as JSON: members in order of their names, no spaces, UTF-8. Raises ValueError for values that
    are not text, integers of 64 bits, booleans or null, and for more than 16 KiB."""
    for name, value in data.items():
        if not (value is None or isinstance(value, str | bool | int)):
            raise ValueError(f"audit data '{name}' is of a type that entries do not hold")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ValueError(f"audit data '{name}' is a number beyond 64 bits")
    try:
        encoded = _encode(data)
    except TypeError as error:
        raise ValueError("audit data holds a value of a type of its own") from error
    if len(encoded) > MAX_DATA:
        raise ValueError(f"audit data is longer than {MAX_DATA} bytes")
    return encoded.decode()
