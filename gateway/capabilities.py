"""The composition root's half for activations, bound phones and PINs: makes the services and hands each its ports, so
that these capabilities never import one another. `gateway.app` calls `build_capabilities`; tests do, too."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog

from gateway.activation.channel import FirstContact, FirstContactDesk
from gateway.activation.codes import CodeService
from gateway.activation.contacts import ContactService
from gateway.activation.conversation import ConversationDesk
from gateway.activation.live import LiveContacts
from gateway.activation.models import ActivationPolicy
from gateway.activation.page_tokens import PageTokens
from gateway.activation.routes import ActivationFace
from gateway.activation.routes import routes as activation_routes
from gateway.activation.service import ActivationService
from gateway.approving import Approving, ApprovingGround, build_approving
from gateway.bus.events import EventLog
from gateway.core.clock import Clock
from gateway.core.errors import Problem
from gateway.core.events import Journal
from gateway.core.secrets import RandomSource
from gateway.core.subjects import ACTIVATIONS, USERS
from gateway.core.supervisor import Supervisor, Work
from gateway.devices.channel import ContactDesk, ResumeContact
from gateway.devices.desk import BindingDesk
from gateway.devices.live import LiveChannels
from gateway.devices.models import DevicePolicy
from gateway.devices.open_channel import OpenChannels
from gateway.devices.routes import routes as device_routes
from gateway.devices.service import DeviceService
from gateway.http.channel import ContactHandler, PhoneDoor
from gateway.http.hosts import Hosts
from gateway.http.limits import RateLimiter
from gateway.http.parts import ChannelPart
from gateway.http.routing import Route
from gateway.http.sse import EventStreams
from gateway.keys.agreement import AgreementKeys
from gateway.keys.ring import KeyRing
from gateway.keys.sealer import SealedAgreementKeys, Sealer
from gateway.pin.dialogue import PinDesk
from gateway.pin.models import PinPolicy
from gateway.protocol.frames import Kind
from gateway.settings import Settings
from gateway.storage.engine import Storage
from gateway.tenants.service import TenantService
from hsm_adapters.api import HsmAdapter, KeyInfo

SWEEP_S = 5.0

_log = structlog.get_logger("sweep")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What the capabilities stand on."""

    settings: Settings
    clock: Clock
    random: RandomSource
    storage: Storage
    journal: Journal
    events: EventLog
    streams: EventStreams
    adapter: HsmAdapter
    ring: KeyRing
    push_key: KeyInfo
    tenants: TenantService


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What stands: the services, the phone's door, and the rows of the route table."""

    activations: ActivationService
    devices: DeviceService
    pins: PinDesk
    approving: Approving
    page_tokens: PageTokens
    door: PhoneDoor
    routes: list[Route]
    tasks: Supervisor = field(default_factory=Supervisor)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Capabilities"]:
        """Sweep what is past its end every few seconds; close the phones' sockets on exit."""
        works: dict[str, Work] = {
            "sweep activations": partial(self._sweep_forever, self.activations.sweep),
            "sweep approvals": partial(self._sweep_forever, self.approving.sweep),
            "wake phones": self.approving.sender.run,
        }
        async with self.tasks.running(works):
            try:
                yield self
            finally:
                await self.door.close()

    async def _sweep_forever(self, sweep: Callable[[], Awaitable[object]]) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                await sweep()
            except Problem:
                _log.warning("what is past its end cannot be swept; trying again")


def build_capabilities(ground: Ground) -> Capabilities:
    """Make everything. The event log must not be running yet, or nothing have happened."""
    settings, clock = ground.settings, ground.clock
    sealer = Sealer(ground.adapter, ground.ring)
    keys = AgreementKeys(ground.adapter, ground.ring)
    tools = _Tools(ground, sealer, keys, LiveChannels())
    pins = _build_pins(tools)
    tokens = _build_tokens(tools)
    approving = build_approving(_approving_ground(tools, tokens=tokens, pins=pins))
    devices = _build_devices(tools, pins=pins, approving=approving)
    activations = _build_activations(tools, tokens=tokens, approving=approving)
    door = _build_door(tools, pins=pins, devices=devices, activations=activations, parts=approving.parts)
    face = ActivationFace(
        hosts=_hosts(settings),
        name=settings.public_name,
        service=activations,
        codes=CodeService(
            clock=clock,
            sealer=sealer,
            keys=keys,
            policy=activations.policy,
            host=settings.public_host,
            scheme=settings.origin.partition("://")[0],
        ),
        tokens=tokens,
        streams=ground.streams,
        tenants=ground.tenants,
        keys=keys,
        accept_phone=door.handle,
    )
    return Capabilities(
        activations=activations,
        devices=devices,
        pins=pins,
        approving=approving,
        page_tokens=tokens,
        door=door,
        routes=[*activation_routes(face), *device_routes(devices), *approving.routes],
    )


