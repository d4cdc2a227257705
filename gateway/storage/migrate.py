"""Brings a database to the schema of this code. `tessera migrate` calls it, and `tessera serve` on SQLite. Two
processes that start together do not both migrate: the second waits, and finds nothing left to do."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from gateway.storage.backends import SqliteBackend, make_backend

MIGRATE_LOCK = 0x7E55E8B
FOLDER = Path(__file__).parent / "migrations"


def migrate(url: str) -> tuple[str | None, str]:
    """Run what is missing; return the revision before and after. Blocks: call it in a thread. Raises SQLAlchemy's
    OperationalError when the database does not answer."""
    backend = make_backend(url)
    engine = create_engine(backend.engine.url, poolclass=NullPool)
    if isinstance(backend, SqliteBackend):
        event.listen(engine, "connect", _let_ddl_roll_back)
        event.listen(engine, "begin", _begin_immediate)
    backend.dispose()
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATE_LOCK})"))
            before = current_revision(connection)
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            return before, newest_revision()
    finally:
        engine.dispose()


def current_revision(connection: Connection) -> str | None:
    """Return the revision of a database, or None when it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


@cache
def newest_revision() -> str:
    """Return the revision of this code."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise RuntimeError("the package holds no migrations")
    return head


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    return config


def _let_ddl_roll_back(driver: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    driver.isolation_level = None
    driver.execute("PRAGMA busy_timeout=10000")
    driver.execute("PRAGMA journal_mode=WAL")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
