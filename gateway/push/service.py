"""The rules of wake-ups: subscriptions of phones, and the outbox of what is to be sent, written in the transaction of
its cause. Where a subscription leads and its secret are sealed at rest."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.core.clock import Clock
from gateway.core.events import AuditWord, Fact, Journal
from gateway.core.subjects import BindingRef
from gateway.core.transaction import Transaction
from gateway.keys.sealed import SealedColumn
from gateway.keys.sealer import cell_context
from gateway.protocol.keys import parse_point
from gateway.push import store
from gateway.push.models import A_MINUTE, Subscription, Wake, WakeState
from gateway.storage.engine import Storage

CheckUrl = Callable[[str], None]
"""Raises Problem(INVALID_REQUEST) for an address that may not be called."""


class Sealing(Protocol):
    """Secrets at rest, sealed under the key store and bound to their cell."""

    async def seal(self, plaintext: bytes, *, table: str, column: str, row: str) -> bytes: ...
    async def open(self, blob: bytes, *, table: str, column: str, row: str) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Opened:
    """A subscription in clear: `p256dh` 65 bytes, `auth` 16, and the label of our key that it was made for."""

    endpoint: str
    p256dh: bytes
    auth: bytes
    key_label: str


class PushService:
    """Subscriptions and the outbox. One for the process."""

    def __init__(
        self, *, storage: Storage, journal: Journal, sealer: Sealing, clock: Clock, check_url: CheckUrl
    ) -> None:
        self._storage = storage
        self._journal = journal
        self._sealer = sealer
        self._clock = clock
        self._check_url = check_url
        self.due = asyncio.Event()
        """Set when something may be due, for the sender."""

    def is_subscribed(self, tx: Transaction, ref: BindingRef) -> bool:
        """Whether a phone has a subscription."""
        return bool(store.find_subscribed(tx, tenant_id=ref.tenant_id, binding_ids=[ref.binding_id]))

    async def subscribe(
        self, ref: BindingRef, *, endpoint: str, p256dh: bytes, auth: bytes, key_label: str
    ) -> None:
        """Take a phone's subscription for a key of ours, in the place of an older one. Raises Problem(INVALID_REQUEST)
        for an endpoint that may not be called, `InvalidPoint` for a point that is not on the curve, HsmError."""
        self._check_url(endpoint)
        parse_point(p256dh)
        subscription = Subscription(
            binding_id=ref.binding_id,
            tenant_id=ref.tenant_id,
            endpoint=await self._sealer.seal(endpoint.encode(), **cell(ref.binding_id, "endpoint")),
            p256dh=p256dh,
            auth=await self._sealer.seal(auth, **cell(ref.binding_id, "auth")),
            created_at=int(self._clock.now() * 1000),
            key_label=key_label,
        )

        def unit(tx: Transaction) -> None:
            store.put(tx, subscription)
            self._record(tx, ref.tenant_id, ref.binding_id, AuditWord.PHONE_PUSH_SUBSCRIBE)

        await self._storage.write(unit)

    async def unsubscribe(self, ref: BindingRef) -> None:
        """Forget a phone's subscription."""

        def unit(tx: Transaction) -> None:
            if store.drop(tx, tenant_id=ref.tenant_id, binding_id=ref.binding_id):
                self._record(tx, ref.tenant_id, ref.binding_id, AuditWord.PHONE_PUSH_UNSUBSCRIBE)

        await self._storage.write(unit)

    def erase(self, tx: Transaction, *, tenant_id: str, binding_id: str) -> None:
        """Forget the subscription of a removed binding."""
        store.drop(tx, tenant_id=tenant_id, binding_id=binding_id)

    def wake(
        self, tx: Transaction, *, tenant_id: str, binding_ids: Sequence[str], cause: str, expires_at: int
    ) -> None:
        """Have those of some phones woken that have a subscription, once for this cause and until its end (Unix
        milliseconds)."""
        now_ms = int(self._clock.now() * 1000)
        for binding_id in store.find_subscribed(tx, tenant_id=tenant_id, binding_ids=binding_ids):
            wake = Wake(
                cause=cause,
                binding_id=binding_id,
                tenant_id=tenant_id,
                state=WakeState.WAITING,
                attempts=0,
                next_at=now_ms,
                expires_at=expires_at,
                created_at=now_ms,
            )
            if store.add_wake(tx, wake, since_ms=now_ms - 60_000, most=A_MINUTE):
                tx.on_commit(self.due.set)

    async def expire(self, wake: Wake) -> None:
        """The push service does not know a subscription any more: forget it, unless a newer one has come."""

        def unit(tx: Transaction) -> None:
            found = store.find(tx, tenant_id=wake.tenant_id, binding_id=wake.binding_id)
            if found is not None and found.created_at <= wake.created_at:
                store.drop(tx, tenant_id=wake.tenant_id, binding_id=wake.binding_id)
                self._record(tx, wake.tenant_id, wake.binding_id, AuditWord.GATEWAY_PUSH_EXPIRE)

        await self._storage.write(unit)

    async def open_subscription(self, wake: Wake) -> Opened | None:
        """Return the subscription of the phone to be woken, opened. Raises HsmError."""
        found = await self._storage.read(
            lambda tx: store.find(tx, tenant_id=wake.tenant_id, binding_id=wake.binding_id)
        )
        if found is None:
            return None
        endpoint = await self._sealer.open(found.endpoint, **cell(found.binding_id, "endpoint"))
        auth = await self._sealer.open(found.auth, **cell(found.binding_id, "auth"))
        return Opened(endpoint.decode(), found.p256dh, auth, found.key_label)

    def _record(self, tx: Transaction, tenant_id: str, binding_id: str, word: AuditWord) -> None:
        self._journal.record(
            tx, Fact(tenant_id=tenant_id, word=word, subject=binding_id, data={"binding": binding_id})
        )


def cell(binding_id: str, column: str) -> dict[str, str]:
    """Return the cell that a sealed part of a subscription is bound to."""
    return {"table": "push_subscriptions", "column": column, "row": binding_id}


_c = store.subscriptions.c
SEALED = (
    SealedColumn(_c.endpoint, lambda row: cell_context(**cell(row["binding_id"], "endpoint"))),
    SealedColumn(_c.auth, lambda row: cell_context(**cell(row["binding_id"], "auth"))),
)
