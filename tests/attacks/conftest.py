"""Every attack meets a whole gateway on loopback."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gateway_kit import GatewayKit


@pytest.fixture(autouse=True)
def hasty_phones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Phones try again at once, so that an attack on many connections takes no minutes."""
    monkeypatch.setattr("gateway.phone.contact.RETRY_SECONDS", (0.01,))


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[GatewayKit]:
    """The gateway, its bank and its customers' phones."""
    async with GatewayKit.running(tmp_path) as running:
        yield running
