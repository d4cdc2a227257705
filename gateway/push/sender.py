"""Sends wake-ups: Web Push (RFC 8030) with an opaque payload that is the same for all, encrypted for the phone (RFC
8291) and signed by the gateway (RFC 8292). One task a process; rows are claimed in the database, so nodes share the
work. A wake-up is tried again only when the push service surely took nothing; a phone that is not woken gets all on
opening."""

import asyncio
import contextlib
import math
from dataclasses import replace
from email.utils import parsedate_to_datetime

import aiohttp
import http_ece
import structlog
from aiohttp.abc import AbstractResolver
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.core.clock import Clock
from gateway.core.errors import Problem
from gateway.core.transaction import Transaction
from gateway.outbound import AddressRefused, PublicResolver, check_url
from gateway.push import store
from gateway.push.models import BACKOFF_S, CLAIM_S, OUTAGE_S, Wake, WakeEvent, WakeState
from gateway.push.service import PushService
from gateway.push.vapid import Vapid
from gateway.storage.engine import Storage
from hsm_adapters.errors import OUTAGES, HsmError

BATCH = 40
IDLE_S = 30.0
STOP_S = 5.0
KEPT_S = 3_600
"""How long wake-ups are kept after their cause has ended."""
PAYLOAD = b"{}"
LONGEST_WAIT_S = 86_400
_GONE = frozenset({404, 410})
_AGAIN = frozenset({429, 503})
"""What RFC 8030 and RFC 9110 answer before a message is taken; after any other failure it may have been."""
_log = structlog.get_logger("push")


