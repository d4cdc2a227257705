"""What the tests of bound phones share: binding one, changing it as the bank does, copying and reopening it."""

import copy
from typing import Any

from gateway_kit import PIN, GatewayKit

from gateway.phone.channel import Channel
from gateway.phone.client import PhoneClient
from gateway.phone.store import MemoryStore


async def bind(kit: GatewayKit, phone: PhoneClient, **wish: Any) -> tuple[str, Channel]:
    """Bind a phone; return the binding's id and its open channel."""
    activation = (await kit.begin(**wish))["activation"]["id"]
    contact = await phone.begin_link((await kit.code(activation))["link"])
    await kit.confirm(activation, contact.device_code)
    await contact.wait_confirmed()
    channel = await contact.enrol(PIN)
    return (await kit.activation(activation))["binding"], channel


async def change(kit: GatewayKit, binding: str, step: str) -> None:
    """Suspend or remove a binding as the bank does."""
    path = f"/api/v1/bindings/{binding}"
    await (kit.call("DELETE", path) if step == "remove" else kit.call("POST", f"{path}/{step}", {}))


def copy_of(phone: PhoneClient) -> MemoryStore:
    """Return a copy of a phone's storage."""
    return copy.deepcopy(phone.store)  # type: ignore[return-value]


async def reopen(phone: PhoneClient, channel: Channel) -> Channel:
    """Close the channel and open another."""
    await channel.close()
    return await phone.open(channel.binding.binding_id)
