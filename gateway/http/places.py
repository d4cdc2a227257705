"""Where a caller is, in words, as far as the gateway can say: what the bank's own edge proxy wrote into a header, or
that the caller is on a network of its own. The edge notes it on the request, the phone's door reads it. It is shown to
people and decides nothing; a header that no trusted proxy has set is never believed."""

import ipaddress
from functools import lru_cache

from aiohttp import web

PLACE = web.RequestKey("place", str)
LOCAL = "local"
"""The word for a caller on this computer or its network; the pages say it in the customer's language."""
MAX_PLACE = 128
_LOCAL_NETWORKS = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("127.0.0.0/8", "::1/128"),
        *("169.254.0.0/16", "fe80::/10"),
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
        "fc00::/7",
    )
)
"""Loopback, link-local (RFC 3927, RFC 4291), private (RFC 1918, RFC 4193)."""


def clean_place(text: str) -> str | None:
    """Return at most 128 printable characters of what a proxy wrote; None when nothing is left."""
    return "".join(char for char in text if char.isprintable()).strip()[:MAX_PLACE].rstrip() or None


@lru_cache(maxsize=4_096)
def place_of_address(address: str | None) -> str | None:
    """Return "local" for a loopback, link-local or private address, else None."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return LOCAL if any(parsed in network for network in _LOCAL_NETWORKS) else None
