"""`tessera evidence`: write the evidence of an approval, and verify such a file. The command line mounts this with a
runner that opens the installation; verifying opens nothing but the files that it is given."""

import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from gateway.evidence.models import MAX_FILE, EvidenceBroken
from gateway.evidence.sentences import describe
from gateway.evidence.service import EvidenceService
from gateway.evidence.verify import verify_evidence

Run = Callable[[Callable[[EvidenceService], Awaitable[Any]]], Any]
"""Opens the installation, runs the coroutine function with its evidence service, and returns what that returned."""
MAX_KEYS_FILE = 65_536
_PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----")
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def evidence_group(run: Run) -> click.Group:
    """Return `tessera evidence`."""

    @click.group(name="evidence")
    def group() -> None:
        """Prove what was approved, years later and to anybody."""

    group.add_command(_export(run))
    group.add_command(_verify())
    return group


def _export(run: Run) -> click.Command:
    @click.command(name="export", short_help="Write the evidence of APPROVAL.")
    @click.argument("approval")
    @click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write.")
    def export(approval: str, output: Path | None) -> None:
        """Write the evidence of APPROVAL (apr_…) to standard output or a new file: what was asked, what the phone
        answered, and the signed parts of the audit log that hold both. Keep it byte for byte."""
        data: bytes = run(lambda service: service.export_any(approval))
        if output is None:
            click.echo(data, nl=False)
            return
        try:
            with output.open("xb") as file:
                file.write(data)
        except FileExistsError as error:
            raise click.ClickException(f"{output} is there already: give another name") from error
        click.echo(
            f"{output}: {len(data):,} bytes. Check it anywhere: tessera evidence verify {output}", err=True
        )

    return export


def _verify() -> click.Command:
    @click.command(name="verify", short_help="Check FILE, and say what it proves.")
    @click.argument("file", type=_FILE)
    @click.option(
        "--audit-key",
        type=_FILE,
        help="PEM file of the audit keys that the bank published (`tessera keys show` prints them).",
    )
    def verify(file: Path, audit_key: Path | None) -> None:
        """Check an evidence FILE without any database or network, and say what it proves and what it does not. Exits
        1 when anything in it was changed, and says where."""
        pinned = _read_keys(audit_key) if audit_key is not None else ()
        try:
            found = verify_evidence(_read(file, MAX_FILE), pinned=pinned)
        except EvidenceBroken as error:
            click.echo(f"The evidence does NOT hold.\n{error.place}: {error.reason}.")
            sys.exit(1)
        click.echo(describe(found))

    return verify


def _read_keys(path: Path) -> tuple[bytes, ...]:
    """Read the audit keys of a file; what stands around them, as `tessera keys show` writes it, is passed over."""
    points = []
    for pem in _PEM.findall(_read(path, MAX_KEYS_FILE)):
        try:
            key = load_pem_public_key(pem)
        except ValueError as error:
            raise click.ClickException(f"{path} holds something that is not a public key") from error
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise click.ClickException(f"{path} holds a key that is not of P-256, as audit keys are")
        points.append(key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))
    if not points:
        raise click.ClickException(f"{path} holds no public key in PEM form (BEGIN PUBLIC KEY)")
    return tuple(points)


def _read(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        return file.read(limit + 1)
