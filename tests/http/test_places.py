"""Where a phone is: the word of a trusted proxy, the network it is on, or nothing."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest
from gateway_kit import HOST, GatewayKit, MovingNetwork
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.secrets import system_random
from gateway.http.places import MAX_PLACE, clean_place, place_of_address
from gateway.phone.client import Person, PhoneClient
from gateway.phone.store import MemoryStore

BEHIND = {"trusted_proxies": ["127.0.0.1"], "place_header": "X-Place"}


async def place_shown(kit: GatewayKit, **headers: str) -> str | None:
    """Bring a phone to an activation as a proxy with these headers would; return the place that the bank is told."""
    async with aiohttp.ClientSession(headers=headers) as http:
        phone = PhoneClient(
            store=MemoryStore(),
            network=MovingNetwork(lambda: kit.now.url, http),
            random=system_random,
            clock=kit.clock,
            person=Person("Handy", "fr"),
        )
        activation = (await kit.begin())["activation"]["id"]
        contact = await phone.begin_link((await kit.code(activation))["link"])
        await kit.confirm(activation, contact.device_code)
        await contact.wait_confirmed()
        await contact.enrol("749205")
        done = await kit.activation(activation)
        binding = await kit.call("GET", f"/api/v1/bindings/{done['binding']}")
        assert binding["place"] == done["device"]["place"]
        place: str | None = done["device"]["place"]
        return place


@pytest.mark.parametrize(
    ("settings", "headers", "place"),
    [
        ({}, {}, "local"),
        ({}, {"X-Place": "Lyon"}, "local"),
        ({"place_header": "X-Place"}, {"X-Place": "Lyon"}, "local"),
        ({"trusted_proxies": ["10.9.8.7"], "place_header": "X-Place"}, {"X-Place": "Lyon"}, "local"),
        (BEHIND, {"X-Place": "Lyon, France", "X-Forwarded-For": "198.51.100.7"}, "Lyon, France"),
        (BEHIND, {"X-Place": "Genève" + "e" * 200, "X-Forwarded-For": "198.51.100.7"}, "Genève" + "e" * 122),
        (BEHIND, {"X-Forwarded-For": "198.51.100.7"}, None),
        (BEHIND, {"X-Forwarded-For": "192.168.1.20"}, "local"),
        (BEHIND, {"X-Forwarded-For": "198.51.100.7, fd00::7"}, "local"),
        (BEHIND, {}, None),
        ({"trusted_proxies": ["127.0.0.1"]}, {"X-Place": "Lyon", "X-Forwarded-For": "198.51.100.7"}, None),
    ],
)
async def test_place_of_a_phone(
    tmp_path: Path, settings: dict[str, Any], headers: dict[str, str], place: str | None
) -> None:
    async with GatewayKit.running(tmp_path, **settings) as kit:
        assert await place_shown(kit, **headers) == place
        assert kit.settings.public_host == HOST


@pytest.mark.parametrize(
    ("address", "place"),
    [
        *((address, "local") for address in ("127.0.0.1", "::1", "169.254.3.4", "fe80::1", "fe80::1%eth0")),
        *((address, "local") for address in ("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1")),
        *((address, "local") for address in ("fc00::1", "fd12:3456::1", "::ffff:192.168.0.1")),
        *((address, None) for address in ("172.15.0.1", "172.32.0.1", "100.64.0.1", "203.0.113.1")),
        *((address, None) for address in ("2001:db8::1", "::ffff:198.51.100.7", "", "unknown", None)),
    ],
)
def test_place_of_an_address(address: str | None, place: str | None) -> None:
    assert place_of_address(address) == place


@given(st.text(max_size=300))
def test_what_a_proxy_writes_is_short_and_printable(text: str) -> None:
    place = clean_place(text)
    assert place is None or (0 < len(place) <= MAX_PLACE and place.isprintable() and place == place.strip())
