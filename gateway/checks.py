"""Whether the settings fit together and to this machine: `tessera check-config` prints what these checks find, and
`tessera serve` refuses to start on any of it. They look; they change nothing."""

import ipaddress
import os
import re
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from gateway.protocol.code import is_loopback
from gateway.settings import ConfigProblem, Settings
from hsm_adapters.errors import HsmError
from hsm_adapters.registry import find_adapter, open_store
from hsm_adapters.uri import KeyUri

_HOST = re.compile(
    r"\A(?:[a-z0-9](?:[a-z0-9-]{0,62})(?:\.[a-z0-9][a-z0-9-]{0,62})*|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?\Z"
)
_TOKEN = re.compile(r"\A[A-Za-z0-9-]+\Z")
_ORIGIN = re.compile(r"\Ahttps?://[a-z0-9.-]+(?::[0-9]{1,5})?\Z")


def find_problems(settings: Settings, *, is_lan: bool = False) -> list[ConfigProblem]:
    """Return everything that is wrong, with the next step each. `is_lan` tells that phones on the network are let in
    on purpose (`serve --lan`)."""
    return [
        *_check_host(settings),
        *check_lan(settings),
        *_check_origins(settings),
        *_check_tls(settings),
        *_check_data(settings),
        *_check_database(settings),
        *_check_database_file(settings),
        *_check_key_store(settings),
        *_check_demo(settings, is_lan=is_lan),
        *(_check_production(settings) if settings.production else ()),
    ]


def _check_host(settings: Settings) -> Iterator[ConfigProblem]:
    if not _HOST.match(settings.public_host) or settings.public_host.endswith(":443"):
        step = "Write it in lower case, without https://, with the port only when it is not 443."
        yield ConfigProblem("public_host", "this is not a host name", step)
    for proxy in settings.trusted_proxies:
        try:
            ipaddress.ip_address(proxy)
        except ValueError:
            yield ConfigProblem(
                "trusted_proxies", "an entry is not an address", "Write IP addresses, without ranges."
            )
    if settings.place_header is not None and not _TOKEN.match(settings.place_header):
        yield ConfigProblem("place_header", "this is not a header's name", "Write it like X-Place.")
    if settings.place_header is not None and not settings.trusted_proxies:
        step = "Set trusted_proxies to the proxy that writes this header."
        yield ConfigProblem("place_header", "no proxy is trusted to write it", step)


def check_lan(settings: Settings) -> Iterator[ConfigProblem]:
    """Find an address for `serve --lan` that is none."""
    try:
        ipaddress.IPv4Address(settings.lan_address or "0.0.0.0")  # noqa: S104 - nothing listens there
    except ValueError:
        step = "Write it like 192.168.1.7, or leave it out."
        yield ConfigProblem("lan_address", "this is not an IPv4 address", step)


def _check_origins(settings: Settings) -> Iterator[ConfigProblem]:
    for origin in settings.cors_origins:
        if not _ORIGIN.match(origin):
            step = "Write https://bank.example: scheme and host, without a path or a last slash."
            yield ConfigProblem("cors_origins", "an entry is not an origin", step)
        elif settings.production and origin.startswith("http:"):
            yield ConfigProblem("cors_origins", "an origin is not https", "Use https origins in production.")


def _check_tls(settings: Settings) -> Iterator[ConfigProblem]:
    if (settings.tls_cert is None) != (settings.tls_key is None):
        yield ConfigProblem("tls_cert", "tls_cert and tls_key go together", "Set both, or neither.")
    for key, path in (("tls_cert", settings.tls_cert), ("tls_key", settings.tls_key)):
        if path is not None and not Path(path).is_file():
            yield ConfigProblem(key, "the file is not there", "Correct the path, or its permissions.")


def _check_data(settings: Settings) -> Iterator[ConfigProblem]:
    if settings.database_url is not None and settings.hsm is not None:
        return  # Nothing is kept there then, and a container may have no writable place.
    folder = Path(settings.data).absolute()
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        step = "Set it to a directory that this user may make and write."
        yield ConfigProblem("data", "the directory cannot be written", step)


def _check_database(settings: Settings) -> Iterator[ConfigProblem]:
    try:
        name = make_url(settings.resolved_database_url).get_backend_name()
    except ArgumentError:
        name = ""
    if name not in ("sqlite", "postgresql"):
        yield ConfigProblem(
            "database_url", "no such database", "Use sqlite:///FILE or postgresql://HOST/NAME."
        )
    if name == "postgresql":
        try:
            import psycopg  # noqa: F401
        except ImportError:
            step = "Run: pip install 'tessera-gateway[postgresql]'"
            yield ConfigProblem("database_url", "psycopg is not installed", step)


