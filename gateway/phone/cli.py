"""`tessera phone`: a phone on the command line, to try an activation without a camera, to run it in scripts, and to
see what each step of the protocol does. `gateway/cli.py` mounts the group `phone`."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from gateway.core.ids import encode_id
from gateway.phone.channel import Channel
from gateway.phone.client import PhoneClient
from gateway.phone.contact import FirstContact
from gateway.phone.conversation import is_refused
from gateway.phone.errors import BindingGone, BindingNotFound, CodeTwoNeeded, GatewayRefused
from gateway.phone.models import Binding
from gateway.phone.options import Failure, Options, Refused, run, sentence
from gateway.phone.prompts import YES, Teller, agree, ask, ask_code2, ask_new_pin, ask_pin, read_picture
from gateway.phone.store import FileStore
from gateway.protocol.code import TypedCode, read_link, read_scan
from gateway.protocol.errors import ErrorCode, ProtocolError

T = TypeVar("T")

_DEFAULT_STORE = Path(click.get_app_dir("tessera")) / "phone.keys"
_NAME_LENGTH = 64
_NOTHING_YET = "This phone is bound to nothing yet. See: tessera phone --help"
_FORGOTTEN = "The bank does not know this phone any more."


def _checked_name(_: click.Context, __: click.Parameter, name: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= _NAME_LENGTH or not name.isprintable():
        raise click.BadParameter(f"a name has 1 to {_NAME_LENGTH} printable characters")
    return name


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
    callback=_checked_name,
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

    Keys rest in one encrypted file. Exit status: 0 done, 1 error, 2 wrong usage, 3 no connection,
    4 refused or ended by the bank, 5 PIN wrong or blocked.
    """
    if options["host"]:
        options["host"] = options["host"].lower().removesuffix(":443")
    context.obj = Options(**options)


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
    click.echo(f"This phone is bound to {binding.label} at {binding.tenant}: {_id(binding)}")


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


@phone.command("list")
def list_bindings() -> None:
    """List the accounts that this phone is bound to."""

    async def work(store: FileStore) -> None:
        bindings = store.bindings()
        if not bindings:
            click.echo(_NOTHING_YET)
        for binding in bindings:
            added = datetime.fromtimestamp(binding.added, UTC).strftime("%Y-%m-%d")
            state = f"  {binding.told} when the bank was last asked" if binding.told else ""
            if binding.state == "committing":
                state = "  not finished: run `open`, or scan again"
            click.echo(f"{_id(binding)}  {binding.tenant}: {binding.label}  {binding.host}  {added}{state}")

    options: Options = click.get_current_context().obj
    if options.store.exists():
        run(work)
    else:
        click.echo(_NOTHING_YET)


def with_channel(
    which: str | None,
    work: Callable[[Channel], Awaitable[None]],
    *,
    unknown: Callable[[FileStore, Binding], Awaitable[None]] | None = None,
) -> None:
    """Resume a binding, do something on its channel, and close it. `unknown` is done instead when the bank says that
    it knows no such phone; nobody signed that, so without it nothing changes here."""
    options: Options = click.get_current_context().obj

    async def whole(store: FileStore) -> None:
        binding = _choose(store.bindings(), which)
        async with options.client(binding.host, store) as client:
            try:
                channel = await client.open(binding.binding_id)
            except GatewayRefused as error:
                _note(store, binding, error.error.value)
                if not is_refused(error, ErrorCode.UNKNOWN):
                    raise
                if unknown is not None:
                    return await unknown(store, binding)
                advice = f"To erase its keys here: tessera phone remove {_id(binding)}"
                raise Refused(f"{_FORGOTTEN} {advice}") from None
            try:
                await work(channel)
            except BindingGone as gone:
                _note(store, binding, gone.state)
                raise
            finally:
                await channel.close()

    run(whole)


def _note(store: FileStore, binding: Binding, told: str) -> None:
    """Keep what the bank said of a binding, for `list`."""
    if told in ("suspended", "removed", "unknown"):
        for kept in store.bindings():
            if kept.binding_id == binding.binding_id:
                store.put_binding(msgspec.structs.replace(kept, told=told))


