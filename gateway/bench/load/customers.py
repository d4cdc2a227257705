"""The people around one activation: a bank that orders it by REST, the page that shows its code and follows its events,
the phone that runs first contact, the customer who types what the phone shows. `activations` sends them by the dozen;
they check that everything came true, since a load of failures would measure nothing."""

import asyncio
from dataclasses import dataclass

import aiohttp
import msgspec

from gateway.bench.load.installation import BankAccount
from gateway.bench.load.rest import Rest, bearer
from gateway.core.clock import SystemClock
from gateway.core.secrets import system_random
from gateway.phone.client import Person, PhoneClient
from gateway.phone.store import MemoryStore
from gateway.phone.transport import Network, Site

PIN = "271828"
EVENTS = ("activation.waiting", "activation.present", "activation.confirmed", "activation.active")
PATIENCE_S = 30.0


class Code(msgspec.Struct):
    """What the page takes from the answer to its request for the code."""

    link: str
    svg: str


class _Activation(msgspec.Struct):
    id: str
    state: str


class _Started(msgspec.Struct):
    activation: _Activation
    page_token: str


@dataclass(frozen=True, slots=True)
class Customers:
    """Those who use one gateway."""

    http: aiohttp.ClientSession
    site: Site
    account: BankAccount

    @property
    def _rest(self) -> Rest:
        return Rest(self.http, self.site.url)

    async def activate(self, number: int) -> None:
        """Run one activation from the order to the bound phone, in five requests and one channel. Raises whatever goes
        wrong on the way."""
        bank = self.account.headers
        order = {"user": f"customer-{number}", "label": "Current account"}
        started = await self._rest.post("/api/v1/activations", order, bank, _Started)
        place = f"/api/v1/activations/{started.activation.id}"
        page = bearer(started.page_token)
        stream = asyncio.create_task(self._follow(page))
        try:
            code = await self._rest.get(f"{place}/code?form=colour", page, Code)
            await self._bind(code, place, page)
            async with asyncio.timeout(PATIENCE_S):
                await stream
        finally:
            stream.cancel()

    async def fetch_code(self) -> bytes:
        """Return the body of one answer with a code, to know its size."""
        order = {"user": "customer-0", "label": "Current account"}
        bank = self.account.headers
        started = await self._rest.post("/api/v1/activations", order, bank, _Started)
        return await self._rest.call(
            "GET", f"/api/v1/activations/{started.activation.id}/code?form=colour", bank
        )

    async def _bind(self, code: Code, place: str, page: dict[str, str]) -> None:
        phone = PhoneClient(
            store=MemoryStore(),
            network=Network(self.site, self.http),
            random=system_random,
            clock=SystemClock(),
            person=Person("Bench phone"),
        )
        contact = await phone.begin_link(code.link)
        try:
            await self._rest.post(f"{place}/confirm", {"code": contact.device_code}, page, _Activation)
            await contact.wait_confirmed()
            await contact.enrol(PIN)
        finally:
            await contact.close()

    async def _follow(self, page: dict[str, str]) -> None:
        """Read the page's event stream to the end of the activation, and check that nothing is missing."""
        told = []
        async with self.http.get(f"{self.site.url}/api/v1/events", headers=page) as answer:
            answer.raise_for_status()
            async for line in answer.content:
                if line.startswith(b"event: "):
                    told.append(line[7:].strip().decode())
                if line == b"\n" and told and told[-1] == EVENTS[-1]:
                    break
        if tuple(told) != EVENTS:
            raise RuntimeError(f"the page was told {told}")
