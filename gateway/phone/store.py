"""Where a phone keeps its records: in memory for load generation and tests, or in one encrypted file for people.
A write is durable when it returns, because the ratchet depends on it."""

import os
from pathlib import Path
from typing import Protocol

import msgspec

from gateway.phone.errors import StoreError
from gateway.phone.models import Binding, PendingContact
from gateway.phone.vault import Vault, sync_folder, write_synced


class PhoneStore(Protocol):
    """The records of one phone, by activation id or binding id (16 bytes each)."""

    def pending(self, activation_id: bytes) -> PendingContact | None:
        """Return the first contact under way for an activation."""

    def put_pending(self, contact: PendingContact) -> None:
        """Keep a first contact."""

    def drop_pending(self, activation_id: bytes) -> None:
        """Forget a first contact; none is no error."""

    def bindings(self) -> list[Binding]:
        """Return all bindings, oldest first."""

    def binding(self, binding_id: bytes) -> Binding | None:
        """Return one binding."""

    def put_binding(self, binding: Binding) -> None:
        """Keep a binding, durably when this returns."""

    def move_binding(self, binding: Binding) -> None:
        """Keep a binding, as `put_binding`, whose bank has told another S; where the keys kept for its host have the
        old one, the new one takes its place in the same write."""

    def drop_binding(self, binding_id: bytes) -> None:
        """Forget a binding and its keys; none is no error."""

    def offline_counter(self, binding_id: bytes) -> int:
        """Return how many answers without a network a binding has made."""

    def take_offline_counter(self, binding_id: bytes) -> int:
        """Return the counter of the next one, 0 at first; that it is used is durable when this returns."""

    def bank_keys(self, host: str) -> dict[str, bytes]:
        """Return the keys S (33 bytes each) kept for a host, by tenant; empty when it was never asked."""

    def put_bank_keys(self, host: str, keys: dict[str, bytes]) -> None:
        """Keep a host's keys, in place of those before."""


class MemoryStore:
    """Keeps records for as long as the process lives."""

    def __init__(self) -> None:
        self._pending: dict[bytes, PendingContact] = {}
        self._bindings: dict[bytes, Binding] = {}
        self._bank_keys: dict[str, dict[str, bytes]] = {}
        self._offline_counters: dict[str, int] = {}

    def pending(self, activation_id: bytes) -> PendingContact | None:
        """Return the first contact under way for an activation."""
        return self._pending.get(activation_id)

    def put_pending(self, contact: PendingContact) -> None:
        """Keep a first contact."""
        self._pending[contact.activation_id] = contact
        self._save()

    def drop_pending(self, activation_id: bytes) -> None:
        """Forget a first contact; none is no error."""
        if self._pending.pop(activation_id, None) is not None:
            self._save()

    def bindings(self) -> list[Binding]:
        """Return all bindings, oldest first."""
        return list(self._bindings.values())

    def binding(self, binding_id: bytes) -> Binding | None:
        """Return one binding."""
        return self._bindings.get(binding_id)

    def put_binding(self, binding: Binding) -> None:
        """Keep a binding."""
        self._bindings[binding.binding_id] = binding
        self._save()

    def move_binding(self, binding: Binding) -> None:
        """Keep a binding whose bank has told another S."""
        before = self._bindings.get(binding.binding_id)
        kept = self._bank_keys.get(binding.host)
        if before is not None and kept is not None:
            old, new = before.bank_key, binding.bank_key
            self._bank_keys[binding.host] = {
                tenant: new if key == old else key for tenant, key in kept.items()
            }
        self.put_binding(binding)

    def drop_binding(self, binding_id: bytes) -> None:
        """Forget a binding and its keys; none is no error."""
        self._offline_counters.pop(binding_id.hex(), None)
        if self._bindings.pop(binding_id, None) is not None:
            self._save()

    def offline_counter(self, binding_id: bytes) -> int:
        """Return how many answers without a network a binding has made."""
        return self._offline_counters.get(binding_id.hex(), 0)

    def take_offline_counter(self, binding_id: bytes) -> int:
        """Return the counter of the next one, and keep that it is used."""
        counter = self.offline_counter(binding_id)
        self._offline_counters[binding_id.hex()] = counter + 1
        self._save()
        return counter

    def bank_keys(self, host: str) -> dict[str, bytes]:
        """Return the keys S kept for a host, by tenant."""
        return dict(self._bank_keys.get(host, {}))

    def put_bank_keys(self, host: str, keys: dict[str, bytes]) -> None:
        """Keep a host's keys."""
        self._bank_keys[host] = dict(keys)
        self._save()

    def _save(self) -> None:
        """Memory needs no saving."""