def _choose(bindings: list[Binding], which: str | None) -> Binding:
    if which is None:
        if len(bindings) == 1:
            return bindings[0]
        raise BindingNotFound(
            "name the binding, since there are several" if bindings else "this phone is bound to nothing yet"
        )
    named = [binding for binding in bindings if which in (_id(binding), binding.name, binding.label)]
    if len(named) != 1:
        raise BindingNotFound("no binding, or more than one, by that name")
    return named[0]


def _id(binding: Binding) -> str:
    return encode_id("bnd", binding.binding_id)


_binding = click.argument("binding", required=False)


@phone.command("open")
@_binding
@click.option(
    "--watch",
    type=click.FloatRange(min=0),
    default=0.0,
    help="Stay for that many seconds and print what the bank changes.",
)
def open_binding(binding: str | None, watch: float) -> None:
    """Contact the bank and show the state. BINDING is an id or a name; not needed when there is one."""

    async def work(channel: Channel) -> None:
        kept = channel.binding
        time = datetime.fromtimestamp(await channel.ping(), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        click.echo(f"{kept.tenant}: {kept.label}\nState: active, contact {kept.index}, bank's time {time}")
        if channel.pin is not None:
            click.echo(f"PIN: {channel.pin.digits} digits, {channel.pin.left} tries left")
        if watch > 0:
            channel.on_state(lambda state: click.echo(f"State: {state}"))
            await channel.watch(watch)

    with_channel(binding, work)


@phone.group("pin")
def pin_group() -> None:
    """Prove or change the PIN."""


@pin_group.command("prove")
@_binding
def pin_prove(binding: str | None) -> None:
    """Prove the PIN to the bank."""

    async def work(channel: Channel) -> None:
        await channel.prove_pin(await ask_pin())
        click.echo("The PIN is right.")

    with_channel(binding, work)


@pin_group.command("change")
@_binding
def pin_change(binding: str | None) -> None:
    """Change the PIN."""

    async def work(channel: Channel) -> None:
        old = await ask_pin("PIN in force")
        await channel.prove_pin(old)
        new = await ask_new_pin(digits=channel.binding.digits)
        await channel.change_pin(old, new)
        click.echo("The new PIN is in force.")

    with_channel(binding, work)


@phone.command()
@click.argument("name", callback=_checked_name)
@_binding
def rename(name: str, binding: str | None) -> None:
    """Give this phone another NAME on the bank's page."""

    async def work(channel: Channel) -> None:
        click.echo(f"This phone is now called: {await channel.rename(name)}")

    with_channel(binding, work)


@phone.command()
@_binding
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option(
    "--here-only",
    is_flag=True,
    help="Erase the keys here without asking the bank, which lists the phone until it is removed there: for a phone "
    "that is suspended, or a bank out of reach.",
)
def remove(binding: str | None, yes: bool, here_only: bool) -> None:  # noqa: FBT001 - click hands flags over so
    """End a binding at both ends, and erase its keys here."""

    async def erase_here(store: FileStore) -> None:
        chosen = _choose(store.bindings(), binding)
        text = f"Erase the keys of {chosen.label} at {chosen.tenant} here? The bank keeps its list. [y/N]"
        if not yes and (await ask(text, default="n", show_default=False)).lower() not in YES:
            raise Failure("Nothing was changed.")
        store.drop_binding(chosen.binding_id)
        click.echo("Erased here. Remove the phone on the bank's page too.")

    if here_only:
        return run(erase_here)

    async def work(channel: Channel) -> None:
        text = f"Remove {channel.binding.label} at {channel.binding.tenant}? [y/N]"
        if not yes and (await ask(text, default="n", show_default=False)).lower() not in YES:
            raise Failure("Nothing was changed.")
        await channel.remove()
        click.echo("Removed.")

    async def erase(store: FileStore, kept: Binding) -> None:
        text = f"{_FORGOTTEN} Erase the keys for {kept.label} at {kept.tenant} here? [y/N]"
        if not yes and (await ask(text, default="n", show_default=False)).lower() not in YES:
            raise Failure("Nothing was changed.")
        store.drop_binding(kept.binding_id)
        store.drop_pending(kept.activation_id)
        click.echo("Erased here.")

    with_channel(binding, work, unknown=erase)
