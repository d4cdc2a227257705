"""Single entries of the audit log with the proof that the key store signed them: the chain from an entry to the next
checkpoint. Called for evidence. It only reads, but for the checkpoint that it asks for when none covers an entry yet;
whom the rest of the chain may be shown to is its caller's concern."""

from collections.abc import Sequence
from typing import Protocol

from gateway.audit import store
from gateway.audit.service import AuditRolledBack
from gateway.audit.vouchers import audit_public_keys
from gateway.core.chain import AuditEntry, ChainPart, Checkpoint
from gateway.core.errors import Problem, ProblemCode
from gateway.core.transaction import Transaction
from gateway.storage.engine import Storage
from hsm_adapters.api import HsmAdapter

MAX_PART = 20_000
"""Entries from one that is proved to its checkpoint. A gateway makes one every 1,000 entries or so."""


class Signing(Protocol):
    """Makes checkpoints (`gateway.audit.service.Checkpointer`)."""

    async def checkpoint(self) -> Checkpoint | None:
        """Sign the head now, unless nothing is new."""
        ...


class AuditTrail:
    """Reads proved entries. One for the process."""

    def __init__(self, *, storage: Storage, adapter: HsmAdapter, signing: Signing) -> None:
        self._storage = storage
        self._adapter = adapter
        self._signing = signing

    async def find(
        self, tenant_id: str, *, subject: str, words: Sequence[str] = (), limit: int
    ) -> list[AuditEntry]:
        """Return a tenant's entries about one thing, oldest first: those of some words, or all. Of more than `limit`,
        the newest."""
        entries = await self._storage.read(
            lambda tx: store.list_entries(
                tx, tenant_id, before=None, limit=limit, subject=subject, words=words
            )
        )
        return entries[::-1]

    async def prove(self, sequences: Sequence[int]) -> list[ChainPart]:
        """Return the chain from these entries to their checkpoints, in order, in as few parts as cover them. Asks for a
        checkpoint when the last of them lies after the newest. Raises Problem(UNAVAILABLE), `HsmError`."""
        last = max(sequences)
        if (await self._storage.read(store.read_head))[2] < last:
            await self._sign()
        keys = await audit_public_keys(self._adapter, self._storage)

        def unit(tx: Transaction) -> list[ChainPart]:
            starts: dict[int, tuple[int, Checkpoint]] = {}
            for sequence in sorted(sequences):
                checkpoint = store.find_checkpoint_after(tx, sequence)
                if checkpoint is None:
                    raise Problem(
                        ProblemCode.UNAVAILABLE, "the audit log has not been signed yet; try again shortly"
                    )
                starts.setdefault(checkpoint.sequence, (sequence, checkpoint))
            return [_part(tx, start, checkpoint, keys) for start, checkpoint in starts.values()]

        return await self._storage.read(unit)

    async def _sign(self) -> None:
        try:
            await self._signing.checkpoint()
        except AuditRolledBack as error:
            raise Problem(
                ProblemCode.UNAVAILABLE,
                "the audit log lost entries that were there, so nothing of it is proved: see `tessera audit verify`",
            ) from error


def _part(tx: Transaction, start: int, checkpoint: Checkpoint, keys: dict[str, bytes]) -> ChainPart:
    if checkpoint.sequence - start >= MAX_PART:
        raise Problem(ProblemCode.UNAVAILABLE, f"entry {start} is too far from its checkpoint to be shown")
    rows = store.raw_entries(tx, start=start, until=checkpoint.sequence, limit=MAX_PART)
    previous = store.find_hash(tx, start - 1)
    public = keys.get(checkpoint.key_label)
    if previous is None or public is None or len(rows) != checkpoint.sequence - start + 1:
        raise Problem(
            ProblemCode.UNAVAILABLE, "the audit log is not whole: `tessera audit verify` says where"
        )
    return ChainPart(previous, tuple(AuditEntry(*row) for row in rows), checkpoint, public)
