"""Signs checkpoints of the audit log while the gateway runs, verifies the log, and reads it for the API. The
composition root runs one `Checkpointer` a process; several may work on one database. It never changes an entry."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import structlog

from gateway.audit import store
from gateway.audit.models import AuditEntry, Checkpoint, Finding
from gateway.audit.verify import ChainCheck, Row
from gateway.core.clock import Clock
from gateway.core.errors import Problem
from gateway.core.transaction import Transaction
from gateway.keys.labels import KeyPurpose, parse_label
from gateway.storage.engine import Storage
from gateway.storage.schema import to_millis
from hsm_adapters.api import HsmAdapter
from hsm_adapters.errors import HsmError

PAGE = 2_000
_ALL = 2**63 - 1
_log = structlog.get_logger("audit")


class Checkpointer:
    """Has the key store sign the head of the log: every `every` entries, and every `interval_s` seconds in which
    anything was written. What was cut from the log after a checkpoint shows; before the first one it does not."""

    def __init__(
        self,
        *,
        storage: Storage,
        adapter: HsmAdapter,
        key_label: str,
        clock: Clock,
        interval_s: float = 60.0,
        every: int = 1_000,
        look_s: float = 1.0,
    ) -> None:
        """`key_label` is the audit key in force (`InstallationKeys.audit.label`); the head is looked at every
        `look_s` seconds."""
        self._storage = storage
        self._adapter = adapter
        self._key_label = key_label
        self._clock = clock
        self._interval_s = interval_s
        self._every = every
        self._look_s = look_s

    async def run(self) -> None:
        """Make checkpoints until cancelled. A failing key store or database is logged and tried again. Before it
        ends, call `checkpoint` once more to sign what the last seconds brought."""
        due = self._clock.now() + self._interval_s
        while True:
            await asyncio.sleep(self._look_s)
            try:
                sequence, _, signed = await self._storage.read(store.read_head)
                now = self._clock.now()
                if sequence - signed >= self._every or (sequence > signed and now >= due):
                    await self.checkpoint()
                if now >= due:
                    due = now + self._interval_s
            except (HsmError, Problem) as error:
                _log.warning("audit checkpoint failed", error=type(error).__name__)

    async def checkpoint(self) -> Checkpoint | None:
        """Sign the head now. Returns None when nothing is new, or another process has just done it. Each checkpoint
        is logged as well: whoever ships the log away has what `tessera audit verify --known` takes. Raises
        `HsmError`, `Problem`."""
        sequence, digest, signed = await self._storage.read(store.read_head)
        if sequence == signed:
            return None
        made_at = to_millis(self._clock.now())
        unsigned = Checkpoint(sequence, signed, digest, made_at, self._key_label, b"")
        signature = await self._adapter.sign(self._key_label, unsigned.signed_bytes())
        checkpoint = Checkpoint(sequence, signed, digest, made_at, self._key_label, signature)
        if not await self._storage.write(lambda tx: store.insert_checkpoint(tx, checkpoint)):
            return None
        _log.info("audit checkpoint", **checkpoint.fields())
        return checkpoint


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was verified: counts, the sequence of the last entry, and what is wrong (nothing, when all is well)."""

    entries: int
    checkpoints: int
    last: int
    findings: tuple[Finding, ...]


class AuditBroken(Exception):
    """The log is not what was written. `report` says where."""

    def __init__(self, report: VerifyReport) -> None:
        super().__init__("; ".join(str(finding) for finding in report.findings[:3]))
        self.report = report


async def audit_public_keys(adapter: HsmAdapter) -> dict[str, bytes]:
    """Return the audit keys' public points (65 bytes) by label, of all generations. Raises `HsmError`."""
    keys = {}
    for info in await adapter.list():
        name = parse_label(info.label)
        if name is not None and name.purpose is KeyPurpose.AUDIT and info.public_key is not None:
            keys[info.label] = info.public_key
    return keys


async def verify_log(
    storage: Storage,
    audit_keys: Mapping[str, bytes],
    *,
    known: Iterable[Checkpoint] = (),
    progress: Callable[[int, int], None] | None = None,
) -> VerifyReport:
    """Verify the whole log, page by page, while others may write to it. `known` are checkpoints kept elsewhere;
    `progress` is told how many entries of how many are done. Raises `AuditBroken`, `Problem`."""
    check = ChainCheck(audit_keys, known)
    start, checkpoint_start = -_ALL - 1, -_ALL - 1
    while True:
        page = _Page(start, checkpoint_start)
        await storage.read(page.read)
        check.page(page.entries, page.checkpoints, page.head)
        if page.entries:
            start = page.entries[-1][0] + 1
        if page.checkpoints:
            checkpoint_start = page.checkpoints[-1][0] + 1
        if progress is not None and page.head is not None:
            progress(check.entries, page.head[0])
        if page.is_last:
            break
    check.finish(page.head)
    report = VerifyReport(check.entries, check.checkpoints, check.last, tuple(check.findings))
    if report.findings:
        raise AuditBroken(report)
    return report


class _Page:
    """One snapshot: the next entries, the checkpoints up to the last of them, and the head."""

    def __init__(self, start: int, checkpoint_start: int) -> None:
        self._start = start
        self._checkpoint_start = checkpoint_start
        self.entries: list[Row] = []
        self.checkpoints: list[Row] = []
        self.head: Row | None = None
        self.is_last = False

    def read(self, tx: Transaction) -> None:
        """Fill the page."""
        self.entries = store.raw_entries(tx, start=self._start, until=_ALL, limit=PAGE)
        self.is_last = len(self.entries) < PAGE or self.entries[-1][0] == _ALL
        until = _ALL if self.is_last else self.entries[-1][0]
        start = self._checkpoint_start
        while start <= until:
            found = store.raw_checkpoints(tx, start=start, until=until, limit=PAGE)
            self.checkpoints += found
            if len(found) < PAGE:
                break
            start = found[-1][0] + 1
        self.head = store.raw_head(tx)


class AuditService:
    """Reads the log for the bank's back ends."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def list(
        self,
        tenant_id: str,
        *,
        before: int | None,
        limit: int,
        subject: str | None = None,
        word: str | None = None,
    ) -> list[AuditEntry]:
        """Return at most `limit` of a tenant's entries, newest first, below sequence `before`."""
        return await self._storage.read(
            lambda tx: store.list_entries(
                tx, tenant_id, before=before, limit=limit, subject=subject, word=word
            )
        )
