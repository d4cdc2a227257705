"""The face of one unit of work, for every store function and port that takes part in a change. The storage
engine hands one to a unit; nobody keeps it after the unit has returned."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult, Executable

T = TypeVar("T")
_Item = TypeVar("_Item", contravariant=True)
Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None
"""Bound values of a statement: one row, many rows (executemany), or none."""


class Collector(Protocol[_Item]):
    """Writes what many units have to write of one kind, in one go. When it raises, none of them stands."""

    def __call__(self, tx: "Transaction", items: Sequence[_Item], /) -> None:
        """Write them."""
        ...


class Transaction(Protocol):
    """One unit of work on one connection, inside the storage thread. Synchronous."""

    def execute(self, statement: "Executable", parameters: Parameters = None) -> "CursorResult[Any]":
        """Run one SQLAlchemy Core statement. Statements built once at module level run fastest: their
        compiled form is found again."""
        ...

    @property
    def connection(self) -> "Connection":
        """The connection, for schema inspection alone."""
        ...

    def gather(self, collector: "Collector[T]", item: T) -> None:
        """Hand `item` to `collector`, once, just before the commit, together with those of the other units that share
        it, in the order in which the units ran; never if this unit failed."""
        ...

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Run `callback` in the event loop after the commit that made this unit durable, and never if the
        unit or the commit failed. It must not block and must not raise."""
        ...


class _Companion:
    """What accompanies the changes of one context, until that is over: a task that was started there outlives it."""

    __slots__ = ("unit",)

    def __init__(self, unit: Callable[[Transaction], None]) -> None:
        self.unit: Callable[[Transaction], None] | None = unit


_companion: ContextVar[_Companion | None] = ContextVar("companion", default=None)


@contextlib.contextmanager
def accompanied(unit: Callable[[Transaction], None]) -> Iterator[None]:
    """Have `unit` run in the same transaction after every unit of work that is handed to the storage in here: both
    stand or neither does."""
    companion = _Companion(unit)
    token = _companion.set(companion)
    try:
        yield
    finally:
        companion.unit = None
        _companion.reset(token)


def with_companion(unit: Callable[[Transaction], T]) -> Callable[[Transaction], T]:
    """Return the unit together with what accompanies it here. The storage calls it on its caller's side."""
    companion = _companion.get()
    if companion is None or companion.unit is None:
        return unit
    second = companion.unit

    def both(tx: Transaction) -> T:
        value = unit(tx)
        second(tx)
        return value

    return both
