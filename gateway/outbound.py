"""Which addresses outside the gateway may be called: those of webhooks and of push services. In production: https, no
user information, and only addresses that are public, checked on what the name resolves to at the moment of connecting,
so that a name cannot change in between (T20, T42)."""

import ipaddress
import socket
from collections.abc import Callable

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver
from yarl import URL

from gateway.core.errors import Problem, ProblemCode

MAX_URL = 2048
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_LAST_FOUR_BYTES = tuple(ipaddress.IPv6Network(text) for text in ("64:ff9b::/96", "::/96", "::ffff:0:0:0/96"))
_LOCAL_TRANSLATION = ipaddress.IPv6Network("64:ff9b:1::/48")
"""RFC 8215: where an operator's own translator stands."""


class AddressRefused(OSError):
    """The name leads to an address inside."""


def check_url(text: str, *, is_inside_allowed: bool) -> None:
    """Check the address of an endpoint. Raises Problem(INVALID_REQUEST) naming what to change."""
    try:
        url = URL(text)
        host, scheme = url.host or "", url.scheme
    except ValueError as error:
        raise Problem(ProblemCode.INVALID_REQUEST, "url: not an address") from error
    if len(text) > MAX_URL or not host or scheme not in ("https", "http"):
        raise Problem(ProblemCode.INVALID_REQUEST, "url: give an https address of at most 2,048 characters")
    if url.user is not None or url.password is not None or url.fragment:
        raise Problem(ProblemCode.INVALID_REQUEST, "url: leave out user name, password and fragment")
    if is_inside_allowed:
        return
    if scheme != "https":
        raise Problem(ProblemCode.INVALID_REQUEST, "url: production needs https")
    try:
        check_host(host)
    except AddressRefused as error:
        raise Problem(ProblemCode.INVALID_REQUEST, "url: this address is not public") from error


def check_host(host: str) -> None:
    """Refuse a literal address that is not public; names pass, and are checked when resolved. Raises AddressRefused."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        if host.rstrip(".").lower() == "localhost" or host.lower().endswith(".localhost"):
            raise AddressRefused("not a public address") from None
        return
    for inner in (address, _embedded_ipv4(address)):
        if inner is not None and (not inner.is_global or inner.is_multicast):
            raise AddressRefused("not a public address")
    if isinstance(address, ipaddress.IPv6Address) and (
        address.is_site_local or address in _LOCAL_TRANSLATION
    ):
        raise AddressRefused("not a public address")


def _embedded_ipv4(address: _Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that a translator or tunnel would deliver to: mapped, 6to4, Teredo, or in the last four
    bytes of the NAT64 prefix (RFC 6052) and of the old compatible form (RFC 4291 section 2.5.5.1)."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if any(address in network for network in _LAST_FOUR_BYTES):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)


class PublicResolver(AbstractResolver):
    """Resolves names and drops every answer that is not public; connects to what was checked."""

    def __init__(self, make: Callable[[], AbstractResolver] = DefaultResolver) -> None:
        self._inner = make()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the public addresses of a name. Raises AddressRefused when there is none."""
        check_host(host)
        found = []
        for result in await self._inner.resolve(host, port, family):
            try:
                check_host(result["host"])
            except AddressRefused:
                continue
            found.append(result)
        if not found:
            raise AddressRefused("the name leads to no public address")
        return found

    async def close(self) -> None:
        """Release the resolver beneath."""
        await self._inner.close()
