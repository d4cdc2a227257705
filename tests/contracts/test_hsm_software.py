"""The software adapter under the suite for key stores, and what belongs to its file alone."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("hsm_adapter")

from hsm_adapter import HsmAdapterContract, OpenAgain  # noqa: E402

from hsm_adapters import files, key_file  # noqa: E402
from hsm_adapters.api import HsmAdapter, KeyKind  # noqa: E402
from hsm_adapters.errors import HsmConfigurationError, HsmUnavailable, InvalidKeyUri, KeyNotFound  # noqa: E402
from hsm_adapters.software import SoftwareAdapter  # noqa: E402

PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def uri(folder: Path) -> str:
    return f"software:file={folder}/keys.tessera?key-source=file:{folder}/keys.key"


@pytest.fixture
async def adapter(uri: str) -> AsyncIterator[HsmAdapter]:
    store = await SoftwareAdapter.create(uri)
    yield store
    await store.close()


@pytest.fixture
def open_again(uri: str, adapter: HsmAdapter) -> OpenAgain:
    return lambda: SoftwareAdapter.open(uri)


class TestSoftwareAdapter(HsmAdapterContract):
    """Every test of the suite."""


def records(folder: Path) -> list[key_file.KeyRecord]:
    """Return the keys of the file in clear, as its owner can."""
    content = (folder / "keys.tessera").read_bytes()
    secret = bytes.fromhex((folder / "keys.key").read_text())
    return key_file.open_keys(content, key_file.read_kdf(content).derive(secret))


def leftovers(folder: Path) -> list[Path]:
    """Return the temporary files of writers."""
    return list(folder.glob(".*.tmp"))


def reachable_bytes(thing: object, seen: set[int]) -> list[bytes]:
    """Return all bytes that attributes and containers lead to from `thing`, private attributes included."""
    if id(thing) in seen or isinstance(thing, type):
        return []
    seen.add(id(thing))
    if isinstance(thing, bytes | bytearray | str | int):
        return [bytes(thing)] if isinstance(thing, bytes | bytearray) else []
    children: list[object] = []
    if isinstance(thing, dict):
        children += [*thing.keys(), *thing.values()]
    elif isinstance(thing, list | tuple | set | frozenset):
        children += list(thing)
    children += list(getattr(thing, "__dict__", {}).values())
    children += [
        getattr(thing, name, None) for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())
    ]
    return [found for child in children for found in reachable_bytes(child, seen)]


async def test_no_attribute_holds_key_bytes(adapter: HsmAdapter, folder: Path) -> None:
    for kind in KeyKind:
        await adapter.generate(f"probe-{kind.value}", kind)
    materials = [record.material for record in records(folder)]
    assert len(materials) == len(KeyKind)
    found = reachable_bytes(adapter, set())
    assert any(len(value) == 65 for value in found)  # the walk does reach the public keys
    for value in found:
        assert not any(material in value for material in materials)
    for material in materials:
        assert material not in (folder / "keys.tessera").read_bytes()
        assert material.hex() not in repr(vars(adapter))


# The secret that opens the file -----------------------------------------------------------------------------


async def test_passphrase_opens_and_a_wrong_one_does_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"software:file={folder}/keys.tessera?passphrase-source=env:TEST_PASSPHRASE"
    monkeypatch.setenv("TEST_PASSPHRASE", PASSPHRASE)
    first = await SoftwareAdapter.create(uri)
    made = await first.generate("kept", KeyKind.SIGN_P256)
    await first.close()
    second = await SoftwareAdapter.open(uri)
    assert await second.find("kept") == made
    await second.close()
    monkeypatch.setenv("TEST_PASSPHRASE", PASSPHRASE + "!")
    with pytest.raises(HsmConfigurationError) as caught:
        await SoftwareAdapter.open(uri)
    assert PASSPHRASE not in str(caught.value)
    with pytest.raises(HsmConfigurationError):
        await SoftwareAdapter.create(uri)  # it is there: created means opened
    with pytest.raises(HsmConfigurationError, match="passphrase-source"):
        await SoftwareAdapter.open(f"software:file={folder}/keys.tessera?key-source=env:TEST_PASSPHRASE")


async def test_a_short_passphrase_makes_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_PASSPHRASE", "short")
    with pytest.raises(HsmConfigurationError, match="fewer than 12"):
        await SoftwareAdapter.create(
            f"software:file={folder}/keys.tessera?passphrase-source=env:TEST_PASSPHRASE"
        )
    assert not (folder / "keys.tessera").exists()


async def test_a_passphrase_file_may_end_in_a_newline(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write_private(folder / "passphrase", PASSPHRASE.encode() + b"\n")
    store = await SoftwareAdapter.create(
        f"software:file={folder}/keys.tessera?passphrase-source=file:{folder}/passphrase"
    )
    await store.close()
    monkeypatch.setenv("TEST_PASSPHRASE", PASSPHRASE)
    store = await SoftwareAdapter.open(
        f"software:file={folder}/keys.tessera?passphrase-source=env:TEST_PASSPHRASE"
    )
    await store.close()


async def test_a_raw_key_file_and_a_hexadecimal_variable_are_the_same_key(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = os.urandom(30) + b"\r\n"  # raw bytes that look like a line ending stay
    files.write_private(folder / "raw", key)
    store = await SoftwareAdapter.create(f"software:file={folder}/keys.tessera?key-source=file:{folder}/raw")
    await store.close()
    monkeypatch.setenv("TEST_KEY", key.hex())
    store = await SoftwareAdapter.open(f"software:file={folder}/keys.tessera?key-source=env:TEST_KEY")
    await store.close()
    for wrong in ("", "00", key.hex()[:-1], key.hex() + "0", "g" * 64, "é" * 32):
        monkeypatch.setenv("TEST_KEY", wrong)
        with pytest.raises(HsmConfigurationError):
            await SoftwareAdapter.open(f"software:file={folder}/keys.tessera?key-source=env:TEST_KEY")
    monkeypatch.delenv("TEST_KEY")
    with pytest.raises(HsmConfigurationError, match="TEST_KEY is not set"):
        await SoftwareAdapter.open(f"software:file={folder}/keys.tessera?key-source=env:TEST_KEY")


async def test_a_prompt_without_a_terminal_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, adapter: HsmAdapter
) -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(read_end) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with pytest.raises(HsmConfigurationError, match="terminal"):
            await SoftwareAdapter.open(f"software:file={folder}/keys.tessera?key-source=prompt:")
    os.close(write_end)


@pytest.mark.parametrize(
    "text",
    [
        "software:",
        "software:file=",
        "software:file=keys",
        "software:?key-source=env:A",
        "software:file=keys?key-source=env:A&passphrase-source=env:A",
        "software:file=keys;object=a?key-source=env:A",
        "software:file=keys?key-source=http:example",
        "software:file=keys?key-source=prompt:now",
        "software:file=keys?pin-value=1234",
        "pkcs11:token=keys?pin-source=env:A",
    ],
)
async def test_a_uri_that_is_not_ours_is_refused(
    text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidKeyUri) as caught:
        await SoftwareAdapter.create(text)
    assert "1234" not in str(caught.value)


# The file ---------------------------------------------------------------------------------------------------


async def test_a_missing_file_says_what_to_run(uri: str) -> None:
    with pytest.raises(HsmConfigurationError, match="tessera keys init"):
        await SoftwareAdapter.open(uri)


async def test_a_new_store_is_private(uri: str, folder: Path) -> None:
    before = os.umask(0)
    try:
        store = await SoftwareAdapter.create(uri.replace(str(folder), f"{folder}/new/var"))
        await store.generate("a", KeyKind.MAC_SHA256)
        await store.close()
    finally:
        os.umask(before)
    for path in (folder / "new/var").iterdir():
        assert path.stat().st_mode & 0o077 == 0, path
    assert (folder / "new/var").stat().st_mode & 0o022 == 0


async def test_what_is_not_a_file_is_refused(uri: str, folder: Path, adapter: HsmAdapter) -> None:
    path = folder / "keys.tessera"
    path.unlink()
    path.mkdir()
    with pytest.raises(HsmConfigurationError):
        await SoftwareAdapter.open(uri)
    path.rmdir()
    os.mkfifo(path, 0o600)
    with pytest.raises(HsmConfigurationError, match="regular"):
        await SoftwareAdapter.open(uri)


async def test_a_file_too_large_is_not_read(uri: str, folder: Path, adapter: HsmAdapter) -> None:
    with (folder / "keys.tessera").open("r+b") as file:
        file.truncate(key_file.MAX_FILE + 1)
    with pytest.raises(HsmConfigurationError, match="larger"):
        await SoftwareAdapter.open(uri)


async def test_writing_through_a_link_changes_the_file_itself(
    uri: str, folder: Path, adapter: HsmAdapter
) -> None:
    link = folder / "link.tessera"
    link.symlink_to(folder / "keys.tessera")
    through = await SoftwareAdapter.open(uri.replace("keys.tessera", "link.tessera"))
    made = await through.generate("linked", KeyKind.MAC_SHA256)
    await through.close()
    assert link.is_symlink()
    assert await adapter.find("linked") == made


async def test_any_damage_is_refused(uri: str, folder: Path, adapter: HsmAdapter) -> None:
    await adapter.generate("a", KeyKind.AGREE_P256)
    path = folder / "keys.tessera"
    good = path.read_bytes()
    for position in range(len(good)):
        damaged = bytearray(good)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(HsmConfigurationError):
            await SoftwareAdapter.open(uri)
    for length in range(0, len(good), 7):
        path.write_bytes(good[:length])
        with pytest.raises(HsmConfigurationError):
            await SoftwareAdapter.open(uri)
    path.write_bytes(good)
    store = await SoftwareAdapter.open(uri)
    await store.close()


async def test_a_file_that_vanishes_or_is_made_anew_stops_the_store(uri: str, folder: Path) -> None:
    store = await SoftwareAdapter.create(uri)
    await store.generate("a", KeyKind.MAC_SHA256)
    path = folder / "keys.tessera"
    path.unlink()
    with pytest.raises(HsmConfigurationError):
        await store.list()
    other = await SoftwareAdapter.create(uri)
    with pytest.raises(HsmUnavailable, match="made anew"):
        await store.list()
    with pytest.raises(KeyNotFound):
        await other.find("a")
    await other.close()
    await store.close()


async def test_a_failed_write_leaves_the_old_file(
    adapter: HsmAdapter, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await adapter.generate("before", KeyKind.MAC_SHA256)
    old = (folder / "keys.tessera").read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        with pytest.raises(HsmUnavailable):
            await adapter.generate("after", KeyKind.MAC_SHA256)
    assert (folder / "keys.tessera").read_bytes() == old
    assert leftovers(folder) == []
    with pytest.raises(KeyNotFound):
        await adapter.find("after")
    await adapter.generate("after", KeyKind.MAC_SHA256)


_WRITER = """
import asyncio, sys
from hsm_adapters.api import KeyKind
from hsm_adapters.software import SoftwareAdapter

