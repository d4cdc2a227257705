"""`tessera tenant` and `tessera api-key`: what the operator does about banks and their keys. The command line mounts
these with a runner that opens storage and key store. A key's text is printed once, alone on standard output."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import click

from gateway.tenants.models import ApiKey, Scope, Tenant
from gateway.tenants.service import ApiKeyService, TenantService


class Desk(Protocol):
    """The services, open."""

    @property
    def tenants(self) -> TenantService: ...
    @property
    def api_keys(self) -> ApiKeyService: ...


Run = Callable[[Callable[[Desk], Awaitable[Any]]], Any]
"""Opens the desk, runs the coroutine function with it, closes it, returns what it returned."""


def tenant_group(run: Run) -> click.Group:
    """Return `tessera tenant`."""

    @click.group(name="tenant")
    def group() -> None:
        """Banks on this installation."""

    @group.command(name="create", short_help="Make a tenant called NAME.")
    @click.argument("name")
    @click.option("--same-name", is_flag=True, help="Make it though another is called so.")
    def create(name: str, same_name: bool) -> None:  # noqa: FBT001 - click hands flags over so
        """Make a tenant called NAME, as phones show it, and its agreement key. Prints the tenant's id, which
        `tessera api-key create` takes."""

        async def made(desk: Desk) -> Tenant:
            for other in [] if same_name else await desk.tenants.list():
                if other.name == name.strip():
                    raise click.ClickException(
                        f"{other.id} is called so already. For another one of that name: --same-name"
                    )
            return await desk.tenants.create(name)

        tenant: Tenant = run(made)
        click.echo(
            f"Next, a key for its back end: tessera api-key create --tenant {tenant.id} --help", err=True
        )
        click.echo(tenant.id)

    @group.command(name="list")
    def list_all() -> None:
        """List tenants."""
        rows = run(lambda desk: desk.tenants.list())
        _table(("id", "name", "created"), [(row.id, row.name, _moment(row.created_at)) for row in rows])

    return group


def api_key_group(run: Run, now_ms: Callable[[], int]) -> click.Group:
    """Return `tessera api-key`."""

    @click.group(name="api-key")
    def group() -> None:
        """Keys of the banks' back ends."""

    for command in (_create_key(run), _list_keys(run, now_ms), _revoke_key(run)):
        group.add_command(command)
    return group


def _create_key(run: Run) -> click.Command:
    @click.command(name="create")
    @click.option("--tenant", required=True, help="Tenant id.")
    @click.option("--name", required=True, help="What the key is for.")
    @click.option(
        "--scope",
        "scopes",
        multiple=True,
        required=True,
        type=click.Choice([s.value for s in Scope]),
        help="May repeat.",
    )
    @click.option("--days", type=click.IntRange(1, 3650), help="Days until it ends. Default: without end.")
    def create(tenant: str, name: str, scopes: tuple[str, ...], days: int | None) -> None:
        """Make a key. It is printed this once: only its hash is stored.

        \b
        A back end that binds phones and lists them on its pages needs two scopes:
          tessera api-key create --tenant ten_... --name back-end \\
            --scope activations:write --scope page-tokens:write
        """
        key, text = run(
            lambda desk: desk.api_keys.create(tenant_id=tenant, name=name, scopes=scopes, life_days=days)
        )
        click.echo(
            f"{key.id}: store the line below in the bank's secret store; it is not shown again.", err=True
        )
        click.echo(text.reveal().decode())

    return create


_COLUMNS = ("id", "name", "state", "scopes", "created", "expires", "last used")


def _list_keys(run: Run, now_ms: Callable[[], int]) -> click.Command:
    @click.command(name="list")
    @click.option("--tenant", required=True, help="Tenant id.")
    def list_all(tenant: str) -> None:
        """List a tenant's keys, with their last use (to the minute)."""

        async def keys(desk: Desk) -> list[ApiKey]:
            await desk.tenants.find(tenant)
            return await desk.api_keys.list(tenant)

        rows: list[ApiKey] = run(keys)
        now = now_ms()
        _table(_COLUMNS, [_columns(row, now) for row in rows])

    return list_all


def _columns(key: ApiKey, now_ms: int) -> tuple[str, ...]:
    moments = [_moment(ms) for ms in (key.created_at, key.expires_at, key.last_used_at)]
    return (key.id, key.name, key.state_at(now_ms), ",".join(sorted(key.scopes)), *moments)


def _revoke_key(run: Run) -> click.Command:
    @click.command(name="revoke")
    @click.argument("key_id")
    def revoke(key_id: str) -> None:
        """Revoke a key: every node refuses it within seconds."""
        run(lambda desk: desk.api_keys.revoke(key_id))
        click.echo(f"{key_id} revoked")

    return revoke


def _moment(ms: int | None) -> str:
    return "-" if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%MZ")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[n]) for row in [head, *rows]) for n in range(len(head))]
    for row in [head, *rows]:
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
