"""`tessera serve` as a process of a test, on a port of its own."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Start = Callable[..., "Served"]


class Served:
    """A running `tessera serve`."""

    def __init__(self, folder: Path, *arguments: str, **settings: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(settings.get("TESSERA_LISTEN_PORT", probe.getsockname()[1]))
        own = {name: value for name, value in os.environ.items() if not name.startswith("TESSERA_")}
        own |= {"TESSERA_DATA": str(folder), "TESSERA_LISTEN_PORT": str(self.port)} | settings
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "serve", *arguments],
            env=own,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.url = f"http://127.0.0.1:{self.port}"

    def wait_ready(self) -> None:
        for _ in range(300):
            if self.process.poll() is not None:
                break
            try:
                if self.get("/readyz")[0] == 200:
                    return
            except OSError:
                time.sleep(0.1)
        raise AssertionError(f"not ready: {self.stop()[1]}")

    def get(
        self, path: str, *, context: ssl.SSLContext | None = None, url: str | None = None
    ) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"{url or self.url}{path}", timeout=5, context=context) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Return exit code and output."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        output, _ = self.process.communicate(timeout=30)
        return self.process.returncode, output


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running: list[Served] = []

    def run(*arguments: str, **settings: str) -> Served:
        served = Served(tmp_path / "data", *arguments, **settings)
        running.append(served)
        return served

    yield run
    for served in running:
        if served.process.poll() is None:
            served.process.kill()
            served.process.communicate()


def readiness(served: Served, wanted: Callable[[dict[str, str]], bool]) -> dict[str, str]:
    """Return the checks of /readyz once they are as wanted."""
    checks: dict[str, str] = {}
    for _ in range(600):
        try:
            checks = json.loads(served.get("/readyz")[1])["checks"]
        except OSError:
            checks = {}
        if checks and wanted(checks):
            return checks
        time.sleep(0.1)
    raise AssertionError((checks, served.stop()[1]))
