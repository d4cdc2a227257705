"""`tessera keys rotate`, `retire` and `migrate`: what changes keys of a running installation. The command line mounts
them beside those of `cli.py`, with a runner that opens the installation."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from gateway.core.errors import Problem, ProblemCode
from gateway.keys.cli import describe_key, parse_key, store_uri
from gateway.keys.labels import KeyName, KeyPurpose
from gateway.keys.life import KeyLife, find_key
from gateway.keys.migration import LifeDesk, Migration
from gateway.keys.rewrap import SETTLED_S, Progress
from gateway.keys.ring import ASKED_S
from gateway.keys.service import default_store_uri
from gateway.settings import Settings
from hsm_adapters.api import CreatableStore, KeyInfo
from hsm_adapters.errors import HsmError
from hsm_adapters.registry import find_adapter, open_store
from hsm_adapters.uri import KeyUri

TAKEN_UP_S = ASKED_S + 5
"""After so many seconds every node that reaches its key store has taken up a new key."""
_ROUNDS = 5
_yes = click.option("--yes", is_flag=True, help="Do not ask. For scripts.")


Run = Callable[[Callable[[LifeDesk], Awaitable[Any]]], Any]
"""Opens the installation, runs the coroutine function with its desk, and returns what that returned."""


def life_commands(run: Run) -> list[click.Command]:
    """Return the commands."""
    return [_rotate(run), _retire(run), _migrate(run)]


def _rotate(run: Run) -> click.Command:
    @click.command("rotate", short_help="Make the next generation of a key.")
    @click.argument("purpose", type=click.Choice(["wrap", "audit", "agree"]))
    @click.option("--tenant", help="With `agree`: this bank's S alone. Without it: that of every bank.")
    @click.option(
        "--resume",
        is_flag=True,
        help="With `wrap`: make no key, go on with the re-wrapping of an earlier one.",
    )
    def rotate(purpose: str, tenant: str | None, resume: bool) -> None:  # noqa: FBT001 - click calls it
        """Make the next generation of a key, while the gateway serves. Running nodes take it up within a minute;
        nobody notices, and the older key stays until `tessera keys retire`.

        \b
        wrap   seals the secrets in the database. They are re-wrapped at once, by this
               command and by the gateway itself; stop it when you like: the gateway
               goes on, or `tessera keys rotate wrap --resume`.
        audit  signs the audit log from now on. What older keys signed verifies.
        agree  S, by which a bank's phones know the gateway. New phones are bound
               under the new one; bound phones move to it with their next contacts.
        """
        if tenant is not None and purpose != "agree":
            raise click.UsageError("--tenant goes with `agree`: the other keys belong to no bank.")
        if resume and purpose != "wrap":
            raise click.UsageError("--resume goes with `wrap`: nothing else is re-wrapped.")

        async def work(desk: LifeDesk) -> None:
            wanted = KeyPurpose(purpose)
            owners: Sequence[str | None] = [None]
            if wanted is KeyPurpose.AGREE:
                owners = [tenant] if tenant is not None else await desk.tenants()
            for owner in [] if resume else owners:
                click.echo((await desk.life.rotate(wanted, owner)).label)
            if wanted is KeyPurpose.WRAP:
                await _rewrap(desk.life)

        run(work)

    return rotate


def _retire(run: Run) -> click.Command:
    @click.command("retire", short_help="Destroy an older key that nothing needs.")
    @click.argument("key")
    @click.option("--force", is_flag=True, help="With a bank's S: give up the phones that still need it.")
    @_yes
    def retire(key: str, force: bool, yes: bool) -> None:  # noqa: FBT001 - click calls it
        """Destroy KEY, a label or a key URI, for ever. It must have a successor that is three minutes old, and nothing
        may need it: no value sealed under a wrapping key, no phone or activation under a bank's S (else it says how
        many). What an audit key signed verifies afterwards, by the word of the key in force: `tessera audit keys`
        prints its public half with the others, for whoever verifies evidence by `--audit-key`."""
        label, key_id = parse_key(key)

        async def work(desk: LifeDesk) -> None:
            name = find_key(await desk.life.adapter.list(), label=label, key_id=key_id)
            if not await desk.life.is_known_settled(name):
                await _wait(
                    SETTLED_S, "The key store keeps no times: waiting until all nodes use the successor"
                )
            given_up = await desk.life.check_unused(name, is_forced=force)
            if given_up:
                told = ", ".join(f"{count:,} {what}" for what, count in given_up.items())
                click.echo(
                    f"These will not reach the gateway any more, and must begin anew: {told}. Their bindings stay in "
                    "the bank's lists until it removes them (DELETE /api/v1/bindings/ID).",
                    err=True,
                )
            _confirm(f"Destroy {name.label} for ever?", yes=yes)
            _tell_retired(name, await desk.life.retire(name, is_forced=force))

        run(work)

    return retire


def _migrate(run: Run) -> click.Command:
    @click.command("migrate", short_help="Move a running installation to another key store.")
    @click.option("--from", "source", required=True, metavar="URI", help="The key store in use so far.")
    @click.option("--to", "target", required=True, metavar="URI", help="The key store to move to.")
    @click.option("--no-wait", is_flag=True, help="Do not wait for running nodes: nothing is running.")
    @_yes
    @click.pass_context
    def migrate(ctx: click.Context, source: str, target: str, no_wait: bool, yes: bool) -> None:  # noqa: FBT001 - click calls it
        """Move from one key store to another, such as from the software key file to an HSM, while the gateway serves.

        \b
        1. Settings: both key stores (this command says which two lines), and the
           nodes restarted one after another. From then on they know both.
           (A new software store is made by `tessera keys init` with these
           settings, before the restart; an HSM's token by its maker's tool.)
        2. This command again. It checks that the new store can do all that is
           needed, makes new keys there, waits a minute until all nodes use them,
           re-wraps every secret, opens each with the new store alone, and only
           then retires the old wrapping and audit keys.
        3. The old store keeps what phones still need. This command says what, and
           when `hsm_previous` can go.

        Run it again after a failure, at whichever step: it goes on.
        """
        settings = ctx.find_object(Settings)
        if settings is None or not _is_set(settings, source, target):
            if settings is not None and settings.hsm is None:
                click.echo(f"The key store so far: {default_store_uri(settings.data)}", err=True)
            _check_stores(source, target)
            click.echo(
                "Set these two, then restart the nodes one after another, then run this again:", err=True
            )
            click.echo(f'hsm = "{_quoted(target)}"\nhsm_previous = "{_quoted(source)}"')
            raise click.exceptions.Exit(2)
        run(lambda desk: _move(desk.migration(), is_waiting=not no_wait, yes=yes))

    return migrate


async def _move(migration: Migration, *, is_waiting: bool, yes: bool) -> None:
    await migration.check()
    wanted = await migration.list_wanted()
    if wanted:
        _confirm("Was every running node restarted with both key stores in its settings?", yes=yes)
    made = [await migration.life.rotate(purpose, tenant_id) for purpose, tenant_id in wanted]
    for info in made:
        click.echo(f"made {info.label}")
    age = await migration.age()
    if is_waiting and age < TAKEN_UP_S:
        await _wait(TAKEN_UP_S - age, "Waiting until all nodes use the new keys")
    for _ in range(_ROUNDS):
        await _rewrap(migration.life)
        with _bar("Opening everything with the new key store alone") as progress:
            closed = await migration.verify(progress)
        if not closed or not await migration.life.rewrapper.count_left():
            break
    if closed:
        for place in closed[:20]:
            click.echo(f"does not open: {place}", err=True)
        raise Problem(
            ProblemCode.CONFLICT,
            f"{len(closed):,} sealed values do not open with the new key store alone, so no old key was retired",
            next_step="They were edited: end the bindings, activations or webhooks above, then run this again.",
        )
    ending = await migration.ending()
    if ending:
        click.echo(
            f"To be destroyed in the old key store: {', '.join(name.label for name in ending)}", err=True
        )
        _confirm("Everything opens without them. Destroy them for ever?", yes=yes)
        await _retire_all(migration, ending, is_waiting=is_waiting)
    await _tell_staying(migration)


async def _retire_all(migration: Migration, ending: Sequence[KeyName], *, is_waiting: bool) -> None:
    life = migration.life
    ages = [await life.age_of_successor(name) for name in ending]
    wait_s = max(SETTLED_S if age is None else SETTLED_S - age for age in ages)
    if wait_s > 0 and is_waiting:
        await _wait(wait_s + 1, "Waiting until no node can use the old keys")
    await life.rewrapper.run()  # what nodes sealed under an old key until they took up the new one
    # Before the first is gone: a command that dies between them tells it again, and never leaves it untold.
    await life.record_migration({"retiring": len(ending)})
    for name in ending:
        _tell_retired(name, await life.retire(name, is_settled=not is_waiting))


async def _tell_staying(migration: Migration) -> None:
    staying = await migration.staying()
    needed = [each for each in staying if each.uses]
    for each in staying:
        told = ", ".join(f"{count:,} {what}" for what, count in each.uses.items()) or "nothing needs it"
        click.echo(f"stays in the old key store: {each.name.label}: {told}")
    if needed:
        click.echo(
            "Leave hsm_previous in the settings: what needs them moves on with its phones' next contacts. This command "
            "says how many are left.",
            err=True,
        )
    else:
        click.echo(
            "The move is done: take hsm_previous out of the settings, and restart the nodes. The old key store can be "
            "destroyed then, with its backups.",
            err=True,
        )


async def _rewrap(life: KeyLife) -> None:
    with _bar("Re-wrapping") as progress:
        result = await life.rewrapper.run(progress)
    click.echo(f"{result.done:,} values re-wrapped", err=True)
    for place in result.unopened[:20]:
        click.echo(f"opens by no key, and stays as it is: {place}", err=True)


def _tell_retired(name: KeyName, info: KeyInfo) -> None:
    click.echo(f"retired {name.label}")
    if name.purpose is KeyPurpose.AUDIT:
        click.echo(describe_key(info), nl=False)


def _confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("Give --yes where there is no terminal to ask on.")
    click.confirm(question, abort=True, err=True)


def _check_stores(source: str, target: str) -> None:
    """Open both, before somebody restarts nodes for the sake of a misspelt one; a new one that `tessera keys init`
    makes need not be there yet."""

    async def look() -> None:
        for option, uri in (("--from", source), ("--to", target)):
            try:
                if option == "--from" or not issubclass(find_adapter(uri), CreatableStore):
                    await (await open_store(uri)).close()
            except HsmError as error:
                raise click.ClickException(f"{option}: {error} [{error.code}]") from error

    asyncio.run(look())


def _is_set(settings: Settings, source: str, target: str) -> bool:
    try:
        wanted = (str(KeyUri.parse(target)), str(KeyUri.parse(source)))
        found = (store_uri(settings), settings.hsm_previous or "")
        return wanted == tuple(str(KeyUri.parse(each)) if each else "" for each in found)
    except HsmError as error:
        raise click.ClickException(f"{error} [{error.code}]") from error


def _quoted(uri: str) -> str:
    return str(KeyUri.parse(uri))


@contextmanager
def _bar(label: str) -> Iterator[Progress]:
    """Show a bar on a terminal; yields what moves it."""
    with click.progressbar(length=1, label=label, file=sys.stderr, update_min_steps=1) as bar:

        def progress(done: int, total: int) -> None:
            bar.length = max(total, 1)
            bar.update(done - bar.pos)

        yield progress
        bar.update(max(0, (bar.length or 1) - bar.pos))


async def _wait(seconds: float, label: str) -> None:
    whole = max(1, round(seconds))
    with click.progressbar(range(whole), label=label, file=sys.stderr) as ticks:
        for _ in ticks:
            await asyncio.sleep(seconds / whole)
