"""`tessera serve` while its key store is away: it says so, refuses everything else, ends when told, and serves by
itself, in the same process, once the store opens."""

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from gateway_kit import settings_in
from serve_kit import Start, readiness, start

from gateway.core.clock import SystemClock
from gateway.starting import Door, open_app
from hsm_adapters.errors import (
    AdapterNotFound,
    HsmConfigurationError,
    HsmError,
    HsmUnavailable,
    InvalidKeyUri,
    KeyNotFound,
    PinLocked,
    PinRefused,
    TokenFull,
    TokenNotPresent,
)

__all__ = ["start"]


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A key store of its own; returns its URI."""
    uri = f"software:file={tmp_path}/store/keys.tessera?key-source=file:{tmp_path}/store/keys.key"
    (tmp_path / "store").mkdir(mode=0o700)
    (tmp_path / "store" / "keys.key").write_text("ab" * 32)
    (tmp_path / "store" / "keys.key").chmod(0o600)
    assert command(tmp_path, uri, "keys", "init").returncode == 0
    return uri


def command(folder: Path, uri: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("TESSERA_")}
    own |= {"TESSERA_DATA": str(folder / "data"), "TESSERA_HSM": uri}
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments], env=own, capture_output=True, text=True, timeout=60
    )


def test_it_waits_for_a_missing_key_file_and_goes_on_by_itself(
    start: Start, tmp_path: Path, store: str
) -> None:
    keys, away = tmp_path / "store" / "keys.tessera", tmp_path / "store" / "away"
    keys.rename(away)
    served = start(TESSERA_HSM=store)
    reason = f"hsm-configuration: There is no key file {keys}. Run: tessera keys init"
    assert readiness(served, lambda checks: "hsm" in checks) == {"hsm": reason}
    assert served.get("/healthz") == (200, b"ok\n")
    for path in ("/phone/v1/config", "/api/v1/activations", "/phone/", "/metrics", "/phone/v1/channel"):
        status, body = served.get(path)
        problem = json.loads(body)
        assert (status, problem["code"], problem["retry_after"]) == (503, "unavailable", 5), path
        assert problem["title"] and problem["next_step"] and str(keys) not in body.decode()
    found = command(tmp_path, store, "check-config")
    assert found.returncode == 1
    assert f"hsm: There is no key file {keys}" in found.stderr and "Code hsm-configuration." in found.stderr
    assert command(tmp_path, store, "keys", "list").returncode == 1, "other commands end"
    # Another reason: the key beside it is not the one.
    (tmp_path / "store" / "keys.key").write_text("cd" * 32)
    away.rename(keys)
    readiness(served, lambda checks: "damaged" in checks["hsm"])
    (tmp_path / "store" / "keys.key").write_text("ab" * 32)
    readiness(served, lambda checks: set(checks.values()) == {"ok"})
    assert json.loads(served.get("/phone/v1/config")[1])["tenants"] == []
    assert command(tmp_path, store, "check-config").returncode == 0
    # And while it serves.
    keys.rename(away)
    checks = readiness(served, lambda checks: checks["hsm"] != "ok")
    assert checks.pop("hsm").startswith(f"hsm-configuration: There is no key file {keys}")
    assert set(checks.values()) == {"ok"}
    away.rename(keys)
    readiness(served, lambda checks: set(checks.values()) == {"ok"})
    code, output = served.stop()
    assert code == 0
    assert output.count('"event":"the key store does not open') == 2, "once a reason"
    assert output.count('"event":"the key store is open"') == 1
    assert output.count('"reason":"hsm-configuration: ') == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_while_it_waits(start: Start, store: str, tmp_path: Path, number: int) -> None:
    (tmp_path / "store" / "keys.tessera").unlink()
    served = start(TESSERA_HSM=store)
    readiness(served, lambda checks: "hsm" in checks)
    began = time.monotonic()
    code, output = served.stop(number)
    assert (code, time.monotonic() - began < 2) == (0, True)
    assert "Traceback" not in output


def test_it_waits_at_every_door(start: Start, store: str, tmp_path: Path) -> None:
    """Phones on the network hear it by HTTPS."""
    keys, away = tmp_path / "store" / "keys.tessera", tmp_path / "store" / "away"
    keys.rename(away)
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", 0))
        port = probe.getsockname()[1]
    served = start("--lan", TESSERA_HSM=store, TESSERA_LAN_ADDRESS="127.0.0.2", TESSERA_LAN_PORT=str(port))
    readiness(served, lambda checks: "hsm" in checks)
    context = ssl.create_default_context(cafile=str(tmp_path / "data" / "dev-ca.crt"))
    url = f"https://127.0.0.2:{port}"
    assert served.get("/phone/v1/config", context=context, url=url)[0] == 503
    away.rename(keys)
    readiness(served, lambda checks: set(checks.values()) == {"ok"})
    assert served.get("/phone/v1/config", context=context, url=url)[0] == 200
    assert served.stop()[0] == 0


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("software:file=x", "hsm-uri"),
        ("nobody:token=x", "hsm-adapter-not-found"),
        ("software:file=x?passphrase-source=prompt:", "hsm-configuration"),
    ],
)
def test_what_no_waiting_mends_ends_the_command(start: Start, tmp_path: Path, uri: str, code: str) -> None:
    status, output = start(TESSERA_HSM=uri).stop(0)
    assert status == 1
    assert code in output and "Traceback" not in output


def test_a_policy_that_the_store_cannot_keep_ends_the_command(start: Start, store: str) -> None:
    status, output = start(TESSERA_HSM=store, TESSERA_OTP_INSIDE="true").stop(0)
    assert status == 1
    assert "otp_inside: it asks that HMAC runs inside" in output and "Traceback" not in output


def test_another_key_store_is_told_of_and_gets_no_keys(start: Start, tmp_path: Path, store: str) -> None:
    assert command(tmp_path, store, "tenant", "create", "Bank").returncode == 0
    served = start(TESSERA_HSM=store)
    readiness(served, lambda checks: set(checks.values()) == {"ok"})
    assert served.stop()[0] == 0  # signs the log
    (tmp_path / "other").mkdir(mode=0o700)
    other = f"software:file={tmp_path}/other/keys.tessera?key-source=file:{tmp_path}/other/keys.key"
    refused = command(tmp_path, other, "keys", "init")
    assert (refused.returncode, "not the key store of this database" in refused.stderr) == (1, True)
    served = start(TESSERA_HSM=other)
    checks = readiness(served, lambda checks: "hsm" in checks)
    assert checks["hsm"].startswith("hsm-configuration: This is not the key store of this database")
    assert served.stop()[0] == 0
    assert command(tmp_path, other, "keys", "list").stdout == ""


# The waiting itself ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def door() -> AsyncIterator[Door]:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        bound.setblocking(False)
        yield Door(bound)


class Store:
    """Makes an application once the errors before are used up."""

    def __init__(self, *errors: HsmError) -> None:
        self.errors = list(errors)
        self.tries = 0

    async def make(self) -> web.Application:
        self.tries += 1
        if self.errors:
            raise self.errors.pop(0)
        app = web.Application()

        async def hello(_: web.Request) -> web.Response:
            return web.Response(text="real")

        app.router.add_get("/", hello)
        return app


async def wait_for_app(
    store: Store, door: Door, folder: Path, stop: asyncio.Event | None = None, **settings: str
) -> web.Application | None:
    return await open_app(
        store.make,
        [door],
        settings=settings_in(folder, **{"hsm": "software:file=x?key-source=file:y", **settings}),
        clock=SystemClock(),
        stop=stop or asyncio.Event(),
        retry_s=0.02,
        patience_s=0.1,
    )


@pytest.mark.parametrize(
    "error", [HsmUnavailable, TokenNotPresent, TokenFull, HsmConfigurationError, PinRefused, PinLocked]
)
async def test_every_outage_is_waited_for(tmp_path: Path, error: type[HsmError]) -> None:
    store = Store(error("a"), error("a"), HsmUnavailable("b"))
    async with door() as at:
        assert await wait_for_app(store, at, tmp_path) is not None
    assert store.tries == 4


@pytest.mark.parametrize("error", [InvalidKeyUri, AdapterNotFound, KeyNotFound])
async def test_anything_else_is_raised_also_after_a_wait(tmp_path: Path, error: type[HsmError]) -> None:
    for store in (Store(error("a")), Store(HsmUnavailable("b"), error("a"))):
        async with door() as at:
            with pytest.raises(error):
                await wait_for_app(store, at, tmp_path)


@pytest.mark.parametrize("name", ["hsm", "hsm_previous"])
async def test_nobody_is_asked_again_and_again(tmp_path: Path, name: str) -> None:
    store = Store(HsmConfigurationError("a"))
    uri = "software:file=x?passphrase-source=prompt:"
    async with door() as at, asyncio.timeout(5):
        with pytest.raises(HsmConfigurationError):
            await wait_for_app(store, at, tmp_path, **{name: uri})
    assert store.tries == 1


async def test_a_first_try_that_takes_long_goes_on_while_the_doors_say_so(tmp_path: Path) -> None:
    answers = asyncio.Event()

    class Slow(Store):
        async def make(self) -> web.Application:
            await answers.wait()
            return await super().make()

    for errors in ([], [HsmUnavailable("a")]):
        store = Slow(*errors)
        async with door() as at, aiohttp.ClientSession() as http, asyncio.timeout(5):
            at.bound.listen()
            waiting = asyncio.create_task(wait_for_app(store, at, tmp_path))
            async with http.get(f"http://127.0.0.1:{at.bound.getsockname()[1]}/readyz") as answer:
                assert answer.status == 503
                checks = (await answer.json())["checks"]
            assert checks == {"hsm": "hsm-unavailable: The key store has not answered yet."}
            await asyncio.sleep(0.1)
            assert store.tries == 0, "the one that is under way has not come back"
            answers.set()
            assert await waiting is not None
        assert store.tries == 1 + len(errors)
        answers.clear()


async def test_a_try_that_does_not_end_is_left_behind(tmp_path: Path) -> None:
    stop, ended = asyncio.Event(), asyncio.Event()

    class Stuck(Store):
        async def make(self) -> web.Application:
            try:
                await asyncio.sleep(60)
            finally:
                await ended.wait()
            raise AssertionError

    async with door() as at, asyncio.timeout(5):
        waiting = asyncio.create_task(wait_for_app(Stuck(), at, tmp_path, stop))
        await asyncio.sleep(0.2)
        stop.set()
        assert await waiting is None
    ended.set()


async def test_a_try_that_hangs_does_not_hold_the_end_up(tmp_path: Path) -> None:
    stop, begun = asyncio.Event(), asyncio.Event()

    class Hanging(Store):
        async def make(self) -> web.Application:
            if self.errors:
                return await super().make()
            begun.set()
            await asyncio.sleep(60)
            raise AssertionError

    for store in (Hanging(), Hanging(HsmUnavailable("a"))):
        async with door() as at, asyncio.timeout(5):
            waiting = asyncio.create_task(wait_for_app(store, at, tmp_path, stop))
            await begun.wait()
            stop.set()
            assert await waiting is None
        stop.clear()
        begun.clear()


async def test_nobody_is_turned_away_between_the_two(tmp_path: Path) -> None:
    """Callers come all the time while the real application takes the socket over: each gets an answer of one or the
    other."""
    store = Store(*(HsmUnavailable("a") for _ in range(10)))
    async with door() as at, aiohttp.ClientSession() as http:
        url = f"http://127.0.0.1:{at.bound.getsockname()[1]}/"
        at.bound.listen()
        answers: list[int] = []

        async def call() -> None:
            while answers.count(200) < 50:
                async with http.get(url) as answer:
                    answers.append(answer.status)

        callers = [asyncio.create_task(call()) for _ in range(5)]
        app = await wait_for_app(store, at, tmp_path)
        assert app is not None
        runner = web.AppRunner(app)
        await runner.setup()
        await web.SockSite(runner, at.bound.dup()).start()
        await asyncio.gather(*callers)
        await runner.cleanup()
    assert set(answers) == {200, 503}
    assert answers == sorted(answers, reverse=True), "first the one, then the other"
