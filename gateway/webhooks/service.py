"""The rules of webhooks: endpoints with a secret each, and the outbox that the journal writes to. `sender.py` sends."""

import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from gateway.core.clock import Clock
from gateway.core.errors import Problem, ProblemCode
from gateway.core.events import AuditWord, Fact, Journal
from gateway.core.ids import ID_BYTES, encode_id
from gateway.core.secrets import RandomSource, Secret
from gateway.core.transaction import Transaction
from gateway.keys.sealed import SealedColumn
from gateway.keys.sealer import cell_context
from gateway.outbound import check_url
from gateway.storage.engine import Storage
from gateway.storage.schema import to_millis
from gateway.webhooks import store
from gateway.webhooks.models import MAX_ENDPOINTS, Delivery, DeliveryState, Endpoint

SECRET_BYTES = 32


class Sealer(Protocol):
    """Seals a secret for one cell of the database (gateway/keys)."""

    def seal(self, plaintext: bytes, *, table: str, column: str, row: str) -> Awaitable[bytes]:
        """Return the sealed bytes."""
        ...

    def open(self, blob: bytes, *, table: str, column: str, row: str) -> Awaitable[bytes]:
        """Return the plaintext."""
        ...


def secret_cell(endpoint_id: str) -> dict[str, str]:
    """Return the cell of an endpoint's sealed secret."""
    return {"table": "webhook_endpoints", "column": "secret", "row": endpoint_id}


SEALED = (SealedColumn(store.endpoints.c.secret, lambda row: cell_context(**secret_cell(row["id"]))),)

_Told = tuple[str, str, Mapping[str, Any], int]
"""Tenant, type, data, Unix milliseconds of an event."""


class WebhookOutbox:
    """What the journal writes to: a delivery for each endpoint that wants the event, in the caller's transaction."""

    def __init__(self, *, random: RandomSource) -> None:
        self._random = random
        self.on_wake: Callable[[], None] | None = None

    def enqueue(
        self, tx: Transaction, *, tenant_id: str, kind: str, data: Mapping[str, Any], at_ms: int
    ) -> None:
        """Have the deliveries written with the others of the commit, and sent after it."""
        tx.gather(self._write, (tenant_id, kind, data, at_ms))

    def _write(self, tx: Transaction, told: Sequence[_Told]) -> None:
        endpoints = {
            tenant_id: store.find_endpoints(tx, tenant_id) for tenant_id in {each[0] for each in told}
        }
        rows = [row for each in told for row in self._deliveries(endpoints[each[0]], *each)]
        if rows:
            store.insert_deliveries(tx, rows)
            tx.on_commit(self.wake)

    def _deliveries(
        self, endpoints: Sequence[Endpoint], tenant_id: str, kind: str, data: Mapping[str, Any], at_ms: int
    ) -> list[Delivery]:
        wanted = [endpoint for endpoint in endpoints if endpoint.wants(kind)]
        if not wanted:
            return []
        moment = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
        timestamp = moment.replace("+00:00", "Z")
        body = msgspec.json.encode({"type": kind, "timestamp": timestamp, "data": dict(data)}).decode()
        return [
            Delivery(
                id=encode_id("msg", self._random(ID_BYTES)),
                tenant_id=tenant_id,
                endpoint_id=endpoint.id,
                kind=kind,
                body=body,
                state=DeliveryState.PENDING,
                attempts=0,
                next_at=at_ms,
                last_error=None,
                created_at=at_ms,
            )
            for endpoint in wanted
        ]

    def wake(self) -> None:
        """Deliveries are committed: tell the sender, if this process has one."""
        if self.on_wake is not None:
            self.on_wake()


class WebhookService:
    """Endpoints of a tenant and the list of its deliveries."""

    def __init__(
        self,
        *,
        storage: Storage,
        sealer: Sealer,
        journal: Journal,
        outbox: WebhookOutbox,
        clock: Clock,
        random: RandomSource,
        is_inside_allowed: bool,
    ) -> None:
        """`is_inside_allowed` lets endpoints be plain http and on this network: for development."""
        self._storage = storage
        self._sealer = sealer
        self._journal = journal
        self._outbox = outbox
        self._clock = clock
        self._random = random
        self._is_inside_allowed = is_inside_allowed

    async def create(self, *, tenant_id: str, url: str, events: tuple[str, ...]) -> tuple[Endpoint, Secret]:
        """Add an endpoint; return it with its `whsec_` secret, which is shown this once. Raises Problem."""
        check_url(url, is_inside_allowed=self._is_inside_allowed)
        secret = b"whsec_" + base64.b64encode(self._random(SECRET_BYTES))
        endpoint_id = encode_id("whk", self._random(ID_BYTES))
        sealed = await self._sealer.seal(secret, **secret_cell(endpoint_id))
        endpoint = Endpoint(endpoint_id, tenant_id, url, events, sealed, to_millis(self._clock.now()))

        def unit(tx: Transaction) -> None:
            if len(store.find_endpoints(tx, tenant_id)) >= MAX_ENDPOINTS:
                raise Problem(ProblemCode.CONFLICT, f"a tenant has at most {MAX_ENDPOINTS} endpoints")
            store.insert_endpoint(tx, endpoint)
            self._journal.record(
                tx, Fact(tenant_id, AuditWord.BANK_WEBHOOK_CREATE, endpoint_id, {"url": url})
            )

        await self._storage.write(unit)
        return endpoint, Secret(secret)

    async def endpoints(self, *, tenant_id: str) -> list[Endpoint]:
        """Return a tenant's endpoints."""
        return await self._storage.read(lambda tx: store.find_endpoints(tx, tenant_id))

    async def delete(self, *, tenant_id: str, endpoint_id: str) -> None:
        """Remove an endpoint. Raises Problem(NOT_FOUND)."""

        def unit(tx: Transaction) -> None:
            if not store.delete_endpoint(tx, tenant_id=tenant_id, endpoint_id=endpoint_id):
                raise Problem(ProblemCode.NOT_FOUND)
            self._journal.record(tx, Fact(tenant_id, AuditWord.BANK_WEBHOOK_DELETE, endpoint_id))

        await self._storage.write(unit)

    async def deliveries(
        self, *, tenant_id: str, state: DeliveryState | None, before: tuple[int, str] | None, limit: int
    ) -> list[Delivery]:
        """Return deliveries, newest first."""
        return await self._storage.read(
            lambda tx: store.find_deliveries(tx, tenant_id=tenant_id, state=state, before=before, limit=limit)
        )

    async def redeliver(self, *, tenant_id: str, delivery_id: str) -> Delivery:
        """Send a failed delivery again, under its old id. Raises Problem(NOT_FOUND) or Problem(CONFLICT)."""
        now_ms = to_millis(self._clock.now())

        def unit(tx: Transaction) -> Delivery:
            moved = store.redeliver(tx, tenant_id=tenant_id, delivery_id=delivery_id, now_ms=now_ms)
            found = store.find_delivery(tx, tenant_id=tenant_id, delivery_id=delivery_id)
            if found is None:
                raise Problem(ProblemCode.NOT_FOUND)
            if not moved:
                raise Problem(ProblemCode.CONFLICT, "only a failed delivery can be sent again")
            self._journal.record(tx, Fact(tenant_id, AuditWord.BANK_WEBHOOK_REDELIVER, delivery_id))
            tx.on_commit(self._outbox.wake)
            return found

        return await self._storage.write(unit)
