"""`tessera phone`: a phone on the command line, to try an activation without a camera, to run it in scripts, and to
see what each step of the protocol does. `gateway/cli.py` mounts the group `phone`."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.phone.approving import COMMANDS as APPROVING
from gateway.phone.bound import COMMANDS, id_of
from gateway.phone.client import PhoneClient
from gateway.phone.contact import FirstContact
from gateway.phone.errors import CodeTwoNeeded
from gateway.phone.options import Failure, Options, Refused, checked_name, run, sentence
from gateway.phone.prompts import YES, Teller, agree, ask, ask_code2, ask_new_pin, read_picture
from gateway.phone.store import FileStore
from gateway.protocol.code import TypedCode, read_link, read_scan
from gateway.protocol.errors import ProtocolError

T = TypeVar("T")

_DEFAULT_STORE = Path(click.get_app_dir("tessera")) / "phone.keys"


@click.group("phone")
@click.option(
    "--store",
    type=click.Path(dir_okay=False, path_type=Path),
    default=_DEFAULT_STORE,
    envvar="TESSERA_PHONE_STORE",
    help="File of this phone's keys, encrypted, mode 0600.",
)
@click.option(
    "--key-file",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="TESSERA_PHONE_KEY_FILE",
    help="File with the store's key (made when there is none), instead of a passphrase. Keep it apart.",
)
@click.option(
    "--passphrase-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File that holds the passphrase, for scripts.",
)
@click.option(
    "--host", envvar="TESSERA_PHONE_HOST", help="The bank's host, with its port when it is not 443."
)
@click.option("--insecure-http", is_flag=True, help="Plain http and ws, to this machine alone.")
@click.option(
    "--ca",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Certificate to trust, in PEM form, for development.",
)
@click.option(
    "--name",
    default="Command line",
    show_default=True,
    callback=checked_name,
    help="How the bank's page shows this phone.",
)
@click.option(
    "--lang",
    type=click.Choice(["en", "fr"]),
    default="en",
    show_default=True,
    help="Language that the bank is told this phone speaks.",
)
@click.pass_context
def phone(context: click.Context, /, **options: Any) -> None:
    """Be a phone: bind it to an account, and use it.

    \b
    An activation, step by step:
      1. Start one on the bank's page, and save the picture of its code.
      2. tessera phone --host bank.example scan code.png
         (or: link -, or: typed -, which ask for the other forms of the code)
      3. See which bank and customer it is for, and agree.
      4. Type the eight digits that then appear here on the bank's page.
      5. With two-step confirmation, give the second code that the page then shows.
      6. Choose a PIN. The phone is bound: see `tessera phone list`.

    \b
    A bound phone answers what the bank asks:
      tessera phone wait          shows each request as it comes, and takes the answer
      tessera phone offline -     makes the digits that approve a code without a network
      tessera phone approvals     what was asked before
      tessera phone messages      what the bank wrote

    Keys rest in one encrypted file. Exit status: 0 done, 1 error, 2 wrong usage, 3 no connection,
    4 refused or ended by the bank, 5 PIN wrong or blocked, or an answer that the bank did not take.
    """
    if options["host"]:
        options["host"] = options["host"].lower().removesuffix(":443")
    context.obj = Options(**options)


for _command in (*COMMANDS, *APPROVING):
    phone.add_command(_command)


Begin = Callable[[PhoneClient, Teller], Awaitable[FirstContact]]

yes_option = click.option("--yes", is_flag=True, help="Bind without being asked, for scripts.")


def activate(linked_host: str | None, begin: Begin) -> None:
    """Run a whole activation: everything after the code was read."""
    context = click.get_current_context()
    options: Options = context.obj
    teller = Teller()

    async def work(store: FileStore) -> None:
        host = await _choose_host(options, linked_host, store)
        async with options.client(host, store) as client:
            click.echo(f"Contacting {host}…")
            contact = await begin(client, teller)
            try:
                if not await agree(contact.answer, is_asked=not context.params["yes"]):
                    await contact.cancel()
                    raise Refused(
                        "Nothing was bound, and the activation is over. Call your bank if it was not you."
                    )
                teller.agree()
                await _finish(contact, host)
            except (asyncio.CancelledError, click.Abort):
                await contact.cancel()
                raise
            finally:
                await contact.close()

    run(work)


async def _choose_host(options: Options, linked: str | None, store: FileStore) -> str:
    """Return the host to talk to. One that comes from a code alone has to be known or confirmed, for a stranger's code
    leads to a stranger's host."""
    if options.host is not None:
        return options.host
    if linked is None:
        raise click.UsageError("this form of the code does not name the bank's host: give it by --host")
    known = {binding.host for binding in store.bindings()}
    if linked not in known:
        answer = await ask(
            f"This code leads to {linked}. Is that your bank? [y/N]", default="n", show_default=False
        )
        if answer.strip().lower() not in YES:
            raise Failure("Nothing was sent.")
    return linked


