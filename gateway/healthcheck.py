"""`python -m gateway.healthcheck`: whether the gateway on this machine answers where its settings say (address, port,
HTTPS or not). Container engines run it every few seconds, so it imports next to nothing. Exits 1 when there is no
answer. Settings come from TESSERA_CONFIG and the environment."""

import http.client
import ipaddress
import os
import ssl
import sys
from pathlib import Path

from gateway.settings import ConfigError, Settings, load

TIMEOUT_S = 2.0


def main() -> int:
    """Ask once; return the exit code, with the reason on standard error."""
    config = os.environ.get("TESSERA_CONFIG")
    try:
        status = ask(load(Path(config) if config else None))
    except ConfigError as error:
        print(f"the settings cannot be used: {error}", file=sys.stderr)
        return 1
    except (OSError, http.client.HTTPException) as error:
        print(f"no answer ({type(error).__name__})", file=sys.stderr)
        return 1
    if status != 200:
        print(f"answered {status}", file=sys.stderr)
        return 1
    return 0


def ask(settings: Settings) -> int:
    """Return the status of /healthz. Raises OSError or http.client.HTTPException without an answer."""
    host, port = own_address(settings.listen_host), settings.listen_port
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    if settings.tls_cert is not None:
        connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=_unverified())
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status
    finally:
        connection.close()


def own_address(listen_host: str) -> str:
    """Return where this machine reaches a server that listens there: on loopback, unless it listens on one address."""
    try:
        address = ipaddress.ip_address(listen_host)
    except ValueError:
        return listen_host
    if not address.is_unspecified:
        return listen_host
    return "127.0.0.1" if address.version == 4 else "::1"


def _unverified() -> ssl.SSLContext:
    """The certificate is for the public name, and may have been replaced on the disk since; nothing is told or believed
    here that would need it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


if __name__ == "__main__":
    sys.exit(main())
