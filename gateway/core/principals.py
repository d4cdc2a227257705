"""Who calls, once a credential was found good: a bank's back end or a customer's page. The HTTP face finds them by way
of the capabilities that store the credentials, which see only digests."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ApiKeyPrincipal:
    """A bank's back end, by its API key."""

    tenant_id: str
    key_id: str
    scopes: frozenset[str]

    @property
    def limit_key(self) -> str:
        """What its rate limits count on."""
        return self.key_id


@dataclass(frozen=True, slots=True)
class PagePrincipal:
    """A page in a customer's browser, by its page token: for one activation, one request for approval, or one user's
    phones and messages."""

    tenant_id: str
    token_id: str
    activation_id: str | None
    user: str | None
    expires_at: int
    """Unix milliseconds."""
    approval_id: str | None = None

    @property
    def limit_key(self) -> str:
        """What its rate limits count on."""
        return self.token_id


Principal = ApiKeyPrincipal | PagePrincipal


def digest_token(token: str) -> bytes:
    """Return what is stored of a bearer credential: SHA-256, 32 bytes. It holds 256 random bits, so no salt."""
    return hashlib.sha256(token.encode("ascii")).digest()
