"""`tessera phone` as a process of its own against the real gateway: from a picture of the code to a removed binding,
with what a person types on both sides."""

import asyncio
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

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


PAYMENT = {
    "amount": "250.50",
    "currency": "EUR",
    "payee": "Zo\u00eb M\u00fcller",
    "account": "FR76 3000 6000 0112",
    "purpose": "Loyer",
}
LOGIN = {"browser": "Firefox", "place": "Lyon"}


async def bind(kit: GatewayKit, phone: Phone) -> None:
    activation = (await kit.begin(two_step=False))["activation"]["id"]
    terminal = await phone.run("link", "--yes", (await kit.code(activation))["link"])
    await type_device_code(kit, terminal, activation)
    terminal.type(PIN, PIN)
    await terminal.end()


async def ask_customer(kit: GatewayKit, kind: str, **wish: Any) -> dict[str, Any]:
    body = {"user": "user-1", "type": kind, "fields": PAYMENT if kind == "payment" else LOGIN, **wish}
    asked: dict[str, Any] = (await kit.call("POST", "/api/v1/approvals", body, status=201))["approval"]
    return asked


async def state(kit: GatewayKit, asked: dict[str, Any]) -> str:
    found: str = (await kit.call("GET", f"/api/v1/approvals/{asked['id']}"))["state"]
    return found


async def test_what_the_bank_asks_is_answered_as_it_comes(place: tuple[GatewayKit, Phone]) -> None:
    kit, phone = place
    await bind(kit, phone)
    terminal = await phone.run("wait")
    await terminal.until("Waiting for requests")
    payment = await ask_customer(kit, "payment")
    await terminal.until("ot mine")
    assert "Amount    250.50 EUR" in terminal.printed and "Zo\u00eb M\u00fcller" in terminal.printed
    terminal.type("a", OTHER_PIN, "a", PIN)
    await terminal.until("Approved.")
    assert "4 tries left for this request" in terminal.printed
    assert await state(kit, payment) == "approved"
    login = await ask_customer(kit, "login")
    await terminal.until(r"Firefox[^$]*ot mine")
    terminal.type("a", str(login["number"]), PIN)
    await terminal.until(r"Approved\.[^$]*Approved\.")
    assert await state(kit, login) == "approved"
    taken = await ask_customer(kit, "login", life_s=120)
    await terminal.until(r"(?s)(Firefox.*ot mine.*){2}")
    await kit.call("POST", f"/api/v1/approvals/{taken['id']}/cancel")
    await terminal.until("the bank's page took it back")
    terminal.type("")
    await terminal.until("begin again on the bank's page")
    terminal.process.send_signal(signal.SIGINT)
    assert "Left." in await terminal.end()
    listed = await (await phone.run("approvals")).end()
    assert listed.count("approved here") == 2 and "cancelled  login, Firefox" in listed


async def test_a_request_is_refused_and_tells_by_its_status(place: tuple[GatewayKit, Phone]) -> None:
    kit, phone = place
    await bind(kit, phone)
    login = await ask_customer(kit, "login")
    terminal = await phone.run("wait", "--once")
    terminal.type("n")
    assert "Reported" in await terminal.end()
    assert await state(kit, login) == "reported"
    kit.clock.advance(31)  # after a report, the next request waits
    payment = await ask_customer(kit, "payment")
    terminal = await phone.run("wait", "--once")
    await terminal.until("ot mine")
    await kit.call("POST", f"/api/v1/approvals/{payment['id']}/cancel")
    await terminal.until("Press Enter")
    terminal.type("a")
    assert "begin again on the bank's page" in await terminal.end(4)


async def test_a_code_is_answered_without_a_network(place: tuple[GatewayKit, Phone], tmp_path: Path) -> None:
    kit, phone = place
    await bind(kit, phone)
    path = f"/api/v1/approvals/{(await ask_customer(kit, 'payment', life_s=300))['id']}"
    shown = await kit.call("POST", f"{path}/offline-code", {"form": "qr"})
    picture = tmp_path / "offline.png"
    symbol = codes.render(read_link(shown["link"])[1], form=codes.Form.QR, text=shown["link"])
    picture.write_bytes(codes.to_png(symbol, scale=8))
    digits = []
    for pin, arguments in ((OTHER_PIN, [shown["link"]]), (PIN, ["--image", str(picture)])):
        terminal = await phone.run("offline", *arguments)
        terminal.type(pin)
        found = re.search(r"bank's page:  (\d{4}) (\d{4})", await terminal.end())
        assert found is not None and "250.50 EUR" in terminal.printed
        digits.append(found[1] + found[2])
    await kit.call("POST", f"{path}/offline-answer", {"code": digits[0]}, status=422)
    await kit.call("POST", f"{path}/offline-answer", {"code": digits[1]})
    assert (await kit.call("GET", path))["state"] == "approved"
    assert "State: active" in await (await phone.run("open")).end()


async def test_messages_are_read(place: tuple[GatewayKit, Phone]) -> None:
    kit, phone = place
    await bind(kit, phone)
    texts = {"en": {"title": "Hours", "body": "Closed on Monday.\nOpen on Tuesday."}}
    await kit.call("POST", "/api/v1/messages", {"user": "user-1", "texts": texts}, status=201)
    listed = await (await phone.run("messages")).end()
    found = re.search(r"\* (\S{22})  .*Hours", listed)
    assert found is not None, listed
    assert "Closed on Monday.\nOpen" in await (await phone.run("messages", "--read", found[1])).end()
    assert f"* {found[1]}" not in await (await phone.run("messages")).end()
