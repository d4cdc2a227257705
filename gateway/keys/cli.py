"""`tessera keys`: make the gateway's keys and look at them. The command line mounts `keys_group` with the
settings as the context's object. It prints names and public halves, never a key; secrets come by file,
environment or prompt."""

import asyncio
import base64
import json
import textwrap
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.keys.doctor import NEEDED, examine, find_missing
from gateway.keys.labels import parse_label
from gateway.keys.service import default_store_uri, ensure_keys
from gateway.keys.stores import TwoStores, create_key_store, open_key_store
from gateway.settings import Settings
from hsm_adapters.api import CopyableStore, HsmAdapter, KeyInfo, OperationReport
from hsm_adapters.errors import HsmConfigurationError, HsmError, InvalidRequest, KeyNotFound
from hsm_adapters.uri import KeyUri

T = TypeVar("T")
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@click.group("keys", short_help="Make, renew and retire the gateway's keys.")
def keys_group() -> None:
    """Make the gateway's keys, see which there are, renew and retire them.

    \b
    The keys, by their labels; the number is the generation, the highest is in force:
      tessera-wrap-1              seals the secrets in the database
      tessera-audit-1             signs the audit log
      tessera-push-1              signs wake-ups of phones
      tessera-<tenant>-agree-1    S, by which a bank's phones know the gateway
    A KEY is given by its label or its URI (RFC 7512: object=, id=). What opens the
    store (PIN, passphrase, key) comes from a file, an environment variable or a
    prompt, as the URI in the setting `hsm` says; never from the command line.
    """


Check = Callable[[Settings, HsmAdapter], Awaitable[None]]
"""Raises `HsmError` for a key store in which no keys are to be made."""


def init_command(check: Check | None = None) -> click.Command:
    """Return `tessera keys init`. It only adds: run again it changes nothing."""

    @click.command(
        "init",
        help="Make the key store if it can be made, and the keys that the gateway needs.",
        short_help="Make the key store and its keys.",
    )
    @_as_json
    @click.pass_obj
    def init(settings: Settings, as_json: bool) -> None:  # noqa: FBT001 - click calls it
        async def make(adapter: HsmAdapter) -> list["_Row"]:
            if check is not None:
                await check(settings, adapter)
            keys = await ensure_keys(adapter)
            return await _rows(settings, adapter, [keys.wrapping, keys.audit, keys.push])

        _print_keys(_with_store(settings, make, opening=create_key_store), as_json=as_json)

    return init


keys_group.add_command(init_command())


@keys_group.command("list", help="List the keys in the store.")
@_as_json
@click.pass_obj
def list_command(settings: Settings, as_json: bool) -> None:  # noqa: FBT001 - click calls it
    """Run `tessera keys list`."""

    async def read(adapter: HsmAdapter) -> list["_Row"]:
        return await _rows(settings, adapter, await adapter.list())

    _print_keys(_with_store(settings, read), as_json=as_json)


@keys_group.command("show", help="Show one key, by its label or its URI, with its public half.")
@click.argument("key")
@_as_json
@click.pass_obj
def show_command(settings: Settings, key: str, as_json: bool) -> None:  # noqa: FBT001 - click calls it
    """Run `tessera keys show`."""

    async def read(adapter: HsmAdapter) -> "_Row":
        label, key_id = parse_key(key)
        if label is None:
            found = [info.label for info in await adapter.list() if info.key_id == key_id]
            if not found:
                raise KeyNotFound("There is no key with the id that the URI gives.")
            label = found[0]
        info = await adapter.find(label)
        if key_id not in (None, info.key_id):
            raise InvalidRequest(f"'{label}' has another id than the URI says.")
        return (await _rows(settings, adapter, [info]))[0]

    row = _with_store(settings, read)
    if as_json:
        click.echo(json.dumps(row.fields(), indent=2))
        return
    for name, value in row.fields().items():
        if value is not None and name != "public_key_pem":
            click.echo(f"{name + ':':<20}{value}")
    if row.pem is not None:
        click.echo(row.pem, nl=False)


@keys_group.command("doctor", short_help="Say what the key store can do, and what is missing.")
@_as_json
@click.option("--no-measure", is_flag=True, help="Try each operation once, without measuring it.")
@click.pass_obj
def doctor_command(settings: Settings, as_json: bool, no_measure: bool) -> None:  # noqa: FBT001 - click calls it
    """Try every operation of the key store with keys that are gone afterwards, and tell how each is done and how many a
    second one caller gets. Exits 1 when the gateway needs something that the store cannot do. The store that `hsm`
    names is examined, also before the gateway has ever used it."""

    async def work(adapter: HsmAdapter) -> tuple[Sequence[OperationReport] | None, dict[str, str]]:
        store = adapter.newer if isinstance(adapter, TwoStores) else adapter
        reports = await examine(store, measure=not no_measure)
        return reports, find_missing(store, reports)

    reports, missing = _with_store(settings, work)
    if as_json:
        rows = [
            {"operation": r.operation, "supported": r.is_supported, "how": r.how, "per_second": r.rate}
            for r in reports or ()
        ]
        click.echo(json.dumps({"operations": rows, "missing": missing}, indent=2))
    else:
        _print_reports(reports)
        for operation, why in missing.items():
            click.echo(
                f"missing: {operation} ({why.rstrip('.')}). The gateway needs it for {NEEDED[operation]}."
            )
    if missing:
        raise click.exceptions.Exit(1)


