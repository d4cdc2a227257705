"""The tenants' agreement keys S as the phone channels use them: which one is in force, which one a bound phone moves
to, its point, and ECDH with it. Points are remembered, so that a handshake asks the key store for its agreements
alone."""

from typing import NoReturn

from gateway.keys.labels import KeyName, KeyPurpose, parse_label
from gateway.keys.ring import KeyRing
from gateway.keys.service import ensure_tenant_key
from hsm_adapters.api import HsmAdapter, KeyInfo
from hsm_adapters.errors import HsmUnavailable, KeyNotFound, WrongKeyKind


class AgreementKeys:
    """S of every tenant. One for the process."""

    def __init__(self, adapter: HsmAdapter, ring: KeyRing) -> None:
        self._adapter = adapter
        self._ring = ring
        self._points: dict[str, bytes] = {}

    async def current_label(self, tenant_id: str) -> str:
        """Return the label of the key in force, made now for a tenant that has none. Raises `HsmError`."""
        info = await self._ring.find(KeyPurpose.AGREE, tenant_id)
        if info is None:  # or another node has just made the tenant
            info = await ensure_tenant_key(self._adapter, tenant_id)
            await self._ring.refresh()
        self._points[info.label] = _point(info)
        return info.label

    async def next_label(self, tenant_id: str, label: str) -> str:
        """Return the label of the key that a phone moves to from that of `label`: the one in force, or `label` itself
        while another node has heard of a later key than this one. A phone never moves back. Raises `HsmError`."""
        current = await self.current_label(tenant_id)
        return label if _generation(current) < _generation(label) else current

    async def public_key(self, label: str) -> bytes:
        """Return the point of a key, 65 bytes. Raises `KeyNotFound` for one that is gone and has successors,
        `HsmUnavailable` for one that this key store does not have yet."""
        point = self._points.get(label)
        if point is None:
            try:
                point = self._points[label] = _point(await self._adapter.find(label))
            except KeyNotFound as error:
                await self._miss(label, error)
        return point

    async def agree(self, label: str, peer: bytes) -> bytes:
        """ECDH with a peer's point (65 bytes): the x coordinate, 32 bytes. Raises `InvalidPeerKey`, `KeyNotFound` and
        `HsmUnavailable` as `public_key`, `HsmError`."""
        try:
            return await self._adapter.ecdh(label, peer)
        except KeyNotFound as error:
            await self._miss(label, error)

    async def _miss(self, label: str, error: KeyNotFound) -> NoReturn:
        """Raise what a missing key means: gone for good only when the tenant has a later one. A node whose key store
        stands behind must send no phone to be bound anew."""
        name = parse_label(label)
        if name is not None and name.tenant_id is not None and not await self._is_superseded(name):
            raise HsmUnavailable(f"'{label}' is not in the key store, nor is a later key.") from error
        raise error

    async def _is_superseded(self, name: KeyName) -> bool:
        current = await self._ring.find(KeyPurpose.AGREE, name.tenant_id)
        return current is not None and _generation(current.label) > name.generation


def _generation(label: str) -> int:
    name = parse_label(label)
    return 0 if name is None else name.generation


def _point(info: KeyInfo) -> bytes:
    if info.public_key is None:
        raise WrongKeyKind(f"'{info.label}' has no public key.")
    return info.public_key
