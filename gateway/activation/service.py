"""The rules of an activation as the bank and the customer's page see it: start, read, confirm the device code, cancel,
let expire. Called by the routes and the sweep. A wrong device code always costs a try before it is answered, and no
answer is given before the change is durable."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from gateway.activation import facts, store
from gateway.activation.models import (
    ENDED_REASONS,
    TRIES,
    Activation,
    ActivationEvent,
    ActivationPolicy,
    ActivationState,
    StepRefused,
    move,
)
from gateway.activation.page_tokens import IssuedToken, PageTokens
from gateway.activation.ports import FurtherPhones, GatewayKeys, Sealing
from gateway.activation.recent import RecentActivations
from gateway.activation.secrets import SEED_BYTES, derive_typed_code, device_code_cell, seed_cell
from gateway.core.clock import Clock
from gateway.core.errors import Problem, ProblemCode
from gateway.core.events import AuditWord, Fact, Journal
from gateway.core.ids import ID_BYTES, encode_id
from gateway.core.secrets import RandomSource
from gateway.core.transaction import Transaction
from gateway.protocol.errors import MalformedCode
from gateway.protocol.keys import check_device_code
from gateway.storage.engine import Storage
from hsm_adapters.errors import UnwrapFailed

ATTEMPTS = 5
PAGE_GRACE_S = 60


@dataclass(frozen=True, slots=True)
class StartOrder:
    """What a bank asks for. A code that does not rotate is always confirmed in two steps."""

    tenant_id: str
    user: str
    label: str
    life_s: int | None = None
    is_two_step: bool = False
    is_rotating: bool = True
    platforms: tuple[str, ...] = ("web", "android", "ios", "cli")
    suite: str = "hybrid"
    approval_id: str | None = None


class ActivationService:
    """Activations. One for the process."""

    def __init__(
        self,
        *,
        storage: Storage,
        journal: Journal,
        clock: Clock,
        random: RandomSource,
        sealer: Sealing,
        keys: GatewayKeys,
        tokens: PageTokens,
        further: FurtherPhones,
        policy: ActivationPolicy,
    ) -> None:
        self._storage = storage
        self._journal = journal
        self._clock = clock
        self._random = random
        self._sealer = sealer
        self._keys = keys
        self._tokens = tokens
        self._further = further
        self.policy = policy
        self.recent = RecentActivations()

    def now_ms(self) -> int:
        """Return the time, Unix milliseconds."""
        return int(self._clock.now() * 1000)

    async def start(self, order: StartOrder) -> tuple[Activation, IssuedToken]:
        """Start an activation, and make a page token for it. Raises Problem(INVALID_REQUEST) for a suite that the
        policy does not allow, and what `FurtherPhones` raises for a request that does not allow a further phone."""
        if order.suite not in self.policy.suites:
            raise Problem(ProblemCode.INVALID_REQUEST, "suite: not allowed here")
        for attempt in range(ATTEMPTS):
            activation = await self._compose(order)
            # The page outlives its activation by a little, so that it can still show how it ended.
            until_ms = activation.expires_at + PAGE_GRACE_S * 1000
            token = self._tokens.make(
                tenant_id=order.tenant_id, activation_id=activation.id, needed_until_ms=until_ms
            )
            try:
                activation = await self._storage.write(self._starting(activation, token))
            except Problem as problem:
                # A locator lives as long as its activation; two that meet are one in millions.
                if problem.kind is not ProblemCode.CONFLICT or attempt == ATTEMPTS - 1:
                    raise
            else:
                self.recent.remember(activation)
                return activation, token
        raise Problem(ProblemCode.UNAVAILABLE, "no free typed code")

    def _starting(self, activation: Activation, token: IssuedToken) -> Callable[[Transaction], Activation]:
        def unit(tx: Transaction) -> Activation:
            started = activation
            if activation.approval_id is not None:
                replaced = self._further.consume_device(
                    tx,
                    tenant_id=activation.tenant_id,
                    user=activation.user,
                    approval_id=activation.approval_id,
                )
                started = replace(activation, replaces=replaced)
            store.insert(tx, started)
            self._tokens.store(tx, token)
            self._journal.record(tx, facts.started(started))
            return started

        return unit

    async def _compose(self, order: StartOrder) -> Activation:
        raw, seed = self._random(ID_BYTES), self._random(SEED_BYTES)
        activation_id = encode_id("act", raw)
        now_ms = self.now_ms()
        return Activation(
            id=activation_id,
            tenant_id=order.tenant_id,
            user=order.user,
            label=order.label,
            state=ActivationState.WAITING,
            is_two_step=order.is_two_step or not order.is_rotating,
            is_rotating=order.is_rotating,
            is_hybrid=order.suite == "hybrid",
            platforms=order.platforms,
            gateway_label=await self._keys.current_label(order.tenant_id),
            seed=await self._sealer.seal(seed, **seed_cell(activation_id)),
            locator=derive_typed_code(seed, raw).locator,
            typed_failures=0,
            binding_id=encode_id("bnd", self._random(ID_BYTES)),
            phone_static=None,
            phone_signing=None,
            phone_rotation=None,
            device=None,
            device_code=None,
            code2=None,
            tries_left=TRIES,
            created_at=now_ms,
            expires_at=(now_ms // 1000 + (order.life_s or self.policy.life_s)) * 1000,
            version=1,
            approval_id=order.approval_id,
        )

    async def read(self, *, tenant_id: str, activation_id: str) -> Activation:
        """Return an activation; one past its end is expired first. Raises Problem(NOT_FOUND)."""
        activation = await self._storage.read(lambda tx: store.find(tx, activation_id))
        if activation is None or activation.tenant_id != tenant_id:
            raise Problem(ProblemCode.NOT_FOUND, "there is no such activation")
        if not activation.is_over and self.now_ms() >= activation.expires_at:
            return await self.expire(activation_id)
        return activation

    async def read_live(self, *, tenant_id: str, activation_id: str) -> Activation:
        """Return an activation that has not ended. Raises Problem(NOT_FOUND), Problem(ACTIVATION_ENDED)."""
        activation = await self.read(tenant_id=tenant_id, activation_id=activation_id)
        if activation.ended_reason is not None:
            raise _over(activation)
        return activation

    async def read_recent(self, *, tenant_id: str, activation_id: str) -> Activation:
        """Return an activation that has not ended, as it was last seen here: for what compares versions later, or does
        no harm when old. Raises as `read_live`."""
        recent = self.recent.recall(activation_id)
        if recent is not None and recent.tenant_id == tenant_id and self.now_ms() < recent.expires_at:
            return recent
        activation = await self.read_live(tenant_id=tenant_id, activation_id=activation_id)
        self.recent.remember(activation)
        return activation

    async def find_typed(self, locator: str) -> Activation:
        """Return the live activation of a typed code's locator. Raises Problem(NOT_FOUND)."""
        activation = await self._storage.read(lambda tx: store.find_by_locator(tx, locator))
        if activation is None or activation.is_over or self.now_ms() >= activation.expires_at:
            raise Problem(ProblemCode.NOT_FOUND, "there is no such code")
        return activation

    async def confirm(self, *, tenant_id: str, activation_id: str, code: str) -> Activation:
        """Compare what the customer typed with the code on the phone, in constant time; right, it is confirmed.
        Raises Problem(DEVICE_CODE_WRONG, left=…) after taking a try, Problem(ACTIVATION_ENDED) with the last one or
        when it is over, Problem(CONFLICT) when no code is awaited."""
        for attempt in range(ATTEMPTS):
            activation = await self.read_recent(tenant_id=tenant_id, activation_id=activation_id)
            if activation.state is not ActivationState.PRESENT or activation.device_code is None:
                self.recent.forget(activation_id)
                if attempt == 0:
                    continue
                raise Problem(ProblemCode.CONFLICT, f"the activation is {activation.state}")
            try:
                key = await self._sealer.open(activation.device_code, **device_code_cell(activation.id))
            except UnwrapFailed:  # what is remembered may be sealed under a key that was retired since
                self.recent.forget(activation_id)
                if attempt == 0:
                    continue
                raise
            try:
                check_device_code(key, code)
            except MalformedCode:
                is_last = activation.tries_left <= 1
                event = ActivationEvent.REFUSE if is_last else ActivationEvent.CODE_WRONG
                changed = await self._change(activation, event, tries_left=activation.tries_left - 1)
                if changed is not None:
                    raise _wrong(changed) from None
            else:
                changed = await self._change(activation, ActivationEvent.CONFIRM, device_code=None)
                if changed is not None:
                    return changed
        raise Problem(ProblemCode.CONFLICT, "the activation keeps changing")

    async def cancel(
        self, *, tenant_id: str, activation_id: str, word: AuditWord = AuditWord.BANK_ACTIVATION_CANCEL
    ) -> Activation:
        """End an activation at the bank's or the customer's wish; `word` tells the audit log whose. Raises
        Problem(NOT_FOUND), Problem(ACTIVATION_ENDED), and Problem(CONFLICT) when the phone is bound already."""
        for _ in range(ATTEMPTS):
            activation = await self.read_live(tenant_id=tenant_id, activation_id=activation_id)
            if activation.state is ActivationState.ACTIVE:
                raise Problem(ProblemCode.CONFLICT, "the phone is bound already")
            changed = await self._change(activation, ActivationEvent.CANCEL, word=word)
            if changed is not None:
                return changed
        raise Problem(ProblemCode.CONFLICT, "the activation keeps changing")

    async def expire(self, activation_id: str) -> Activation:
        """Expire an activation that is past its end, unless it is over by now, and return how it stands."""

        def unit(tx: Transaction) -> Activation:
            activation = store.find(tx, activation_id, is_locked=True)
            if activation is None:
                raise Problem(ProblemCode.NOT_FOUND, "there is no such activation")
            if activation.is_over or self.now_ms() < activation.expires_at:
                return activation
            return self._applied(tx, activation, ActivationEvent.EXPIRE) or activation

        self.recent.forget(activation_id)
        return await self._storage.write(unit)

    async def sweep(self) -> int:
        """Expire what is past its end, and erase old page tokens and what has been over for the retention's time.
        Returns how many expired."""
        expired, is_full = 0, True
        while is_full:
            due = await self._storage.read(lambda tx: store.find_due(tx, self.now_ms()))
            await asyncio.gather(*map(self.expire, due))
            expired, is_full = expired + len(due), len(due) == store.SWEEP_BATCH
        now_ms = self.now_ms()

        def tidy(tx: Transaction) -> None:
            store.delete_old_page_tokens(tx, now_ms)
            store.prune(tx, now_ms - self.policy.retention_s * 1000)

        await self._storage.write(tidy)
        return expired

    async def _change(
        self,
        activation: Activation,
        event: ActivationEvent,
        *,
        word: AuditWord | None = None,
        **members: int | bytes | None,
    ) -> Activation | None:
        """Apply an event to the activation as it was read; None when it has changed since."""
        changed = await self._storage.write(
            lambda tx: self._applied(tx, activation, event, word=word, **members)
        )
        if changed is None:
            self.recent.forget(activation.id)
        else:
            self.recent.remember(changed)
        return changed

    def _applied(
        self,
        tx: Transaction,
        activation: Activation,
        event: ActivationEvent,
        *,
        word: AuditWord | None = None,
        **members: int | bytes | None,
    ) -> Activation | None:
        try:
            moved = move(replace(activation, **members), event)
        except StepRefused as error:
            raise Problem(ProblemCode.CONFLICT, f"the activation is {activation.state}") from error
        if not store.save(tx, activation, moved):
            return None
        self._journal.record(tx, _told(moved, event, word))
        return replace(moved, version=activation.version + 1)


def _told(activation: Activation, event: ActivationEvent, word: AuditWord | None) -> Fact:
    if activation.state in ENDED_REASONS:
        return facts.ended(activation, event, word)
    return facts.confirmed(activation) if event is ActivationEvent.CONFIRM else facts.code_wrong(activation)


def _wrong(activation: Activation) -> Problem:
    if activation.ended_reason is not None:
        return _over(activation)
    return Problem(ProblemCode.DEVICE_CODE_WRONG, left=activation.tries_left)


def _over(activation: Activation) -> Problem:
    reason = activation.ended_reason or activation.state.value
    return Problem(ProblemCode.ACTIVATION_ENDED, f"it ended: {reason}", reason=reason)
