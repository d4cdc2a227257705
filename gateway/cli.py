"""`tessera`: the command line of an installation. Settings come from --config (or TESSERA_CONFIG) and the environment.
Commands are imported when they are called, so that one whose extra is not installed stops no other."""

import asyncio
import errno
import importlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from gateway import logs
from gateway.core.clock import SystemClock
from gateway.core.errors import Problem
from gateway.core.secrets import system_random
from gateway.settings import ConfigError, Settings, describe_keys, load
from hsm_adapters.errors import HsmError

if TYPE_CHECKING:
    from gateway.installation import Installation

_MOUNTED = {
    "audit": "gateway.audit.cli:audit_group",
    "phone": "gateway.phone.cli:phone",
    "bench": "gateway.bench.cli:bench",
}
_OPENING = ("keys", "tenant", "api-key", "evidence")
"""Commands that open the installation themselves, where they need it."""
_WITHOUT_SETTINGS = frozenset({"phone", "bench", "check-config", "evidence"})


class _Commands(click.Group):
    """The commands here, and those that capabilities bring."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Help must be there for whoever has yet to mend the settings.
        ctx.meta["tessera.help"] = not {"-h", "--help"}.isdisjoint(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        inner = super().invoke
        return _guarded(lambda: inner(ctx))

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_MOUNTED, *_OPENING})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in _OPENING:
            return _opening_command(ctx, name)
        place = _MOUNTED.get(name)
        if place is None:
            return super().get_command(ctx, name)
        module, _, attribute = place.partition(":")
        try:
            command: click.Command = getattr(importlib.import_module(module), attribute)
        except ImportError as error:
            raise click.ClickException(
                f"`tessera {name}` needs {error.name}, which is not installed"
            ) from error
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="TESSERA_CONFIG",
    help="TOML file of settings; see `tessera check-config --keys`.",
)
@click.version_option(package_name="tessera-gateway")
@click.pass_context
def main(ctx: click.Context, config: Path | None) -> None:
    """Tessera: bind customers' phones to their banking sessions.

    \b
    To look around:    tessera serve --demo
    For a bank:
      1. tessera check-config --keys   every setting; give them by --config or TESSERA_*
      2. tessera check-config          what is missing, and what to do
      3. tessera keys init             the key store
      4. tessera migrate               the tables (SQLite: `serve` does it)
      5. tessera tenant create NAME, tessera api-key create --help
      6. tessera serve
    """
    ctx.meta["tessera.config"] = config
    logs.configure(level="warning", clock=SystemClock())
    if ctx.invoked_subcommand in _WITHOUT_SETTINGS or ctx.meta["tessera.help"]:
        return
    settings = ctx.obj = _load(config)
    logs.configure(level=settings.log_level, clock=SystemClock())


@main.command("serve")
@click.option("--demo", is_flag=True, help="With a demo bank at /demo/, set up on first use.")
@click.option("--lan", is_flag=True, help="HTTPS on the local network, for a real phone (development).")
@click.pass_obj
def serve_command(settings: Settings, demo: bool, lan: bool) -> None:  # noqa: FBT001 - click hands flags over so
    """Serve the gateway. SQLite databases are brought up to date first."""
    import msgspec

    from gateway.serve import serve

    if demo:
        settings = msgspec.structs.replace(settings, demo=True)
    serve(settings, is_lan=lan)


@main.command("migrate")
@click.pass_obj
def migrate_command(settings: Settings) -> None:
    """Bring the database to this version's schema."""
    from gateway.storage.migrate import migrate

    before, after = migrate(settings.resolved_database_url)
    click.echo(f"schema {after}" if before == after else f"schema {before or 'none'} -> {after}")


@main.command("check-config")
@click.option("--keys", is_flag=True, help="List every key, its default and its meaning.")
@click.pass_context
def check_config_command(ctx: click.Context, keys: bool) -> None:  # noqa: FBT001 - click hands flags over so
    """Say what is wrong with the settings, and what to do. Exits 1 when anything is.

    The key store that they name is opened, and its PIN sent, once.
    """
    from gateway.checks import find_key_store_problems, find_problems

    if keys:
        for name, default, meaning in describe_keys():
            click.echo(f"{name} = {default}\n    TESSERA_{name.upper()}. {meaning}")
        return
    settings = _load(ctx.meta["tessera.config"])
    problems = find_problems(settings)
    if all(problem.key != "hsm" for problem in problems):
        problems += asyncio.run(find_key_store_problems(settings))
    if problems:
        raise _refusal(ConfigError(problems))
    click.echo("The settings are good.")


def _opening_command(ctx: click.Context, name: str) -> click.Command:
    from gateway.app import make_evidence
    from gateway.evidence.cli import evidence_group
    from gateway.installation import Installation, open_installation
    from gateway.tenants import cli

    clock = SystemClock()

    def run(work: Callable[[Installation], Awaitable[Any]]) -> Any:
        settings: Settings = ctx.find_object(Settings) or _load(ctx.meta["tessera.config"])

        async def with_installation() -> Any:
            async with open_installation(settings, clock=clock, random=system_random) as installation:
                return await work(installation)

        return asyncio.run(with_installation())

    if name == "keys":
        return _keys_group(run)
    if name == "tenant":
        return cli.tenant_group(run)
    if name == "evidence":
        return evidence_group(lambda work: run(lambda installation: work(make_evidence(installation))))
    return cli.api_key_group(run, lambda: int(clock.now() * 1000))


def _keys_group(run: Callable[[Callable[["Installation"], Awaitable[Any]]], Any]) -> click.Group:
    from gateway.installation import refuse_another_store
    from gateway.key_life import make_desk
    from gateway.keys.cli import init_command, keys_group
    from gateway.keys.life_cli import life_commands

    life = life_commands(lambda work: run(lambda installation: work(make_desk(installation))))
    more = [init_command(refuse_another_store), *life]
    commands = {**keys_group.commands, **{str(each.name): each for each in more}}
    return click.Group("keys", commands=commands, help=keys_group.help, short_help=keys_group.short_help)


def _load(config: Path | None) -> Settings:
    try:
        return load(config, os.environ)
    except ConfigError as error:
        raise _refusal(error) from None


def _guarded(work: Callable[[], Any]) -> Any:
    """Run; turn what the operator can mend into one sentence."""
    try:
        return work()
    except ConfigError as error:
        raise _refusal(error) from None
    except Problem as error:
        raise click.ClickException(f"{error} [{error.kind.code}]\n    {error.next_step}") from error
    except HsmError as error:
        raise click.ClickException(f"{error} [{error.code}]") from error
    except ArgumentError:
        step = "use sqlite:///FILE or postgresql://HOST/NAME"
        raise click.ClickException(f"database_url is not the URL of a database: {step}") from None
    except SQLAlchemyError as error:
        cause = type(getattr(error, "orig", error)).__name__
        raise click.ClickException(f"the database does not answer ({cause}): check database_url") from error
    except OSError as error:
        if error.errno == errno.EPIPE:  # click ends quietly when nobody reads any more
            raise
        place = "" if error.filename is None else f": {error.filename}"
        step = "check the paths in the settings (`data` above all) and who may write there"
        raise click.ClickException(f"{error.strerror or type(error).__name__}{place}; {step}") from error


def _refusal(error: ConfigError) -> click.ClickException:
    lines = [f"{problem.key}: {problem.problem}.\n    {problem.next_step}" for problem in error.problems]
    return click.ClickException("the settings cannot be used\n" + "\n".join(lines))
