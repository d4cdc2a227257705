"""Every attack meets a whole gateway on loopback."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gateway_kit import GatewayKit
from postgresql_server import postgresql_server, postgresql_url  # noqa: F401 - fixtures

from gateway.storage.migrate import migrate


@pytest.fixture(autouse=True)
def hasty_phones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Phones try again at once, so that an attack on many connections takes no minutes."""
    monkeypatch.setattr("gateway.phone.contact.RETRY_SECONDS", (0.01,))


@pytest.fixture
async def kit(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[GatewayKit]:
    """The gateway, its bank and its customers' phones; on SQLite, but for tests that run on ENGINES."""
    settings = {}
    if getattr(request, "param", "sqlite") == "postgresql":
        settings["database_url"] = request.getfixturevalue("postgresql_url")
        await asyncio.to_thread(migrate, settings["database_url"])
    async with GatewayKit.running(tmp_path, **settings) as running:
        yield running
