"""The phone's key file: comes back whole, opens for nobody else, notices changes, and is used by one at a time."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.core.secrets import system_random
from gateway.phone.errors import StoreError
from gateway.phone.models import Binding, PendingContact, PhoneKeys
from gateway.phone.store import FileStore
from gateway.phone.vault import Vault, _make_key

KEYS = PhoneKeys.generate(system_random)
PENDING = PendingContact(
    host="bank.example",
    activation_id=bytes(16),
    psk=b"\x07" * 32,
    rotation=3,
    gateway_public=KEYS.static_pair().public,
    expiry=1_800_000_300,
    keys=KEYS,
)
BINDING = Binding(
    binding_id=b"\x01" * 16,
    activation_id=bytes(16),
    host="bank.example",
    tenant="Example Bank",
    label="Compte n° 1",
    name="Phone",
    gateway_public=KEYS.static_pair().public,
    keys=KEYS,
    state="active",
    index=4,
    psk=b"\x08" * 32,
    next_psk=b"\x09" * 32,
    hybrid_due=0,
    digits=6,
    added=1,
)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "key"


@pytest.fixture
def path(tmp_path: Path, key_file: Path) -> Path:
    target = tmp_path / "deep" / "phone.keys"
    with FileStore.open(target, key_file=key_file) as store:
        store.put_pending(PENDING)
        store.put_binding(BINDING)
        store.put_bank_keys("bank.example", {"ten_1": b"\x02" * 33})
    return target


def test_kept_key_follows_the_binding_in_one_write(
    path: Path, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, other = BINDING.bank_key, b"\x02" * 33
    moved = replace(BINDING, gateway_public=PhoneKeys.generate(system_random).static_pair().public, index=5)
    with FileStore.open(path, key_file=key_file) as store:
        store.put_bank_keys("bank.example", {"ten_1": old, "ten_2": other})
        store.put_bank_keys("other.example", {"ten_1": old})
        saves: list[int] = []
        save = store._save
        monkeypatch.setattr(store, "_save", lambda: (saves.append(1), save())[1])
        store.move_binding(moved)
        assert saves == [1]
    with FileStore.open(path, key_file=key_file) as store:
        assert store.bindings() == [moved]
        assert store.bank_keys("bank.example") == {"ten_1": moved.bank_key, "ten_2": other}
        assert store.bank_keys("other.example") == {"ten_1": old}


def test_it_comes_back(path: Path, key_file: Path) -> None:
    with FileStore.open(path, key_file=key_file) as store:
        assert store.pending(bytes(16)) == PENDING
        assert store.bindings() == [BINDING]
        assert store.binding(BINDING.binding_id) == BINDING
        assert store.bank_keys("bank.example") == {"ten_1": b"\x02" * 33}
        assert store.bank_keys("other.example") == {}
        store.drop_pending(bytes(16))
        store.drop_binding(BINDING.binding_id)
        store.drop_binding(BINDING.binding_id)
    with FileStore.open(path, key_file=key_file) as store:
        assert (store.pending(bytes(16)), store.bindings()) == (None, [])


def test_nothing_secret_is_readable_and_nobody_else_may_read(path: Path, key_file: Path) -> None:
    data = path.read_bytes()
    for secret in (KEYS.static, KEYS.signing, KEYS.device_secret, BINDING.psk, b"Example Bank"):
        assert secret not in data
    assert path.stat().st_mode & 0o777 == 0o600
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    path.chmod(0o640)
    with pytest.raises(StoreError, match="readable by others"):
        FileStore.open(path, key_file=key_file)


def test_each_write_has_a_nonce_of_its_own(path: Path, key_file: Path) -> None:
    before = path.read_bytes()
    with FileStore.open(path, key_file=key_file) as store:
        store.put_binding(BINDING)
    assert path.read_bytes() != before
    assert not path.with_suffix(".new").exists()


def test_one_process_at_a_time(path: Path, key_file: Path) -> None:
    with FileStore.open(path, key_file=key_file), pytest.raises(StoreError, match="another process"):
        FileStore.open(path, key_file=key_file)
    FileStore.open(path, key_file=key_file).close()


def test_passphrase(tmp_path: Path) -> None:
    path = tmp_path / "phone.keys"
    with FileStore.open(path, passphrase="right") as store:
        store.put_binding(BINDING)
    with FileStore.open(path, passphrase="right") as store:
        assert store.bindings() == [BINDING]
    for wrong in ("wrong", "", None):
        with pytest.raises(StoreError) as caught:
            FileStore.open(path, passphrase=wrong)
        assert caught.value.next_step


def test_any_changed_byte_is_noticed(path: Path, key_file: Path) -> None:
    data = path.read_bytes()
    header = data.index(b"\n")
    for place in (0, 20, header - 1, header, header + 1, header + 13, len(data) // 2, len(data) - 1):
        changed = bytearray(data)
        changed[place] ^= 1
        path.write_bytes(bytes(changed))
        with pytest.raises(StoreError):
            FileStore.open(path, key_file=key_file)
    path.write_bytes(data[:header])
    with pytest.raises(StoreError):
        FileStore.open(path, key_file=key_file)


def test_weaker_parameters_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "phone.keys"
    with FileStore.open(path, passphrase="right") as store:
        store.put_binding(BINDING)
    data = path.read_bytes()
    assert b'"memory_kib":65536' in data
    path.write_bytes(data.replace(b'"memory_kib":65536', b'"memory_kib":8192'))
    with pytest.raises(StoreError):
        FileStore.open(path, passphrase="right")


def test_the_key_file_is_guarded(path: Path, key_file: Path, tmp_path: Path) -> None:
    key_file.chmod(0o644)
    with pytest.raises(StoreError, match="readable by others"):
        FileStore.open(path, key_file=key_file)
    key_file.chmod(0o600)
    with pytest.raises(StoreError):
        FileStore.open(path, key_file=None)
    key_file.write_bytes(b"short")
    with pytest.raises(StoreError, match="damaged"):
        FileStore.open(path, key_file=key_file)


def test_the_key_file_is_made_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before the bytes are on the disk, there is no key file, rather than an empty one under a full store; and a
    key that another process made meanwhile is not overwritten."""
    key_file = tmp_path / "apart" / "key"
    synced: list[bool] = []

    def fsync(descriptor: int) -> None:
        synced.append(key_file.exists())
        if len(synced) == 1:
            raise OSError(5, "the power is cut")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fsync)
        with pytest.raises(StoreError, match="power"):
            Vault.create(passphrase=None, key_file=key_file)
        assert list(key_file.parent.iterdir()) == []
        vault = Vault.create(passphrase=None, key_file=key_file)
    assert synced == [False, False, True], "the file before it has its name, then the folder"
    assert key_file.read_bytes() == vault.key
    assert [path.name for path in key_file.parent.iterdir()] == ["key"]
    assert key_file.stat().st_mode & 0o777 == 0o600
    _make_key(key_file)
    assert key_file.read_bytes() == vault.key


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError):
        FileStore.open(tmp_path / "file" / "phone.keys", passphrase="x")


def test_what_is_over_is_forgotten(path: Path, key_file: Path) -> None:
    with FileStore.open(path, key_file=key_file) as store:
        store.forget_expired(PENDING.expiry - 1)
        assert store.pending(bytes(16)) == PENDING
        store.forget_expired(PENDING.expiry + 1)
        assert store.pending(bytes(16)) is None
