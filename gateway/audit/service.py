"""Signs checkpoints of the audit log while the gateway runs, verifies the log, and reads it for the API. The
composition root runs one `Checkpointer` a process; several may work on one database. It never changes an entry."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from gateway.audit import store
from gateway.audit.models import Finding
from gateway.audit.verify import UNSIGNED, ChainCheck, Row, check_signature
from gateway.audit.vouchers import audit_public_keys
from gateway.core.chain import GENESIS, AuditEntry, Checkpoint
from gateway.core.clock import Clock
from gateway.core.errors import Problem, ProblemCode
from gateway.core.transaction import Transaction
from gateway.keys.ring import KeyRing
from gateway.storage.engine import Storage
from gateway.storage.schema import to_millis
from hsm_adapters.api import HsmAdapter
from hsm_adapters.errors import HsmError

PAGE = 2_000
_ALL = 2**63 - 1
_log = structlog.get_logger("audit")


class AuditRolledBack(Exception):
    """The log has lost what this process has seen in it: it was cut, or another was put in its place. Nothing more is
    signed, since a signature would vouch for what is left."""


@dataclass(frozen=True, slots=True)
class _Sight:
    """The log as one look finds it. `seen` is the hash, now, of the entry that was the last at the look before."""

    sequence: int
    hash: bytes
    signed: int
    seen: bytes | None
    checkpoints: list[Checkpoint]


class Checkpointer:
    """Has the key store sign the head of the log: every `every` entries, and every `interval_s` seconds in which
    anything was written. What was cut from the log after a checkpoint shows; before the first one it does not, unless
    a process that had seen it still runs: it remembers the head of its last look, and signs no log that lacks it."""

    def __init__(
        self,
        *,
        storage: Storage,
        adapter: HsmAdapter,
        ring: KeyRing,
        clock: Clock,
        interval_s: float = 60.0,
        every: int = 1_000,
        look_s: float = 1.0,
    ) -> None:
        """The head is looked at every `look_s` seconds."""
        self._storage = storage
        self._adapter = adapter
        self._ring = ring
        self._clock = clock
        self._interval_s = interval_s
        self._every = every
        self._look_s = look_s
        self._seen: tuple[int, bytes] = (0, GENESIS)
        self._last: Checkpoint | None = None
        self._is_rolled_back = False

    async def run(self) -> None:
        """Make checkpoints until cancelled. A failing key store or database is logged and tried again. Before it
        ends, call `checkpoint` once more to sign what the last seconds brought."""
        due = self._clock.now() + self._interval_s
        failing = ""
        while True:
            await asyncio.sleep(self._look_s)
            try:
                sequence, _, signed = await self.look()
                now = self._clock.now()
                if sequence - signed >= self._every or (sequence > signed and now >= due):
                    await self.checkpoint()
                    failing = ""
                if now >= due:
                    due = now + self._interval_s
            except AuditRolledBack:
                continue
            except (HsmError, Problem) as error:
                code = error.code if isinstance(error, HsmError) else error.kind.code
                if code != failing:  # tried again every second: told once
                    _log.warning("audit checkpoint failed", error=code)
                failing = code

    async def check(self) -> None:
        """For /readyz. Raises Problem(UNAVAILABLE) once the log was found rolled back, until the process is started
        anew, which an operator does when it is known why."""
        if self._is_rolled_back:
            raise Problem(
                ProblemCode.UNAVAILABLE,
                "the audit log lost entries that were there: see `tessera audit verify --known`",
            )

    async def look(self) -> tuple[int, bytes, int]:
        """Return sequence and hash of the head, and the sequence of the last checkpoint, once they agree with what
        this process saw before and with the key store's signatures. Raises `AuditRolledBack`, `HsmError`, `Problem`."""
        try:
            return await self._look()
        except AuditRolledBack as found:
            if not self._is_rolled_back:
                _log.critical("the audit log was rolled back: nothing more is signed", found=str(found))
            self._is_rolled_back = True
            raise

    async def _look(self) -> tuple[int, bytes, int]:
        if self._is_rolled_back:
            raise AuditRolledBack("found before")
        sight = await self._storage.read(self._read_sight)
        if sight.sequence < self._seen[0] or sight.seen != self._seen[1]:
            raise AuditRolledBack("entries that were there are gone")
        fresh = sight.checkpoints
        if self._last is not None:
            if not fresh or fresh[0] != self._last:
                raise AuditRolledBack("a checkpoint that was there is gone")
            fresh = fresh[1:]
        newest = fresh[-1] if fresh else self._last
        if (newest.sequence if newest is not None else 0) != sight.signed:
            raise AuditRolledBack("the head names another checkpoint than the last")
        if fresh:
            await self._check_checkpoints(fresh)
        self._seen, self._last = (sight.sequence, sight.hash), newest
        return sight.sequence, sight.hash, sight.signed

    def _read_sight(self, tx: Transaction) -> _Sight:
        sequence, digest, signed = store.read_head(tx)
        checkpoints = store.list_checkpoints(tx, None if self._last is None else self._last.sequence)
        return _Sight(sequence, digest, signed, store.find_hash(tx, self._seen[0]), checkpoints)

    async def _check_checkpoints(self, checkpoints: Sequence[Checkpoint]) -> None:
        keys = await audit_public_keys(self._adapter, self._storage)
        for checkpoint in checkpoints:
            try:
                check_signature(checkpoint, keys)
            except UNSIGNED as error:
                raise AuditRolledBack("a checkpoint is not signed by the audit key") from error
            at = checkpoint.sequence
            if await self._storage.read(lambda tx, at=at: store.find_hash(tx, at)) != checkpoint.hash:  # type: ignore[misc]
                raise AuditRolledBack("an entry is not the one that its checkpoint signed")

    async def checkpoint(self) -> Checkpoint | None:
        """Sign the head now. Returns None when nothing is new, or another process has just done it. Each checkpoint
        is logged as well: whoever ships the log away has what `tessera audit verify --known` takes. Raises
        `AuditRolledBack`, `HsmError`, `Problem`."""
        sequence, digest, signed = await self.look()
        if sequence == signed:
            return None
        made_at = to_millis(self._clock.now())
        label = await self._ring.audit_label()
        unsigned = Checkpoint(sequence, signed, digest, made_at, label, b"")
        signature = await self._adapter.sign(label, unsigned.signed_bytes())
        checkpoint = Checkpoint(sequence, signed, digest, made_at, label, signature)
        if not await self._storage.write(lambda tx: store.insert_checkpoint(tx, checkpoint)):
            return None
        self._last = checkpoint
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
                tx,
                tenant_id,
                before=before,
                limit=limit,
                subject=subject,
                words=() if word is None else (word,),
            )
        )
