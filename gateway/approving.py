"""The composition root's part for what bound phones are for: approvals, messages, wake-ups, biometrics. `capabilities`
calls it between the PINs, which it builds on, and the phones' door, which takes the parts that speak on channels."""

from dataclasses import dataclass
from functools import partial

from gateway.activation.page_tokens import PageTokens
from gateway.approvals.answers import AnswerService
from gateway.approvals.channel import ApprovalPart
from gateway.approvals.offline import OfflineService
from gateway.approvals.routes import ApprovalFace
from gateway.approvals.routes import routes as approval_routes
from gateway.approvals.service import ApprovalService
from gateway.biometrics.channel import BiometricPart
from gateway.biometrics.models import BiometricRules
from gateway.biometrics.service import BiometricService
from gateway.bus.events import EventLog
from gateway.core.clock import Clock
from gateway.core.events import Journal
from gateway.core.secrets import RandomSource
from gateway.core.subjects import USERS
from gateway.devices.desk import BindingBook
from gateway.http.hosts import Hosts
from gateway.http.limits import RateLimiter
from gateway.http.parts import ChannelPart, Channels
from gateway.http.routing import Route
from gateway.inbox.channel import InboxPart
from gateway.inbox.routes import routes as inbox_routes
from gateway.inbox.service import InboxService
from gateway.keys.labels import KeyPurpose
from gateway.keys.ring import KeyRing
from gateway.keys.sealer import Sealer
from gateway.outbound import check_url
from gateway.pin.dialogue import PinDesk
from gateway.push.channel import PushPart
from gateway.push.sender import PushSender
from gateway.push.service import PushService
from gateway.push.vapid import Vapid
from gateway.settings import Settings
from gateway.storage.engine import Storage
from gateway.tenants.service import TenantService
from hsm_adapters.api import HsmAdapter, KeyInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovingGround:
    """What they stand on."""

    settings: Settings
    clock: Clock
    random: RandomSource
    storage: Storage
    journal: Journal
    events: EventLog
    adapter: HsmAdapter
    ring: KeyRing
    push_key: KeyInfo
    sealer: Sealer
    tenants: TenantService
    tokens: PageTokens
    pins: PinDesk
    channels: Channels
    hosts: Hosts


@dataclass(frozen=True, slots=True, kw_only=True)
class Approving:
    """What stands: the services, the parts that speak on channels, the rows of the route table."""

    approvals: ApprovalService
    inbox: InboxService
    push: PushService
    sender: PushSender
    biometrics: BiometricService
    parts: tuple[ChannelPart, ...]
    routes: list[Route]

    async def sweep(self) -> None:
        """End and erase what is past its end."""
        await self.approvals.sweep()
        await self.inbox.sweep()


def build_approving(ground: ApprovingGround) -> Approving:
    """Make everything, and listen to what happens."""
    inbox = InboxService(
        storage=ground.storage, journal=ground.journal, clock=ground.clock, random=ground.random
    )
    push, vapid, sender = _build_push(ground)
    biometrics = _build_biometrics(ground)
    phones = BindingBook(storage=ground.storage, sealer=ground.sealer)
    approvals = ApprovalService(
        storage=ground.storage,
        journal=ground.journal,
        clock=ground.clock,
        random=ground.random,
        tenants=ground.tenants,
        phones=phones,
        tokens=ground.tokens,
        biometrics=biometrics,
        wakes=push,
        retention_s=ground.settings.approval_retention_days * 86_400,
    )
    answers = AnswerService(
        storage=ground.storage,
        journal=ground.journal,
        approvals=approvals,
        phones=phones,
        pins=ground.pins,
        biometrics=biometrics,
        warnings=inbox,
    )
    offline = OfflineService(
        storage=ground.storage,
        journal=ground.journal,
        random=ground.random,
        sealer=ground.sealer,
        approvals=approvals,
        answers=answers,
        phones=phones,
        pins=ground.pins,
    )
    approval_part = ApprovalPart(
        storage=ground.storage,
        approvals=approvals,
        answers=answers,
        offline=offline,
        biometrics=biometrics,
        channels=ground.channels,
    )
    inbox_part = InboxPart(service=inbox, channels=ground.channels)
    ground.events.listen(approval_part.on_event, prefix=USERS)
    ground.events.listen(inbox_part.on_event, prefix=USERS)
    face = ApprovalFace(
        hosts=ground.hosts,
        scheme=ground.settings.origin.partition("://")[0],
        service=approvals,
        offline=offline,
        limiter=RateLimiter(clock=ground.clock),
    )
    return Approving(
        approvals=approvals,
        inbox=inbox,
        push=push,
        sender=sender,
        biometrics=biometrics,
        parts=(
            PushPart(service=push, vapid=vapid),
            BiometricPart(service=biometrics, clock=ground.clock, random=ground.random),
            inbox_part,
            approval_part,
        ),
        routes=[*approval_routes(face), *inbox_routes(inbox)],
    )


def _build_push(ground: ApprovingGround) -> tuple[PushService, Vapid, PushSender]:
    settings = ground.settings
    is_inside_allowed = settings.allows_inside_webhooks
    vapid = Vapid(
        adapter=ground.adapter,
        in_force=lambda: ground.ring.known(KeyPurpose.PUSH) or ground.push_key,
        contact=settings.push_contact or f"https://{settings.public_host}",
        clock=ground.clock,
    )
    push = PushService(
        storage=ground.storage,
        journal=ground.journal,
        sealer=ground.sealer,
        clock=ground.clock,
        check_url=partial(check_url, is_inside_allowed=is_inside_allowed),
    )
    sender = PushSender(
        storage=ground.storage,
        service=push,
        vapid=vapid,
        clock=ground.clock,
        is_inside_allowed=is_inside_allowed,
        attempts=settings.push_attempts,
    )
    return push, vapid, sender


def _build_biometrics(ground: ApprovingGround) -> BiometricService:
    settings = ground.settings
    scheme = settings.origin.partition("://")[0]
    aliases = [] if settings.production else settings.alias_hosts
    origins = (settings.origin, *(f"{scheme}://{host}" for host in aliases))
    return BiometricService(
        storage=ground.storage,
        journal=ground.journal,
        clock=ground.clock,
        rules=BiometricRules(settings.biometric, origins),
    )
