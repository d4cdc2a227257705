"""Writes evidence: collects the record of an approval and the parts of the audit log that tell of it, and verifies the
file before anybody gets it. Called by the HTTP route and the command line. Entries about anything else go in by their
digests alone."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from gateway.core.chain import AuditEntry, ChainPart
from gateway.core.encoding import b64url_encode
from gateway.core.errors import Problem, ProblemCode
from gateway.core.transaction import Transaction
from gateway.evidence.models import (
    Answered,
    Evidence,
    EvidenceBroken,
    Link,
    Opened,
    Part,
    Signed,
    encode_evidence,
    lower_form,
)
from gateway.evidence.verify import ANSWERED, BOUND, CREATED, ENROLLED, verify_evidence
from gateway.protocol.errors import MalformedMessage
from gateway.protocol.proof import Proof, decode_proof
from gateway.protocol.wiretypes import Bytes32, Bytes64, Bytes65, StatementBytes
from gateway.storage.engine import Storage

MAX_ENTRIES = 8
"""Entries about one approval that are shown beside its request and its answer, such as answers that were wrong."""

MAX_ENROLLED = 1_000
"""Credentials of one binding that are looked through for the one that answered."""


class Record(Protocol):
    """An approval as the gateway keeps it. `proof` is `encode_proof` of the answer, None until there is one."""

    @property
    def id(self) -> str: ...
    @property
    def statement(self) -> bytes: ...
    @property
    def proof(self) -> bytes | None: ...


class Records(Protocol):
    """The approvals."""

    def find_record(self, tx: Transaction, tenant_id: str, approval_id: str) -> Record | None:
        """Return one of a tenant's approvals, or None."""
        ...


class Trail(Protocol):
    """The audit log, as far as it is signed."""

    async def find(
        self, tenant_id: str, *, subject: str, words: Sequence[str] = (), limit: int
    ) -> list[AuditEntry]:
        """Return a tenant's entries about one thing, oldest first; of more than `limit`, the newest."""
        ...

    async def prove(self, sequences: Sequence[int]) -> list[ChainPart]:
        """Return the chain from these entries to their checkpoints, making one if need be."""
        ...


class Bank(Protocol):
    """A tenant."""

    @property
    def id(self) -> str: ...


class Banks(Protocol):
    """The tenants."""

    async def list(self) -> Sequence[Bank]:
        """Return all of them."""
        ...


class EvidenceService:
    """Evidence of approvals. One for the process."""

    def __init__(self, *, storage: Storage, records: Records, trail: Trail, banks: Banks) -> None:
        self._storage = storage
        self._records = records
        self._trail = trail
        self._banks = banks

    async def export(self, approval_id: str, *, tenant_id: str) -> bytes:
        """Return the file for a bank's own approval. Raises Problem: NOT_FOUND, CONFLICT while no phone has answered,
        UNAVAILABLE when the audit log does not bear it out; HsmError."""
        record = await self._find(tenant_id, approval_id)
        if record is None:
            raise Problem(ProblemCode.NOT_FOUND, "there is no such approval")
        return await self._write(record, tenant_id)

    async def export_any(self, approval_id: str) -> bytes:
        """Return the file for an approval of whichever bank, for the operator. Raises as `export` does."""
        for bank in await self._banks.list():
            record = await self._find(bank.id, approval_id)
            if record is not None:
                return await self._write(record, bank.id)
        raise Problem(ProblemCode.NOT_FOUND, "there is no such approval")

    async def _find(self, tenant_id: str, approval_id: str) -> Record | None:
        return await self._storage.read(lambda tx: self._records.find_record(tx, tenant_id, approval_id))

    async def _write(self, record: Record, tenant_id: str) -> bytes:
        if record.proof is None:
            raise Problem(
                ProblemCode.CONFLICT,
                "no phone has answered this approval, so there is nothing to prove",
                next_step="Ask for evidence of approvals that were approved, refused or reported.",
            )
        try:
            proof = decode_proof(record.proof)
        except MalformedMessage as error:
            raise _unproved(str(error)) from error
        entries = await self._entries(tenant_id, record.id, proof)
        if not entries:
            raise _unproved("nothing of it is in the audit log")
        shown = {entry.sequence for entry in entries}
        parts = await self._trail.prove(sorted(shown))
        evidence = Evidence(
            format="tessera evidence 1",
            approval=Answered(id=record.id, statement=StatementBytes(record.statement), proof=proof),
            log=tuple(_part(part, shown) for part in parts),
        )
        return await asyncio.to_thread(_seal, evidence)

    async def _entries(self, tenant_id: str, approval_id: str, proof: Proof) -> list[AuditEntry]:
        """Return what the log says of the approval, and of how its phone's keys came to be."""
        find, binding_id = self._trail.find, f"bnd_{b64url_encode(proof.binding)}"
        ends = (CREATED, *ANSWERED.values())
        entries = [
            *await find(tenant_id, subject=approval_id, words=ends, limit=2),
            *await find(tenant_id, subject=approval_id, limit=MAX_ENTRIES),
            *await find(tenant_id, subject=binding_id, words=(BOUND,), limit=1),
        ]
        if proof.biometric is not None:
            answered_at = max(
                (each.sequence for each in entries if each.word == ANSWERED[proof.decision]), default=0
            )
            enrolled = await find(tenant_id, subject=binding_id, words=(ENROLLED,), limit=MAX_ENROLLED)
            entries += [each for each in enrolled if each.sequence < answered_at][-1:]
        return entries


def _part(part: ChainPart, shown: set[int]) -> Part:
    checkpoint = part.checkpoint
    return Part(
        first=part.entries[0].sequence,
        previous=Bytes32(part.previous),
        entries=tuple(_link(entry, shown) for entry in part.entries),
        checkpoint=Signed(
            previous=checkpoint.previous,
            made_at=checkpoint.made_at,
            key_label=checkpoint.key_label,
            signature=Bytes64(lower_form(checkpoint.signature)),
        ),
        key=Bytes65(part.public_key),
    )


def _link(entry: AuditEntry, shown: set[int]) -> Link:
    if entry.sequence not in shown:
        return Link(hash=Bytes32(entry.hash), content=Bytes32(entry.content()))
    opened = Opened(
        at=entry.at_ms, tenant=entry.tenant_id, word=entry.word, subject=entry.subject, data=entry.data
    )
    return Link(hash=Bytes32(entry.hash), entry=opened)


def _seal(evidence: Evidence) -> bytes:
    """Return the file, once it verifies."""
    data = encode_evidence(evidence)
    try:
        verify_evidence(data)
    except EvidenceBroken as error:
        raise _unproved(str(error)) from error
    return data


def _unproved(reason: str) -> Problem:
    return Problem(
        ProblemCode.UNAVAILABLE,
        f"the audit log does not bear this approval out: {reason}",
        next_step="Have the operator run `tessera audit verify`.",
    )
