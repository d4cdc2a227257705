"""A unit of work as the engine runs it: the Transaction that its store functions see, and the job that waits for it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, CursorResult, Executable

from gateway.core.transaction import Collector, Parameters, Transaction
from gateway.storage.prepared import PreparedStatements

T = TypeVar("T")
Gathered = tuple[Collector[Any], Any]


class Unit(Transaction):
    """A Transaction over one connection."""

    __slots__ = ("_connection", "_driver", "_prepared", "callbacks", "gathered", "is_inspected")

    def __init__(self, connection: Connection, prepared: PreparedStatements | None = None) -> None:
        self._connection = connection
        self._prepared = prepared
        self._driver: Any = connection.connection.dbapi_connection
        self.callbacks: list[Callable[[], None]] = []
        self.gathered: list[Gathered] = []
        self.is_inspected = False

    def execute(self, statement: Executable, parameters: Parameters = None) -> CursorResult[Any]:
        if self._prepared is not None:
            result = self._prepared.execute(self._driver, statement, {} if parameters is None else parameters)
            if result is not None:
                return cast("CursorResult[Any]", result)
        return self._connection.execute(statement, parameters)

    @property
    def connection(self) -> Connection:
        self.is_inspected = True
        return self._connection

    def gather(self, collector: Collector[T], item: T) -> None:
        self.gathered.append((collector, item))

    def on_commit(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)


@dataclass(slots=True)
class Job:
    """A queued unit and what came of it."""

    unit: Callable[[Transaction], Any]
    future: "asyncio.Future[Any]"
    value: Any = None
    error: BaseException | None = None
    callbacks: Sequence[Callable[[], None]] = ()
    gathered: "Sequence[Gathered]" = ()
