"""The phone as a whole: begins first contacts from any form of the code, opens channels of bindings, keeps
everything in the store it is given. The command line, the tests and the load generator use this one class."""

import sys
from dataclasses import dataclass

from gateway.core.clock import Clock
from gateway.core.secrets import RandomSource
from gateway.phone.asks import Ask, PastPage
from gateway.phone.banks import bank_key, remember_banks
from gateway.phone.channel import Channel, Tools, resume
from gateway.phone.contact import FirstContact, Listener
from gateway.phone.conversation import is_refused
from gateway.phone.errors import BindingNotFound, CodeExpired, GatewayRefused
from gateway.phone.line import Line
from gateway.phone.models import PendingContact, PhoneKeys
from gateway.phone.offline import OfflineAsk, answer_code, open_code
from gateway.phone.store import PhoneStore
from gateway.phone.transport import Network
from gateway.protocol import keys
from gateway.protocol.code import ActivationCode, TypedCode, read_link, read_own_scan
from gateway.protocol.errors import ErrorCode, ForeignHost
from gateway.protocol.messages import ApprovalEnd, Decision, Device, Facts, InboxPage, Lang

APP = "tessera-phone/0.1.0"


@dataclass(frozen=True, slots=True)
class Person:
    """How the phone calls itself: a name that the customer knows it by, and the language for messages."""

    name: str
    lang: Lang = "en"
    model: str = "Command line"