async def _finish(contact: FirstContact, host: str) -> None:
    await contact.wait_confirmed()
    click.echo("The code was confirmed.")
    if contact.needs_code2:
        await ask_code2(contact, host=host)
    pin = await ask_new_pin(digits=contact.answer.pin.digits)
    while True:
        try:
            channel = await contact.enrol(pin)
            break
        except CodeTwoNeeded:
            click.echo("After the lost connection the bank's page shows a new second code.")
            await ask_code2(contact, host=host)
    await channel.close()
    binding = channel.binding
    if contact.answer.biometric != "off":
        click.echo("Your bank takes fingerprint or face too. The command line has neither: it gives the PIN.")
    click.echo(f"This phone is bound to {binding.label} at {binding.tenant}: {id_of(binding)}")


@phone.command()
@click.argument("image", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@yes_option
def scan(image: Path, **_options: Any) -> None:
    """Bind this phone with the code in a picture, colour or QR."""
    scanned = read_picture(image)
    linked, _ = _or_fail(lambda: read_scan(scanned))
    activate(linked, lambda client, teller: client.begin_scanned(scanned, listener=teller))


@phone.command()
@click.argument("url")
@yes_option
def link(url: str, **_options: Any) -> None:
    """Bind this phone with the link that a QR code holds.

    The link is a secret: give - to be asked for it, or to pipe it in, so that it stays out of the shell's history
    and the list of processes. On the command line quote it, for it has a #.
    """
    read = _given(url, "Link")
    linked, _ = _or_fail(lambda: read_link(read))
    activate(linked, lambda client, teller: client.begin_link(read, listener=teller))


@phone.command()
@click.argument("code")
@click.option(
    "--gateway-key",
    help="The bank's public key S (33 bytes in hex), instead of the one that this phone knows.",
)
@yes_option
def typed(code: str, gateway_key: str | None, **_options: Any) -> None:
    """Bind this phone with the code of 20 characters. Needs --host.

    The code is a secret: give - to be asked for it, or to pipe it in, so that it stays out of the shell's history
    and the list of processes.
    """
    try:
        pinned = bytes.fromhex(gateway_key) if gateway_key else None
    except ValueError:
        raise click.BadParameter("not hexadecimal", param_hint="--gateway-key") from None
    read = _given(code, "Code")
    _or_fail(lambda: TypedCode.parse(read))
    activate(None, lambda client, teller: client.begin_typed(read, gateway_public=pinned, listener=teller))


def _given(argument: str, name: str) -> str:
    """Return an argument, or for - the next line of the standard input."""
    text: str = click.prompt(name) if argument == "-" else argument
    return text.strip()


def _or_fail(read: Callable[[], T]) -> T:
    try:
        return read()
    except ProtocolError as error:
        raise Failure(sentence(f"{error}.")) from None
