"""Databases for the contract suites: SQLite always, PostgreSQL where Debian's package is installed."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hsm_modules import P11_KIT, SOFTHSM, RemoteModule, needs, softhsm_token, uri_of
from postgresql_server import postgresql_server, postgresql_url  # noqa: F401 - fixtures

from hsm_adapters.cryptoki.binding import Cryptoki
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


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The key URI of a SoftHSM token in this process."""
    needs(SOFTHSM, "softhsm2-util")
    for name, value in softhsm_token(tmp_path).items():
        monkeypatch.setenv(name, value)
    return uri_of(SOFTHSM, tmp_path)


@pytest.fixture
def remote_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RemoteModule]:
    """SoftHSM in a process of its own, reached through p11-kit."""
    needs(P11_KIT, "p11-kit", SOFTHSM, "softhsm2-util")
    server = RemoteModule(tmp_path, softhsm_token(tmp_path))
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    with server.running():
        yield server


@pytest.fixture
def logins(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The PINs that were sent to tokens, in order."""
    sent: list[bytes] = []
    send = Cryptoki.try_login

    def counted(self: Cryptoki, session: int, pin: bytes) -> int:
        sent.append(pin)
        return send(self, session, pin)

    monkeypatch.setattr(Cryptoki, "try_login", counted)
    return sent