@keys_group.command("backup", short_help="Write an encrypted copy of a software key store.")
@click.option(
    "--to", "path", required=True, type=click.Path(dir_okay=False, path_type=Path), help="New file to write."
)
@click.option(
    "--passphrase-source",
    required=True,
    help="Where the copy's passphrase comes from: env:NAME, file:PATH or prompt: (12 characters at least).",
)
@click.pass_obj
def backup_command(settings: Settings, path: Path, passphrase_source: str) -> None:
    """Write all keys of the software key store to a new file under a passphrase of its own, and print the URI that
    opens it. Whoever has both can read every secret in the database: keep them apart from it and from one another. A
    copy brings back keys that were retired after it was made.

    Keys do not leave an HSM; it is backed up by its maker's means."""

    place = path.absolute()

    async def work(adapter: HsmAdapter) -> str:
        store = adapter.newer if isinstance(adapter, TwoStores) else adapter
        if not isinstance(store, CopyableStore):
            raise HsmConfigurationError(
                "Keys do not leave this key store. Back it up with its maker's means; see docs/hsm.md."
            )
        return await store.copy_to(place, passphrase_source=passphrase_source)

    click.echo(_with_store(settings, work))


def _print_reports(reports: Sequence[OperationReport] | None) -> None:
    if reports is None:
        click.echo("This key store's adapter has no examination: what it can do shows when it is used.")
        return
    click.echo(f"{'operation':<32}{'supported':<11}{'per second':>11}  how")
    for report in reports:
        rate = "-" if report.rate is None else f"{report.rate:,.0f}"
        click.echo(
            f"{report.operation:<32}{'yes' if report.is_supported else 'no':<11}{rate:>11}  {report.how}"
        )


def store_uri(settings: Settings) -> str:
    """Return the key store that the settings name, or the default one in the data directory."""
    return settings.hsm or default_store_uri(settings.data)


@dataclass(frozen=True, slots=True)
class _Row:
    """A key as the command line tells of it. `spki` is the public half as DER SubjectPublicKeyInfo (RFC 5480)."""

    uri: str
    info: KeyInfo
    spki: bytes | None

    @classmethod
    def of(cls, store: str, info: KeyInfo) -> "_Row":
        spki = None
        if info.public_key is not None:
            public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), info.public_key)
            spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        kind = "secret-key" if spki is None else "private"
        uri = replace(KeyUri.parse(store).with_object(info.label, kind), key_id=info.key_id)
        return cls(str(uri), info, spki)

    @property
    def pem(self) -> str | None:
        if self.spki is None:
            return None
        # Lines of 64 characters (RFC 7468 section 2), as every other program writes them.
        body = textwrap.fill(base64.b64encode(self.spki).decode(), 64) + "\n"
        return f"-----BEGIN PUBLIC KEY-----\n{body}-----END PUBLIC KEY-----\n"

    def fields(self) -> dict[str, Any]:
        name = parse_label(self.info.label)
        at = self.info.created_at
        return {
            "uri": self.uri,
            "label": self.info.label,
            "id": None if self.info.key_id is None else self.info.key_id.hex(),
            "kind": self.info.kind.value,
            "purpose": name.purpose.value if name else None,
            "generation": name.generation if name else None,
            "tenant": name.tenant_id if name else None,
            "created_at": None
            if at is None
            else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds"),
            "public_key_sha256": sha256(self.spki).hexdigest() if self.spki else None,
            "public_key_pem": self.pem,
        }


def describe_key(info: KeyInfo) -> str:
    """Return the public half of a key as PEM (RFC 7468), empty for a key that has none."""
    return _Row.of("software:file=-", info).pem or ""


async def _rows(settings: Settings, adapter: HsmAdapter, keys: Sequence[KeyInfo]) -> list[_Row]:
    """Return the rows of keys, each with the URI of the store that holds it."""
    older: set[str] = set()
    if isinstance(adapter, TwoStores):
        older = {info.label for info in await adapter.older.list()}
    stores = (store_uri(settings), settings.hsm_previous or "")
    return [_Row.of(stores[info.label in older], info) for info in keys]


def _print_keys(rows: Sequence[_Row], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"keys": [row.fields() for row in rows]}, indent=2))
        return
    for row in rows:
        created = (row.fields()["created_at"] or "-")[:10]
        click.echo(f"{row.info.kind.value:<14}{created:<12}{row.uri}")
    if not rows:
        click.echo("There are no keys. Run: tessera keys init", err=True)


def parse_key(key: str) -> tuple[str | None, bytes | None]:
    """Return label and identifier of a key's URI (RFC 7512: `object`, `id`), or the label itself; one of them at least.
    Raises click.ClickException."""
    if ":" not in key:
        return key, None
    try:
        uri = KeyUri.parse(key)
    except HsmError as error:
        raise click.ClickException(f"{error} [{error.code}]") from error
    label = uri.path.get("object")
    if label is None and uri.key_id is None:
        said = "The URI names no key: it has neither 'object' nor 'id'."
        raise click.ClickException(f"{said} [{InvalidRequest.code}]")
    return label, uri.key_id


class _Opening(Protocol):
    def __call__(self, *, uri: str | None, previous: str | None, data: str) -> Awaitable[HsmAdapter]: ...


def _with_store(
    settings: Settings, work: Callable[[HsmAdapter], Awaitable[T]], *, opening: _Opening = open_key_store
) -> T:
    async def run() -> T:
        # The default store by its URI: only `init` makes it.
        adapter = await opening(uri=store_uri(settings), previous=settings.hsm_previous, data=settings.data)
        try:
            return await work(adapter)
        finally:
            await adapter.close()

    try:
        return asyncio.run(run())
    except HsmError as error:
        raise click.ClickException(f"{error} [{error.code}]") from error
