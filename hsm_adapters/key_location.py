"""Where a key file is and what opens it: the `software:` URI, the secret that it names, the file made anew.
`software.py` calls it; some of it waits for a terminal, a disk or a key derivation."""

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hsm_adapters.errors import HsmConfigurationError, HsmUnavailable, InvalidKeyUri
from hsm_adapters.files import check_folder, exclusive, read_private, write_private
from hsm_adapters.key_file import KEY_BYTES, MAX_FILE, MIN_PASSPHRASE, Kdf, KeyRecord, seal_keys
from hsm_adapters.sources import read_secret, source_path, strip_line_ending
from hsm_adapters.uri import KeyUri

Stamp = tuple[int, int, int]
"""Inode, modification time in ns, size: another stamp means another writer's file."""


@dataclass(frozen=True, slots=True)
class KeyFileLocation:
    """What the URI says: the key file, and where the secret that opens it comes from."""

    path: Path
    source: str
    takes_passphrase: bool

    @classmethod
    def parse(cls, uri: str) -> "KeyFileLocation":
        """Parse a `software:` URI. Raises `InvalidKeyUri`."""
        parsed = KeyUri.parse(uri)
        if parsed.scheme != "software" or not parsed.path.get("file") or len(parsed.path) != 1:
            raise InvalidKeyUri(
                "Write software:file=PATH?passphrase-source=… or software:file=PATH?key-source=…."
            )
        if len(parsed.query) != 1:
            raise InvalidKeyUri(
                "Give either passphrase-source or key-source (env:NAME, file:PATH or prompt:)."
            )
        ((name, source),) = parsed.query.items()
        # Resolved once: rename replaces the file and not a link to it, and a later chdir changes nothing.
        return cls(Path(parsed.path["file"]).resolve(), source, name == "passphrase-source")

    async def secret(self, *, fresh: bool = False) -> bytes:
        """Return the passphrase or the key; a `fresh` passphrase is asked for twice. Raises `HsmConfigurationError`."""
        if self.takes_passphrase:
            return strip_line_ending(
                await read_secret(self.source, purpose="passphrase of the key file", confirm=fresh)
            )
        return _decode_key(await read_secret(self.source, purpose="key of the key file"))

    def make_source(self) -> None:
        """Fill a missing `key-source=file:PATH` with a fresh key."""
        path = None if self.takes_passphrase else source_path(self.source)
        if path is None:
            return
        make_folder(path.parent)
        with exclusive(path):
            if not path.exists():
                write_private(path, secrets.token_hex(KEY_BYTES).encode() + b"\n")

    def write_new(self, secret: bytes, records: Sequence[KeyRecord] = ()) -> bool:
        """Write a key file of these keys unless there is one; say whether it was written. Raises
        `HsmConfigurationError` for a passphrase under 12 characters."""
        if self.takes_passphrase and len(secret) < MIN_PASSPHRASE:
            raise HsmConfigurationError(f"The passphrase has fewer than {MIN_PASSPHRASE} characters.")
        kdf = Kdf.for_passphrase() if self.takes_passphrase else Kdf.for_key()
        content = seal_keys(records, kdf, kdf.derive(secret))
        with exclusive(self.path):
            if self.path.exists():
                return False
            write_private(self.path, content)
        return True

    def read(self) -> tuple[bytes, Stamp]:
        """Return the file's content and stamp. Raises `HsmConfigurationError`, `HsmUnavailable`."""
        # The stamp is taken first: when another writer comes between, the next look reads once more.
        stamp = self.stamp()
        return read_private(self.path, limit=MAX_FILE), stamp

    def stamp(self) -> Stamp:
        """Return which file is there now. Raises as `read`."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            raise HsmConfigurationError(f"There is no key file {self.path}. Run: tessera keys init") from None
        except OSError as error:
            raise HsmUnavailable(f"{self.path} cannot be read: {os.strerror(error.errno or 0)}.") from None
        return (found.st_ino, found.st_mtime_ns, found.st_size)


def make_folder(path: Path) -> None:
    """Make a folder for files that hold secrets, unless it is there. Raises `HsmConfigurationError`."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_folder(path)


def _decode_key(content: bytes) -> bytes:
    """Return the 32 bytes of a key source: raw, or 64 hexadecimal digits and a line ending."""
    if len(content) == KEY_BYTES:
        return content
    text = strip_line_ending(content)
    if len(text) == 2 * KEY_BYTES:
        try:
            return bytes.fromhex(text.decode("ascii"))
        except ValueError:
            pass
    raise HsmConfigurationError(
        "A key source holds 32 bytes, or 64 hexadecimal digits (openssl rand -hex 32)."
    )
