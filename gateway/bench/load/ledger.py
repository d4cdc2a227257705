"""Where processor time goes, by part of the gateway: entry points are wrapped, and between entering and leaving one,
the time of its thread is charged to that part and to no other. `profiled` installs it; measured runs go without."""

import functools
import json
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from pathlib import Path
from typing import Any, TypeVar

_T = TypeVar("_T")


class _Place(threading.local):
    """The parts that a thread is in, the innermost last, and since when."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.since = 0.0


class Ledger:
    """Seconds of processor time by part. Times of a coroutine are those of its steps, not of its waits."""

    def __init__(self, thread_time: Callable[[], float] = time.thread_time) -> None:
        self._thread_time = thread_time
        self._place = _Place()
        self._accounts: list[dict[str, float]] = []
        self._own = threading.local()

    def enter(self, part: str) -> None:
        """Charge what follows in this thread to `part`."""
        place, now = self._place, self._thread_time()
        if place.parts:
            self._charge(place.parts[-1], now - place.since)
        place.parts.append(part)
        place.since = now

    def leave(self) -> None:
        """Go back to the part before."""
        place, now = self._place, self._thread_time()
        self._charge(place.parts.pop(), now - place.since)
        place.since = now

    def _charge(self, part: str, seconds: float) -> None:
        account: dict[str, float] | None = getattr(self._own, "account", None)
        if account is None:
            account = self._own.account = {}
            self._accounts.append(account)
        account[part] = account.get(part, 0.0) + seconds

    def totals(self) -> dict[str, float]:
        """Return the seconds of each part, all threads together."""
        totals: dict[str, float] = {}
        for account in self._accounts:
            for part, seconds in account.items():
                totals[part] = totals.get(part, 0.0) + seconds
        return totals

    def clear(self) -> None:
        """Begin anew."""
        for account in self._accounts:
            account.clear()

    def save(self, path: Path) -> None:
        """Write the totals as JSON."""
        path.write_text(json.dumps(self.totals()))

    def wrap(self, owner: Any, name: str, part: str) -> None:
        """Wrap a plain function or method."""
        original: Callable[..., Any] = getattr(owner, name)

        @functools.wraps(original)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self.enter(part)
            try:
                return original(*args, **kwargs)
            finally:
                self.leave()

        setattr(owner, name, wrapped)

    def wrap_steps(self, owner: Any, name: str, part: str) -> None:
        """Wrap a generator function."""
        original: Callable[..., Generator[Any, Any, Any]] = getattr(owner, name)

        @functools.wraps(original)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            return _Steps(self, part, original(*args, **kwargs)).run()

        setattr(owner, name, wrapped)

    def wrap_coroutine(self, owner: Any, name: str, part: str) -> None:
        """Wrap a coroutine function."""
        original: Callable[..., Coroutine[Any, Any, Any]] = getattr(owner, name)

        @functools.wraps(original)
        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            return await _Steps(self, part, original(*args, **kwargs).__await__())

        setattr(owner, name, wrapped)


class _Steps(Awaitable[Any]):
    """Drives a generator, each step of it charged."""

    def __init__(self, ledger: Ledger, part: str, generator: Generator[Any, Any, Any]) -> None:
        self._ledger = ledger
        self._part = part
        self._generator = generator

    def __await__(self) -> Generator[Any, Any, Any]:
        return self.run()

    def run(self) -> Generator[Any, Any, Any]:
        """Yield what the generator yields; return what it returns."""
        step: Callable[[], Any] = functools.partial(next, self._generator)
        try:
            while True:
                try:
                    yielded = self._charged(step)
                except StopIteration as stop:
                    return stop.value
                try:
                    sent = yield yielded
                except GeneratorExit:
                    raise
                except BaseException as error:
                    step = functools.partial(self._generator.throw, error)
                else:
                    step = functools.partial(self._generator.send, sent)
        finally:
            self._generator.close()

    def _charged(self, step: Callable[[], _T]) -> _T:
        self._ledger.enter(self._part)
        try:
            return step()
        finally:
            self._ledger.leave()
