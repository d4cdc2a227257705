"""`tessera keys`: make the gateway's keys and look at them. The command line mounts `keys_group` with the
settings as the context's object. It prints names and public halves, never a key; secrets come by file,
environment or prompt."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, TypeVar

import click
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.keys.labels import parse_label
from gateway.keys.service import default_store_uri, ensure_keys
from gateway.settings import Settings
from hsm_adapters.api import HsmAdapter, KeyInfo
from hsm_adapters.errors import HsmError, InvalidRequest
from hsm_adapters.registry import create_store, open_store
from hsm_adapters.uri import KeyUri

T = TypeVar("T")
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@click.group("keys", help="Make the gateway's keys, and see which there are.")
def keys_group() -> None:
    """Group of `tessera keys`."""


@keys_group.command(
    "init",
    help="Make the key store if it can be made, and the keys that the gateway needs.",
    short_help="Make the key store and its keys.",
)
@_as_json
@click.pass_obj
def init_command(settings: Settings, as_json: bool) -> None:  # noqa: FBT001 - click calls it
    """Run `tessera keys init`. It only adds: run again it changes nothing."""
    uri = store_uri(settings)

    async def make(adapter: HsmAdapter) -> list[KeyInfo]:
        keys = await ensure_keys(adapter)
        return [keys.wrapping, keys.audit, keys.push]

    _print_keys(uri, _with_store(create_store, uri, make), as_json=as_json)


@keys_group.command("list", help="List the keys in the store.")
@_as_json
@click.pass_obj
def list_command(settings: Settings, as_json: bool) -> None:  # noqa: FBT001 - click calls it
    """Run `tessera keys list`."""
    uri = store_uri(settings)

    async def read(adapter: HsmAdapter) -> list[KeyInfo]:
        return list(await adapter.list())

    _print_keys(uri, _with_store(open_store, uri, read), as_json=as_json)


@keys_group.command("show", help="Show one key, by its label or its URI, with its public half.")
@click.argument("key")
@_as_json
@click.pass_obj
def show_command(settings: Settings, key: str, as_json: bool) -> None:  # noqa: FBT001 - click calls it
    """Run `tessera keys show`."""
    uri = store_uri(settings)
    info = _with_store(open_store, uri, lambda adapter: adapter.find(_label_of(key)))
    row = _Row.of(uri, info)
    if as_json:
        click.echo(json.dumps(row.fields(), indent=2))
        return
    for name, value in row.fields().items():
        if value is not None and name != "public_key_pem":
            click.echo(f"{name + ':':<20}{value}")
    if row.pem is not None:
        click.echo(row.pem, nl=False)


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
        return cls(str(KeyUri.parse(store).with_object(info.label, kind)), info, spki)

    @property
    def pem(self) -> str | None:
        if self.spki is None:
            return None
        body = base64.encodebytes(self.spki).decode()
        return f"-----BEGIN PUBLIC KEY-----\n{body}-----END PUBLIC KEY-----\n"

    def fields(self) -> dict[str, Any]:
        name = parse_label(self.info.label)
        at = self.info.created_at
        return {
            "uri": self.uri,
            "label": self.info.label,
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


def _print_keys(store: str, keys: list[KeyInfo], *, as_json: bool) -> None:
    rows = [_Row.of(store, info) for info in keys]
    if as_json:
        click.echo(json.dumps({"keys": [row.fields() for row in rows]}, indent=2))
        return
    for row in rows:
        created = (row.fields()["created_at"] or "-")[:10]
        click.echo(f"{row.info.kind.value:<14}{created:<12}{row.uri}")
    if not rows:
        click.echo("There are no keys. Run: tessera keys init", err=True)


def _label_of(key: str) -> str:
    """Return the label in a key's URI, or the label itself."""
    if ":" not in key:
        return key
    label = KeyUri.parse(key).path.get("object")
    if label is None:
        raise InvalidRequest("The URI names no key: it has no 'object'.")
    return label


def _with_store(
    opening: Callable[[str], Awaitable[HsmAdapter]], uri: str, work: Callable[[HsmAdapter], Awaitable[T]]
) -> T:
    async def run() -> T:
        adapter = await opening(uri)
        try:
            return await work(adapter)
        finally:
            await adapter.close()

    try:
        return asyncio.run(run())
    except HsmError as error:
        raise click.ClickException(f"{error} [{error.code}]") from error
