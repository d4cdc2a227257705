"""What every command of one installation stands on: database, key store, audit log, journal, tenants, webhooks. The
server and the operator's commands open it by `open_installation`; it opens in order and closes in reverse."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from gateway.audit.store import append
from gateway.bus.events import EventLog
from gateway.bus.journal import RecordingJournal
from gateway.core.clock import Clock
from gateway.core.errors import Problem, ProblemCode
from gateway.core.secrets import RandomSource
from gateway.core.transaction import Transaction
from gateway.keys.ring import KeyRing
from gateway.keys.sealer import Sealer
from gateway.keys.seeds import SeedKeeper
from gateway.keys.service import InstallationKeys, ensure_keys, ensure_tenant_key
from gateway.keys.stores import open_key_store
from gateway.settings import Settings
from gateway.storage.engine import Storage
from gateway.storage.migrate import current_revision, migrate, newest_revision
from gateway.tenants.service import ApiKeyService, TenantService
from gateway.webhooks.service import WebhookOutbox, WebhookService
from hsm_adapters.api import HsmAdapter


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """The open installation."""

    settings: Settings
    clock: Clock
    random: RandomSource
    storage: Storage
    adapter: HsmAdapter
    keys: InstallationKeys
    ring: KeyRing
    sealer: Sealer
    seeds: SeedKeeper
    events: EventLog
    outbox: WebhookOutbox
    journal: RecordingJournal
    tenants: TenantService
    api_keys: ApiKeyService
    webhooks: WebhookService


@contextlib.asynccontextmanager
async def open_installation(
    settings: Settings, *, clock: Clock, random: RandomSource
) -> AsyncIterator[Installation]:
    """Open everything. Only a key file that no setting names is made here; SQLite is migrated, PostgreSQL must have
    been. Raises Problem with the next step, HsmError."""
    url = settings.resolved_database_url
    async with contextlib.AsyncExitStack() as stack:
        # First, since it may be away for long, and whoever waits for it opens an installation every 2 seconds.
        adapter = await _open_keys(settings)
        stack.push_async_callback(adapter.close)
        if url.startswith("sqlite"):
            await asyncio.to_thread(migrate, url)
        storage = Storage(url)
        stack.push_async_callback(storage.close)
        await storage.read(check_revision)
        keys = await ensure_keys(adapter)
        events = _event_log(settings, storage, clock)
        outbox = WebhookOutbox(random=random)
        journal = RecordingJournal(audit=append, events=events, outbox=outbox, clock=clock)
        ring = KeyRing(adapter, clock)
        sealer = Sealer(adapter, ring)
        seeds = SeedKeeper(adapter, ring, inside=settings.otp_inside)
        await seeds.check()
        yield Installation(
            settings=settings,
            clock=clock,
            random=random,
            storage=storage,
            adapter=adapter,
            keys=keys,
            ring=ring,
            sealer=sealer,
            seeds=seeds,
            events=events,
            outbox=outbox,
            journal=journal,
            tenants=TenantService(
                storage=storage,
                journal=journal,
                make_key=partial(ensure_tenant_key, adapter),
                clock=clock,
                random=random,
            ),
            api_keys=ApiKeyService(storage=storage, journal=journal, clock=clock, random=random),
            webhooks=WebhookService(
                storage=storage,
                sealer=sealer,
                journal=journal,
                outbox=outbox,
                clock=clock,
                random=random,
                is_inside_allowed=settings.allows_inside_webhooks,
            ),
        )


def check_revision(tx: Transaction) -> None:
    """Raise Problem(UNAVAILABLE) unless the database has the schema of this code."""
    found = current_revision(tx.connection)
    if found != newest_revision():
        state = "is empty" if found is None else f"has schema {found}"
        detail = f"the database {state}, this code needs {newest_revision()}: run `tessera migrate`"
        raise Problem(ProblemCode.UNAVAILABLE, detail)


def _event_log(settings: Settings, storage: Storage, clock: Clock) -> EventLog:
    is_shared = storage.backend.name == "postgresql"
    return EventLog(storage=storage, clock=clock, retention_s=settings.event_retention_s, shared=is_shared)


async def _open_keys(settings: Settings) -> HsmAdapter:
    return await open_key_store(uri=settings.hsm, previous=settings.hsm_previous, data=settings.data)
