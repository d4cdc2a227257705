"""The journal: one call writes a fact to the audit chain, the event log and the webhook outbox, all in the caller's
transaction. Services call `record` inside their write unit; what they record is told only after the commit."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from gateway.bus.events import EventLog
from gateway.bus.store import insert_events
from gateway.core.clock import Clock
from gateway.core.events import AuditWord, Fact, WebhookEvent
from gateway.core.transaction import Transaction
from gateway.storage.schema import to_millis


class AuditAppend(Protocol):
    """Port of the audit chain (gateway/audit)."""

    def __call__(
        self,
        tx: Transaction,
        *,
        tenant_id: str,
        word: str,
        subject: str,
        data: Mapping[str, Any],
        at_ms: int,
    ) -> None:
        """Append one entry."""
        ...


class Outbox(Protocol):
    """Port of the webhooks (gateway/webhooks)."""

    def enqueue(
        self, tx: Transaction, *, tenant_id: str, kind: str, data: Mapping[str, Any], at_ms: int
    ) -> None:
        """Write a delivery for each endpoint that wants this type, and have it sent after the commit."""
        ...


class RecordingJournal:
    """The Journal of a running gateway."""

    def __init__(
        self, *, audit: AuditAppend, events: EventLog | None, outbox: Outbox | None, clock: Clock
    ) -> None:
        """`events` and `outbox` may be None for the command line, where nobody listens in this process."""
        self._audit = audit
        self._events = events
        self._outbox = outbox
        self._clock = clock

    def record(self, tx: Transaction, fact: Fact) -> None:
        """Write the fact. Raises ValueError for a word that is not an AuditWord, or an event for the bank that is no
        WebhookEvent."""
        word = AuditWord(fact.word)
        at_ms = to_millis(self._clock.now())
        self._audit(
            tx, tenant_id=fact.tenant_id, word=word, subject=fact.subject, data=fact.data, at_ms=at_ms
        )
        if fact.event is None:
            return
        if fact.topics:
            self._append_events(tx, fact, at_ms)
        if fact.webhook and self._outbox is not None:
            outbox, kind = self._outbox, WebhookEvent(fact.event)
            outbox.enqueue(tx, tenant_id=fact.tenant_id, kind=kind.value, data=fact.data, at_ms=at_ms)

    def _append_events(self, tx: Transaction, fact: Fact, at_ms: int) -> None:
        data = msgspec.json.encode(fact.data).decode()
        for topic in fact.topics:
            row = {
                "tenant_id": fact.tenant_id,
                "topic": topic,
                "type": fact.event,
                "data": data,
                "created_at": at_ms,
            }
            tx.gather(self._write_events, row)

    def _write_events(self, tx: Transaction, rows: Sequence[dict[str, Any]]) -> None:
        written = insert_events(tx, rows)
        if self._events is not None:
            log = self._events
            tx.on_commit(lambda: log.published(written))
