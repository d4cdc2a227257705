"""T32: somebody on the machine, or with a backup, takes the key file, or puts another in its place."""

import os
from pathlib import Path

import pytest

from gateway.keys.service import ensure_keys
from hsm_adapters.api import KeyKind
from hsm_adapters.errors import HsmConfigurationError, HsmError
from hsm_adapters.key_file import Kdf, open_keys, read_kdf, seal_keys
from hsm_adapters.software import SoftwareAdapter

PASSPHRASE = "a passphrase of some length"


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TESSERA_TEST_PASSPHRASE", PASSPHRASE)
    return f"software:file={tmp_path}/keys.tessera?passphrase-source=env:TESSERA_TEST_PASSPHRASE"


def key_uri(folder: Path) -> str:
    return f"software:file={folder}/keys.tessera?key-source=file:{folder}/keys.key"


async def test_the_file_alone_tells_nothing_but_its_size(uri: str, tmp_path: Path) -> None:
    store = await SoftwareAdapter.create(uri)
    await ensure_keys(store)
    await store.close()
    content = (tmp_path / "keys.tessera").read_bytes()
    for word in (b"tessera-wrap", b"tessera-audit", b"wrap-aes256", b"keys", PASSPHRASE.encode()):
        assert word not in content
    for guess in (b"", b"password", PASSPHRASE.encode()[:-1], PASSPHRASE.upper().encode()):
        with pytest.raises(HsmConfigurationError):
            open_keys(content, read_kdf(content).derive(guess))


async def test_a_guess_at_the_passphrase_costs_64_mebibytes(uri: str, tmp_path: Path) -> None:
    """RFC 9106 section 4, second recommended option; and costs lowered in the file give another key."""
    await (await SoftwareAdapter.create(uri)).close()
    path = tmp_path / "keys.tessera"
    content = path.read_bytes()
    kdf = read_kdf(content)
    assert (kdf.memory_kib, kdf.passes, kdf.lanes) == (65_536, 3, 4)
    path.write_bytes(content[:10] + (32).to_bytes(4, "big") + b"\x00\x01\x00\x01" + content[18:])
    with pytest.raises(HsmConfigurationError):
        await SoftwareAdapter.open(uri)


async def test_two_files_under_one_passphrase_share_no_salt(uri: str, tmp_path: Path) -> None:
    await (await SoftwareAdapter.create(uri)).close()
    await (await SoftwareAdapter.create(uri.replace("keys.tessera", "other.tessera"))).close()
    salts = {read_kdf((tmp_path / name).read_bytes()).salt for name in ("keys.tessera", "other.tessera")}
    assert len(salts) == 2


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o666, 0o777])
@pytest.mark.parametrize("name", ["keys.tessera", "keys.key"])
async def test_wide_permissions_stop_the_store(tmp_path: Path, mode: int, name: str) -> None:
    await (await SoftwareAdapter.create(key_uri(tmp_path))).close()
    (tmp_path / name).chmod(mode)
    with pytest.raises(HsmConfigurationError, match="chmod 600"):
        await SoftwareAdapter.open(key_uri(tmp_path))
    assert (tmp_path / name).stat().st_mode & 0o777 == mode  # told, not mended
    (tmp_path / name).chmod(0o600)
    await (await SoftwareAdapter.open(key_uri(tmp_path))).close()


@pytest.mark.parametrize("name", ["keys.tessera", "keys.key"])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
async def test_anothers_file_stops_the_store(tmp_path: Path, name: str) -> None:
    """A file that another user owns is one that he can change at will."""
    await (await SoftwareAdapter.create(key_uri(tmp_path))).close()
    os.chown(tmp_path / name, 65_534, 65_534)
    with pytest.raises(HsmConfigurationError, match="another user"):
        await SoftwareAdapter.open(key_uri(tmp_path))


async def test_permissions_widened_while_it_runs_stop_the_next_reading(tmp_path: Path) -> None:
    store = await SoftwareAdapter.create(key_uri(tmp_path))
    await store.generate("a", KeyKind.MAC_SHA256)
    path = tmp_path / "keys.tessera"
    path.write_bytes(path.read_bytes())
    path.chmod(0o644)
    with pytest.raises(HsmConfigurationError, match="chmod 600"):
        await store.list()
    await store.close()


async def test_a_folder_that_any_user_may_write_stops_the_store(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    await (await SoftwareAdapter.create(key_uri(folder))).close()
    folder.chmod(0o777)
    with pytest.raises(HsmConfigurationError, match="chmod o-w"):
        await SoftwareAdapter.open(key_uri(folder))


async def test_a_key_file_of_the_attackers_does_not_open(uri: str, tmp_path: Path) -> None:
    """Put in place of ours, before the start and while it runs, so that the gateway would seal under a known key."""
    store = await SoftwareAdapter.create(uri)
    await store.generate("tessera-wrap-1", KeyKind.WRAP_AES256)
    path = tmp_path / "keys.tessera"
    kdf = Kdf.for_passphrase()
    path.write_bytes(seal_keys([], kdf, kdf.derive(b"the attacker's own passphrase")))
    with pytest.raises(HsmError):
        await store.list()
    with pytest.raises(HsmConfigurationError):
        await SoftwareAdapter.open(uri)
    await store.close()


async def test_a_link_to_the_file_is_judged_by_the_file(tmp_path: Path) -> None:
    store_folder, links = tmp_path / "store", tmp_path / "links"
    links.mkdir()
    await (await SoftwareAdapter.create(key_uri(store_folder))).close()
    for name in ("keys.tessera", "keys.key"):
        (links / name).symlink_to(store_folder / name)
    await (await SoftwareAdapter.open(key_uri(links))).close()
    (store_folder / "keys.tessera").chmod(0o644)
    with pytest.raises(HsmConfigurationError, match="chmod 600"):
        await SoftwareAdapter.open(key_uri(links))
