"""What first contact asks of the devices: to seal the first ratchet key, to store the new binding in the transaction
that makes the activation active, and to go on with the channel. The composition root hands this to the activation."""

from gateway.core.subjects import BindingRef, NewPhone
from gateway.core.transaction import Transaction
from gateway.devices.channel import psk_cell
from gateway.devices.models import Binding, BindingState
from gateway.devices.open_channel import OpenChannels
from gateway.devices.ports import Sealing
from gateway.devices.service import DeviceService
from gateway.http.secure_channel import SecureChannel


class BindingDesk:
    """New bindings. One for the process."""

    def __init__(self, *, service: DeviceService, sealer: Sealing, channels: OpenChannels) -> None:
        self._service = service
        self._sealer = sealer
        self._channels = channels

    async def seal_first_key(
        self, ref: BindingRef, psk: bytes, *, static_key: bytes, signing_key: bytes
    ) -> bytes:
        """Return bpsk_0 (32 bytes) sealed for its cell, with its owner and the phone's s_D and g_D. Raises
        `HsmError`."""
        cell = psk_cell(ref, 0, static_key=static_key, signing_key=signing_key)
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
        self._service.add(tx, binding)

    async def run_open(self, channel: SecureChannel, ref: BindingRef) -> None:
        """Serve the channel of a binding that has just become active, until it closes."""
        await self._channels.run(channel, ref)
