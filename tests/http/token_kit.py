"""`tessera` as processes on SoftHSM tokens of a test's own: beside it, behind `p11-kit server`, or behind OpenSC's spy,
which writes down every call that reaches the module."""

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hsm_modules import P11_KIT, PIN, SOFTHSM, needs, pin_file, softhsm_token, uri_of
from serve_kit import Served

SPY = P11_KIT.parent / "pkcs11-spy.so"


def tessera(
    *arguments: str, environment: Mapping[str, str], **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("TESSERA_")}
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        env={**own, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        **options,
    )


@dataclass(frozen=True)
class TokenStand:
    """A SoftHSM token with the folder that holds it and its PIN file, and the data folder of its gateway."""

    folder: Path
    data: Path
    found: dict[str, str] = field(default_factory=dict)
    """The environment that finds the token."""

    @classmethod
    def make(cls, folder: Path) -> "TokenStand":
        """Make the token. Skips without SoftHSM."""
        needs(SOFTHSM, "softhsm2-util")
        place = folder / "hsm"
        place.mkdir()
        return cls(place, folder / "data", softhsm_token(place))

    @property
    def uri(self) -> str:
        """The token's key URI, with the PIN in a file."""
        return uri_of(SOFTHSM, self.folder)

    def environment(self, uri: str | None = None) -> dict[str, str]:
        """Return what a command wants that uses the token in its own process."""
        return {**self.found, "TESSERA_DATA": str(self.data), "TESSERA_HSM": uri or self.uri}

    def run(self, *arguments: str, uri: str | None = None) -> str:
        """Run a command that succeeds, and return what it prints."""
        done = tessera(*arguments, environment=self.environment(uri))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def write_pin(self, pin: str = PIN) -> None:
        """Put a PIN into the file that the URI names."""
        pin_file(self.folder, pin)

    def make_bank(self) -> "BankBackEnd":
        """Make the tables, the keys, a tenant and its API key."""
        self.run("migrate")
        self.run("keys", "init")
        tenant = self.run("tenant", "create", "Bank").strip()
        made = self.run("api-key", "create", "--tenant", tenant, "--name", "tests", "--scope", "*")
        return BankBackEnd(re.findall(r"tsk_[A-Za-z0-9_-]{43}", made)[0])


@dataclass(frozen=True)
class BankBackEnd:
    """Who calls the API."""

    api_key: str

    def call(
        self, served: Served, method: str, path: str, body: dict[str, Any] | None = None, **headers: str
    ) -> tuple[int, dict[str, Any], Mapping[str, str]]:
        """Return status, JSON and headers of the answer."""
        given = {"Authorization": f"Bearer {self.api_key}", "Content-Type": "application/json"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = None if body is None else json.dumps(body).encode()
        order = urllib.request.Request(served.url + path, data=content, headers=given, method=method)
        try:
            with urllib.request.urlopen(order, timeout=20) as answer:
                return answer.status, json.loads(answer.read()), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read()), error.headers


class Spy:
    """OpenSC's spy between a gateway and SoftHSM: what reached the module."""

    def __init__(self, stand: TokenStand) -> None:
        needs(SPY)
        self._written = stand.folder / "calls"
        self.uri = uri_of(SPY, stand.folder)
        self.environment = {"PKCS11SPY": str(SOFTHSM), "PKCS11SPY_OUTPUT": str(self._written)}

    def count(self, function: str) -> int:
        """Return how often a function was called."""
        calls = self._written.read_text(errors="replace") if self._written.exists() else ""
        return len(re.findall(rf"^\d+: {function}$", calls, re.MULTILINE))


def all_ok(checks: Mapping[str, str]) -> bool:
    """Whether the gateway is ready."""
    return set(checks.values()) == {"ok"}
