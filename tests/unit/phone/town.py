"""The scripted gateway in a thread of its own, and `tessera phone` beside it, as a person types it."""

import asyncio
import threading
import time
from pathlib import Path

from click.testing import CliRunner, Result
from scripted_gateway import ScriptedGateway

from gateway.phone.cli import phone
from gateway.protocol.code import make_link
from gateway.protocol.messages import GatewayMessage

PIN = "402857"
FAR = 4_000_000_000


class Town:
    """A gateway in its thread, and a phone on the command line."""

    def __init__(self, tmp_path: Path) -> None:
        self.gateway = ScriptedGateway(expiry=FAR)
        self.tmp_path = tmp_path
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self._thread.start()
        assert self._ready.wait(10)

    async def _run(self) -> None:
        self._stop = asyncio.Event()
        async with self.gateway.serve() as url:
            self.gateway.host = url.removeprefix("http://")
            self._ready.set()
            await self._stop.wait()

    def close(self) -> None:
        if self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()

    def customer(self, wrong_first: bool = False) -> None:
        """Types the device code on the bank's page when there is one."""

        def type_code() -> None:
            for _ in range(500):
                code = self.gateway.code
                if code is not None:
                    if wrong_first:
                        self._loop.call_soon_threadsafe(self.gateway.type_code, "no such code")
                        time.sleep(0.1)
                    self._loop.call_soon_threadsafe(self.gateway.type_code, code)
                    return
                time.sleep(0.01)

        threading.Thread(target=type_code, daemon=True).start()

    def tell(self, message: GatewayMessage) -> None:
        """Have the gateway say something on the open channel."""
        self._loop.call_soon_threadsafe(self.gateway.pushes.put_nowait, message)

    def run(self, *arguments: str, answers: str = "", host: bool = True) -> Result:
        options = [
            "--store",
            str(self.tmp_path / "phone.keys"),
            "--key-file",
            str(self.tmp_path / "key"),
            "--insecure-http",
        ]
        if host:
            options += ["--host", self.gateway.host]
        if arguments[0] in ("scan", "link", "typed"):
            arguments = (arguments[0], "--yes", *arguments[1:])
        return CliRunner().invoke(phone, [*options, *arguments], input=answers)

    def link(self) -> str:
        return make_link(self.gateway.host, self.gateway.screen().pack(), scheme="http")
