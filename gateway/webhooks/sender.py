"""Sends what stands in the outbox, as Standard Webhooks 1.0.0 prescribes: signed, timestamped, tried again with growing
waits, given up after about two days. One task a process; rows are claimed in the database, so nodes share the work and
a dead node's claims are taken up. It never follows a redirect and never reads an answer's body."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
from collections import Counter
from collections.abc import Mapping, Sequence

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver

from gateway.core.clock import Clock
from gateway.core.errors import Problem
from gateway.core.events import AuditWord, Fact, Journal
from gateway.core.secrets import RandomSource
from gateway.core.transaction import Transaction
from gateway.outbound import AddressRefused, PublicResolver, check_url
from gateway.storage.engine import Storage
from gateway.storage.schema import to_millis
from gateway.webhooks import store
from gateway.webhooks.models import (
    BACKOFF_SECONDS,
    CLAIM_SECONDS,
    TRANSITIONS,
    Backlog,
    Delivery,
    DeliveryEvent,
    DeliveryState,
    Endpoint,
)
from gateway.webhooks.service import Sealer, WebhookOutbox, secret_cell
from hsm_adapters.errors import OUTAGES, HsmError

BATCH = 40
"""Deliveries under way at once."""
EACH = 4
"""Of these to one endpoint: one that is silent must hold up no other bank."""
IDLE_SECONDS = 30.0
OUTAGE_SECONDS = 5
"""Between two looks whether the key store is back."""
KEPT_SECONDS = 7 * 86_400
PRUNE_SECONDS = 3_600
MEASURE_SECONDS = 60
LATE_SECONDS = 900
"""A bank that was down for a moment has been told by then; what still waits is worth a warning, once an hour."""
WARN_SECONDS = 3_600
NAMED = 10
"""Late endpoints that a warning names."""
_log = structlog.get_logger(__name__)


def sign(secret: bytes, *, identifier: str, timestamp: int, body: bytes) -> str:
    """Return `v1,` and base64 of HMAC-SHA-256 over "id.timestamp.body". `secret` is `whsec_` and base64 text."""
    key = base64.b64decode(secret.removeprefix(b"whsec_"), validate=True)
    message = f"{identifier}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, message, hashlib.sha256)).decode("ascii")


class WebhookSender:
    """The sending task. Run `run()` until cancelled."""

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
        timeout_s: int = 10,
        attempts: int = 9,
        failed_kept_s: int = 30 * 86_400,
    ) -> None:
        """`timeout_s` is how long a receiver has to answer, `attempts` how often it is asked, `failed_kept_s` how long
        what has failed can be sent again."""
        self._failed_kept_s = failed_kept_s
        self._pruned_ms = self._measured_ms = self._warned_ms = self._resting_ms = 0
        self._outage = ""
        self._backlogs: Sequence[Backlog] = ()
        self._storage = storage
        self._sealer = sealer
        self._journal = journal
        self._clock = clock
        self._random = random
        self._is_inside_allowed = is_inside_allowed
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._sending: dict[asyncio.Task[None], str] = {}
        self._wake = asyncio.Event()
        outbox.on_wake = self._wake.set

    @property
    def waiting(self) -> int:
        """How many deliveries waited, to all endpoints and for all nodes, at the last look: a minute and a half ago at
        most."""
        return sum(backlog.count for backlog in self._backlogs)

    @property
    def oldest_s(self) -> float:
        """How many seconds the oldest of these has been waiting; 0 where none was."""
        oldest = min((backlog.oldest_at for backlog in self._backlogs), default=None)
        return 0.0 if oldest is None else max(0.0, self._clock.now() - oldest / 1000)

    async def run(self) -> None:
        """Send until cancelled; a failing database is waited for. Whatever else is raised is a fault of the sender, and
        its keeper's to tell."""
        resolver: AbstractResolver | None = None if self._is_inside_allowed else PublicResolver()
        connector = aiohttp.TCPConnector(resolver=resolver, limit=BATCH, ttl_dns_cache=0, use_dns_cache=False)
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
            try:
                while True:
                    self._wake.clear()
                    wait = IDLE_SECONDS
                    try:
                        wait = await self._begin_due(http)
                    except Problem as problem:
                        _log.warning("webhook sender waits", error=problem.kind.code)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(wait):
                            await self._wake.wait()
            finally:
                await self._stop()

    async def _begin_due(self, http: aiohttp.ClientSession) -> float:
        """Begin to send what is due as far as there are places, of which an endpoint has a few; return the seconds
        until there is more to begin. Every end of a sending wakes the sender."""
        await self._prune(to_millis(self._clock.now()))
        await self._measure(to_millis(self._clock.now()))
        while len(self._sending) < BATCH:
            now_ms = to_millis(self._clock.now())
            if now_ms < self._resting_ms:
                return (self._resting_ms - now_ms) / 1000
            busy = Counter(self._sending.values())
            claimed = await self._claim(now_ms, busy)
            if not claimed:
                full = [endpoint for endpoint, count in busy.items() if count >= EACH]
                due = await self._storage.read(lambda tx: store.next_due(tx, full))  # noqa: B023
                return IDLE_SECONDS if due is None else min(IDLE_SECONDS, max(0.05, (due - now_ms) / 1000))
            for delivery in claimed:
                task = asyncio.create_task(self._send(http, delivery))
                self._sending[task] = delivery.endpoint_id
                task.add_done_callback(self._end)
        return IDLE_SECONDS

    def _end(self, task: "asyncio.Task[None]") -> None:
        del self._sending[task]
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # The claim runs out, and the delivery is due again.
            _log.warning("webhook sending failed", error=type(error).__name__)

    async def _stop(self) -> None:
        for task in (stopping := list(self._sending)):
            task.cancel()
        await asyncio.gather(*stopping, return_exceptions=True)

    async def _prune(self, now_ms: int) -> None:
        if now_ms - self._pruned_ms < PRUNE_SECONDS * 1000:
            return

        def unit(tx: Transaction) -> int:
            return sum(
                store.prune(tx, state=state, before_ms=now_ms - kept_s * 1000)
                for state, kept_s in (
                    (DeliveryState.DELIVERED, KEPT_SECONDS),
                    (DeliveryState.FAILED, self._failed_kept_s),
                )
            )

        while await self._storage.write(unit):
            pass
        self._pruned_ms = now_ms

    async def _measure(self, now_ms: int) -> None:
        """Look at what waits, and warn of endpoints that are not told for long."""
        if now_ms - self._measured_ms < MEASURE_SECONDS * 1000:
            return
        self._backlogs = await self._storage.read(store.find_backlogs)
        self._measured_ms = now_ms
        late = [backlog for backlog in self._backlogs if now_ms - backlog.oldest_at >= LATE_SECONDS * 1000]
        if late and now_ms - self._warned_ms >= WARN_SECONDS * 1000:
            self._warned_ms = now_ms
            late.sort(key=lambda backlog: backlog.oldest_at)
            _log.warning(
                "webhooks have waited for long",
                endpoints=[backlog.endpoint_id for backlog in late[:NAMED]],
                deliveries=sum(backlog.count for backlog in late),
                oldest_s=(now_ms - late[0].oldest_at) // 1000,
            )

    async def _claim(self, now_ms: int, busy: Mapping[str, int]) -> Sequence[Delivery]:
        full = [endpoint for endpoint, count in busy.items() if count >= EACH]
        if await self._storage.read(lambda tx: (store.next_due(tx, full) or now_ms + 1) > now_ms):
            return ()
        most = BATCH - len(self._sending)

        def unit(tx: Transaction) -> Sequence[Delivery]:
            until = now_ms + CLAIM_SECONDS * 1000
            return store.claim_due(tx, now_ms=now_ms, until_ms=until, most=most, each=EACH, busy=busy)

        return await self._storage.write(unit)

    async def _send(self, http: aiohttp.ClientSession, delivery: Delivery) -> None:
        endpoint = await self._storage.read(
            lambda tx: store.find_endpoint(tx, tenant_id=delivery.tenant_id, endpoint_id=delivery.endpoint_id)
        )
        try:
            error = (
                "the endpoint was deleted" if endpoint is None else await self._post(http, endpoint, delivery)
            )
        except OUTAGES as outage:
            await self._put_back(delivery, outage)
            return
        except HsmError as failure:
            # The secret will not open by itself: an attempt like any other, so that the bank's list shows it.
            _log.error("webhook secret does not open", delivery=delivery.id, error=failure.code)
            error = failure.code
        await self._settle(delivery, error)

    async def _post(self, http: aiohttp.ClientSession, endpoint: Endpoint, delivery: Delivery) -> str | None:
        """Post once; return what went wrong, or None. Raises `HsmError`."""
        secret = await self._sealer.open(endpoint.secret, **secret_cell(endpoint.id))
        self._outage = ""
        body = delivery.body.encode()
        timestamp = int(self._clock.now())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "tessera-webhooks/1",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(secret, identifier=delivery.id, timestamp=timestamp, body=body),
        }
        try:
            if not self._is_inside_allowed:
                check_url(endpoint.url, is_inside_allowed=False)
            async with http.post(endpoint.url, data=body, headers=headers, allow_redirects=False) as answer:
                return None if 200 <= answer.status < 300 else f"HTTP {answer.status}"
        except TimeoutError:
            return f"no answer within {self._timeout_s} s"
        except (AddressRefused, Problem):
            return "the address is not public, or not https"
        except (aiohttp.ClientError, OSError) as error:
            return type(error).__name__

    async def _put_back(self, delivery: Delivery, outage: HsmError) -> None:
        """The key store is away: not the receiver's fault and no attempt. This one and all others wait a moment."""
        self._resting_ms = to_millis(self._clock.now()) + OUTAGE_SECONDS * 1000
        if outage.code != self._outage:
            self._outage = outage.code
            _log.warning("webhooks wait for the key store", error=outage.code)
        to = TRANSITIONS[DeliveryState.SENDING, DeliveryEvent.AGAIN]
        await self._storage.write(
            lambda tx: store.settle(
                tx,
                delivery,
                to=to,
                attempts=delivery.attempts,
                next_ms=self._resting_ms,
                error=delivery.last_error,
            )
        )

    async def _settle(self, delivery: Delivery, error: str | None) -> None:
        attempts = delivery.attempts + 1
        now_ms = to_millis(self._clock.now())
        is_over = attempts >= self._attempts
        next_ms = now_ms
        if error is None:
            event = DeliveryEvent.ACCEPTED
        elif is_over:
            event = DeliveryEvent.GIVE_UP
        else:
            event, next_ms = DeliveryEvent.AGAIN, now_ms + self._backoff_ms(attempts)
        to = TRANSITIONS[DeliveryState.SENDING, event]

        def unit(tx: Transaction) -> None:
            is_ours = store.settle(tx, delivery, to=to, attempts=attempts, next_ms=next_ms, error=error)
            if is_ours and to is DeliveryState.FAILED:
                data = {"endpoint": delivery.endpoint_id, "kind": delivery.kind, "error": error}
                self._journal.record(
                    tx, Fact(delivery.tenant_id, AuditWord.GATEWAY_WEBHOOK_FAIL, delivery.id, data)
                )

        await self._storage.write(unit)
        if error is not None:
            _log.info("webhook not delivered", delivery=delivery.id, attempts=attempts, error=error)

    def _backoff_ms(self, attempts: int) -> int:
        """The wait after that many attempts, with ±20 % jitter: a bank that was down is not met by all at once."""
        share = int.from_bytes(self._random(2)) / 0xFFFF
        return int(BACKOFF_SECONDS[min(attempts, len(BACKOFF_SECONDS)) - 1] * 1000 * (0.8 + 0.4 * share))
