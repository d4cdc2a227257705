"""A bounded pool of worker threads, each with one session: one operation a session at a time, and the event loop never
waits inside the module. The adapter submits work; what a fault calls for (another session, handles looked up anew, the
module initialised again) is done here, once, and the work is tried once more, if it may be.

Results go back to the loop together: one wake-up takes all that were ready. A thread that the module does not give
back is left behind; it holds nobody, and whoever ends last lets go of the module."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from hsm_adapters.cryptoki.binding import CryptokiError
from hsm_adapters.cryptoki.faults import Fault, explain, fault_of
from hsm_adapters.cryptoki.token import Token
from hsm_adapters.errors import HsmUnavailable, TokenNotPresent

T = TypeVar("T")

MAX_WAITING = 8_192
"""Operations that wait at once. More are refused: they would be answered after their callers have gone."""

PATIENCE_S = 10.0
"""An operation without an answer after this is given up; the thread is freed when the module answers after all."""

SLOW_PATIENCE_S = 60.0
"""The same for what takes long on slow tokens: generating keys, probing."""

CLOSE_S = 3.0
"""How long `close` waits for operations that are under way."""

ABSENT_S = 0.2
LOOK_S = 0.5
_SILENT = "The HSM has not answered for a while. The gateway goes on when it does."
_CLOSED = "The key store was closed."


class Session:
    """A worker's session: handle, epoch, the keys it has looked up, and the objects of its own that it keeps."""

    __slots__ = ("epoch", "handle", "held", "keys", "version")

    def __init__(self, handle: int, epoch: int) -> None:
        self.handle = handle
        self.epoch = epoch
        self.version = 0
        self.keys: dict[str, Any] = {}
        self.held: dict[tuple[bytes, bytes], int] = {}


Work = Callable[[Session], T]


class _Job:
    __slots__ = ("future", "is_repeatable", "patience_s", "work")

    def __init__(
        self, work: Work[Any], future: asyncio.Future[Any], *, is_repeatable: bool, patience_s: float
    ) -> None:
        self.work = work
        self.future = future
        self.is_repeatable = is_repeatable
        self.patience_s = patience_s


