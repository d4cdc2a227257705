"""T20: a webhook's address is turned against the inside (SSRF): literal addresses, names that lead inside, names that
change between check and use, redirects. Through the gateway's own sender."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohappyeyeballs
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer
from attack_kit import bind_phone
from gateway_kit import GatewayKit

from gateway.outbound import AddressRefused, PublicResolver, check_host
from gateway.webhooks import sender

PUBLIC = "93.184.215.14"
INSIDE = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "224.0.0.1",
    "255.255.255.255",
    "[::]",
    "[::1]",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[fc00::1]",
    "[fec0::1]",
    "[ff02::1]",
    "[ff0e::1]",
    "[::ffff:10.0.0.1]",
    "[::ffff:0:10.0.0.1]",
    "[::10.0.0.1]",
    "[64:ff9b::10.0.0.1]",
    "[64:ff9b::169.254.169.254]",
    "[64:ff9b:1::1]",
    "[2002:0a00:0001::1]",
    "[2001:0:5db8:d70e:0:0:f5ff:fffe]",
    "localhost",
    "LOCALHOST.",
    "a.localhost",
]
"""Loopback, private, shared, link-local, metadata, multicast; and IPv4 addresses of those inside IPv6 ones."""

NAMES_THAT_ARE_NUMBERS = ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.0.1."]
"""What a C library reads as 127.0.0.1, and ipaddress as a name: stopped when resolved."""


async def test_no_address_inside_is_taken_by_the_api(kit: GatewayKit) -> None:
    for host in INSIDE:
        wish = {"url": f"https://{host}/in", "events": []}
        await kit.call("POST", "/api/v1/webhooks", wish, status=400)
    for url in (f"http://{PUBLIC}/in", f"https://u:p@{PUBLIC}/", "file:///etc/passwd", "gopher://x/"):
        await kit.call("POST", "/api/v1/webhooks", {"url": url, "events": []}, status=400)
    for host in (PUBLIC, "hooks.bank.example", "[2606:2800:21f:cb07:6820:80da:af6b:8b2c]"):
        await kit.call("POST", "/api/v1/webhooks", {"url": f"https://{host}/in", "events": []}, status=201)


async def test_a_number_that_is_read_as_a_name_is_stopped_when_it_is_resolved() -> None:
    for name in NAMES_THAT_ARE_NUMBERS:
        with pytest.raises((AddressRefused, OSError)):
            check_host(name)
            await PublicResolver().resolve(name, 443)


class Names(AbstractResolver):
    """Answers what the attacker's name server answers: each list in turn, the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found
        ]

    async def close(self) -> None:
        return None


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Addresses that the sender connects to; none but loopback is reachable from here."""
    tried: list[str] = []
    connect = aiohappyeyeballs.start_connection

    async def start_connection(addr_infos: Any, **more: Any) -> Any:
        task = asyncio.current_task()
        hosts = [info[4][0] for info in addr_infos]
        if task is None or "WebhookSender" not in repr(task.get_coro()):
            return await connect(addr_infos=addr_infos, **more)
        tried.extend(hosts)
        if not all(host.startswith("127.") for host in hosts):
            raise OSError("not from here")
        return await connect(addr_infos=addr_infos, **more)

    monkeypatch.setattr(aiohappyeyeballs, "start_connection", start_connection)
    yield tried


class Inside:
    """A server inside, which nobody should reach: counts connections, and answers 204."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.connections = 0

    @contextlib.asynccontextmanager
    async def serving(self, redirect_to: str | None = None) -> AsyncIterator[str]:
        async def answer(request: web.Request) -> web.Response:
            self.requests.append(request.path)
            if redirect_to is not None:
                return web.Response(status=int(request.path[1:]), headers={"Location": redirect_to})
            return web.Response(status=204)

        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", answer)
        server = TestServer(app)
        await server.start_server()
        yield f"{server.host}:{server.port}"
        await server.close()


