"""A phone and its scripted gateway, for the tests of the client."""

from typing import Any

import aiohttp
from scripted_gateway import ScriptedGateway

from gateway.core.clock import ManualClock
from gateway.core.secrets import system_random
from gateway.phone.client import Person, PhoneClient
from gateway.phone.contact import FirstContact
from gateway.phone.store import MemoryStore
from gateway.phone.transport import Network, Site

PIN = "402857"
OTHER_PIN = "718304"


class Desk:
    """A phone and its gateway, for a test."""

    def __init__(self, gateway: ScriptedGateway, http: aiohttp.ClientSession, url: str) -> None:
        self.gateway = gateway
        self.store = MemoryStore()
        self.clock = ManualClock(1_800_000_000.0)
        self.network = Network(Site(gateway.host, url), http)
        self.codes: list[str] = []
        self.wrong: list[int] = []
        self.reconnections = 0

    def device_code(self, code: str, tries: int) -> None:
        self.codes.append(code)

    def wrong_code(self, left: int) -> None:
        self.wrong.append(left)

    def reconnecting(self) -> None:
        self.reconnections += 1

    @property
    def phone(self) -> PhoneClient:
        """A phone over the store as it is now, as after a restart."""
        return PhoneClient(
            store=self.store,
            network=self.network,
            random=system_random,
            clock=self.clock,
            person=Person("My phone"),
        )

    async def begin(self) -> FirstContact:
        return await self.phone.begin(self.gateway.screen(), listener=self)

    async def confirm(self, contact: FirstContact) -> None:
        """The customer reads the phone's code and types it."""
        self.gateway.type_code(contact.device_code)
        await contact.wait_confirmed()

    async def bind(self) -> Any:
        contact = await self.begin()
        await self.confirm(contact)
        return await contact.enrol(PIN)

    async def reopen(self) -> Any:
        return await self.phone.open(self.gateway.binding_id)