class WorkerPool:
    """Workers on one token. Made and used in one event loop."""

    def __init__(self, token: Token, *, size: int, at_end: Callable[[], None] | None = None) -> None:
        """`at_end` runs in the last worker's thread when all have ended: no call is inside the module then."""
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._done: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._is_waking = False
        self._is_closed = False
        self._waiting = 0
        self._stuck = 0
        self._at_end = at_end
        self._running = size
        self._ending = threading.Lock()
        self._has_ended = asyncio.Event()
        self._workers = [_Worker(token) for _ in range(size)]
        for number, worker in enumerate(self._workers):
            threading.Thread(target=self._work, args=(worker,), name=f"hsm-{number}", daemon=True).start()
        self._watch = self._loop.call_later(LOOK_S, self._look)

    @property
    def size(self) -> int:
        """How many workers there are."""
        return len(self._workers)

    def submit(
        self, work: Work[T], *, is_repeatable: bool = True, patience_s: float | None = None
    ) -> "asyncio.Future[T]":
        """Have a worker run `work(session)`; await the result, or the `HsmError`. With `is_repeatable` it is run once
        more after a fault that was mended. Raises `HsmUnavailable`."""
        if self._is_closed:
            raise HsmUnavailable(_CLOSED)
        if self._stuck == len(self._workers):
            raise HsmUnavailable(_SILENT)
        if self._waiting >= MAX_WAITING:
            raise HsmUnavailable("Too many operations wait for the HSM. Try again in a moment.")
        future: asyncio.Future[T] = self._loop.create_future()
        self._waiting += 1
        patience = PATIENCE_S if patience_s is None else patience_s
        self._jobs.put(_Job(work, future, is_repeatable=is_repeatable, patience_s=patience))
        return future

    async def close(self) -> None:
        """Stop the workers, each after the operation it is in. What waits, and what is not answered in time, fails with
        `HsmUnavailable`."""
        if self._is_closed:
            return
        self._is_closed = True
        self._watch.cancel()
        self._refuse_waiting(_CLOSED)
        for _ in self._workers:
            self._jobs.put(None)
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._has_ended.wait()
        self._hand_over()
        for worker in self._workers:
            job = worker.job
            if job is not None and not job.future.done():
                job.future.set_exception(HsmUnavailable(_CLOSED))

    # In the loop ----------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Give up operations that have had no answer for too long."""
        now = time.monotonic()
        self._stuck = 0
        for worker in self._workers:
            job = worker.job
            if job is not None and worker.since <= now - job.patience_s:
                self._stuck += 1
                if not job.future.done():
                    job.future.set_exception(HsmUnavailable(_SILENT))
        if self._stuck == len(self._workers):
            self._refuse_waiting(_SILENT)
        self._watch = self._loop.call_later(LOOK_S, self._look)

    def _refuse_waiting(self, text: str) -> None:
        while True:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                return
            if job is not None:
                self._waiting -= 1
                if not job.future.done():
                    job.future.set_exception(HsmUnavailable(text))

    def _hand_over(self) -> None:
        self._is_waking = False
        done = self._done
        while done:
            future, result, error = done.popleft()
            self._waiting -= 1
            if future.done():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

    # In a worker ----------------------------------------------------------------------------------------

    def _work(self, worker: "_Worker") -> None:
        done, jobs = self._done, self._jobs
        worker.begin()
        while (job := jobs.get()) is not None:
            result, error = None, None
            if not job.future.done():  # else cancelled: nobody reads it
                worker.since, worker.job = time.monotonic(), job
                try:
                    result = worker.run(job.work, is_repeatable=job.is_repeatable)
                except BaseException as found:
                    error = found
                worker.job = None
            done.append((job.future, result, error))
            del job, result, error
            if not self._is_waking:
                self._is_waking = True
                with suppress(RuntimeError):  # the loop has ended
                    self._loop.call_soon_threadsafe(self._hand_over)
        worker.end()
        with self._ending:
            self._running -= 1
            is_last = not self._running
        if not is_last:
            return
        if self._at_end is not None:
            self._at_end()
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._has_ended.set)


class _Worker:
    """What one thread does: keeps its session, and mends it. `job` is what it is in since `since` (monotonic)."""

    def __init__(self, token: Token) -> None:
        self._token = token
        self._module = token.module
        self._lock = threading.Lock()
        self._session: Session | None = None
        self.job: _Job | None = None
        self.since = 0.0

    def begin(self) -> None:
        """Be among those who use the module."""
        self._module.join(self._lock)

    def run(self, work: Work[T], *, is_repeatable: bool) -> T:
        """Run `work`, and once more after a fault that was mended. Raises `HsmError`."""
        seen = self._module.epoch
        try:
            with self._lock:
                seen = self._module.epoch
                return work(self._usable())
        except CryptokiError as error:
            fault = fault_of(error)
            with self._lock:
                # A session that saw an error is not used again: an operation may still be active in it.
                self._drop()
            if fault is Fault.MODULE:
                self._module.restart(seen)
            if fault is Fault.NONE or not is_repeatable:
                raise explain(error) from None
        except TokenNotPresent:
            # Some modules look for tokens only then; SoftHSM misses one whose file another process writes just now.
            time.sleep(ABSENT_S)
            self._module.restart(seen)
        try:
            with self._lock:
                return work(self._usable())
        except CryptokiError as error:
            with self._lock:
                self._drop()
            raise explain(error) from None

    def end(self) -> None:
        """Close the session and leave the module."""
        with self._lock:
            self._drop()
        self._module.leave(self._lock)

    def _usable(self) -> Session:
        session = self._session
        if session is None or session.epoch != self._module.epoch:
            self._session = None
            session = self._session = Session(*self._token.open_session())
        return session

    def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None and session.epoch == self._module.epoch:
            with suppress(CryptokiError):
                self._module.cryptoki.close_session(session.handle)