async def deliver(kit: GatewayKit, url: str) -> dict[str, Any]:
    """Put an endpoint in the database, past the API's check, as an insider could; return its delivery once tried."""
    service = kit.now.installation.webhooks
    before, service._is_inside_allowed = service._is_inside_allowed, True
    endpoint, _ = await service.create(tenant_id=kit.tenant_id, url=url, events=("activation.active",))
    service._is_inside_allowed = before
    await bind_phone(kit)
    async with asyncio.timeout(20):
        while True:
            page = await kit.call("GET", "/api/v1/webhook-deliveries")
            found = [item for item in page["items"] if item["endpoint"] == endpoint.id]
            if found and found[0]["attempts"]:
                await kit.call("DELETE", f"/api/v1/webhooks/{endpoint.id}", status=204)
                return dict(found[0])
            await asyncio.sleep(0.02)


async def test_the_sender_goes_to_no_address_inside_whoever_put_it_there(
    tmp_path: Path, connected: list[str]
) -> None:
    inside = Inside()
    async with GatewayKit.running(tmp_path) as kit, inside.serving() as place:
        for url in (f"https://{place}/in", f"http://{place}/in", "http://hooks.bank.example/in"):
            assert (await deliver(kit, url))["state"] != "delivered"
    assert (connected, inside.requests) == ([], [])
    folder = tmp_path / "open"
    folder.mkdir()
    async with GatewayKit.running(folder, webhook_private=True) as kit, inside.serving() as place:
        assert (await deliver(kit, f"http://{place}/in"))["state"] == "delivered"
    assert inside.requests == ["/in"], "the control: where it is allowed, the same sender gets there"


@pytest.mark.parametrize("answers", [[["127.0.0.1"]], [["10.0.0.5", "::1", "64:ff9b::a00:5"]]])
async def test_a_name_that_leads_inside_is_not_followed(
    tmp_path: Path, connected: list[str], monkeypatch: pytest.MonkeyPatch, answers: list[list[str]]
) -> None:
    names = Names(*answers)
    monkeypatch.setattr(sender, "PublicResolver", lambda: PublicResolver(lambda: names))
    async with GatewayKit.running(tmp_path) as kit:
        tried = await deliver(kit, "https://hooks.bank.example/in")
    assert names.asked == 1
    assert tried["state"] != "delivered"
    assert connected == []


async def test_a_name_that_changes_between_check_and_use_does_not_get_inside(
    tmp_path: Path, connected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name server answers a public address first and an inside one to every later question; and both at once. What
    is connected to is what was checked, of one and the same answer."""
    for answers in ([[PUBLIC], ["127.0.0.1"]], [[PUBLIC, "127.0.0.1", "10.0.0.1"]]):
        names = Names(*answers)
        monkeypatch.setattr(sender, "PublicResolver", lambda names=names: PublicResolver(lambda: names))
        folder = tmp_path / str(len(answers))
        folder.mkdir()
        async with GatewayKit.running(folder) as kit:
            await deliver(kit, "https://hooks.bank.example/in")
        assert names.asked == 1
    assert connected == [PUBLIC, PUBLIC]


async def test_a_name_used_without_the_check_does_get_inside(
    tmp_path: Path, connected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: without the resolver that checks, the same name leads the same sender to the inside."""
    monkeypatch.setattr(sender, "PublicResolver", lambda: Names(["127.0.0.1"]))
    async with GatewayKit.running(tmp_path) as kit:
        await deliver(kit, "https://hooks.bank.example:9/in")
    assert connected == ["127.0.0.1"]


async def test_redirects_are_not_followed(tmp_path: Path) -> None:
    inside, outside = Inside(), Inside()
    async with (
        GatewayKit.running(tmp_path, webhook_private=True) as kit,
        inside.serving() as secret,
        outside.serving(redirect_to=f"http://{secret}/metadata") as place,
    ):
        for status in (301, 302, 303, 307, 308):
            tried = await deliver(kit, f"http://{place}/{status}")
            assert tried["state"] != "delivered"
            assert str(status) in tried["last_error"]
    assert outside.requests == [f"/{status}" for status in (301, 302, 303, 307, 308)]
    assert inside.requests == []
