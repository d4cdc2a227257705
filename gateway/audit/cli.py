"""`tessera audit`: verify the audit log, and print its checkpoints so that they can be kept elsewhere. The
command line mounts `audit_group` with the settings as the context's object. It only reads."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import make_url

from gateway.audit import store
from gateway.audit.service import AuditBroken, VerifyReport, verify_log
from gateway.audit.vouchers import audit_public_keys
from gateway.core.chain import Checkpoint
from gateway.core.errors import Problem
from gateway.keys.service import default_store_uri
from gateway.keys.stores import open_key_store
from gateway.settings import Settings
from gateway.storage.engine import Storage
from gateway.storage.migrate import current_revision
from hsm_adapters.api import HsmAdapter
from hsm_adapters.errors import HsmError

T = TypeVar("T")
MAX_KNOWN_LINE = 4_096
MAX_KNOWN = 1_000_000
_LONG = 20_000
_PAGE = 1_000
_NO_LOG = "There is no audit log in this database. Check `data` or `database_url`, or run: tessera migrate"


class _KnownCheckpoint(msgspec.Struct):
    """A line of `tessera audit checkpoints`, or of the gateway's JSON log (further members are passed over)."""

    sequence: int
    previous: int
    hash: str
    made_at: int
    key_label: str
    signature: str


@click.group("audit", help="Prove that the audit log is what was written.")
def audit_group() -> None:
    """Group of `tessera audit`."""


@audit_group.command("verify", short_help="Check the whole log and its signatures.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.option(
    "--known",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Checkpoints kept elsewhere, one JSON object a line: finds what was cut together with its checkpoints.",
)
@click.pass_obj
def verify_command(settings: Settings, known: Path | None, as_json: bool) -> None:  # noqa: FBT001 - click calls it
    """Check every entry, every checkpoint's signature and the head of the log. Exits 1 when anything was altered,
    moved, removed, put in or cut off, and says at which sequence number."""
    checkpoints = list(_read_known(known)) if known is not None else []
    total = _Progress(enabled=not as_json and sys.stderr.isatty())

    async def verify() -> VerifyReport:
        async def work(storage: Storage) -> VerifyReport:
            adapter = await _open_keys(settings)
            try:
                keys = await audit_public_keys(adapter, storage)
            finally:
                await adapter.close()
            if not keys:
                raise click.ClickException(
                    "The key store holds no audit key, so no checkpoint can be verified."
                )
            return await verify_log(storage, keys, known=checkpoints, progress=total.show)

        return await _with_storage(settings, work)

    try:
        report, broken = _run(verify()), False
    except AuditBroken as error:
        report, broken = error.report, True
    total.end()
    _print_report(report, as_json=as_json)
    if broken:
        raise click.exceptions.Exit(1)


@audit_group.command("keys", short_help="Print the audit keys' public halves, retired ones too.")
@click.pass_obj
def keys_command(settings: Settings) -> None:
    """Print the public half of each audit key: those in the key store, and the retired ones that they vouch for. All of
    it, in one file, is what `tessera evidence verify --audit-key` takes."""

    async def read(storage: Storage) -> dict[str, bytes]:
        adapter = await _open_keys(settings)
        try:
            return await audit_public_keys(adapter, storage)
        finally:
            await adapter.close()

    for label, point in sorted(_run(_with_storage(settings, read)).items()):
        click.echo(label, err=True)
        click.echo(_pem(point), nl=False)


@audit_group.command("checkpoints")
@click.pass_obj
def checkpoints_command(settings: Settings) -> None:
    """Print all checkpoints, one JSON object a line. Keep them on another machine, for `verify --known`."""

    async def printing(storage: Storage) -> None:
        start = 0
        while True:
            rows = await storage.read(
                partial(store.raw_checkpoints, start=start, until=2**63 - 1, limit=_PAGE)
            )
            for row in rows:
                click.echo(json.dumps(Checkpoint(*row).fields()))
            if len(rows) < _PAGE:
                return
            start = rows[-1][0] + 1

    _run(_with_storage(settings, printing))


class _Progress:
    """A line on the terminal that tells how far a long verification is."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._shown = False

    def show(self, done: int, total: Any) -> None:
        """Tell that `done` of `total` entries are verified."""
        if self._enabled and isinstance(total, int) and total > _LONG:
            click.echo(f"\r{done:,} of {total:,} entries", err=True, nl=False)
            self._shown = True

    def end(self) -> None:
        """Finish the line."""
        if self._shown:
            click.echo(err=True)


def _print_report(report: VerifyReport, *, as_json: bool) -> None:
    if as_json:
        findings = [
            {"kind": f.kind.value, "sequence": f.sequence, "until": f.until, "text": str(f)}
            for f in report.findings
        ]
        counts = {"entries": report.entries, "checkpoints": report.checkpoints, "last": report.last}
        click.echo(json.dumps({"whole": not findings, **counts, "findings": findings}, indent=2))
        return
    for finding in report.findings:
        click.echo(str(finding))
    state = "The audit log is NOT what was written" if report.findings else "The audit log is whole"
    click.echo(
        f"{state}: {report.entries:,} entries, {report.checkpoints:,} checkpoints, "
        f"{len(report.findings):,} findings."
    )


def _read_known(path: Path) -> Iterator[Checkpoint]:
    """Yield the checkpoints of a file; lines that hold none are passed over, since it may be a log."""
    count = 0
    with path.open("rb") as file:
        while line := file.readline(MAX_KNOWN_LINE):
            try:
                known = msgspec.json.decode(line, type=_KnownCheckpoint)
                digest, signature = bytes.fromhex(known.hash), bytes.fromhex(known.signature)
            except (msgspec.MsgspecError, ValueError):
                continue
            count += 1
            if count > MAX_KNOWN:
                raise click.ClickException(f"{path} holds more than {MAX_KNOWN:,} checkpoints.")
            yield Checkpoint(
                known.sequence, known.previous, digest, known.made_at, known.key_label, signature
            )
    if not count:
        raise click.ClickException(f"{path} holds no checkpoint.")


async def _open_keys(settings: Settings) -> HsmAdapter:
    # The file that no setting names is not made here: a log would not be whole by a key that was never there.
    uri = settings.hsm or default_store_uri(settings.data)
    return await open_key_store(uri=uri, previous=settings.hsm_previous, data=settings.data)


async def _with_storage(settings: Settings, work: Callable[[Storage], Awaitable[T]]) -> T:
    url = make_url(settings.resolved_database_url)
    # Opening an SQLite file that is not there would make one, and an empty log would look whole.
    if url.get_backend_name() == "sqlite" and not await asyncio.to_thread(Path(url.database or "").is_file):
        raise click.ClickException(_NO_LOG)
    storage = Storage(settings.resolved_database_url)
    try:
        if await storage.read(lambda tx: current_revision(tx.connection)) is None:
            raise click.ClickException(_NO_LOG)
        return await work(storage)
    finally:
        await storage.close()


def _run(work: Any) -> Any:
    try:
        return asyncio.run(work)
    except HsmError as error:
        raise click.ClickException(f"{error} [{error.code}]") from error
    except Problem as error:
        raise click.ClickException(f"{error} [{error.kind.code}]") from error


def _pem(point: bytes) -> str:
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
