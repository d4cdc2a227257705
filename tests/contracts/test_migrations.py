"""The migrations make exactly the schema that the code declares: columns, types, indexes, constraints, triggers."""

from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect, text

from gateway.core.errors import Problem
from gateway.installation import check_revision
from gateway.storage.backends import make_backend
from gateway.storage.engine import Storage
from gateway.storage.migrate import current_revision, migrate, newest_revision
from gateway.tables import metadata

TRIGGERS = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name",
    "postgresql": "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY tgname",
}


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    engine = create_engine(make_backend(database_url).engine.url)
    with engine.connect() as opened:
        yield opened
    engine.dispose()


def describe(connection: Connection) -> dict[str, object]:
    """Return everything that the inspector tells of the schema, and the triggers' text."""
    found = inspect(connection)
    tables: dict[str, object] = {}
    for name in found.get_table_names():
        if name == "alembic_version":
            continue
        tables[name] = {
            "columns": [
                (c["name"], str(c["type"]), c["nullable"], c["default"]) for c in found.get_columns(name)
            ],
            "key": found.get_pk_constraint(name),
            "unique": sorted(found.get_unique_constraints(name), key=str),
            "foreign": sorted(found.get_foreign_keys(name), key=str),
            "checks": sorted((c["name"], c["sqltext"]) for c in found.get_check_constraints(name)),
            "indexes": sorted((i["name"], i["column_names"], i["unique"]) for i in found.get_indexes(name)),
        }
    triggers = connection.execute(text(TRIGGERS[connection.dialect.name])).all()
    return {
        "tables": tables,
        "triggers": [(row[0], " ".join(str(row[1]).split())) for row in triggers],
    }


def test_migrated_schema_is_the_declared_one(database_url: str, connection: Connection) -> None:
    migrate(database_url)
    difference = compare_metadata(
        MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True}),
        metadata,
    )
    assert [each for each in difference if "alembic_version" not in str(each)] == []
    migrated = describe(connection)
    assert len(migrated["triggers"]) > 3  # type: ignore[arg-type]
    connection.rollback()
    if connection.dialect.name == "sqlite":
        fresh = create_engine("sqlite://")
    else:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
        connection.commit()
        fresh = connection.engine
    with fresh.begin() as other:
        metadata.create_all(other)
        assert describe(other) == migrated


def test_migrating_twice_changes_nothing(database_url: str, connection: Connection) -> None:
    assert migrate(database_url) == (None, newest_revision())
    assert migrate(database_url) == (newest_revision(), newest_revision())
    assert current_revision(connection) == newest_revision()


async def test_empty_database_is_refused_with_the_command_to_run(database_url: str) -> None:
    storage = Storage(database_url)
    with pytest.raises(Problem, match="tessera migrate"):
        await storage.read(check_revision)
    await storage.close()
