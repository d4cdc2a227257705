"""An installation to be put under load: a data directory of its own with a tenant and an API key, made through the
services before the gateway starts on it. The limits that protect callers from one another are out of the way, since
all the load comes from one address under one key."""

import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gateway.bench.load.process import ServerProcess, free_port
from gateway.bench.load.rest import bearer
from gateway.core.clock import SystemClock
from gateway.core.secrets import Secret, system_random
from gateway.installation import Installation, open_installation
from gateway.settings import DEFAULT_LIMITS, RateLimit, load

NO_LIMIT = RateLimit(1_000_000, 1)


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a gateway under load lives. SQLite in `data`, durable as always."""

    data: Path
    port: int

    @classmethod
    @contextlib.contextmanager
    def temporary(cls) -> Iterator["Ground"]:
        """Make one, and remove it at the end."""
        with tempfile.TemporaryDirectory(prefix="tessera-bench-") as folder:
            yield cls(Path(folder), free_port())

    @property
    def host(self) -> str:
        """HOST of the protocol."""
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """Where the gateway's output goes."""
        return self.data / "serve.log"

    @property
    def environment(self) -> dict[str, str]:
        """The gateway's settings."""
        limits = dict.fromkeys(DEFAULT_LIMITS, NO_LIMIT)
        return {
            "TESSERA_DATA": str(self.data),
            "TESSERA_LISTEN_PORT": str(self.port),
            "TESSERA_PUBLIC_HOST": self.host,
            "TESSERA_LIMITS": msgspec.json.encode(limits).decode(),
        }

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Installation]:
        """Open the installation in this process, while no gateway runs on it."""
        settings = load(None, self.environment)
        async with open_installation(settings, clock=SystemClock(), random=system_random) as installation:
            yield installation

    def gateway(self, core: int, *, ledger: Path | None = None) -> ServerProcess:
        """Return the gateway process, `tessera serve`, to be started; with a ledger it is slower, and writes that file
        when it stops."""
        return ServerProcess(
            ["-m", "gateway", "serve"]
            if ledger is None
            else ["-m", "gateway.bench.load.profiled", str(ledger), "serve"],
            core=core,
            port=self.port,
            ready="/readyz",
            environment=self.environment,
        )


@dataclass(frozen=True, slots=True)
class BankAccount:
    """A tenant's id and an API key of it that may do everything."""

    tenant_id: str
    api_key: Secret

    @property
    def headers(self) -> dict[str, str]:
        """The header that carries the key."""
        return bearer(self.api_key.reveal().decode())

    @classmethod
    async def open(cls, installation: Installation) -> "BankAccount":
        """Make the tenant and the key."""
        tenant = await installation.tenants.create("Bench bank")
        _, text = await installation.api_keys.create(tenant_id=tenant.id, name="bench", scopes=["*"])
        return cls(tenant.id, text)
