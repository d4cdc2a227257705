"""The tenants' agreement keys S as the phone channels use them: which one is in force, its point, and ECDH with it.
Points are remembered, so that a handshake asks the key store for its agreements alone; a key of a
later generation, once the key store has one, is found within a minute."""

from gateway.core.clock import Clock
from gateway.keys.service import ensure_tenant_key
from hsm_adapters.api import HsmAdapter, KeyInfo
from hsm_adapters.errors import WrongKeyKind

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
        known = self._current.get(tenant_id)
        now = self._clock.now()
        if known is not None and now < known[1]:
            return known[0]
        info = await ensure_tenant_key(self._adapter, tenant_id)
        self._points[info.label] = _point(info)
        self._current[tenant_id] = (info.label, now + REMEMBERED_S)
        return info.label

    async def public_key(self, label: str) -> bytes:
        """Return the point of a key, 65 bytes. Raises `KeyNotFound`, `HsmUnavailable`."""
        point = self._points.get(label)
        if point is None:
            point = self._points[label] = _point(await self._adapter.find(label))
        return point

    async def agree(self, label: str, peer: bytes) -> bytes:
        """ECDH with a peer's point (65 bytes): the x coordinate, 32 bytes. Raises `InvalidPeerKey`, `HsmError`."""
        return await self._adapter.ecdh(label, peer)


def _point(info: KeyInfo) -> bytes:
    if info.public_key is None:
        raise WrongKeyKind(f"'{info.label}' has no public key.")
    return info.public_key