def _check_database_file(settings: Settings) -> Iterator[ConfigProblem]:
    """SQLite's files are made with mode 600; a copy that was put back may have another."""
    try:
        url = make_url(settings.resolved_database_url)
    except ArgumentError:
        return
    if url.get_backend_name() != "sqlite" or not url.database:
        return
    files = [Path(url.database + suffix) for suffix in ("", "-wal", "-shm")]
    is_open = any(path.is_file() and path.stat().st_mode & 0o077 for path in files)
    if is_open:
        step = f"Run: chmod 600 {files[0]}* - and ask yourself who may have read or changed it."
        yield ConfigProblem("database_url", "others may open the database file", step)


def _check_demo(settings: Settings, *, is_lan: bool) -> Iterator[ConfigProblem]:
    if settings.demo and not is_lan and not _is_this_machine(settings.listen_host):
        step = "Set it to 127.0.0.1, or use `tessera serve --demo --lan` for a phone on your network."
        yield ConfigProblem("listen_host", "the demo bank's password is on its page, for anyone here", step)


def _check_key_store(settings: Settings) -> Iterator[ConfigProblem]:
    for key, uri in (("hsm", settings.hsm), ("hsm_previous", settings.hsm_previous)):
        if uri is None:
            continue
        try:
            find_adapter(uri)
        except HsmError as error:
            yield ConfigProblem(key, str(error).rstrip("."), f"Code {error.code}.")
    if settings.hsm_previous is not None and settings.hsm is None:
        step = "Set hsm to the key store that it moves to, or leave hsm_previous out."
        yield ConfigProblem("hsm_previous", "nothing says which key store comes after it", step)
    if settings.hsm_previous is not None and settings.hsm_previous == settings.hsm:
        yield ConfigProblem("hsm_previous", "it is the same as hsm", "Leave it out.")


async def find_key_store_problems(settings: Settings) -> list[ConfigProblem]:
    """Open the key stores that the settings name and close them again; return why one does not open. One that is asked
    for its secret at the terminal is left alone. A PIN that is refused here costs the token a try, once."""
    problems = []
    for key, uri in (("hsm", settings.hsm), ("hsm_previous", settings.hsm_previous)):
        try:
            if uri is not None and not KeyUri.parse(uri).asks_person:
                await (await open_store(uri)).close()
        except HsmError as error:
            problems.append(ConfigProblem(key, str(error).rstrip("."), f"Code {error.code}."))
    return problems


def _check_production(settings: Settings) -> Iterator[ConfigProblem]:
    if settings.demo:
        yield ConfigProblem("demo", "the demo bank is not for production", "Serve without --demo.")
    if (Path(settings.data) / "demo.json").exists():
        step = (
            "Find its tenant and key with `tessera tenant list` and `tessera api-key list`, end it with "
            "`tessera api-key revoke`, then delete demo.json."
        )
        yield ConfigProblem("data", "a demo bank was served here, and its API key may still be good", step)
    if settings.webhook_private:
        step = "Leave it out: webhooks go over HTTPS to public addresses in production."
        yield ConfigProblem("webhook_private", "this would turn webhooks against the inside", step)
    if settings.alias_hosts:
        yield ConfigProblem("alias_hosts", "these are for development", "Leave them out.")
    if is_loopback(settings.public_host):
        yield ConfigProblem(
            "public_host", "phones cannot reach a loopback host", "Set the name that phones reach."
        )
    if settings.tls_cert is None and not settings.trusted_proxies:
        # Else every caller would come from the proxy's address: one rate limit for all, and /metrics open to all.
        step = "Set trusted_proxies to the TLS proxy's address, or tls_cert and tls_key to serve HTTPS here."
        yield ConfigProblem("trusted_proxies", "nothing says where HTTPS ends", step)
    if settings.metrics_token is None and any(map(_is_loopback_address, settings.trusted_proxies)):
        step = (
            "Set metrics_token: a proxy on this host could pass anyone on to /metrics as a loopback caller."
        )
        yield ConfigProblem("metrics_token", "the proxy is on loopback and /metrics asks for nothing", step)
    if settings.hsm is None:
        step = "Set TESSERA_HSM to a key store whose secret does not lie beside it."
        yield ConfigProblem("hsm", "production names its key store", step)


def _is_this_machine(host: str) -> bool:
    return host == "localhost" or _is_loopback_address(host)


def _is_loopback_address(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_loopback
    except ValueError:
        return False
