"""The tenants' agreement keys S as the phone channels use them: which one is in force, which one a bound phone moves
to, its point, and ECDH with it. Points are remembered, so that a handshake asks the key store for its agreements alone;
a key of a later generation, once the key store has one, is found within a minute."""

from typing import NoReturn

from gateway.core.clock import Clock
from gateway.keys.labels import KeyName, KeyPurpose, parse_label
from gateway.keys.service import ensure_tenant_key, newest
from hsm_adapters.api import HsmAdapter, KeyInfo
from hsm_adapters.errors import HsmUnavailable, KeyNotFound, WrongKeyKind

REMEMBERED_S = 60.0


class AgreementKeys:
    """S of every tenant. One for the process."""

    def __init__(self, adapter: HsmAdapter, clock: Clock) -> None:
        self._adapter = adapter
        self._clock = clock
        self._current: dict[str, tuple[str, float]] = {}
        self._points: dict[str, bytes] = {}

    async def current_label(self, tenant_id: str) -> str:
        """Return the label of the key in force. Raises `HsmError`."""
        known = self._recall(tenant_id)
        if known is not None:
            return known
        return self._remember(tenant_id, await ensure_tenant_key(self._adapter, tenant_id))

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
        tenant_id = name.tenant_id or ""
        current = self._recall(tenant_id)
        if current is None:
            found = newest(await self._adapter.list(), KeyPurpose.AGREE, tenant_id)
            current = None if found is None else self._remember(tenant_id, found)
        return current is not None and _generation(current) > name.generation

    def _recall(self, tenant_id: str) -> str | None:
        known = self._current.get(tenant_id)
        return known[0] if known is not None and self._clock.now() < known[1] else None

    def _remember(self, tenant_id: str, info: KeyInfo) -> str:
        self._points[info.label] = _point(info)
        self._current[tenant_id] = (info.label, self._clock.now() + REMEMBERED_S)
        return info.label


def _generation(label: str) -> int:
    name = parse_label(label)
    return 0 if name is None else name.generation


def _point(info: KeyInfo) -> bytes:
    if info.public_key is None:
        raise WrongKeyKind(f"'{info.label}' has no public key.")
    return info.public_key
