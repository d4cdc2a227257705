"""Where a PIN, a passphrase or a key comes from: a file, an environment variable or the terminal, never a URI or a
command line. Adapters call it with the value of `pin-source`, `passphrase-source` or `key-source`."""

import asyncio
import getpass
import os
import re
import sys
from pathlib import Path

from hsm_adapters.errors import HsmConfigurationError, InvalidKeyUri
from hsm_adapters.files import read_private

MAX_SECRET = 1_024
_VARIABLE = re.compile(r"\A[A-Za-z_][A-Za-z0-9_]{0,127}\Z")


def source_path(source: str) -> Path | None:
    """Return the path of a `file:` source (`file:PATH` or `file:///PATH`), None for the other kinds. Raises
    `InvalidKeyUri`."""
    kind, _, value = source.partition(":")
    if kind != "file":
        return None
    if value.startswith("//") and not value.startswith("///"):
        raise InvalidKeyUri("A 'file:' source names no host: write file:/path or file:relative/path.")
    if not value:
        raise InvalidKeyUri("A 'file:' source needs a path.")
    return Path("/" + value.lstrip("/")) if value.startswith("//") else Path(value)


async def read_secret(source: str, *, purpose: str, confirm: bool = False) -> bytes:
    """Return the secret of a source, read in a thread. Raises as `read_secret_now`."""
    return await asyncio.to_thread(read_secret_now, source, purpose=purpose, confirm=confirm)


def read_secret_now(source: str, *, purpose: str, confirm: bool = False) -> bytes:
    """Return the secret of `env:NAME`, `file:PATH` or `prompt:` (asked on the terminal as `purpose`; twice with
    `confirm`). As it stands (see `strip_line_ending`); at most 1,024 bytes, at least one. Blocks. Raises
    `InvalidKeyUri`, `HsmConfigurationError`."""
    kind, _, value = source.partition(":")
    if (path := source_path(source)) is not None:
        content = read_private(path, limit=MAX_SECRET + 2, root_may_own=True)
    elif kind == "env":
        content = _from_environment(value)
    elif kind == "prompt" and not value:
        content = _from_terminal(purpose, confirm=confirm)
    else:
        raise InvalidKeyUri("A secret comes from env:NAME, file:PATH or prompt: - nothing else.")
    if not content:
        raise HsmConfigurationError(f"The source of the {purpose} is empty.")
    if len(content) > MAX_SECRET + 2:
        raise HsmConfigurationError(f"The source of the {purpose} is longer than {MAX_SECRET} bytes.")
    return content


def read_pin_now(source: str) -> bytes:
    """Return the PIN of an HSM without its line ending. Blocks. Raises as `read_secret_now`, and
    `HsmConfigurationError` for an empty PIN, which no token is asked about: that would spend a try."""
    pin = strip_line_ending(read_secret_now(source, purpose="PIN of the HSM"))
    if not pin:
        raise HsmConfigurationError(
            "The source of the PIN of the HSM holds an empty line and no PIN. It was not sent: write the PIN there."
        )
    return pin


def strip_line_ending(content: bytes) -> bytes:
    """Return `content` without one ending CR LF or LF, as editors and `echo` leave it."""
    return content.removesuffix(b"\n").removesuffix(b"\r") if content.endswith(b"\n") else content


def _from_environment(name: str) -> bytes:
    if not _VARIABLE.match(name):
        raise InvalidKeyUri("An 'env:' source needs the name of an environment variable.")
    value = os.environ.get(name)
    if value is None:
        raise HsmConfigurationError(f"The environment variable {name} is not set.")
    return os.fsencode(value)


def _from_terminal(purpose: str, *, confirm: bool) -> bytes:
    if not sys.stdin.isatty():
        raise HsmConfigurationError(
            f"The {purpose} is asked on a terminal, and there is none. Use env: or file:."
        )
    first = getpass.getpass(f"{purpose[:1].upper()}{purpose[1:]}: ")
    if confirm and getpass.getpass("Once more: ") != first:
        raise HsmConfigurationError("The two entries differ.")
    return first.encode()