def _hosts(settings: Settings) -> Hosts:
    return Hosts(settings.public_host, frozenset(settings.alias_hosts))


@dataclass(frozen=True, slots=True)
class _Tools:
    """The ground with what is built on its key store."""

    ground: Ground
    sealer: Sealer
    keys: AgreementKeys
    live: LiveChannels


def _approving_ground(tools: _Tools, *, tokens: PageTokens, pins: PinDesk) -> ApprovingGround:
    ground = tools.ground
    return ApprovingGround(
        settings=ground.settings,
        clock=ground.clock,
        random=ground.random,
        storage=ground.storage,
        journal=ground.journal,
        events=ground.events,
        adapter=ground.adapter,
        ring=ground.ring,
        push_key=ground.push_key,
        sealer=tools.sealer,
        tenants=ground.tenants,
        tokens=tokens,
        pins=pins,
        channels=tools.live,
        hosts=_hosts(ground.settings),
    )


def _build_pins(tools: _Tools) -> PinDesk:
    ground, settings = tools.ground, tools.ground.settings
    return PinDesk(
        storage=ground.storage,
        journal=ground.journal,
        keys=SealedAgreementKeys(ground.adapter),
        ring=ground.ring,
        sealer=tools.sealer,
        clock=ground.clock,
        random=ground.random,
        policy=PinPolicy(digits=settings.pin_digits),
    )


def _build_devices(tools: _Tools, *, pins: PinDesk, approving: Approving) -> DeviceService:
    ground = tools.ground
    return DeviceService(
        storage=ground.storage,
        journal=ground.journal,
        clock=ground.clock,
        pins=pins,
        inbox=approving.inbox,
        attached=(approving.biometrics, approving.push, approving.approvals),
        policy=DevicePolicy(hybrid_period_s=ground.settings.hybrid_days * 86_400),
    )


def _activation_policy(settings: Settings) -> ActivationPolicy:
    return ActivationPolicy(
        rotation_s=settings.rotation_s,
        life_s=settings.activation_life_s,
        page_token_life_s=settings.page_token_life_s,
        retention_s=settings.retention_days * 86_400,
        suites=tuple(settings.suites),
    )


def _build_tokens(tools: _Tools) -> PageTokens:
    ground = tools.ground
    return PageTokens(
        storage=ground.storage,
        journal=ground.journal,
        clock=ground.clock,
        random=ground.random,
        policy=_activation_policy(ground.settings),
    )


def _build_activations(tools: _Tools, *, tokens: PageTokens, approving: Approving) -> ActivationService:
    ground = tools.ground
    activations = ActivationService(
        storage=ground.storage,
        journal=ground.journal,
        clock=ground.clock,
        random=ground.random,
        sealer=tools.sealer,
        keys=tools.keys,
        tokens=tokens,
        further=approving.approvals,
        policy=_activation_policy(ground.settings),
    )
    ground.events.listen(activations.recent.on_event, prefix=ACTIVATIONS)
    return activations


def _build_door(
    tools: _Tools,
    *,
    pins: PinDesk,
    devices: DeviceService,
    activations: ActivationService,
    parts: Sequence[ChannelPart],
) -> PhoneDoor:
    ground, live = tools.ground, tools.live
    ground.events.listen(live.on_event, prefix=USERS)
    limiter = RateLimiter(clock=ground.clock)
    channels = OpenChannels(service=devices, pins=pins, live=live, limiter=limiter, parts=parts)
    bindings = BindingDesk(service=devices, sealer=tools.sealer, channels=channels)
    later = ContactDesk(
        storage=ground.storage,
        service=devices,
        pins=pins,
        tenants=ground.tenants,
        keys=tools.keys,
        sealer=tools.sealer,
        random=ground.random,
    )
    handlers: dict[Kind, ContactHandler] = {
        Kind.FIRST_CONTACT: _build_first_contact(tools, activations, pins=pins, bindings=bindings),
        Kind.RESUME: ResumeContact(later, channels),
    }
    return PhoneDoor(handlers, hosts=_hosts(ground.settings), channels=ground.settings.max_connections)


def _build_first_contact(
    tools: _Tools, activations: ActivationService, *, pins: PinDesk, bindings: BindingDesk
) -> FirstContact:
    ground = tools.ground
    live = LiveContacts()
    ground.events.listen(live.on_event, prefix=ACTIVATIONS)
    contacts = ContactService(
        storage=ground.storage,
        journal=ground.journal,
        sealer=tools.sealer,
        activations=activations,
        bindings=bindings,
    )
    conversations = ConversationDesk(
        clock=ground.clock, activations=activations, contacts=contacts, pins=pins, live=live
    )
    desk = FirstContactDesk(
        clock=ground.clock,
        random=ground.random,
        tenants=ground.tenants,
        keys=tools.keys,
        contacts=contacts,
        bindings=bindings,
        conversations=conversations,
        biometric=ground.settings.biometric,
    )
    return FirstContact(desk)
