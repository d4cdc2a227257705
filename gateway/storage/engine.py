"""Durable changes by one writer thread with group commit, and reads by a few reader threads. Every
capability's service calls `Storage.write` and `Storage.read`; their store functions see only a Transaction.
It must never tell a caller that a change stands before the commit that holds it has returned."""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from gateway.core.errors import Problem, ProblemCode
from gateway.core.transaction import Collector, Transaction, with_companion
from gateway.storage.backends import Backend, make_backend
from gateway.storage.prepared import PreparedStatements
from gateway.storage.unit import Job, Unit

__all__ = ["Storage", "Transaction"]

T = TypeVar("T")
MAX_BATCH = 128
MAX_ANSWERS = 8
MAX_QUEUE = 10_000
READERS = 3
RETRIES = 5
RETRY_PAUSE_S = 0.01
COMPANY_S, COMPANY_LASTS = 0.008, 3
"""How far apart batches begin while units come in company. A lone unit is never held up; where many customers are
served at once, each commit, with its writes to the disk and its change of threads, then serves more of them."""

_UNANSWERED = partial(Problem, ProblemCode.UNAVAILABLE, "the database does not answer")

_log = structlog.get_logger("storage")


class Storage:
    """The database of one process. Open it inside a running event loop; `close` waits for what is queued."""

    def __init__(self, url: str, *, readers: int = READERS) -> None:
        self._backend = make_backend(url)
        self._prepared = PreparedStatements(self._backend.engine.dialect)
        self._loop = asyncio.get_running_loop()
        self._writes: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._reads: list[queue.SimpleQueue[Job | None]] = [queue.SimpleQueue() for _ in range(readers)]
        self._closed = False
        writer = threading.Thread(target=self._guard(self._write_loop), name="storage-writer", daemon=True)
        self._threads = [writer] + [
            threading.Thread(
                target=self._guard(partial(self._read_loop, lane)), name=f"storage-reader-{n}", daemon=True
            )
            for n, lane in enumerate(self._reads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def backend(self) -> Backend:
        """The database's manners, for migrations and health checks."""
        return self._backend

    @property
    def writes_waiting(self) -> int:
        """How many units wait for the writer thread."""
        return self._writes.qsize()

    async def write(self, unit: Callable[[Transaction], T]) -> T:
        """Run `unit` in the writer thread and return its value once it is durable. Units share commits; an exception
        undoes this unit alone and is raised here. A unit may be run again, after a deadlock or beside one that failed:
        it must do nothing but read and change rows.
        Raises Problem(CONFLICT) for a duplicate key that the unit did not foresee, Problem(UNAVAILABLE)
        when the database does not answer or the commit fails."""
        return await self._submit(self._writes, with_companion(unit))  # type: ignore[no-any-return]

    async def read(self, unit: Callable[[Transaction], T]) -> T:
        """Run `unit` on a reader connection in one snapshot. It cannot change anything."""
        patience = self._backend.reads_in_line
        for lane in self._reads:
            if lane.qsize() < patience:
                break
        return await self._submit(lane, unit)  # type: ignore[no-any-return]

    async def close(self) -> None:
        """Finish what is queued, then close every connection."""
        if self._closed:
            return
        self._closed = True
        self._writes.put(None)
        for lane in self._reads:
            lane.put(None)
        for thread in self._threads:
            await asyncio.to_thread(thread.join)
        self._backend.dispose()

    async def _submit(self, lane: "queue.SimpleQueue[Job | None]", unit: Callable[[Transaction], Any]) -> Any:
        if self._closed:
            raise Problem(ProblemCode.UNAVAILABLE, "the storage is closed")
        if lane.qsize() > MAX_QUEUE:
            raise Problem(ProblemCode.UNAVAILABLE, "the storage cannot keep up")
        future: asyncio.Future[Any] = self._loop.create_future()
        lane.put(Job(unit, future))
        return await future

    def _guard(self, body: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                body()
            except BaseException:
                _log.critical("storage thread ended", thread=threading.current_thread().name, exc_info=True)
                self._closed = True
                raise

        return run

    # The writer thread ------------------------------------------------------------------------------------

    def _write_loop(self) -> None:
        connection: Connection | None = None
        carried: Job | None = None
        until, company = 0.0, 0
        while True:
            if (rest := until - time.monotonic()) > 0:
                time.sleep(rest)
            first = carried or self._writes.get()
            carried = None
            if first is None:
                break
            batch: list[Job] = []
            began = time.monotonic()
            try:
                connection = self._begin(connection, read_only=False)
                carried = self._fill(connection, first, batch)
                self._collect(connection, batch)
                self._backend.run(connection, "COMMIT")
            except Exception as error:
                _log.warning("storage batch failed", units=len(batch) or 1, error=_describe(error))
                _discard(connection)
                connection = None
                self._fail(batch or [first])
                continue
            self._deliver(batch)
            company = COMPANY_LASTS if len(batch) > 1 else max(company - 1, 0)
            until = began + COMPANY_S if company else 0.0
        _discard(connection)

    def _begin(self, connection: Connection | None, *, read_only: bool) -> Connection:
        """Open a transaction, on a fresh connection if the old one has gone while nothing was at stake."""
        if connection is not None:
            try:
                return self._backend.begin(connection, read_only=read_only)
            except Exception as error:
                _log.info("storage reconnects", error=_describe(error))
                _discard(connection)
        fresh = self._backend.connect(read_only=read_only)
        try:
            return self._backend.begin(fresh, read_only=read_only)
        except Exception:
            _discard(fresh)
            raise

    def _fill(self, connection: Connection, first: Job, batch: list[Job]) -> Job | None:
        """Run the first job and those that wait behind it. Returns the job that must open the next batch."""
        job: Job | None = first
        is_clean, is_bare = True, self._backend.changes(connection) is not None
        while job is not None:
            batch.append(job)
            if is_bare:
                is_bare = self._run_bare(connection, job)
                if not is_bare:
                    self._run_again(connection, batch)
                    is_clean = False
            elif is_clean:
                is_clean = not self._run_first(connection, job)
            elif not self._run_in_savepoint(connection, job):
                return batch.pop()
            if len(batch) >= MAX_BATCH:
                break
            try:
                job = self._writes.get_nowait()
            except queue.Empty:
                break
            if job is None:
                self._writes.put(None)
        return None

    def _collect(self, connection: Connection, batch: Sequence[Job]) -> None:
        """Hand what the units gathered to its collectors, and keep what they want told with the last unit, behind what
        the units told themselves."""
        kinds: dict[Collector[Any], list[Any]] = {}
        for job in batch:
            for collector, item in job.gathered:
                kinds.setdefault(collector, []).append(item)
        if kinds:
            unit = Unit(connection, self._prepared)
            for collector, items in kinds.items():
                collector(unit, items)
            batch[-1].callbacks = (*batch[-1].callbacks, *unit.callbacks)

    def _run_bare(self, connection: Connection, job: Job) -> bool:
        """Run a job without a savepoint: for each, the database would copy every page that it touches. Returns False
        when it failed after changing something, which only the end of the transaction undoes."""
        before = self._backend.changes(connection)
        unit = Unit(connection, self._prepared)
        try:
            job.value = job.unit(unit)
        except BaseException as error:
            self._check_alive(connection, error)
            job.error = self._translate(error)
            return self._backend.changes(connection) == before and not unit.is_inspected
        job.callbacks, job.gathered = unit.callbacks, unit.gathered
        return True

    def _run_again(self, connection: Connection, batch: Sequence[Job]) -> None:
        """Undo a batch whose last job failed, and run those before it again, each now in a savepoint."""
        self._backend.run(connection, "ROLLBACK")
        self._backend.begin(connection, read_only=False)
        for job in batch:
            if job.error is None:
                self._run_in_savepoint(connection, job)

    def _run_first(self, connection: Connection, job: Job) -> bool:
        """Run a job while nothing else is at stake in the transaction: undoing it takes no savepoint, which would cost
        more than a small unit itself. Returns whether it changed anything."""
        for attempt in range(1, RETRIES + 1):
            unit = Unit(connection, self._prepared)
            try:
                job.value = job.unit(unit)
                self._backend.check_sound(connection)
            except BaseException as error:
                self._check_alive(connection, error)
                self._backend.run(connection, "ROLLBACK")
                self._backend.begin(connection, read_only=False)
                if not self._backend.is_retryable(error) or attempt == RETRIES:
                    job.error = self._translate(error)
                    return False
                time.sleep(RETRY_PAUSE_S * attempt)  # let the other side take what it waited for
            else:
                job.callbacks, job.gathered = unit.callbacks, unit.gathered
                return True
        return False

    def _run_in_savepoint(self, connection: Connection, job: Job) -> bool:
        """Run a job beside others. Returns False when it has to open a batch of its own: it failed only for what
        another process held, and this batch's locks are part of that."""
        run = self._backend.run
        unit = Unit(connection, self._prepared)
        run(connection, "SAVEPOINT unit")
        try:
            job.value = job.unit(unit)
            self._backend.check_sound(connection)
        except BaseException as error:
            self._check_alive(connection, error)
            run(connection, "ROLLBACK TO SAVEPOINT unit")
            run(connection, "RELEASE SAVEPOINT unit")
            if self._backend.is_retryable(error):
                return False
            job.error = self._translate(error)
            job.callbacks = job.gathered = ()
        else:
            run(connection, "RELEASE SAVEPOINT unit")
            job.callbacks, job.gathered = unit.callbacks, unit.gathered
        return True

    def _check_alive(self, connection: Connection, error: BaseException) -> None:
        """Raise _BatchLost when the connection, or the transaction with all its units, has gone."""
        if self._backend.is_connection_lost(connection, error) or not self._backend.in_transaction(
            connection
        ):
            raise _BatchLost from error

    # The reader threads -----------------------------------------------------------------------------------

    def _read_loop(self, lane: "queue.SimpleQueue[Job | None]") -> None:
        connection: Connection | None = None
        done: list[Job] = []
        while True:
            try:
                job = lane.get_nowait() if done else lane.get()
            except queue.Empty:
                self._deliver(done)
                done = []
                continue
            if job is None:
                self._deliver(done)
                break
            connection = self._read_one(connection, job)
            done.append(job)
            if len(done) >= MAX_ANSWERS:
                self._deliver(done)
                done = []
        _discard(connection)

    def _read_one(self, connection: Connection | None, job: Job) -> Connection | None:
        """Run one job in a snapshot of its own. Returns the connection if it can be used again."""
        try:
            connection = self._begin(connection, read_only=True)
        except Exception as error:
            _log.warning("storage read failed", error=_describe(error))
            job.error = _UNANSWERED()
            return None
        try:
            job.value = job.unit(Unit(connection, self._prepared))
        except BaseException as error:
            job.error = self._translate(error)
        try:
            self._backend.run(connection, "ROLLBACK")
        except Exception:
            _discard(connection)
            return None
        return connection

    # Back in the event loop -------------------------------------------------------------------------------

    def _fail(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            job.error = _UNANSWERED()
            job.callbacks = ()
        self._deliver(jobs)

    def _translate(self, error: BaseException) -> BaseException:
        """Keep driver exceptions, which quote statements and values, from callers."""
        if not isinstance(error, DBAPIError):
            return error
        if self._backend.is_duplicate(error):
            return Problem(ProblemCode.CONFLICT, "it exists already")
        _log.error("storage unit failed", error=_describe(error))
        return Problem(ProblemCode.UNAVAILABLE, "the database refused the change")

    def _deliver(self, jobs: Sequence[Job]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
            self._loop.call_soon_threadsafe(_settle, jobs)


class _BatchLost(Exception):
    """The connection or its transaction has gone, and every unit of the batch with it."""


def _settle(jobs: Sequence[Job]) -> None:
    for job in jobs:
        for callback in job.callbacks:
            try:
                callback()
            except Exception:
                _log.error("on_commit callback failed", exc_info=True)
        if job.future.done():  # the caller was cancelled; the change stands
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.value)


def _describe(error: BaseException) -> str:
    """Name the failure without the statement's bound values."""
    cause = error.__cause__ if isinstance(error, _BatchLost) and error.__cause__ else error
    return f"{type(cause).__name__}: {type(getattr(cause, 'orig', cause)).__name__}"


def _discard(connection: Connection | None) -> None:
    """Close the driver's connection without another word to the server; it may be broken."""
    if connection is not None:
        with contextlib.suppress(Exception):
            connection.invalidate()
        with contextlib.suppress(Exception):
            connection.close()
