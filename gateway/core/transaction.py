"""The face of one unit of work, for every store function and port that takes part in a change. The storage
engine hands one to a unit; nobody keeps it after the unit has returned."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult, Executable

Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None
"""Bound values of a statement: one row, many rows (executemany), or none."""


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

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Run `callback` in the event loop after the commit that made this unit durable, and never if the
        unit or the commit failed. It must not block and must not raise."""
        ...
