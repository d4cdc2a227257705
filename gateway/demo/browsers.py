"""Which browser asks, in words for the phone that is to approve: "Firefox 131 on Linux". What a browser says of itself
is shown to the customer and trusted for nothing."""

import ipaddress
import re
from collections.abc import Mapping

_BROWSERS = (
    ("Edge", re.compile(r"Edg(?:e|A|iOS)?/(\d+)")),
    ("Opera", re.compile(r"(?:OPR|Opera)/(\d+)")),
    ("Firefox", re.compile(r"(?:Firefox|FxiOS)/(\d+)")),
    ("Chrome", re.compile(r"(?:Chrome|CriOS|HeadlessChrome)/(\d+)")),
    ("Safari", re.compile(r"Version/(\d+)[.\d]* (?:Mobile/\S+ )?Safari/")),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)
_ON: Mapping[str, str] = {"fr": "sur", "en": "on"}
_UNKNOWN: Mapping[str, str] = {"fr": "Navigateur inconnu", "en": "Unknown browser"}
_HERE: Mapping[str, str] = {"fr": "cet ordinateur", "en": "this computer"}
_NEAR: Mapping[str, str] = {"fr": "votre réseau local", "en": "your local network"}
LONGEST = 512


def describe_browser(user_agent: str, lang: str) -> str:
    """Return browser and system of a User-Agent field (RFC 9110 section 10.1.5), at most 64 characters."""
    text = user_agent[:LONGEST]
    name = _UNKNOWN[lang]
    for browser, pattern in _BROWSERS:
        if found := pattern.search(text):
            name = f"{browser} {found[1][:6]}"
            break
    system = next((said for mark, said in _SYSTEMS if mark in text), None)
    return name if system is None else f"{name} {_ON[lang]} {system}"


def describe_place(remote: str | None, lang: str) -> str:
    """Return where a caller is, as far as his address tells: this computer, the local network, or nothing."""
    try:
        address = ipaddress.ip_address(remote or "")
    except ValueError:
        return ""
    if address.is_loopback:
        return _HERE[lang]
    return _NEAR[lang] if address.is_private or address.is_link_local else ""
