"""What every command of one installation stands on: database, key store, audit log, journal, tenants, webhooks. The
server and the operator's commands open it by `open_installation`; it opens in order and closes in reverse."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from gateway.audit.store import append, read_head
from gateway.bus.events import EventLog
from gateway.bus.journal import RecordingJournal
from gateway.core.clock import Clock
from gateway.core.errors import Problem, ProblemCode
from gateway.core.secrets import RandomSource
from gateway.core.transaction import Transaction
from gateway.keys.labels import KeyPurpose
from gateway.keys.ring import KeyRing
from gateway.keys.sealer import Sealer
from gateway.keys.seeds import SeedKeeper
from gateway.keys.service import InstallationKeys, ensure_keys, ensure_tenant_key, newest
from gateway.keys.store import find_sealed
from gateway.keys.stores import open_key_store
from gateway.sealed_columns import SEALED
from gateway.settings import ConfigError, ConfigProblem, Settings
from gateway.storage.engine import Storage
from gateway.storage.migrate import current_revision, migrate, newest_revision
from gateway.tenants.service import ApiKeyService, TenantService
from gateway.webhooks.service import WebhookOutbox, WebhookService
from hsm_adapters.api import HsmAdapter
from hsm_adapters.errors import HsmConfigurationError, OperationUnsupported


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
    been. A key store that is not this database's is refused before any key is made. Raises Problem with the next step,
    ConfigError for `otp_inside` on a store that cannot, HsmError."""
    url = settings.resolved_database_url
    async with contextlib.AsyncExitStack() as stack:
        # First, since it may be away for long, and whoever waits for it opens an installation every 2 seconds.
        adapter = await _open_keys(settings)
        stack.push_async_callback(adapter.close)
        ring = KeyRing(adapter, clock)
        seeds = await _seed_keeper(settings, adapter, ring)
        if url.startswith("sqlite"):
            await asyncio.to_thread(migrate, url)
        storage = Storage(url)
        stack.push_async_callback(storage.close)
        await storage.read(check_revision)
        await _refuse_another_store(adapter, storage)
        keys = await ensure_keys(adapter)
        events = _event_log(settings, storage, clock)
        outbox = WebhookOutbox(random=random)
        journal = RecordingJournal(audit=append, events=events, outbox=outbox, clock=clock)
        sealer = Sealer(adapter, ring)
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


async def refuse_another_store(settings: Settings, adapter: HsmAdapter) -> None:
    """Raise `HsmConfigurationError` when the settings' database was used with another key store. A database that is not
    there, does not answer or has another schema is passed over."""
    url = settings.resolved_database_url
    if not _may_be_there(url):
        return
    storage = Storage(url)
    try:
        await storage.read(check_revision)
    except (Problem, SQLAlchemyError):
        return
    else:
        await _refuse_another_store(adapter, storage)
    finally:
        await storage.close()


def _may_be_there(url: str) -> bool:
    place = make_url(url)
    return place.get_backend_name() != "sqlite" or bool(place.database and Path(place.database).is_file())


async def _refuse_another_store(adapter: HsmAdapter, storage: Storage) -> None:
    """Raise `HsmConfigurationError` when the database was used with keys that the store does not hold: an empty token,
    or another one. New keys there would hide that, and open nothing."""
    held = await adapter.list()
    missing = {purpose for purpose in (KeyPurpose.AUDIT, KeyPurpose.WRAP) if newest(held, purpose) is None}
    if not missing:
        return

    def unit(tx: Transaction) -> str | None:
        if KeyPurpose.AUDIT in missing and read_head(tx)[2]:
            return "its audit log was signed by a key"
        if KeyPurpose.WRAP in missing and any(find_sealed(tx, each, after=None, limit=1) for each in SEALED):
            return "its secrets are sealed under a key"
        return None

    if (found := await storage.read(unit)) is not None:
        raise HsmConfigurationError(
            f"This is not the key store of this database: {found} that is not there. No key was made. Check token= and "
            "serial= in the setting hsm, and the module's own settings; or restore the key store."
        )


async def _seed_keeper(settings: Settings, adapter: HsmAdapter, ring: KeyRing) -> SeedKeeper:
    seeds = SeedKeeper(adapter, ring, inside=settings.otp_inside)
    try:
        await seeds.check()
    except OperationUnsupported as error:  # no waiting mends it, as it may other faults of the key store
        problem = "it asks that HMAC runs inside the key store's module, and this store cannot"
        step = "Run: tessera keys doctor - or set otp_inside to false."
        raise ConfigError([ConfigProblem("otp_inside", problem, step)]) from error
    return seeds


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
