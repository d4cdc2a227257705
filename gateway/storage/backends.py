"""What differs between SQLite and PostgreSQL: how a connection is opened, how a batch begins, and which
failures mean that the connection is gone or that the unit may be run again. The storage engine alone calls
this."""

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.pool import NullPool

from gateway.core.errors import Problem, ProblemCode

BUSY_TIMEOUT_S = 10
"""How long a batch waits for another process's write lock."""

WRITER_LOCK = 0x7E55E8A
"""PostgreSQL advisory lock that orders the batches of all nodes."""

INTRANS, INERROR = 2, 3
"""What psycopg calls the states of a transaction (PQtransactionStatus)."""

RETRYABLE = frozenset({"40001", "40P01"})
"""SQLSTATE: serialization failure, deadlock detected."""

CONNECTION_GONE = frozenset({"57P01", "57P02", "57P03", "25P03", "57P05"})
"""SQLSTATE: shut down, crashed, cannot connect now, idle-in-transaction and idle-session timeouts."""


class Backend(ABC):
    """One database engine's manners. `engine` hands out unpooled connections in the driver's autocommit
    mode; the transaction statements below are sent as they stand."""

    name: str
    begin_write: tuple[str, ...]
    begin_read: str
    set_read_only: str
    reads_in_line: int
    """How many reads wait for one reader thread before the next takes over. Threads of one process contend
    for the interpreter, so a second helps only when the first waits for a server or a long query."""
    engine: Engine

    def connect(self, *, read_only: bool) -> Connection:
        """Open a connection. Raises SQLAlchemy's OperationalError when the database does not answer."""
        connection = self.engine.connect()
        if read_only:
            self.run(connection, self.set_read_only)
        return connection

    def begin(self, connection: Connection, *, read_only: bool) -> Connection:
        """Begin a batch of changes or a reader's snapshot, and return the connection."""
        for statement in (self.begin_read,) if read_only else self.begin_write:
            self.run(connection, statement)
        return connection

    def run(self, connection: Connection, statement: str) -> None:
        """Send one transaction-control statement past SQLAlchemy's own bookkeeping."""
        driver: Any = connection.connection.dbapi_connection
        driver.execute(statement)

    @abstractmethod
    def in_transaction(self, connection: Connection) -> bool:
        """Tell whether the driver still holds the transaction that the batch began."""

    def changes(self, connection: Connection) -> int | None:
        """Return how many rows the connection has changed so far; None where the driver does not tell, or a failed
        statement leaves more behind than changed rows."""
        return None

    @abstractmethod
    def check_sound(self, connection: Connection) -> None:
        """Raise Problem(UNAVAILABLE) when the transaction can no longer be committed, though nobody was told: its
        COMMIT would undo everything and report success."""

    @abstractmethod
    def is_retryable(self, error: BaseException) -> bool:
        """Tell whether the unit failed only because it ran beside another."""

    @abstractmethod
    def is_duplicate(self, error: BaseException) -> bool:
        """Tell whether a row with that key exists already."""

    @abstractmethod
    def is_connection_lost(self, connection: Connection, error: BaseException) -> bool:
        """Tell whether the connection cannot be used again."""

    def dispose(self) -> None:
        """Release what the engine holds."""
        self.engine.dispose()


class SqliteBackend(Backend):
    """SQLite in WAL mode; every commit reaches the disk (synchronous=FULL)."""

    name = "sqlite"
    begin_write = ("BEGIN IMMEDIATE",)
    begin_read = "BEGIN"
    set_read_only = "PRAGMA query_only=ON"
    reads_in_line = 16

    def __init__(self, url: str) -> None:
        path = make_url(url).database
        if path and path != ":memory:":
            Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        else:
            raise Problem(
                ProblemCode.INTERNAL, "SQLite needs a file: an in-memory database has one reader only"
            )
        self.engine = create_engine(
            url,
            isolation_level="AUTOCOMMIT",
            poolclass=NullPool,
            json_serializer=_dump_json,
            json_deserializer=msgspec.json.decode,
            connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_S, "cached_statements": 512},
        )
        event.listen(self.engine, "connect", _prepare_sqlite)

    def in_transaction(self, connection: Connection) -> bool:
        """SQLite ends a transaction by itself when the disk is full or fails."""
        driver: Any = connection.connection.dbapi_connection
        return bool(driver.in_transaction)

    def changes(self, connection: Connection) -> int | None:
        """SQLite counts, triggers' changes too (sqlite3_total_changes)."""
        driver: Any = connection.connection.dbapi_connection
        return int(driver.total_changes)

    def check_sound(self, connection: Connection) -> None:
        """A statement that failed leaves the transaction as it was before."""

    def is_retryable(self, error: BaseException) -> bool:
        """A batch holds the only write lock: nothing to retry."""
        return False

    def is_duplicate(self, error: BaseException) -> bool:
        """Compare the extended error name."""
        name = getattr(getattr(error, "orig", error), "sqlite_errorname", "")
        return name in ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY")

    def is_connection_lost(self, connection: Connection, error: BaseException) -> bool:
        """A file does not hang up."""
        return False


