"""Page tokens: what lets a page in the customer's browser follow one activation, one request for approval, or one
user's phones and messages, for some minutes. The services and the routes make them, the HTTP face asks whom one speaks
for. Only a digest is stored."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Protocol

from gateway.activation import store
from gateway.activation.models import ActivationPolicy
from gateway.core.clock import Clock
from gateway.core.encoding import b64url_encode
from gateway.core.events import AuditWord, Fact, Journal
from gateway.core.ids import ID_BYTES, encode_id
from gateway.core.principals import PagePrincipal, digest_token
from gateway.core.secrets import RandomSource
from gateway.core.transaction import Transaction
from gateway.storage.engine import Storage

TOKEN_BYTES = 32
MAX_FRESH = 4_096


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A fresh token: its text, told once, and whom it speaks for."""

    text: str = field(repr=False)
    principal: PagePrincipal


class Issued(Protocol):
    """What is put in force of an `IssuedToken`."""

    @property
    def text(self) -> str: ...
    @property
    def principal(self) -> PagePrincipal: ...


class PageTokens:
    """Makes and finds page tokens. One for the process."""

    def __init__(
        self,
        *,
        storage: Storage,
        journal: Journal,
        clock: Clock,
        random: RandomSource,
        policy: ActivationPolicy,
    ) -> None:
        self._storage = storage
        self._journal = journal
        self._clock = clock
        self._random = random
        self._policy = policy
        self._fresh: OrderedDict[bytes, PagePrincipal] = OrderedDict()

    def make(
        self,
        *,
        tenant_id: str,
        activation_id: str | None = None,
        approval_id: str | None = None,
        user: str | None = None,
        needed_until_ms: int = 0,
    ) -> IssuedToken:
        """Make a token for one activation, request or user; `store` puts it in force. It lives as the policy says, and
        not less than until `needed_until_ms` (Unix milliseconds)."""
        policy_ms = int((self._clock.now() + self._policy.page_token_life_s) * 1000)
        text = f"ptk_{b64url_encode(self._random(TOKEN_BYTES))}"
        principal = PagePrincipal(
            tenant_id=tenant_id,
            token_id=encode_id("ptk", self._random(ID_BYTES)),
            activation_id=activation_id,
            approval_id=approval_id,
            user=user,
            expires_at=max(policy_ms, needed_until_ms),
        )
        return IssuedToken(text, principal)

    def store(self, tx: Transaction, token: Issued) -> None:
        """Put a token in force."""
        digest = digest_token(token.text)
        store.insert_page_token(tx, digest, token.principal)
        tx.on_commit(lambda: self._remember(digest, token.principal))

    def _remember(self, digest: bytes, principal: PagePrincipal) -> None:
        """Keep a token made here: it never changes, and its page asks soon."""
        self._fresh[digest] = principal
        if len(self._fresh) > MAX_FRESH:
            self._fresh.popitem(last=False)

    async def issue_for_user(self, *, tenant_id: str, user: str) -> IssuedToken:
        """Make a token for a user's phones and put it in force."""
        token = self.make(tenant_id=tenant_id, user=user)
        fact = Fact(
            tenant_id=tenant_id,
            word=AuditWord.BANK_PAGE_TOKEN_ISSUE,
            subject=token.principal.token_id,
            data={"user": user},
        )

        def unit(tx: Transaction) -> None:
            self.store(tx, token)
            self._journal.record(tx, fact)

        await self._storage.write(unit)
        return token

    async def find_principal(self, digest: bytes) -> PagePrincipal | None:
        """Return whom the token of that SHA-256 speaks for; None when there is none or it is over."""
        principal = self._fresh.get(digest)
        if principal is None:
            principal = await self._storage.read(lambda tx: store.find_page_token(tx, digest))
        if principal is None or principal.expires_at <= self._clock.now() * 1000:
            return None
        return principal
