"""What others ask of the devices. First contact: to seal the first ratchet key, to store the new binding in the
transaction that makes the activation active, and to go on with the channel. Approvals: whose phones there are, and the
keys of offline answers. The composition root hands these out."""

from collections.abc import Sequence

from gateway.core.ids import decode_id
from gateway.core.subjects import BindingRef, NewPhone
from gateway.core.transaction import Transaction
from gateway.devices import store
from gateway.devices.cells import cell_of, psk_cell
from gateway.devices.models import Binding, BindingState
from gateway.devices.open_channel import OpenChannels
from gateway.devices.ports import Sealing
from gateway.devices.service import DeviceService
from gateway.http.secure_channel import SecureChannel
from gateway.protocol.messages import Lang
from gateway.protocol.offline import OfflineKeys, derive_offline_keys
from gateway.storage.engine import Storage


class BindingDesk:
    """New bindings. One for the process."""

    def __init__(self, *, service: DeviceService, sealer: Sealing, channels: OpenChannels) -> None:
        self._service = service
        self._sealer = sealer
        self._channels = channels

    async def seal_first_key(
        self, ref: BindingRef, psk: bytes, *, static_key: bytes, signing_key: bytes, gateway_label: str
    ) -> bytes:
        """Return bpsk_0 (32 bytes) sealed for its cell, with its owner, the phone's s_D and g_D, and the label of the
        gateway key S. Raises `HsmError`."""
        cell = psk_cell(ref, 0, static_key=static_key, signing_key=signing_key, gateway_label=gateway_label)
        return await self._sealer.seal(psk, **cell)

    def add(self, tx: Transaction, phone: NewPhone) -> None:
        """Store the binding, and tell."""
        binding = Binding(
            id=phone.ref.binding_id,
            tenant_id=phone.ref.tenant_id,
            user=phone.ref.user,
            label=phone.label,
            device=phone.device,
            state=BindingState.ACTIVE,
            is_hybrid=phone.is_hybrid,
            gateway_label=phone.gateway_label,
            signing_key=phone.signing_key,
            static_key=phone.static_key,
            index=0,
            psk=phone.sealed_psk,
            psk_next=None,
            added_at=phone.added_at,
            hybrid_at=phone.added_at,
            last_seen_at=phone.added_at,
        )
        self._service.add(tx, binding, replaces=phone.replaces)

    async def run_open(self, channel: SecureChannel, ref: BindingRef, *, lang: Lang) -> None:
        """Serve the channel of a binding that has just become active, until it closes."""
        await self._channels.run(channel, ref, lang=lang)


class BindingBook:
    """Bound phones as approvals see them, and the keys that phones of no network share with the gateway."""

    def __init__(self, *, storage: Storage, sealer: Sealing) -> None:
        self._storage = storage
        self._sealer = sealer

    def find(self, tx: Transaction, *, tenant_id: str, binding_id: str) -> Binding | None:
        """Return a binding."""
        return store.find(tx, tenant_id=tenant_id, binding_id=binding_id)

    def is_active(self, tx: Transaction, *, tenant_id: str, binding_id: str) -> bool:
        """Whether a binding is in use now."""
        return store.find_state(tx, tenant_id=tenant_id, binding_id=binding_id) is BindingState.ACTIVE

    def of_user(self, tx: Transaction, *, tenant_id: str, user: str) -> Sequence[Binding]:
        """Return a customer's phones that are not removed, oldest first."""
        return store.find_of_user(tx, tenant_id=tenant_id, user=user)

    async def offline_keys(self, *, tenant_id: str, binding_id: str) -> Sequence[OfflineKeys]:
        """Return the keys of each ratchet index that the phone may be at: one, or two while nobody has proved which.
        None for a binding that is not active. Raises HsmError, with `UnwrapFailed` for a row that was edited."""
        binding = await self._storage.read(
            lambda tx: store.find(tx, tenant_id=tenant_id, binding_id=binding_id)
        )
        if binding is None or binding.state is not BindingState.ACTIVE:
            return ()
        keys = []
        for index in (binding.index, binding.index + 1):
            sealed = binding.psk_of(index)
            if sealed is not None:
                psk = await self._sealer.open(sealed, **cell_of(binding, index))
                keys.append(derive_offline_keys(psk, binding_id=decode_id("bnd", binding_id), index=index))
        return keys
