"""What the commands of `tessera phone` share: the options before the command, the client they describe, and how
failures are printed, each with what to do next and an exit status of its own kind."""

import asyncio
import contextlib
import getpass
import ssl
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import aiohttp
import click

from gateway.core.clock import SystemClock
from gateway.core.secrets import system_random
from gateway.phone.client import Person, PhoneClient
from gateway.phone.errors import (
    AnswerIsWrong,
    ApprovalEnded,
    BindingGone,
    ConnectionLost,
    ContactEnded,
    GatewayRefused,
    PhoneError,
    PinIsBlocked,
    PinIsWrong,
)
from gateway.phone.prompts import describe_pin_error, describe_wrong_answer
from gateway.phone.store import FileStore
from gateway.phone.transport import Network, Site
from gateway.protocol.code import is_loopback
from gateway.protocol.errors import ProtocolError

NAME_LENGTH = 64


class Failure(click.ClickException):
    """An error with what to do next. The exit status tells scripts the kind."""


class NoConnection(Failure):
    """The gateway can't be reached."""

    exit_code = 3


class Refused(Failure):
    """The bank refused or ended it."""

    exit_code = 4


class PinFailure(Failure):
    """The PIN is wrong or blocked, or an answer was not taken."""

    exit_code = 5


@dataclass(frozen=True, slots=True)
class Options:
    """What stands before the command."""

    store: Path
    key_file: Path | None
    passphrase_file: Path | None
    host: str | None
    insecure_http: bool
    ca: Path | None
    name: str
    lang: Literal["fr", "en"]

    def open_store(self) -> FileStore:
        """Open the key store, asking for the passphrase unless a file stands for it."""
        passphrase = None
        if self.passphrase_file is not None:
            passphrase = self.passphrase_file.read_text(encoding="utf-8").rstrip("\n")
        elif self.key_file is None:
            new = not self.store.exists()
            text = "Choose a passphrase for this phone's keys" if new else "Passphrase of this phone's keys"
            with warnings.catch_warnings():
                warnings.simplefilter("error", getpass.GetPassWarning)
                try:
                    passphrase = click.prompt(text, hide_input=True, confirmation_prompt=new)
                except getpass.GetPassWarning:
                    advice = "give it by --passphrase-file, or use --key-file instead"
                    raise Failure(f"A passphrase is asked for at a terminal alone: {advice}.") from None
        store = FileStore.open(self.store, passphrase=passphrase, key_file=self.key_file)
        store.forget_expired(SystemClock().now())
        return store

    def tls(self) -> ssl.SSLContext | None:
        """Return the TLS context of `--ca`."""
        if self.ca is None:
            return None
        try:
            return ssl.create_default_context(cafile=str(self.ca))
        except (OSError, ssl.SSLError):
            raise Failure(f"{self.ca} is not a certificate in PEM form.") from None

    @contextlib.asynccontextmanager
    async def client(self, host: str, store: FileStore) -> AsyncIterator[PhoneClient]:
        """Open a client for a host, which keeps the host's bank keys at the first time."""
        if self.insecure_http and not is_loopback(host):
            raise Failure("--insecure-http is for this machine alone (localhost, 127.0.0.1 or [::1]).")
        site = Site.of(host, scheme="http" if self.insecure_http else "https")
        async with aiohttp.ClientSession() as http:
            client = PhoneClient(
                store=store,
                network=Network(site, http, tls=self.tls()),
                random=system_random,
                clock=SystemClock(),
                person=Person(self.name, self.lang),
            )
            # What the command itself needs of the network is told by the command.
            with contextlib.suppress(PhoneError, ProtocolError):
                await client.remember_banks()
            yield client


def run(work: Callable[[FileStore], Awaitable[None]]) -> None:
    """Open the store, run a command's work, and print failures with what to do next."""
    options: Options = click.get_current_context().obj

    async def whole() -> None:
        with options.open_store() as store:
            await work(store)

    try:
        asyncio.run(whole())
    except (PinIsWrong, PinIsBlocked) as error:
        raise PinFailure(describe_pin_error(error)) from None
    except AnswerIsWrong as error:
        raise PinFailure(describe_wrong_answer(error)) from None
    except PhoneError as error:
        text = sentence(f"{error}. {error.next_step}")
        if isinstance(error, ConnectionLost):
            raise NoConnection(text) from None
        if isinstance(error, GatewayRefused | ContactEnded | BindingGone | ApprovalEnded):
            raise Refused(text) from None
        raise Failure(text) from None
    except ProtocolError as error:
        raise Failure(sentence(f"{error}. ({error.code})")) from None


def sentence(text: str) -> str:
    """Return the text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def checked_name(_: click.Context, __: click.Parameter, name: str) -> str:
    """Return a phone's name without the spaces around it. Raises BadParameter for one that no page could show."""
    name = name.strip()
    if not 1 <= len(name) <= NAME_LENGTH or not name.isprintable():
        raise click.BadParameter(f"a name has 1 to {NAME_LENGTH} printable characters")
    return name
