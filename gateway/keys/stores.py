"""The key store of an installation, or the two between which it moves. The composition root and the commands open it
here. While `hsm_previous` is set, a key is looked for in the new store and then in the old one, and made in the new one
alone: so `tessera keys migrate` moves a running gateway, whose nodes know both."""

import builtins
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Self, TypeVar

from gateway.keys.service import default_store_uri
from hsm_adapters.api import (
    HashName,
    HsmAdapter,
    KeyInfo,
    KeyKind,
    WrappedAgreementKeys,
    WrappedKey,
    WrappedKeyImport,
    WrappedKeyRelease,
    WrappedMacKeys,
)
from hsm_adapters.errors import HsmConfigurationError, KeyExists, KeyNotFound, OperationUnsupported
from hsm_adapters.registry import create_store, open_store

T = TypeVar("T")


async def open_key_store(*, uri: str | None, previous: str | None, data: str) -> HsmAdapter:
    """Open what the settings `hsm`, `hsm_previous` and `data` say. Only the key file that no setting names is made
    here. Raises `HsmError`."""
    if uri is None:
        return await create_store(default_store_uri(data))
    newer = await open_store(uri)
    return newer if previous is None else await _with_previous(newer, previous)


async def create_key_store(*, uri: str | None, previous: str | None, data: str) -> HsmAdapter:
    """Make the key store if it can be made, and open it as `open_key_store` does. Raises `HsmError`."""
    newer = await create_store(uri or default_store_uri(data))
    return newer if previous is None else await _with_previous(newer, previous)


async def _with_previous(newer: HsmAdapter, previous: str) -> HsmAdapter:
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(newer.close)
        older = await open_store(previous)
        stack.push_async_callback(older.close)
        labels = {info.label for info in await newer.list()} & {info.label for info in await older.list()}
        if labels:
            raise HsmConfigurationError(
                f"Both key stores hold '{min(labels)}'. One of hsm and hsm_previous is not the one that you mean, "
                "or the new store was set up on its own: remove its keys. `tessera keys migrate` makes new ones."
            )
        stack.pop_all()
    return TwoStores(newer, older)