async def main() -> None:
    store = await SoftwareAdapter.open(sys.argv[1])
    for number in range(1000):
        label = f"{sys.argv[2]}-{number:04}"
        await store.generate(label, KeyKind.MAC_SHA256)
        print(label, flush=True)

asyncio.run(main())
"""


def kill_a_writer(uri: str, run: int, lines: int) -> list[str]:
    """Start a process that generates keys, kill it after some lines, and return the labels that it reported."""
    command = [sys.executable, "-c", _WRITER, uri, f"run{run}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [process.stdout.readline().strip() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        told += process.stdout.read().split()
        return [label for label in told if len(label) == len("run0-0000")]


async def test_killed_in_mid_write_the_file_is_old_or_new(
    adapter: HsmAdapter, uri: str, folder: Path
) -> None:
    told: list[str] = []
    for run in range(5):
        told += await asyncio.to_thread(kill_a_writer, uri, run, 3 + 2 * run)
        store = await SoftwareAdapter.open(uri)
        there = [info.label for info in await store.list()]
        assert set(told) <= set(there)
        assert len(there) <= len(told) + run + 1  # at most one that each run wrote and could not report
        await store.generate(f"alive-{run}", KeyKind.MAC_SHA256)  # the lock is free, and leftovers are swept
        await store.destroy(f"alive-{run}")
        await store.close()
    assert len(told) >= 35
    assert leftovers(folder) == []
