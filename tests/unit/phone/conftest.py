"""Fixtures of the phone's tests."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from phone_desk import Desk
from scripted_gateway import ScriptedGateway
from town import Town

import gateway.phone.contact as contact_module


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contact_module, "RETRY_SECONDS", (0.01,))


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    scripted = ScriptedGateway()
    async with scripted.serve() as url, aiohttp.ClientSession() as http:
        yield Desk(scripted, http, url)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    place = Town(tmp_path)
    try:
        yield place
    finally:
        place.close()
