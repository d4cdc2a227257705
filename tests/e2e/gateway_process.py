"""A gateway as users run it: `tessera serve --demo` in a process of its own, on a port and a data folder of its own,
stopped by its own process id, killed and started again at will."""

import functools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from key_stores import make_key_store

TESSERA = Path(sys.executable).parent / "tessera"


def free_port() -> int:
    """Return a loopback TCP port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class GatewayProcess:
    """One `tessera serve --demo`. `address` is its origin, as in http://localhost:PORT."""

    def __init__(self, data: Path, **settings: str) -> None:
        self.data = data
        self.port = free_port()
        self.address = f"http://localhost:{self.port}"
        self.log = data / "serve.log"
        self.key_store = make_key_store(data)
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def _environment(self) -> dict[str, str]:
        ours = {key: value for key, value in os.environ.items() if not key.startswith("TESSERA_")}
        return (
            ours
            | {
                "TESSERA_DATA": str(self.data),
                "TESSERA_LISTEN_PORT": str(self.port),
                "TESSERA_PUBLIC_HOST": f"localhost:{self.port}",
            }
            | dict(self.key_store.environment)
            | self._settings
        )

    def start(self) -> None:
        """Start and wait until /readyz answers 200. Raises RuntimeError with the log's end otherwise."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [TESSERA, "serve", "--demo"],
                env=self._environment(),
                stdout=log,
                stderr=log,
                cwd=self.data,
            )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{self.address}/readyz", timeout=2) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"the gateway did not start:\n{self.log.read_text()[-3000:]}")

    def stop(self, *, kill: bool = False) -> None:
        """Stop it by SIGTERM, or by SIGKILL as a power cut would, and wait for its end."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    @functools.cached_property
    def _bank_key(self) -> str:
        """An API key of the demo bank with every scope, made as an operator makes one."""
        tenant = json.loads((self.data / "demo.json").read_text())["tenant"]
        made = subprocess.run(
            [TESSERA, "api-key", "create", "--tenant", tenant, "--name", "end-to-end tests", "--scope", "*"],
            env=self._environment(),
            cwd=self.data,
            capture_output=True,
            text=True,
            check=True,
        )
        return re.findall(r"tsk_[A-Za-z0-9_-]{43}", made.stdout)[0]

    def as_bank(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Do what the bank's back end does by REST, such as POST /api/v1/bindings/bnd_…/suspend; return its JSON."""
        headers = {"Authorization": f"Bearer {self._bank_key}", "Content-Type": "application/json"}
        data = None if method == "GET" else json.dumps(body or {}).encode()
        order = urllib.request.Request(self.address + path, data=data, headers=headers, method=method)
        with urllib.request.urlopen(order, timeout=20) as answer:
            assert answer.status < 300
            content = answer.read()
            return json.loads(content) if content else None

    def forget_phones(self) -> None:
        """Remove every phone that other tests have bound: their customers log in by the password again."""
        if not (self.data / "demo.json").exists():
            return
        for state in ("active", "suspended"):
            while items := self.as_bank("GET", f"/api/v1/bindings?state={state}&limit=200")["items"]:
                for binding in items:
                    self.as_bank("DELETE", f"/api/v1/bindings/{binding['id']}")

    def restart(self, *, kill: bool = True) -> None:
        """Stop (by default as a power cut would) and start again on the same data and port."""
        self.stop(kill=kill)
        self.start()
