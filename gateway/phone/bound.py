"""The commands of `tessera phone` for a phone that is bound: list, open, PIN, another name, removal. `cli.py` puts them
beside those that bind."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import click
import msgspec

from gateway.core.ids import encode_id
from gateway.phone.channel import Channel
from gateway.phone.conversation import is_refused
from gateway.phone.errors import BindingGone, BindingNotFound, GatewayRefused
from gateway.phone.models import Binding
from gateway.phone.options import Failure, Options, Refused, checked_name, run
from gateway.phone.prompts import YES, ask, ask_new_pin, ask_pin
from gateway.phone.store import FileStore
from gateway.protocol.errors import ErrorCode

_NOTHING_YET = "This phone is bound to nothing yet. See: tessera phone --help"
_FORGOTTEN = "The bank does not know this phone any more."


@click.command("list")
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
            click.echo(f"{id_of(binding)}  {binding.tenant}: {binding.label}  {binding.host}  {added}{state}")

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
                advice = f"To erase its keys here: tessera phone remove {id_of(binding)}"
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
    named = [binding for binding in bindings if which in (id_of(binding), binding.name, binding.label)]
    if len(named) != 1:
        raise BindingNotFound("no binding, or more than one, by that name")
    return named[0]


def id_of(binding: Binding) -> str:
    """Return a binding's id as the bank writes it."""
    return encode_id("bnd", binding.binding_id)


binding_argument = click.argument("binding", required=False)


@click.command("open")
@binding_argument
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
        if channel.news.waiting:
            click.echo(f"Requests that wait: {len(channel.news.waiting)}. See: tessera phone wait")
        if channel.news.unread:
            click.echo(f"Unread messages: {channel.news.unread}. See: tessera phone messages")
        if watch > 0:
            channel.on_state(lambda state: click.echo(f"State: {state}"))
            await channel.watch(watch)

    with_channel(binding, work)


@click.group("pin")
def pin_group() -> None:
    """Prove or change the PIN."""


@pin_group.command("prove")
@binding_argument
def pin_prove(binding: str | None) -> None:
    """Prove the PIN to the bank."""

    async def work(channel: Channel) -> None:
        await channel.prove_pin(await ask_pin())
        click.echo("The PIN is right.")

    with_channel(binding, work)


@pin_group.command("change")
@binding_argument
def pin_change(binding: str | None) -> None:
    """Change the PIN."""

    async def work(channel: Channel) -> None:
        old = await ask_pin("PIN in force")
        await channel.prove_pin(old)
        new = await ask_new_pin(digits=channel.binding.digits)
        await channel.change_pin(old, new)
        click.echo("The new PIN is in force.")

    with_channel(binding, work)


@click.command()
@click.argument("name", callback=checked_name)
@binding_argument
def rename(name: str, binding: str | None) -> None:
    """Give this phone another NAME on the bank's page."""

    async def work(channel: Channel) -> None:
        click.echo(f"This phone is now called: {await channel.rename(name)}")

    with_channel(binding, work)


@click.command()
@binding_argument
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
        if not yes:
            await _insist(
                f"Erase the keys of {chosen.label} at {chosen.tenant} here? The bank keeps its list."
            )
        store.drop_binding(chosen.binding_id)
        click.echo("Erased here. Remove the phone on the bank's page too.")

    if here_only:
        return run(erase_here)

    async def work(channel: Channel) -> None:
        if not yes:
            await _insist(f"Remove {channel.binding.label} at {channel.binding.tenant}?")
        await channel.remove()
        click.echo("Removed.")

    async def erase(store: FileStore, kept: Binding) -> None:
        if not yes:
            await _insist(f"{_FORGOTTEN} Erase the keys for {kept.label} at {kept.tenant} here?")
        store.drop_binding(kept.binding_id)
        store.drop_pending(kept.activation_id)
        click.echo("Erased here.")

    with_channel(binding, work, unknown=erase)


async def _insist(question: str) -> None:
    """Ask before what can't be undone. Raises Failure unless the answer is yes."""
    answer = await ask(f"{question} [y/N]", default="n", show_default=False)
    if answer.strip().lower() not in YES:
        raise Failure("Nothing was changed.")


COMMANDS = (list_bindings, open_binding, pin_group, rename, remove)
"""What a bound phone can do."""
