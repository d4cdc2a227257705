"""Databases for the contract suites: SQLite always, PostgreSQL where Debian's package is installed."""

from pathlib import Path

import pytest
from postgresql_server import postgresql_server, postgresql_url  # noqa: F401 - fixtures


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'contract.db'}"
    url: str = request.getfixturevalue("postgresql_url")
    return url
