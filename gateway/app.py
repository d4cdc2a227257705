"""The composition root: opens the installation, wires the capabilities to the HTTP face, and starts the background
tasks. `gateway.serve` and the tests call `create_app`; what it opens is closed when the application is cleaned up."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from functools import partial
from importlib.metadata import version

import structlog
from aiohttp import web

from gateway import tables
from gateway.approvals.service import ApprovalRecords
from gateway.audit.routes import routes as audit_routes
from gateway.audit.service import AuditRolledBack, AuditService, Checkpointer
from gateway.audit.trail import AuditTrail
from gateway.capabilities import Capabilities, Ground, build_capabilities
from gateway.core.clock import Clock
from gateway.core.errors import Problem
from gateway.core.secrets import RandomSource
from gateway.core.supervisor import Supervisor, Work
from gateway.evidence.routes import routes as evidence_routes
from gateway.evidence.service import EvidenceService
from gateway.http.auth import Authenticator
from gateway.http.endpoint import EndpointParts
from gateway.http.health import Health
from gateway.http.idempotency import Idempotency
from gateway.http.limits import RateLimiter
from gateway.http.metrics import Metrics
from gateway.http.routing import Route
from gateway.http.server import ServerParts, build_app
from gateway.http.sse import EventStreams
from gateway.installation import Installation, check_revision, open_installation
from gateway.key_life import make_rewrapper
from gateway.keys.rewrap import Rewrapper
from gateway.settings import Settings
from gateway.webhooks.routes import routes as webhook_routes
from gateway.webhooks.sender import WebhookSender
from hsm_adapters.errors import HsmError, KeyNotFound

INSTALLATION = web.AppKey("installation", Installation)
CAPABILITIES = web.AppKey("capabilities", Capabilities)
PRUNE_S = 600.0

Mounts = Callable[[Installation], Awaitable[Mapping[str, web.Application]]]
"""Makes whole applications by prefix, once the installation is open (the demo bank)."""

_log = structlog.get_logger("app")
_TABLES = tables.metadata


async def create_app(
    settings: Settings, *, clock: Clock, random: RandomSource, mounts: Mounts | None = None
) -> web.Application:
    """Return the application, its installation open and its tasks running. Raises Problem or HsmError with the next
    step when something cannot be opened."""
    async with contextlib.AsyncExitStack() as stack:
        installation = await stack.enter_async_context(
            open_installation(settings, clock=clock, random=random)
        )
        streams = EventStreams(
            subscribe=installation.events.subscribe, clock=clock, max_streams=settings.max_connections
        )
        capabilities = build_capabilities(_ground(installation, streams))
        idempotency = Idempotency(storage=installation.storage, clock=clock, random=random)
        metrics = Metrics()
        sender, checkpointer, tasks = _sender(installation), _checkpointer(installation), Supervisor()
        rewrapper = make_rewrapper(installation)
        _add_gauges(metrics, installation, capabilities, streams, sender)
        checks = _checks(installation) | {"audit": checkpointer.check}
        checks["tasks"] = partial(_check_all, (tasks, capabilities.tasks, installation.events.tasks))
        health = Health(checks=checks, metrics=metrics, metrics_token=settings.metrics_token, clock=clock)
        app = build_app(
            _routes(installation, capabilities, checkpointer),
            ServerParts(
                endpoint=_endpoint_parts(installation, capabilities, idempotency),
                metrics=metrics,
                health=health,
                web_dist=settings.resolved_web_dist,
                origin=settings.origin,
                version=version("tessera-gateway"),
                is_secure=settings.is_secure,
                max_body_bytes=settings.max_body_bytes,
                trusted_proxies=frozenset(settings.trusted_proxies),
                place_header=settings.place_header,
                mounts=await mounts(installation) if mounts is not None else {},
            ),
        )
        app[INSTALLATION] = installation
        app[CAPABILITIES] = capabilities
        await stack.enter_async_context(installation.events.running())
        await stack.enter_async_context(capabilities.running())
        await stack.enter_async_context(_working(sender, idempotency, checkpointer, rewrapper, tasks))

        async def stop_streams(_: web.Application) -> None:
            health.is_stopping = True
            installation.events.close()
            await capabilities.door.close()

        app.on_shutdown.append(stop_streams)
        app.cleanup_ctx.append(partial(_close_at_cleanup, stack.pop_all()))
        return app


async def _close_at_cleanup(stack: contextlib.AsyncExitStack, _: web.Application) -> AsyncIterator[None]:
    yield
    await stack.aclose()


def _ground(installation: Installation, streams: EventStreams) -> Ground:
    return Ground(
        settings=installation.settings,
        clock=installation.clock,
        random=installation.random,
        storage=installation.storage,
        journal=installation.journal,
        events=installation.events,
        streams=streams,
        adapter=installation.adapter,
        ring=installation.ring,
        push_key=installation.keys.push,
        tenants=installation.tenants,
    )


def _routes(installation: Installation, capabilities: Capabilities, signing: Checkpointer) -> list[Route]:
    return [
        *capabilities.routes,
        *evidence_routes(make_evidence(installation, signing)),
        *audit_routes(AuditService(installation.storage)),
        *webhook_routes(installation.webhooks),
    ]


def make_evidence(installation: Installation, signing: Checkpointer | None = None) -> EvidenceService:
    """Return what writes evidence from an open installation, for the routes and for `tessera evidence`."""
    trail = AuditTrail(
        storage=installation.storage,
        adapter=installation.adapter,
        signing=signing or _checkpointer(installation),
    )
    return EvidenceService(
        storage=installation.storage,
        records=ApprovalRecords(),
        trail=trail,
        banks=installation.tenants,
    )


def _endpoint_parts(
    installation: Installation, capabilities: Capabilities, idempotency: Idempotency
) -> EndpointParts:
    clock = installation.clock
    return EndpointParts(
        authenticator=Authenticator(
            api_keys=installation.api_keys, page_tokens=capabilities.page_tokens, clock=clock
        ),
        limiter=RateLimiter(clock=clock),
        limits=installation.settings.all_limits(),
        idempotency=idempotency,
        cors_origins=frozenset(installation.settings.cors_origins),
    )


def _checks(installation: Installation) -> dict[str, Callable[[], Awaitable[None]]]:
    async def database() -> None:
        await installation.storage.write(lambda _: None)

    async def migrations() -> None:
        await installation.storage.read(check_revision)

    async def key_store() -> None:
        try:
            await installation.adapter.find(await installation.ring.wrapping_label())
        except KeyNotFound:  # retired before this process had heard of its successor
            await installation.ring.refresh()
            await installation.adapter.find(await installation.ring.wrapping_label())

    return {"database": database, "migrations": migrations, "hsm": key_store}


async def _check_all(supervisors: Iterable[Supervisor]) -> None:
    for each in supervisors:
        await each.check()


def _add_gauges(
    metrics: Metrics,
    installation: Installation,
    capabilities: Capabilities,
    streams: EventStreams,
    sender: WebhookSender,
) -> None:
    metrics.gauge("tessera_event_streams", "Open event streams.", lambda: streams.count)
    metrics.gauge("tessera_phone_channels", "Open phone channels.", lambda: capabilities.door.open_channels)
    metrics.gauge("tessera_writes_waiting", "Changes waiting.", lambda: installation.storage.writes_waiting)
    metrics.gauge("tessera_webhooks_waiting", "Webhooks not delivered yet.", lambda: sender.waiting)
    metrics.gauge("tessera_webhooks_oldest_seconds", "Age of the oldest of these.", lambda: sender.oldest_s)
    pushes = capabilities.approving.sender
    metrics.gauge("tessera_pushes_waiting", "Wake-ups not sent yet.", lambda: pushes.waiting)


def _checkpointer(installation: Installation) -> Checkpointer:
    return Checkpointer(
        storage=installation.storage,
        adapter=installation.adapter,
        ring=installation.ring,
        clock=installation.clock,
    )


def _sender(installation: Installation) -> WebhookSender:
    return WebhookSender(
        storage=installation.storage,
        sealer=installation.sealer,
        journal=installation.journal,
        outbox=installation.outbox,
        clock=installation.clock,
        random=installation.random,
        is_inside_allowed=installation.settings.allows_inside_webhooks,
        timeout_s=installation.settings.webhook_timeout_s,
        attempts=installation.settings.webhook_attempts,
        failed_kept_s=installation.settings.retention_days * 86_400,
    )


@contextlib.asynccontextmanager
async def _working(
    sender: WebhookSender,
    idempotency: Idempotency,
    checkpointer: Checkpointer,
    rewrapper: Rewrapper,
    tasks: Supervisor,
) -> AsyncIterator[None]:
    """Run what works on its own: webhooks, audit checkpoints, re-wrapping, forgetting."""
    works: dict[str, Work] = {
        "send webhooks": sender.run,
        "sign the audit log": checkpointer.run,
        "re-wrap secrets": rewrapper.run_forever,
        "forget answers": partial(_forget, idempotency),
    }
    try:
        async with tasks.running(works):
            yield
    finally:
        with contextlib.suppress(HsmError, Problem, AuditRolledBack):
            await checkpointer.checkpoint()


async def _forget(idempotency: Idempotency) -> None:
    while True:
        await asyncio.sleep(PRUNE_S)
        with contextlib.suppress(Problem):
            await idempotency.prune()
