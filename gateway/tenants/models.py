"""Tenants (banks on this installation) and API keys: frozen data, and the closed list of scopes."""

from dataclasses import dataclass
from enum import StrEnum

MAX_NAME = 64
MAX_KEYS = 100
"""API keys a tenant may have that are not revoked."""


class Scope(StrEnum):
    """What an API key may do."""

    ALL = "*"
    ACTIVATIONS_READ = "activations:read"
    ACTIVATIONS_WRITE = "activations:write"
    BINDINGS_READ = "bindings:read"
    BINDINGS_WRITE = "bindings:write"
    APPROVALS_READ = "approvals:read"
    APPROVALS_WRITE = "approvals:write"
    POLICIES_READ = "policies:read"
    POLICIES_WRITE = "policies:write"
    MESSAGES_READ = "messages:read"
    MESSAGES_WRITE = "messages:write"
    AUDIT_READ = "audit:read"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    PAGE_TOKENS_WRITE = "page-tokens:write"


@dataclass(frozen=True, slots=True)
class Tenant:
    """A bank. `created_at` in Unix milliseconds."""

    id: str
    name: str
    created_at: int


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A bank back end's key; of the key itself only the SHA-256 is stored. Times in Unix milliseconds."""

    id: str
    tenant_id: str
    name: str
    scopes: frozenset[str]
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    last_used_at: int | None

    def state_at(self, now_ms: int) -> str:
        """Return active, revoked or expired."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now_ms else "active"
