"""What `tessera serve --demo` sets up on a fresh folder, once: a tenant, an API key and a webhook for the demo bank.
They are kept in demo.json beside the database, and the bank's books in demo-ledger.json, readable by this user alone.
Never used in production."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
from aiohttp import web

from gateway.core.errors import Problem
from gateway.core.principals import digest_token
from gateway.core.secrets import Secret, repr_without
from gateway.demo import DemoBankConfig, create_demo_bank
from gateway.installation import Installation
from gateway.tenants.models import Scope

BANK_NAME = "Banque des Halles"
WEBHOOK_PATH = "/demo/webhook"
SCOPES = (
    Scope.ACTIVATIONS_WRITE,
    Scope.APPROVALS_READ,
    Scope.APPROVALS_WRITE,
    Scope.BINDINGS_READ,
    Scope.MESSAGES_WRITE,
    Scope.PAGE_TOKENS_WRITE,
)


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What demo.json holds. Keys and secrets of the demo bank, not of the gateway."""

    tenant: str
    api_key: str
    webhook: str
    webhook_url: str
    webhook_secret: str
    session_key: str

    def __repr__(self) -> str:
        return repr_without(self, "api_key", "webhook_secret", "session_key")


async def mount_demo(installation: Installation, *, base: str) -> Mapping[str, web.Application]:
    """Return the demo bank under /demo, set up. `base` is how it reaches this gateway (`http://127.0.0.1:8080`)."""
    path = Path(installation.settings.data) / "demo.json"
    found = _read(path)
    kept = await _check(installation, found)
    ledger = path.with_name("demo-ledger.json")
    if kept is None:
        ledger.unlink(missing_ok=True)  # of requests that this database has never heard of
        kept = await _set_up(installation, f"{base}{WEBHOOK_PATH}")
    elif kept.webhook_url != f"{base}{WEBHOOK_PATH}":
        kept = await _move_webhook(installation, kept, f"{base}{WEBHOOK_PATH}")
    if kept != found:
        _write(path, kept)
    pages = installation.settings.resolved_web_dist / "demo"
    config = DemoBankConfig(
        api_base=base,
        api_key=Secret(kept.api_key.encode()),
        webhook_secret=Secret(kept.webhook_secret.encode()),
        session_key=Secret(bytes.fromhex(kept.session_key)),
        clock=installation.clock,
        pages=pages if pages.is_dir() else None,
        ledger=ledger,
    )
    return {"/demo": create_demo_bank(config)}


async def _check(installation: Installation, kept: _Kept | None) -> _Kept | None:
    """Return what was kept, unless the database is another one than it was made for; with a new key where the kept one
    was made before the bank asked for as much as now."""
    found = None if kept is None else await installation.api_keys.find_principal(digest_token(kept.api_key))
    if kept is None or found is None:
        return None
    if found[0].scopes >= {scope.value for scope in SCOPES}:
        return kept
    _, key = await installation.api_keys.create(tenant_id=kept.tenant, name="Demo bank", scopes=SCOPES)
    return msgspec.structs.replace(kept, api_key=key.reveal().decode())


async def _set_up(installation: Installation, url: str) -> _Kept:
    tenant = await installation.tenants.create(BANK_NAME)
    _, key = await installation.api_keys.create(tenant_id=tenant.id, name="Demo bank", scopes=SCOPES)
    endpoint, secret = await installation.webhooks.create(tenant_id=tenant.id, url=url, events=())
    return _Kept(
        tenant=tenant.id,
        api_key=key.reveal().decode(),
        webhook=endpoint.id,
        webhook_url=url,
        webhook_secret=secret.reveal().decode(),
        session_key=installation.random(32).hex(),
    )


async def _move_webhook(installation: Installation, kept: _Kept, url: str) -> _Kept:
    """The port has changed since: tell the demo bank at its new address."""
    with contextlib.suppress(Problem):  # gone already
        await installation.webhooks.delete(tenant_id=kept.tenant, endpoint_id=kept.webhook)
    endpoint, secret = await installation.webhooks.create(tenant_id=kept.tenant, url=url, events=())
    return msgspec.structs.replace(
        kept, webhook=endpoint.id, webhook_url=url, webhook_secret=secret.reveal().decode()
    )


def _read(path: Path) -> _Kept | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Kept)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _write(path: Path, kept: _Kept) -> None:
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(kept)))
    fresh.replace(path)