class _Contents(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pending: list[PendingContact]
    bindings: list[Binding]
    bank_keys: dict[str, dict[str, bytes]] = {}
    offline_counters: dict[str, int] = {}
    """By binding id in hex. Beside the bindings, so that no copy of one, held over a contact, sets it back."""


class FileStore(MemoryStore):
    """Keeps records in an encrypted file (mode 0600), written anew and synced at each change. One process at a time:
    the file beside it with `.lock` says so. Close it, or use it in a `with`."""

    def __init__(self, path: Path, vault: Vault, *, lock: int) -> None:
        super().__init__()
        self._path = path
        self._vault = vault
        self._lock = lock

    @classmethod
    def open(cls, path: Path, *, passphrase: str | None = None, key_file: Path | None = None) -> "FileStore":
        """Open the file, or begin a new one at the first write. Raises StoreError."""
        lock = _lock(path)
        try:
            if not path.exists():
                return cls(path, Vault.create(passphrase=passphrase, key_file=key_file), lock=lock)
            vault, plain = Vault.unlock(_read(path), passphrase=passphrase, key_file=key_file)
            store = cls(path, vault, lock=lock)
            contents = msgspec.json.decode(plain, type=_Contents)
        except msgspec.MsgspecError:
            os.close(lock)
            raise StoreError("the key store is damaged", "Restore it, or bind this phone anew.") from None
        except BaseException:
            os.close(lock)
            raise
        store._pending = {contact.activation_id: contact for contact in contents.pending}
        store._bindings = {binding.binding_id: binding for binding in contents.bindings}
        store._bank_keys = contents.bank_keys
        store._offline_counters = contents.offline_counters
        return store

    def forget_expired(self, now: float) -> None:
        """Drop first contacts whose activation is over (`now` in Unix seconds), but for those that a binding in
        `committing` may still need."""
        needed = {item.activation_id for item in self._bindings.values() if item.state == "committing"}
        for contact in list(self._pending.values()):
            if contact.expiry < now and contact.activation_id not in needed:
                self.drop_pending(contact.activation_id)

    def close(self) -> None:
        """Release the lock."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> "FileStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _save(self) -> None:
        contents = _Contents(
            list(self._pending.values()),
            list(self._bindings.values()),
            self._bank_keys,
            self._offline_counters,
        )
        blob = self._vault.seal(msgspec.json.encode(contents))
        temporary = self._path.with_suffix(".new")
        write_synced(temporary, blob)
        temporary.replace(self._path)
        sync_folder(self._path.parent)


def _lock(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoreError(f"the key store can't be opened: {error.strerror}", "Check --store.") from None
    try:
        _lock_exclusively(descriptor)
    except OSError:
        os.close(descriptor)
        raise StoreError("another process uses this key store", "Let it finish, then try again.") from None
    return descriptor


def _lock_exclusively(descriptor: int) -> None:
    import fcntl  # not on every platform; the in-memory store does without

    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _read(path: Path) -> bytes:
    if path.stat().st_mode & 0o077:
        raise StoreError("the key store is readable by others", f"Run: chmod 600 {path}")
    return path.read_bytes()
