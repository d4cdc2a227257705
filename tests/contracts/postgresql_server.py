"""A PostgreSQL server of the tests' own, from Debian's package: in a temporary folder, on loopback, on a free
port, gone at the end. A test module imports the fixtures `postgresql_server` (one a module) and `postgresql_url`
(an empty database a test)."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

_NAME = "postgres"


def _program(name: str) -> str | None:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running_server() -> Iterator[str]:
    """Start a server and yield its URL without a database name. Skips the test when there is no PostgreSQL."""
    initdb, postgres = _program("initdb"), _program("postgres")
    if initdb is None or postgres is None:
        pytest.skip("Debian's postgresql is not installed")
    # The server refuses to run as root; its package brought a user for it.
    user = _NAME if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="tessera-pg-") as folder:
        if user is not None:
            shutil.chown(folder, user)
        data, port = f"{folder}/data", _free_port()
        setup = [initdb, "-D", data, "-A", "trust", "-U", _NAME, "--no-sync", "-E", "UTF8", "--locale=C"]
        subprocess.run(setup, check=True, capture_output=True, user=user, cwd=folder)
        options = ["-p", str(port), "-k", folder, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        with subprocess.Popen(
            [postgres, "-D", data, *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=user,
            cwd=folder,
        ) as process:
            try:
                url = f"postgresql://{_NAME}@127.0.0.1:{port}"
                _wait_until_ready(url, process)
                yield url
            finally:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(300):
        if process.poll() is not None:
            raise RuntimeError("PostgreSQL ended at once")
        try:
            psycopg.connect(f"{url}/{_NAME}", connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise RuntimeError("PostgreSQL does not answer")


@pytest.fixture(scope="module")
def postgresql_server() -> Iterator[str]:
    """One server for a module's tests."""
    with running_server() as url:
        yield url


@pytest.fixture
def postgresql_url(postgresql_server: str) -> str:
    """An empty database."""
    name = f"t{secrets.token_hex(6)}"
    with psycopg.connect(f"{postgresql_server}/{_NAME}", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{postgresql_server}/{name}"