class TwoStores(HsmAdapter, WrappedAgreementKeys, WrappedMacKeys):
    """Two key stores as one. A label is in one of them alone: generations are counted over both."""

    def __init__(self, newer: HsmAdapter, older: HsmAdapter) -> None:
        self.newer = newer
        self.older = older
        self._holders: dict[str, HsmAdapter] = {}

    @classmethod
    async def open(cls, uri: str) -> Self:
        """Two stores have two URIs: `open_key_store` opens them. Raises `HsmConfigurationError`."""
        raise HsmConfigurationError(f"{cls.__name__} has no URI of its own.")

    async def close(self) -> None:
        """Close both."""
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self.older.close)
            stack.push_async_callback(self.newer.close)

    async def generate(self, label: str, kind: KeyKind) -> KeyInfo:
        """Generate a key in the new store. Raises `KeyExists` for a label of either."""
        with contextlib.suppress(KeyNotFound):
            await self.older.find(label)
            raise KeyExists(f"There is a key '{label}' in the key store before.")
        return await self.newer.generate(label, kind)

    async def find(self, label: str) -> KeyInfo:
        """Return what may be told of a key of either."""
        return await self._with(label, lambda store: store.find(label))

    async def list(self) -> Sequence[KeyInfo]:
        """Return the keys of both, in order of their labels."""
        keys = {info.label: info for info in await self.older.list()}
        keys |= {info.label: info for info in await self.newer.list()}
        return [keys[label] for label in sorted(keys)]

    async def destroy(self, label: str) -> None:
        """Erase a key where it is."""
        await self._with(label, lambda store: store.destroy(label))
        self._holders.pop(label, None)

    async def sign(self, label: str, message: bytes) -> bytes:
        """Sign where the key is."""
        return await self._with(label, lambda store: store.sign(label, message))

    async def ecdh(self, label: str, peer: bytes) -> bytes:
        """Agree where the key is."""
        return await self._with(label, lambda store: store.ecdh(label, peer))

    async def mac(self, label: str, message: bytes) -> bytes:
        """Authenticate where the key is."""
        return await self._with(label, lambda store: store.mac(label, message))

    async def wrap(self, label: str, plaintext: bytes, context: bytes) -> bytes:
        """Seal where the key is."""
        return await self._with(label, lambda store: store.wrap(label, plaintext, context))

    async def unwrap(self, label: str, blob: bytes, context: bytes) -> bytes:
        """Open where the key is."""
        return await self._with(label, lambda store: store.unwrap(label, blob, context))

    async def random(self, size: int) -> bytes:
        """Return bytes of the new store's generator."""
        return await self.newer.random(size)

    async def generate_wrapped(self, wrapping_label: str, context: bytes) -> WrappedKey:
        """Generate an agreement key where the wrapping key is."""
        return await self._with(
            wrapping_label, lambda store: _wrapped(store).generate_wrapped(wrapping_label, context)
        )

    async def ecdh_wrapped(
        self, wrapping_label: str, blob: bytes, context: bytes, peers: Sequence[bytes]
    ) -> builtins.list[bytes]:
        """Agree where the wrapping key is."""
        return await self._with(
            wrapping_label, lambda store: _wrapped(store).ecdh_wrapped(wrapping_label, blob, context, peers)
        )

    async def rewrap(
        self, wrapping_label: str, blob: bytes, context: bytes, *, new_label: str, new_context: bytes
    ) -> bytes:
        """Move a wrapped agreement key from one wrapping key to another, of the same store or the other. Raises
        `OperationUnsupported` when the one lets no key out or the other none in."""
        old, new = await self._holder(wrapping_label), await self._holder(new_label)
        if old is new:
            return await _wrapped(old).rewrap(
                wrapping_label, blob, context, new_label=new_label, new_context=new_context
            )
        if not (isinstance(old, WrappedKeyRelease) and isinstance(new, WrappedKeyImport)):
            raise OperationUnsupported("The keys of PINs cannot go from the one key store to the other.")
        scalar = await old.release_wrapped(wrapping_label, blob, context)
        return (await new.import_wrapped(new_label, scalar, new_context)).blob

    async def macs_inside(self) -> bool:
        """Whether the new store, where seeds are sealed, keeps them inside."""
        return isinstance(self.newer, WrappedMacKeys) and await self.newer.macs_inside()

    async def wrap_mac_key(self, wrapping_label: str, key: bytes, context: bytes) -> bytes:
        """Wrap an HMAC key where the wrapping key is. Raises `OperationUnsupported` while that is a store that would
        not keep it inside."""

        async def wrap(store: HsmAdapter) -> bytes:
            macs = _macs(store)
            if not await macs.macs_inside():
                raise OperationUnsupported(
                    "The wrapping key in force is in the old key store, which keeps no seed inside. "
                    "Run: tessera keys migrate"
                )
            return await macs.wrap_mac_key(wrapping_label, key, context)

        return await self._with(wrapping_label, wrap)

    async def mac_wrapped(
        self,
        wrapping_label: str,
        blob: bytes,
        context: bytes,
        messages: Sequence[bytes],
        *,
        hash_name: HashName,
    ) -> builtins.list[bytes]:
        """Authenticate where the wrapping key is."""
        return await self._with(
            wrapping_label,
            lambda store: _macs(store).mac_wrapped(
                wrapping_label, blob, context, messages, hash_name=hash_name
            ),
        )

    async def rewrap_mac_key(
        self, wrapping_label: str, blob: bytes, context: bytes, *, new_label: str, new_context: bytes
    ) -> bytes:
        """Move an HMAC key from one wrapping key to another of the same store. Raises `OperationUnsupported` across the
        two: what may cross was never inside one of them, and is sealed as data."""
        old, new = await self._holder(wrapping_label), await self._holder(new_label)
        if old is not new:
            raise OperationUnsupported("An HMAC key that is inside one key store does not go to another.")
        return await _macs(old).rewrap_mac_key(
            wrapping_label, blob, context, new_label=new_label, new_context=new_context
        )

    async def _holder(self, label: str) -> HsmAdapter:
        holder = self._holders.get(label)
        if holder is None:
            holder = self.newer
            try:
                await holder.find(label)
            except KeyNotFound:
                holder = self.older
                await holder.find(label)
            self._holders[label] = holder
        return holder

    async def _with(self, label: str, work: Callable[[HsmAdapter], Awaitable[T]]) -> T:
        holder = await self._holder(label)
        try:
            return await work(holder)
        except KeyNotFound:  # retired by another process
            self._holders.pop(label, None)
            raise


def _wrapped(store: HsmAdapter) -> WrappedAgreementKeys:
    if not isinstance(store, WrappedAgreementKeys):
        raise OperationUnsupported("This key store cannot wrap agreement keys.")
    return store


def _macs(store: HsmAdapter) -> WrappedMacKeys:
    if not isinstance(store, WrappedMacKeys):
        raise OperationUnsupported("This key store cannot wrap HMAC keys.")
    return store
