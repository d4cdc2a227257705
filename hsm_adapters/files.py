"""Files that hold secrets: read only when nobody else can, written so that a crash leaves the old or the new content
whole. The software adapter and the secret sources call it. It never follows up a refused file by repairing it: wide
permissions mean that the content may be known already, and the operator has to hear of it."""

import errno
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hsm_adapters.errors import HsmConfigurationError, HsmUnavailable

_LOCK_WAIT_S = 10.0


def read_private(path: Path, *, limit: int, root_may_own: bool = False) -> bytes:
    """Return the content of a regular file of this process's user that no one else can open (mode & 0o077 is
    zero), at most `limit` bytes. With `root_may_own`, root's file that our group may read is taken too: that is
    how orchestrators mount secrets. Raises `HsmConfigurationError`, `HsmUnavailable`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise _explain(path, error) from None
    try:
        _check_private(path, os.fstat(descriptor), root_may_own=root_may_own)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise _explain(path, error) from None
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise HsmConfigurationError(f"{path} is larger than {limit} bytes.")
    return content


def write_private(path: Path, content: bytes) -> None:
    """Replace `path` by `content`, mode 0600, durably: temporary file, fsync, rename, fsync of the folder. Killed
    at any point it leaves the old or the new file. Raises `HsmUnavailable`, `HsmConfigurationError`."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise _explain(path, error) from None


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the writers' lock of `path` (flock on `.NAME.lock` beside it, since rename replaces the file itself), and
    sweep away what a killed writer left. Waits up to 10 s, so call it in a thread. Raises `HsmUnavailable`."""
    lock = path.with_name(f".{path.name}.lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _explain(lock, error) from None
    try:
        _wait_for_lock(descriptor, path)
        for leftover in path.parent.glob(f".{path.name}.*.tmp"):
            leftover.unlink(missing_ok=True)
        yield
    finally:
        os.close(descriptor)


def check_folder(path: Path) -> None:
    """Refuse a folder in which any user may rename files (others' write bit without the sticky bit). Raises
    `HsmConfigurationError`."""
    try:
        found = path.stat()
    except OSError as error:
        raise _explain(path, error) from None
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        raise HsmConfigurationError(f"Any user may replace files in {path}. Run: chmod o-w {path}")


def _check_private(path: Path, found: os.stat_result, *, root_may_own: bool) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise HsmConfigurationError(f"{path} is not a regular file.")
    ours = found.st_uid == os.geteuid()
    if not ours and not (root_may_own and found.st_uid == 0):
        raise HsmConfigurationError(f"{path} belongs to another user. Give it to the user who runs tessera.")
    if found.st_mode & (0o077 if ours else 0o037):
        raise HsmConfigurationError(
            f"Others may open {path}. Run: chmod 600 {path} - and replace the secret if others have used this machine."
        )


def _wait_for_lock(descriptor: int, path: Path) -> None:
    end = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= end:
                raise HsmUnavailable(f"Another process holds the lock of {path}. Try again.") from None
            time.sleep(0.01)


def _explain(path: Path, error: OSError) -> HsmConfigurationError | HsmUnavailable:
    if error.errno == errno.ENOENT:
        return HsmConfigurationError(f"There is no {path}.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EROFS):
        return HsmConfigurationError(f"{path} cannot be used: {os.strerror(error.errno)}.")
    return HsmUnavailable(f"{path} cannot be used now: {os.strerror(error.errno or 0)}.")
