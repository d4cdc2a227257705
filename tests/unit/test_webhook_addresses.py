"""Which addresses a webhook may reach."""

import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from gateway.core.errors import Problem
from gateway.outbound import AddressRefused, PublicResolver, check_url


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.bank.example/in",
        "https://127.0.0.1/in",
        "https://[::1]/in",
        "https://10.1.2.3/in",
        "https://169.254.169.254/latest",
        "https://[::ffff:127.0.0.1]/in",
        "https://localhost/in",
        "https://user:word@hooks.bank.example/in",
        "https://hooks.bank.example/in#part",
        "ftp://hooks.bank.example/in",
        "//hooks.bank.example",
        "https://" + "a" * 2100,
    ],
)
def test_production_refuses_addresses_that_are_not_public_https(url: str) -> None:
    with pytest.raises(Problem):
        check_url(url, is_inside_allowed=False)


def test_public_https_and_in_development_loopback_are_taken() -> None:
    check_url("https://hooks.bank.example/in", is_inside_allowed=False)
    check_url("http://127.0.0.1:9999/in", is_inside_allowed=True)


class FixedResolver(AbstractResolver):
    """Answers every name with the same addresses."""

    def __init__(self, *hosts: str) -> None:
        self._hosts = hosts

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=found, port=port, family=family, proto=0, flags=0)
            for found in self._hosts
        ]

    async def close(self) -> None:
        return None


async def test_name_that_leads_inside_is_refused_when_it_is_resolved() -> None:
    with pytest.raises(AddressRefused):
        await PublicResolver(lambda: FixedResolver("10.0.0.5", "::1")).resolve("hooks.bank.example", 443)


async def test_only_the_public_answers_of_a_name_are_connected_to() -> None:
    resolver = PublicResolver(lambda: FixedResolver("192.168.1.1", "93.184.215.14"))
    found = await resolver.resolve("hooks.bank.example", 443)
    assert [result["host"] for result in found] == ["93.184.215.14"]
