"""Sees to it that the keys the gateway needs are in the key store. The composition root calls `ensure_keys` at
start, whoever makes a tenant calls `ensure_tenant_key`. It only ever adds keys."""

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.keys.labels import KeyName, KeyPurpose, parse_label
from hsm_adapters.api import HsmAdapter, KeyInfo
from hsm_adapters.errors import HsmConfigurationError, KeyExists
from hsm_adapters.uri import KeyUri


@dataclass(frozen=True, slots=True)
class InstallationKeys:
    """The keys that belong to no tenant, in force when they were asked for: `KeyRing` knows later ones."""

    wrapping: KeyInfo
    audit: KeyInfo
    push: KeyInfo


def default_store_uri(data: str) -> str:
    """Return the key store of an installation that names none: a key file and its key side by side in the data
    directory. That keeps the keys out of database dumps, and no more: production names its own."""
    folder = data.rstrip("/") or "/"
    path = {"file": f"{folder}/keys.tessera"}
    return str(KeyUri("software", path, {"key-source": f"file:{folder}/keys.key"}))


async def ensure_keys(adapter: HsmAdapter) -> InstallationKeys:
    """Make the wrapping, audit and push keys unless they are there, and return those in force. Raises `HsmError`."""
    return InstallationKeys(
        wrapping=await _ensure(adapter, KeyPurpose.WRAP, None),
        audit=await _ensure(adapter, KeyPurpose.AUDIT, None),
        push=await _ensure(adapter, KeyPurpose.PUSH, None),
    )


async def ensure_tenant_key(adapter: HsmAdapter, tenant_id: str) -> KeyInfo:
    """Make a tenant's agreement key S unless it is there, and return the one in force; its `public_key` (65 bytes) is
    what phones pin. Raises `HsmError`, ValueError for what is not a tenant id."""
    return await _ensure(adapter, KeyPurpose.AGREE, tenant_id)


def newest(keys: Iterable[KeyInfo], purpose: KeyPurpose, tenant_id: str | None = None) -> KeyInfo | None:
    """Return the key of that purpose and tenant with the highest generation, None when there is none."""
    found: dict[int, KeyInfo] = {}
    for info in keys:
        name = parse_label(info.label)
        if name is not None and (name.purpose, name.tenant_id) == (purpose, tenant_id):
            found[name.generation] = info
    return found[max(found)] if found else None


async def _ensure(adapter: HsmAdapter, purpose: KeyPurpose, tenant_id: str | None) -> KeyInfo:
    label = KeyName(purpose, 1, tenant_id).label
    info = newest(await adapter.list(), purpose, tenant_id)
    if info is None:
        try:
            info = await adapter.generate(label, purpose.kind)
        except KeyExists:  # another process was quicker
            info = await adapter.find(label)
    if info.kind is not purpose.kind:
        raise HsmConfigurationError(
            f"'{info.label}' in the key store is a key of kind {info.kind.value}; {purpose.kind.value} is needed. "
            "Use another key store, or remove that key if nothing needs it."
        )
    return info
