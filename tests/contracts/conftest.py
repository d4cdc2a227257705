"""Databases for the contract suites: SQLite always, PostgreSQL where Debian's package is installed."""

from collections.abc import Generator
from pathlib import Path

import pytest
from postgresql_server import postgresql_server, postgresql_url  # noqa: F401 - fixtures

from hsm_adapters.errors import OperationUnsupported


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'contract.db'}"
    url: str = request.getfixturevalue("postgresql_url")
    return url


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Skip what a token cannot do, as its probing found, with that sentence; LACKING of the module says which may lack
    anything. What an operation that was found to work is refused is a failure."""
    try:
        return (yield)
    except OperationUnsupported as error:
        lacking = getattr(pyfuncitem.module, "LACKING", {})
        name = pyfuncitem.callspec.params.get("stand") if hasattr(pyfuncitem, "callspec") else None
        was_probed = str(error).startswith(("The token has no keys of kind", "The token cannot wrap"))
        if not (lacking.get(name) and was_probed):
            raise
        pytest.skip(f"{name}: {error}")