class PostgresqlBackend(Backend):
    """PostgreSQL by psycopg. A batch first takes one advisory lock, so the batches of all nodes follow one
    another: ids of the event log become visible in order and the audit chain has one head."""

    name = "postgresql"
    begin_write = ("BEGIN", f"SELECT pg_advisory_xact_lock({WRITER_LOCK})")
    begin_read = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    set_read_only = "SET default_transaction_read_only = on"
    reads_in_line = 1

    def __init__(self, url: str) -> None:
        parsed = make_url(url).set(drivername="postgresql+psycopg")
        self.engine = create_engine(
            parsed,
            isolation_level="AUTOCOMMIT",
            poolclass=NullPool,
            json_serializer=_dump_json,
            json_deserializer=msgspec.json.decode,
            connect_args={"connect_timeout": 5, "application_name": "tessera", "prepare_threshold": 2},
        )
        event.listen(self.engine, "connect", _prepare_postgresql)

    def in_transaction(self, connection: Connection) -> bool:
        """The unit's savepoint can be rolled back unless the connection is idle or broken."""
        driver: Any = connection.connection.dbapi_connection
        return int(driver.info.transaction_status) in (INTRANS, INERROR)

    def check_sound(self, connection: Connection) -> None:
        """A statement that failed outside of a savepoint spoils the transaction, though its exception was caught."""
        driver: Any = connection.connection.dbapi_connection
        if int(driver.info.transaction_status) != INTRANS:
            raise Problem(ProblemCode.UNAVAILABLE, "the database refused the change")

    def is_retryable(self, error: BaseException) -> bool:
        """Compare the SQLSTATE."""
        return _sqlstate(error) in RETRYABLE

    def is_duplicate(self, error: BaseException) -> bool:
        """Compare the SQLSTATE (unique_violation)."""
        return _sqlstate(error) == "23505"

    def is_connection_lost(self, connection: Connection, error: BaseException) -> bool:
        """The driver knows, or the server said so."""
        if connection.invalidated or _sqlstate(error) in CONNECTION_GONE:
            return True
        driver: Any = connection.connection.dbapi_connection
        return driver is None or bool(driver.closed)


def make_backend(url: str) -> Backend:
    """Return the backend that a database URL names (`sqlite:///…` or `postgresql://…`)."""
    name = make_url(url).get_backend_name()
    if name == "sqlite":
        return SqliteBackend(url)
    if name == "postgresql":
        return PostgresqlBackend(url)
    raise Problem(
        ProblemCode.INTERNAL, f"no storage for {name}: use sqlite:///FILE or postgresql://HOST/NAME"
    )


def _dump_json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _sqlstate(error: BaseException) -> str | None:
    original = getattr(error, "orig", error)
    state = getattr(original, "sqlstate", None)
    return state if isinstance(state, str) else None


def _prepare_sqlite(driver: Any, _record: object) -> None:
    driver.isolation_level = None
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_S * 1000}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "temp_store=MEMORY",
        "cache_size=-16384",
        "wal_autocheckpoint=4000",
    ):
        driver.execute(f"PRAGMA {pragma}")


def _prepare_postgresql(driver: Any, _record: object) -> None:
    was = driver.autocommit
    driver.autocommit = True
    driver.execute("SET idle_in_transaction_session_timeout = '10s'")
    driver.execute("SET lock_timeout = '10s'")
    driver.execute("SET statement_timeout = '20s'")
    driver.execute("SET timezone = 'UTC'")
    driver.execute("SET synchronous_commit = on")
    driver.autocommit = was
