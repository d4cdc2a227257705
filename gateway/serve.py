"""`tessera serve`: binds the sockets, starts the application, says where it is, and stops it gracefully. It listens on
loopback unless told otherwise (`--lan`: on the network too), and starts nothing while the settings have problems. A
key store that is away is waited for (`gateway.starting`)."""

import asyncio
import contextlib
import errno
import gc
import os
import signal
import socket
import ssl
import sys
import termios
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec
import structlog
import uvloop
from aiohttp import web

from gateway.app import create_app
from gateway.checks import check_lan, find_problems
from gateway.codes import Form, render, to_terminal
from gateway.core.clock import Clock, SystemClock
from gateway.core.secrets import system_random
from gateway.demo_setup import mount_demo
from gateway.http.wire import GatewayRunner
from gateway.installation import Installation
from gateway.lan import DevelopmentTls, lan_address, load_tls, make_tls
from gateway.settings import ConfigError, ConfigProblem, Settings
from gateway.starting import Door, open_app

BACKLOG = 512
GRACE_S = 10.0
STOP_S = 15.0
"""From the signal to the end, at most: the grace for requests, and what is closed after them."""
END_S = 1.0
"""Once everything is closed, a thread that hangs holds the end of the process up for so long."""
KEEP_ALIVE_S = 75.0
GC_THRESHOLDS = (10_000, 20, 50)

_log = structlog.get_logger("serve")


def serve(settings: Settings, *, is_lan: bool) -> None:
    """Serve until SIGTERM or SIGINT. With `is_lan` phones on the network find HTTPS at `lan_port`, and this computer
    plain HTTP on loopback as before; a key store that is away is waited for. Raises ConfigError, Problem, HsmError,
    OSError when it cannot start."""
    clock = SystemClock()
    lan = _prepare_lan(settings, clock) if is_lan else None
    if lan is not None:
        here = f"localhost:{settings.listen_port}"
        settings = msgspec.structs.replace(
            settings, public_host=f"{lan.address}:{settings.lan_port}", alias_hosts=[here]
        )
    if problems := find_problems(settings, is_lan=lan is not None):
        raise ConfigError(problems)
    uvloop.run(_serve_and_end(settings, clock, lan))


def _prepare_lan(settings: Settings, clock: Clock) -> DevelopmentTls | None:
    """Return the way in from the network; None, with a word, when this machine is on none."""
    if settings.production or settings.tls_cert is not None:
        step = "Use tls_cert and tls_key, or a proxy."
        raise ConfigError([ConfigProblem("production", "--lan is for development", step)])
    if problems := list(check_lan(settings)):
        raise ConfigError(problems)
    address = settings.lan_address or lan_address()
    if address is None:
        click.echo("This machine is on no network: serving this computer alone.", err=True)
        return None
    return make_tls(Path(settings.data), address=address, clock=clock)


async def _serve_and_end(settings: Settings, clock: Clock, lan: DevelopmentTls | None) -> None:
    end = _End()
    await _serve(settings, clock, lan, end)
    end.within(END_S)


class _End:
    """Sees to it that a process that was told to stop ends. What closes the key store, the event loop and Python
    itself wait for threads, and one that hangs in a module would hold them for good."""

    def __init__(self) -> None:
        self._modes: list[Any] | None = None
        with contextlib.suppress(termios.error, OSError, ValueError, AttributeError):
            self._modes = termios.tcgetattr(sys.stdin.fileno())

    def within(self, seconds: float) -> None:
        """End the process with exit code 0 if it still runs after so long."""
        last = threading.Timer(seconds, self._leave)
        last.daemon = True
        last.start()

    def _leave(self) -> None:
        if (
            self._modes is not None
        ):  # a question for a PIN that nobody answered leaves the terminal without echo
            with contextlib.suppress(termios.error, OSError):
                termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, self._modes)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(0)


async def _serve(settings: Settings, clock: Clock, lan: DevelopmentTls | None, end: _End) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    context = _tls_context(settings)
    async with contextlib.AsyncExitStack() as stack:
        public = stack.enter_context(_bind(settings.listen_host, settings.listen_port))
        inner = public if context is None else stack.enter_context(_bind("127.0.0.1", 0))
        doors = [Door(public, context)]
        if inner is not public:
            doors.append(Door(inner))
        if lan is not None:
            outer = stack.enter_context(_bind(lan.address, settings.lan_port))
            doors.append(Door(outer, lan.context))
        base = f"http://127.0.0.1:{inner.getsockname()[1]}"
        mounts = partial(_mount, base=base) if settings.demo else None
        make = partial(create_app, settings, clock=clock, random=system_random, mounts=mounts)
        app = await open_app(make, doors, settings=settings, clock=clock, stop=stop)
        if app is None:
            _log.info("stopping")
            return
        if lan is not None:
            _offer_authority(app, lan.authority_pem)
        runner = GatewayRunner(app, access_log=None, shutdown_timeout=GRACE_S, keepalive_timeout=KEEP_ALIVE_S)
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        for door in doors:
            await web.SockSite(runner, door.bound, ssl_context=door.context, backlog=BACKLOG).start()
        _settle_memory()
        _announce(settings, lan)
        _log.info(
            "serving", host=settings.listen_host, port=settings.listen_port, public_host=settings.public_host
        )
        await stop.wait()
        _log.info("stopping")
        end.within(STOP_S)


def _settle_memory() -> None:
    """Take what stands at the start out of the garbage collector's sight, and have it look less often: as Python sets
    it, it takes a twentieth of the time, and each of its full turns stops everything for a tenth of a second."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


async def _mount(installation: Installation, *, base: str) -> Mapping[str, web.Application]:
    return await mount_demo(installation, base=base)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        problem = f"cannot listen on {host} port {port} ({error.strerror})"
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            step = "Stop what listens there, or set another port by TESSERA_LISTEN_PORT."
            found = ConfigProblem("listen_port", problem, step)
        else:
            found = ConfigProblem("listen_host", problem, "Set it to an address of this machine.")
        raise ConfigError([found]) from None
    bound.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return bound


def _tls_context(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    try:
        return load_tls(Path(settings.tls_cert), Path(settings.tls_key))
    except (OSError, ssl.SSLError) as error:
        step = "Check that both are PEM files and belong together."
        raise ConfigError(
            [ConfigProblem("tls_cert", f"cannot be loaded ({type(error).__name__})", step)]
        ) from None


def _offer_authority(app: web.Application, pem: bytes) -> None:
    async def authority(_: web.Request) -> web.Response:
        return web.Response(body=pem, content_type="application/x-x509-ca-cert")

    app.router.add_get("/dev-ca.crt", authority)


def _announce(settings: Settings, lan: DevelopmentTls | None) -> None:
    """Print where to go; a phone finds the way by the QR code."""
    here = settings.origin if lan is None else f"http://localhost:{settings.listen_port}"
    if settings.demo:
        click.echo(f"\n  Demo bank   {here}/demo/")
    click.echo(f"  Phone app   {here}/phone/\n  API         {here}/docs/\n")
    if lan is not None:
        phone = f"{settings.origin}/phone/"
        click.echo(to_terminal(render(b"", form=Form.QR, text=phone)), nl=False)
        click.echo(
            f"  For a phone on the same network: {phone}\n"
            f"  Its browser does not know the certificate: open {settings.origin}/dev-ca.crt on the phone first and\n"
            "  trust that authority (development phones only), or accept the warning.\n"
            "  Others on this network can reach it too; `make run LAN=no` keeps it to this computer.\n"
        )
    if not settings.resolved_web_dist.is_dir():
        click.echo("  The pages are not built: run `make setup`.\n", err=True)
