"""The rules of tenants and API keys. The command line makes them; the HTTP face asks who a key speaks for. A key's text
leaves this module once, in a Secret, when it is made."""

from collections.abc import Iterable
from typing import Protocol

from gateway.core.clock import Clock
from gateway.core.encoding import b64url_encode
from gateway.core.errors import Problem, ProblemCode
from gateway.core.events import AuditWord, Fact, Journal
from gateway.core.ids import ID_BYTES, encode_id
from gateway.core.principals import ApiKeyPrincipal, digest_token
from gateway.core.secrets import RandomSource, Secret
from gateway.core.transaction import Transaction
from gateway.storage.engine import Storage
from gateway.storage.schema import to_millis
from gateway.tenants import store
from gateway.tenants.models import MAX_KEYS, MAX_NAME, ApiKey, Scope, Tenant

KEY_BYTES = 32
TOUCH_MS = 60_000
"""How old `last_used_at` may be before a use is noted again."""
LISTED_S = 5.0
_LIST = "`tessera tenant list` shows those that there are."


class TenantKeys(Protocol):
    """Makes a tenant's agreement key in the key store."""

    async def __call__(self, tenant_id: str) -> object:
        """Make the key unless it is there."""
        ...


class TenantService:
    """Tenants. They are few and never change, so they are answered from memory."""

    def __init__(
        self,
        *,
        storage: Storage,
        journal: Journal,
        make_key: TenantKeys,
        clock: Clock,
        random: RandomSource,
    ) -> None:
        self._storage = storage
        self._journal = journal
        self._make_key = make_key
        self._clock = clock
        self._random = random
        self._known: dict[str, Tenant] = {}
        self._listed_until = 0.0

    async def create(self, name: str) -> Tenant:
        """Make a tenant and its agreement key. Raises Problem(INVALID_REQUEST), HsmError."""
        _check_name(name)
        tenant = Tenant(encode_id("ten", self._random(ID_BYTES)), name, to_millis(self._clock.now()))
        await self._make_key(tenant.id)

        def unit(tx: Transaction) -> None:
            store.insert_tenant(tx, tenant)
            self._journal.record(
                tx, Fact(tenant.id, AuditWord.OPERATOR_TENANT_CREATE, tenant.id, {"name": name})
            )

        await self._storage.write(unit)
        self._known[tenant.id] = tenant
        return tenant

    async def find(self, tenant_id: str) -> Tenant:
        """Return a tenant. Raises Problem(NOT_FOUND)."""
        known = self._known.get(tenant_id)
        if known is None:
            known = await self._storage.read(lambda tx: store.find_tenant(tx, tenant_id))
            if known is None:
                raise Problem(ProblemCode.NOT_FOUND, "there is no such tenant", next_step=_LIST)
            self._known[tenant_id] = known
        return known

    async def list(self) -> list[Tenant]:
        """Return all tenants, oldest first; new ones of other processes within 5 seconds."""
        now = self._clock.now()
        if now >= self._listed_until:
            self._known |= {tenant.id: tenant for tenant in await self._storage.read(store.list_tenants)}
            self._listed_until = now + LISTED_S
        return sorted(self._known.values(), key=lambda tenant: (tenant.created_at, tenant.id))


class ApiKeyService:
    """API keys: 32 random bytes as `tsk_…`, stored as their SHA-256."""

    def __init__(self, *, storage: Storage, journal: Journal, clock: Clock, random: RandomSource) -> None:
        self._storage = storage
        self._journal = journal
        self._clock = clock
        self._random = random

    async def create(
        self, *, tenant_id: str, name: str, scopes: Iterable[str], life_days: int | None = None
    ) -> tuple[ApiKey, Secret]:
        """Make a key and return it with its text. `life_days` None: without end. Raises Problem(INVALID_REQUEST),
        Problem(NOT_FOUND), Problem(CONFLICT)."""
        _check_name(name)
        granted = _check_scopes(scopes)
        now_ms = to_millis(self._clock.now())
        ends = None if life_days is None else now_ms + life_days * 86_400_000
        key = ApiKey(
            encode_id("key", self._random(ID_BYTES)), tenant_id, name, granted, now_ms, ends, None, None
        )
        text = "tsk_" + b64url_encode(self._random(KEY_BYTES))

        def unit(tx: Transaction) -> None:
            if store.find_tenant(tx, tenant_id) is None:
                raise Problem(ProblemCode.NOT_FOUND, "there is no such tenant", next_step=_LIST)
            if store.count_keys(tx, tenant_id) >= MAX_KEYS:
                raise Problem(ProblemCode.CONFLICT, f"a tenant has at most {MAX_KEYS} keys; revoke one")
            store.insert_key(tx, key, digest_token(text))
            data = {"name": name, "scopes": " ".join(sorted(granted)), "expires_at": ends}
            self._journal.record(tx, Fact(tenant_id, AuditWord.OPERATOR_API_KEY_CREATE, key.id, data))

        await self._storage.write(unit)
        return key, Secret(text.encode())

    async def list(self, tenant_id: str) -> list[ApiKey]:
        """Return a tenant's keys, oldest first."""
        return await self._storage.read(lambda tx: store.list_keys(tx, tenant_id))

    async def revoke(self, key_id: str) -> ApiKey:
        """Revoke a key: every node refuses it within 5 seconds. Raises Problem(NOT_FOUND), Problem(CONFLICT)."""
        now_ms = to_millis(self._clock.now())

        def unit(tx: Transaction) -> ApiKey:
            key = store.find_key_by_id(tx, key_id)
            if key is None:
                raise Problem(ProblemCode.NOT_FOUND, "there is no such key")
            if not store.revoke_key(tx, key_id, now_ms):
                raise Problem(ProblemCode.CONFLICT, "the key is revoked already")
            self._journal.record(tx, Fact(key.tenant_id, AuditWord.OPERATOR_API_KEY_REVOKE, key_id))
            return key

        return await self._storage.write(unit)

    async def find_principal(self, digest: bytes) -> tuple[ApiKeyPrincipal, int | None] | None:
        """Return whom the key of that SHA-256 speaks for, and its end; None when it is unknown, revoked or over."""
        key = await self._storage.read(lambda tx: store.find_key(tx, digest))
        now_ms = to_millis(self._clock.now())
        if key is None or key.state_at(now_ms) != "active":
            return None
        if key.last_used_at is None or now_ms - key.last_used_at > TOUCH_MS:
            key_id = key.id
            await self._storage.write(lambda tx: store.touch_key(tx, key_id, now_ms))
        return ApiKeyPrincipal(key.tenant_id, key.id, key.scopes), key.expires_at


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise Problem(ProblemCode.INVALID_REQUEST, f"a name has 1 to {MAX_NAME} printable characters")


def _check_scopes(scopes: Iterable[str]) -> frozenset[str]:
    granted = frozenset(scopes)
    known = {scope.value for scope in Scope}
    if not granted or granted - known:
        raise Problem(ProblemCode.INVALID_REQUEST, f"scopes are some of: {', '.join(sorted(known))}")
    return granted