class PushSender:
    """The sending task. Run `run()` until cancelled."""

    def __init__(
        self,
        *,
        storage: Storage,
        service: PushService,
        vapid: Vapid,
        clock: Clock,
        is_inside_allowed: bool,
        attempts: int = 5,
        timeout_s: int = 10,
    ) -> None:
        self._storage = storage
        self._service = service
        self._vapid = vapid
        self._clock = clock
        self._is_inside_allowed = is_inside_allowed
        self._attempts = attempts
        self._timeout_s = timeout_s
        self._sending: set[asyncio.Task[None]] = set()
        self.waiting = 0
        """How many wake-ups waited at the last look."""

    async def run(self) -> None:
        """Send until cancelled; a failing database is waited for."""
        resolver: AbstractResolver | None = None if self._is_inside_allowed else PublicResolver()
        # A connection each: one kept open that the other side has just closed would leave it unknown whether a wake-up
        # arrived, and so lose it.
        connector = aiohttp.TCPConnector(
            resolver=resolver, limit=BATCH, ttl_dns_cache=0, use_dns_cache=False, force_close=True
        )
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
            try:
                while True:
                    self._service.due.clear()
                    wait = IDLE_S
                    try:
                        wait = await self._begin_due(http)
                    except Problem as problem:
                        _log.warning("push sender waits", error=problem.kind.code)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(wait):
                            await self._service.due.wait()
            finally:
                await self._stop()

    async def _begin_due(self, http: aiohttp.ClientSession) -> float:
        """Begin to send what is due, as far as there are places; return the seconds until there is more to begin."""
        now_ms = int(self._clock.now() * 1000)
        due, self.waiting = await self._storage.read(lambda tx: (store.next_due(tx), store.count_waiting(tx)))
        if due is not None and due <= now_ms and len(self._sending) < BATCH:
            most = BATCH - len(self._sending)

            def unit(tx: Transaction) -> list[Wake]:
                store.prune(tx, now_ms - KEPT_S * 1000)
                return store.claim_due(tx, now_ms=now_ms, most=most)

            for wake in await self._storage.write(unit):
                task = asyncio.create_task(self._send(http, wake))
                self._sending.add(task)
                task.add_done_callback(self._end)
            due = await self._storage.read(store.next_due)
        if due is None or len(self._sending) >= BATCH:
            return IDLE_S
        return min(IDLE_S, max(0.05, (due - now_ms) / 1000))

    async def _stop(self) -> None:
        """Let what is under way come to its end for a moment: a wake-up that is cut off is lost."""
        if self._sending:
            _, late = await asyncio.wait(self._sending, timeout=STOP_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _end(self, task: "asyncio.Task[None]") -> None:
        self._sending.discard(task)
        self._service.due.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("wake-up failed", error=type(error).__name__)

    async def _send(self, http: aiohttp.ClientSession, claimed: Wake) -> None:
        attempts = counted = claimed.attempts + 1
        try:
            async with asyncio.timeout(CLAIM_S):
                event, wait_s = await self._post(http, claimed, attempts)
        except OUTAGES as outage:
            # Not the push service's fault and no try: it goes on until the end of the cause.
            _log.warning("wake-up waits for the key store", error=outage.code)
            event, wait_s, counted = WakeEvent.AGAIN, OUTAGE_S, claimed.attempts
        except HsmError as error:
            _log.error("wake-up cannot be made", error=error.code)
            event, wait_s = self._again(attempts, None)
        except TimeoutError:
            event, wait_s = WakeEvent.GIVE_UP, 0
        now_ms = int(self._clock.now() * 1000)
        next_ms = now_ms + wait_s * 1000
        if event is WakeEvent.AGAIN and next_ms >= claimed.expires_at:
            event = WakeEvent.GIVE_UP
        sending = replace(claimed, state=WakeState.SENDING, attempts=attempts)
        await self._storage.write(
            lambda tx: store.move(tx, sending, event, attempts=counted, next_ms=next_ms)
        )

    async def _post(self, http: aiohttp.ClientSession, wake: Wake, attempts: int) -> tuple[WakeEvent, int]:
        """Post once; return what becomes of the wake-up, and the wait before the next try. Raises HsmError."""
        opened = await self._service.open_subscription(wake)
        if opened is None:
            return WakeEvent.GIVE_UP, 0
        endpoint = opened.endpoint
        life_s = max(1, -(-(wake.expires_at - int(self._clock.now() * 1000)) // 1000))
        headers = {
            "Authorization": await self._vapid.authorization(endpoint, opened.key_label),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(life_s),
            "Urgency": "high",
        }
        body = encrypt(PAYLOAD, p256dh=opened.p256dh, auth=opened.auth)
        try:
            if not self._is_inside_allowed:
                check_url(endpoint, is_inside_allowed=False)
            async with http.post(endpoint, data=body, headers=headers, allow_redirects=False) as answer:
                return await self._judge(wake, attempts, answer)
        except Problem:
            await self._service.expire(wake)
            return WakeEvent.GIVE_UP, 0
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, AddressRefused):
                await self._service.expire(wake)
                return WakeEvent.GIVE_UP, 0
            return self._again(attempts, None)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            # The push service may have taken it: it is not sent again.
            _log.info("wake-up of unknown outcome", error=type(error).__name__)
            return WakeEvent.GIVE_UP, 0

    async def _judge(
        self, wake: Wake, attempts: int, answer: aiohttp.ClientResponse
    ) -> tuple[WakeEvent, int]:
        if 200 <= answer.status < 300:
            return WakeEvent.ACCEPTED, 0
        if answer.status in _GONE:
            await self._service.expire(wake)
        elif answer.status in _AGAIN:
            return self._again(attempts, answer.headers.get("Retry-After"))
        else:
            _log.warning("wake-up refused", status=answer.status, host=answer.url.host)
        return WakeEvent.GIVE_UP, 0

    def _again(self, attempts: int, retry_after: str | None) -> tuple[WakeEvent, int]:
        if attempts >= self._attempts:
            return WakeEvent.GIVE_UP, 0
        wait_s = BACKOFF_S[min(attempts, len(BACKOFF_S)) - 1]
        return WakeEvent.AGAIN, max(wait_s, read_retry_after(retry_after, now=self._clock.now()))


def read_retry_after(text: str | None, *, now: float) -> int:
    """Return the seconds that a Retry-After field asks for (RFC 9110 section 10.2.3), a day at most; 0 for none."""
    if text is None:
        return 0
    if text.isascii() and text.isdigit():
        return min(int(text[:6]), LONGEST_WAIT_S)
    try:
        moment = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return 0
    return min(max(0, math.ceil(moment - now)), LONGEST_WAIT_S)


def encrypt(payload: bytes, *, p256dh: bytes, auth: bytes) -> bytes:
    """Return a message for a subscription (RFC 8291 section 3.4): keys of 65 and 16 bytes."""
    body: bytes = http_ece.encrypt(
        payload,
        private_key=ec.generate_private_key(ec.SECP256R1()),
        dh=p256dh,
        auth_secret=auth,
        version="aes128gcm",
    )
    return body