class PhoneClient:
    """A phone at one site. `random` and `clock` come in; the network's HTTP session belongs to the caller. What can be
    done on one binding alone takes its id, which need not be given where there is one binding."""

    def __init__(
        self, *, store: PhoneStore, network: Network, random: RandomSource, clock: Clock, person: Person
    ) -> None:
        facts = Facts(v=1, app=APP, platform="cli", lang=person.lang)
        self._tools = Tools(store, network, random, clock, facts)
        self._person = person
        self._lines: dict[bytes, Line] = {}

    @property
    def store(self) -> PhoneStore:
        """The store of this phone."""
        return self._tools.store

    async def remember_banks(self) -> None:
        """Keep this host's keys S for typed codes, if none are kept yet: best when the phone is first used. Raises
        ConnectionLost, GatewayRefused, UnexpectedAnswer, ForeignHost."""
        await remember_banks(self._tools.store, self._tools.network)

    async def begin_scanned(self, scanned: bytes, *, listener: Listener | None = None) -> FirstContact:
        """Begin with what a symbol carried. Raises MalformedCode, ForeignHost, CodeExpired, and as `begin`."""
        payload = read_own_scan(scanned, own_host=self._tools.network.site.host)
        return await self.begin(ActivationCode.parse(payload), listener=listener)

    async def begin_link(self, link: str, *, listener: Listener | None = None) -> FirstContact:
        """Begin with a link. Raises as `begin_scanned`."""
        host, payload = read_link(link)
        if host != self._tools.network.site.host:
            raise ForeignHost(f"the code leads to {host}")
        return await self.begin(ActivationCode.parse(payload), listener=listener)

    async def begin_typed(
        self, text: str, *, gateway_public: bytes | None = None, listener: Listener | None = None
    ) -> FirstContact:
        """Begin with a typed code. `gateway_public` says S (33 bytes); without it S is the one that the phone kept when
        it first looked. Raises MalformedCode, MistypedCode, BankKeyChanged, and as `begin`."""
        typed = TypedCode.parse(text)
        network = self._tools.network
        found = await network.find_typed(typed.locator)
        if gateway_public is None:
            gateway_public = await bank_key(found.tenant, store=self._tools.store, network=network)
        code = ActivationCode(
            activation_id=bytes(found.activation),
            otk=typed.psk(found.activation),
            gateway_public=gateway_public,
            expiry=found.expires,
            rotation=keys.TYPED_ROTATION,
        )
        return await self.begin(code, listener=listener)

    async def begin(self, code: ActivationCode, *, listener: Listener | None = None) -> FirstContact:
        """Begin, or take up again, the first contact of a code; returns when the device code is to be shown. Raises
        CodeExpired, GatewayRefused, HandshakeFailed, ConnectionLost."""
        tools = self._tools
        if code.expiry <= tools.clock.now():
            raise CodeExpired("this code is over")
        known = tools.store.pending(code.activation_id)
        own = known.keys if known else PhoneKeys.generate(tools.random)
        fresh = PendingContact.of_code(code, host=tools.network.site.host, keys=own)
        if known is None:
            tools.store.put_pending(fresh)
            return await self._run(fresh, listener)
        try:
            # The gateway takes an old rotation from the keys that it first came with, and from no others.
            return await self._run(known, listener)
        except GatewayRefused as error:
            turned = (known.rotation, known.psk) != (fresh.rotation, fresh.psk)
            if not (turned and is_refused(error, ErrorCode.EXPIRED)):
                raise
        tools.store.put_pending(fresh)
        return await self._run(fresh, listener)

    async def open(self, binding_id: bytes) -> Channel:
        """Open the channel of a binding (16 bytes). Raises BindingNotFound, and as `channel.resume`."""
        binding = self._tools.store.binding(binding_id)
        if binding is None:
            raise BindingNotFound("no such binding")
        return await resume(self._tools, binding)

    async def line(self, binding_id: bytes | None = None) -> Line:
        """Return a binding's connection, which this phone keeps open until `close`. It takes the place of channels that
        `open` and `enrol` returned. Raises as `open`."""
        chosen = self._chosen(binding_id)
        if chosen not in self._lines:
            self._lines[chosen] = Line(await self.open(chosen), clock=self._tools.clock)
        return self._lines[chosen]

    async def next_ask(self, binding_id: bytes | None = None) -> Ask:
        """Wait for the bank's next request. Raises as `line`."""
        return await (await self.line(binding_id)).next_ask()

    async def answer(
        self,
        ask: Ask,
        decision: Decision,
        *,
        pin: str | None = None,
        number: int | None = None,
        binding_id: bytes | None = None,
    ) -> ApprovalEnd:
        """Answer a request, through lost connections. Raises as `Line.answer`."""
        return await (await self.line(binding_id)).answer(ask, decision, pin=pin, number=number)

    async def past(self, before: bytes | None = None, *, binding_id: bytes | None = None) -> PastPage:
        """Return a page of the requests of the past. Raises as `Channel.past`."""
        return await (await self.line(binding_id)).past(before)

    async def inbox(self, before: bytes | None = None, *, binding_id: bytes | None = None) -> InboxPage:
        """Return a page of the bank's messages. Raises as `Channel.inbox`."""
        return await (await self.line(binding_id)).inbox(before)

    def open_offline(self, scanned: bytes) -> OfflineAsk:
        """Open what a symbol on the bank's page carried, without a network. Raises MalformedCode, ForeignHost,
        OfflineForeign, OfflineStale, ApprovalUnreadable."""
        host = self._tools.network.site.host
        return open_code(self.store, read_own_scan(scanned, own_host=host), host=host)

    def offline_answer(self, ask: OfflineAsk, pin: str) -> str:
        """Return the eight digits that approve. Raises as `offline.answer_code`."""
        return answer_code(self.store, ask, pin)

    async def close(self) -> None:
        """Close the connections that are kept open; the bindings stay."""
        while self._lines:
            _, line = self._lines.popitem()
            await line.close()

    def _chosen(self, binding_id: bytes | None) -> bytes:
        if binding_id is not None:
            return binding_id
        bindings = self.store.bindings()
        if len(bindings) != 1:
            raise BindingNotFound("the binding has to be named unless there is one")
        return bindings[0].binding_id

    async def _run(self, pending: PendingContact, listener: Listener | None) -> FirstContact:
        device = Device(
            name=self._person.name,
            model=self._person.model,
            platform="cli",
            os=sys.platform,
            app=APP,
            lang=self._person.lang,
        )
        contact = FirstContact(self._tools, pending, device, listener=listener)
        await contact.begin()
        return contact
