"""`tessera phone` as a process of its own against the real gateway: from a picture of the code to a removed binding,
with what a person types on both sides."""

import asyncio
import re
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from gateway_kit import PIN, GatewayKit

from gateway import codes
from gateway.protocol.code import read_link

OTHER_PIN = "718304"


class Terminal:
    """One run of the command. There is no terminal behind it, so that hidden prompts read from the pipe."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.printed = ""

    async def until(self, pattern: str) -> re.Match[str]:
        """Read what is printed until the pattern appears."""
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            while (found := re.search(pattern, self.printed)) is None:
                chunk = await self.process.stdout.read(1_000)
                assert chunk, f"it ended: {self.printed}"
                self.printed += chunk.decode()
        return found

    def type(self, *lines: str) -> None:
        """Type lines."""
        assert self.process.stdin is not None
        self.process.stdin.write("".join(f"{line}\n" for line in lines).encode())

    async def end(self, status: int = 0) -> str:
        """Wait for the end; return everything printed."""
        async with asyncio.timeout(30):
            rest, _ = await self.process.communicate()
        self.printed += rest.decode()
        assert self.process.returncode == status, self.printed
        assert "Traceback" not in self.printed
        return self.printed


class Phone:
    """The command with its key file, at one host."""

    def __init__(self, folder: Path, host: str) -> None:
        self.options = [
            "--store",
            str(folder / "phone.keys"),
            "--key-file",
            str(folder / "phone.key"),
            "--host",
            host,
            "--insecure-http",
        ]

    async def run(self, *arguments: str) -> Terminal:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway",
            "phone",
            *self.options,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        return Terminal(process)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[tuple[GatewayKit, Phone]]:
    """A gateway whose HOST is the address that it really has, and a phone for it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    host = f"127.0.0.1:{port}"
    async with GatewayKit.running(tmp_path / "gateway", public_host=host) as kit:
        await web.TCPSite(kit.now.runner, "127.0.0.1", port).start()
        yield kit, Phone(tmp_path, host)


async def type_device_code(kit: GatewayKit, terminal: Terminal, activation: str) -> None:
    shown = await terminal.until(r"Type this code on the bank's page:\s+(\d{4}) (\d{4})")
    await kit.confirm(activation, shown[1] + shown[2])


@pytest.mark.parametrize("form", [codes.Form.COLOUR, codes.Form.QR])
async def test_a_phone_s_life(place: tuple[GatewayKit, Phone], tmp_path: Path, form: codes.Form) -> None:
    kit, phone = place
    started = await kit.begin(rotating=form is codes.Form.QR, two_step=False)
    activation = started["activation"]["id"]
    link = (await kit.code(activation))["link"]
    picture = tmp_path / "code.png"
    picture.write_bytes(codes.to_png(codes.render(read_link(link)[1], form=form, text=link), scale=8))
    terminal = await phone.run("scan", "--yes", str(picture))
    await type_device_code(kit, terminal, activation)
    await terminal.until("was confirmed")
    if (await kit.activation(activation))["two_step"]:
        terminal.type((await kit.code(activation))["typed"])
    terminal.type("123456", PIN, PIN)
    printed = await terminal.end()
    assert "Digits in a row" in printed
    assert PIN not in printed
    assert (await kit.activation(activation))["state"] == "active"
    assert "State: active, contact 1" in await (await phone.run("open")).end()
    terminal = await phone.run("pin", "prove")
    terminal.type(OTHER_PIN)
    assert "4 tries left" in await terminal.end(5)
    terminal = await phone.run("pin", "change")
    terminal.type(PIN, OTHER_PIN, OTHER_PIN)
    assert "The new PIN is in force." in await terminal.end()
    await (await phone.run("rename", "Le mien")).end()
    assert [item["name"] for item in await kit.bindings()] == ["Le mien"]
    [bound] = await kit.bindings()
    await kit.call("POST", f"/api/v1/bindings/{bound['id']}/suspend")
    await (await phone.run("open")).end(4)
    assert "suspended when the bank was last asked" in await (await phone.run("list")).end()
    await kit.call("POST", f"/api/v1/bindings/{bound['id']}/resume")
    await (await phone.run("open")).end()
    assert "last asked" not in await (await phone.run("list")).end()
    await (await phone.run("remove", "--yes")).end()
    assert [item["state"] for item in await kit.bindings()] in ([], ["removed"])
    assert "bound to nothing" in await (await phone.run("list")).end()


async def test_typed_codes_in_two_steps(place: tuple[GatewayKit, Phone]) -> None:
    kit, phone = place
    activation = (await kit.begin())["activation"]["id"]
    terminal = await phone.run("typed", "--yes", (await kit.code(activation))["typed"].lower())
    await type_device_code(kit, terminal, activation)
    await terminal.until("Second code")
    second = await kit.code(activation)
    assert second["kind"] == "code2"
    terminal.type("0000", second["typed"], PIN, PIN)
    assert "This phone is bound" in await terminal.end()
    assert (await kit.activation(activation))["state"] == "active"


@pytest.mark.parametrize("says", ["y", "n"])
async def test_nobody_learns_the_digits_before_agreeing(place: tuple[GatewayKit, Phone], says: str) -> None:
    kit, phone = place
    activation = (await kit.begin(two_step=False))["activation"]["id"]
    terminal = await phone.run("link", (await kit.code(activation))["link"])
    await terminal.until("Bind this phone")
    before = terminal.printed
    assert "Banque du Nord" in before and "1. Eight digits appear here." in before
    assert "Type this code" not in before
    terminal.type(says)
    if says == "y":
        await type_device_code(kit, terminal, activation)
        terminal.type(PIN, PIN)
        assert "This phone is bound" in await terminal.end()
    else:
        printed = await terminal.end(4)
        assert "Nothing was bound" in printed and "Type this code" not in printed
        assert (await kit.activation(activation))["state"] == "cancelled"


async def test_a_cancelled_activation_ends_the_command(place: tuple[GatewayKit, Phone]) -> None:
    kit, phone = place
    activation = (await kit.begin())["activation"]["id"]
    terminal = await phone.run("link", "--yes", (await kit.code(activation))["link"])
    await terminal.until("Type this code")
    await kit.call("POST", f"/api/v1/activations/{activation}/cancel")
    assert "cancelled" in await terminal.end(4)


async def test_a_command_that_is_given_up_cancels_the_activation(place: tuple[GatewayKit, Phone]) -> None:
    kit, phone = place
    activation = (await kit.begin())["activation"]["id"]
    terminal = await phone.run("link", "--yes", (await kit.code(activation))["link"])
    await type_device_code(kit, terminal, activation)
    await terminal.until("Choose a PIN")
    assert terminal.process.stdin is not None
    terminal.process.stdin.close()
    assert "Aborted" in await terminal.end(1)
    assert (await kit.activation(activation))["state"] == "cancelled"


async def test_the_gateway_s_refusals_have_their_status(place: tuple[GatewayKit, Phone]) -> None:
    kit, phone = place
    activation = (await kit.begin())["activation"]["id"]
    link = (await kit.code(activation))["link"]
    await kit.call("POST", f"/api/v1/activations/{activation}/cancel")
    printed = await (await phone.run("link", "--yes", link)).end(4)
    assert "This activation has ended" in printed
    printed = await (await phone.run("typed", "--yes", "00000-00000-00000-00009")).end(1)
    assert "wrong" in printed
