"""The rules of requests as the bank and the customer's page see them: create, read, list, cancel, let expire, unblock a
phone, set policies. Called by the routes and the sweep; answers are `answers.py` and `offline.py`. Every change is told
by one fact in the transaction that makes it true."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from gateway.approvals import facts, policy_store, store
from gateway.approvals.asking import (
    DRAW_BYTES,
    LONGEST_LIFE_S,
    ApprovalOrder,
    Asked,
    Asking,
    draw_numbers,
    write_statement,
)
from gateway.approvals.at_hand import AtHand, DrawnCode, NewAsk
from gateway.approvals.models import (
    TRIES,
    Approval,
    ApprovalEvent,
    ApprovalState,
    FatiguePolicy,
    after_right,
    next_state,
)
from gateway.approvals.policy import (
    DEFAULTS,
    Factors,
    Policy,
    contradiction,
)
from gateway.approvals.ports import Biometrics, IssuedToken, PageTokens, Phones, Tenants, Wakes
from gateway.core.clock import Clock
from gateway.core.errors import Problem, ProblemCode
from gateway.core.events import AuditWord, Journal
from gateway.core.ids import ID_BYTES, encode_id
from gateway.core.secrets import RandomSource
from gateway.core.subjects import BindingRef
from gateway.core.transaction import Transaction
from gateway.protocol.approval import (
    DeviceFields,
    StatementType,
    parse_statement,
)
from gateway.protocol.offline import MAX_OFFLINE_STATEMENT
from gateway.storage.engine import Storage

PAGE_GRACE_S = 60
DEVICE_SERVES_S = 600
"""How long an approved request allows a further phone."""
MAX_NEW_ASKS = 256
"""New requests at hand at once, those of a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalFilter:
    """Which requests a list shows, after a position (created_at, id)."""

    user: str | None = None
    state: ApprovalState | None = None
    kind: StatementType | None = None
    before: tuple[int, str] | None = None
    limit: int = 50


class ApprovalService:
    """Requests for approval. One for the process."""

    def __init__(
        self,
        *,
        storage: Storage,
        journal: Journal,
        clock: Clock,
        random: RandomSource,
        tenants: Tenants,
        phones: Phones,
        tokens: PageTokens,
        biometrics: Biometrics,
        wakes: Wakes,
        fatigue: FatiguePolicy | None = None,
        retention_s: int = 30 * 86_400,
    ) -> None:
        self._storage = storage
        self._journal = journal
        self._clock = clock
        self._random = random
        self._tenants = tenants
        self._phones = phones
        self._tokens = tokens
        self._biometrics = biometrics
        self._wakes = wakes
        self._retention_s = retention_s
        self.fatigue = fatigue or FatiguePolicy()
        self.new_asks = AtHand[NewAsk](most=MAX_NEW_ASKS)
        self.drawn_codes = AtHand[DrawnCode]()
        self.asking = Asking(phones=phones, fatigue=self.fatigue)

    def now_ms(self) -> int:
        """Return the time, Unix milliseconds."""
        return int(self._clock.now() * 1000)

    # What the bank asks

    async def create(self, order: ApprovalOrder) -> tuple[Approval, IssuedToken]:
        """Ask a customer, and make a page token for the request. Raises Problem(NO_PHONE) when no phone may answer,
        Problem(RATE_LIMITED) when the customer was asked too much, Problem(INVALID_REQUEST)."""
        bank = (await self._tenants.find(order.tenant_id)).name
        raw = self._random(ID_BYTES)
        now_ms = self.now_ms()
        until_ms = now_ms + (LONGEST_LIFE_S + PAGE_GRACE_S) * 1000
        approval_id = encode_id("apr", raw)
        token = self._tokens.make(
            tenant_id=order.tenant_id, approval_id=approval_id, needed_until_ms=until_ms
        )
        draws = self._random(DRAW_BYTES)

        def unit(tx: Transaction) -> Approval:
            asked = self.asking.ask(tx, order, now_ms)
            approval = self._compose(order, raw, asked, bank=bank, draws=draws, now_ms=now_ms)
            store.insert(tx, approval)
            self._tokens.store(tx, token)
            self._keep_at_hand(tx, approval)
            self._journal.record(tx, facts.created(approval))
            if approval.is_online:
                self._wakes.wake(
                    tx,
                    tenant_id=order.tenant_id,
                    binding_ids=approval.asked,
                    cause=approval.id,
                    expires_at=approval.expires_at,
                )
            return approval

        return await self._storage.write(unit), token

    def _keep_at_hand(self, tx: Transaction, approval: Approval) -> None:
        """Have the request at hand when the event of its making is told, by a callback behind this one."""
        if approval.is_online:
            enrolled = self._biometrics.enrolled(tx, tenant_id=approval.tenant_id, binding_ids=approval.asked)
            new = NewAsk(approval, enrolled)
            tx.on_commit(lambda: self.new_asks.put(approval.id, new, until_ms=approval.expires_at))

    def _compose(
        self, order: ApprovalOrder, raw: bytes, asked: Asked, *, bank: str, draws: bytes, now_ms: int
    ) -> Approval:
        life_s = min(order.life_s or asked.policy.life_s, asked.policy.life_s)
        created_s = now_ms // 1000
        statement = write_statement(order, raw, self._random, bank=bank, created_s=created_s, life_s=life_s)
        is_short = len(statement) <= MAX_OFFLINE_STATEMENT
        via = asked.policy.via
        if via == "offline" and not is_short:
            raise Problem(
                ProblemCode.INVALID_REQUEST,
                "fields: too long for a code, which is the only way to answer this type of request",
            )
        match, number, numbers = draw_numbers(draws, asked)
        return Approval(
            id=encode_id("apr", raw),
            tenant_id=order.tenant_id,
            user=order.user,
            type=order.kind,
            state=ApprovalState.PENDING,
            statement=statement,
            factors=asked.factors,
            is_online=via != "offline",
            is_offline=via != "online" and asked.factors is not Factors.BIOMETRIC and is_short,
            number_match=match,
            number=number,
            numbers=numbers,
            binding_id=order.binding_id,
            asked=tuple(phone.id for phone in asked.phones),
            tries_left=TRIES,
            created_at=now_ms,
            expires_at=(created_s + life_s) * 1000,
            ended_at=None,
            answered_by=None,
            factor=None,
            via=None,
            proof=None,
            served=False,
            version=1,
        )

    # What bank and page read and end

    async def read(self, *, tenant_id: str, approval_id: str) -> Approval:
        """Return a request; one past its end is expired first. Raises Problem(NOT_FOUND)."""
        found = await self._storage.read(lambda tx: store.find(tx, approval_id))
        return await self.current(found, tenant_id=tenant_id)

    async def current(self, found: Approval | None, *, tenant_id: str) -> Approval:
        """Return a request that was just read, expired first if it is past its end. Raises Problem(NOT_FOUND) for none,
        and for another bank's."""
        if found is None or found.tenant_id != tenant_id:
            raise _unknown()
        if not found.is_over and self.now_ms() >= found.expires_at:
            return await self.expire(found.id)
        return found

    async def browse(self, *, tenant_id: str, wanted: ApprovalFilter) -> Sequence[Approval]:
        """Return requests, newest first."""
        return await self._storage.read(
            lambda tx: store.find_page(
                tx,
                tenant_id=tenant_id,
                user=wanted.user,
                state=wanted.state,
                kind=wanted.kind,
                before=wanted.before,
                limit=wanted.limit,
            )
        )

    async def cancel(self, *, tenant_id: str, approval_id: str, word: AuditWord) -> Approval:
        """End a request before it is answered; one that was cancelled already stays so. Raises Problem(NOT_FOUND),
        Problem(APPROVAL_ENDED)."""

        def unit(tx: Transaction) -> Approval:
            approval = store.find(tx, approval_id, is_locked=True)
            if approval is None or approval.tenant_id != tenant_id:
                raise _unknown()
            if approval.is_over:
                return approval
            if self.now_ms() >= approval.expires_at:
                return self.end(tx, approval, ApprovalEvent.EXPIRE)
            return self.end(tx, approval, ApprovalEvent.CANCEL, word)

        approval = await self._storage.write(unit)
        if approval.state is not ApprovalState.CANCELLED:
            raise over(approval)
        return approval

    async def expire(self, approval_id: str) -> Approval:
        """End a request that is past its end; one that is over stays as it is. Raises Problem(NOT_FOUND)."""

        def unit(tx: Transaction) -> Approval:
            approval = store.find(tx, approval_id, is_locked=True)
            if approval is None:
                raise _unknown()
            if approval.is_over or self.now_ms() < approval.expires_at:
                return approval
            return self.end(tx, approval, ApprovalEvent.EXPIRE)

        return await self._storage.write(unit)

    def end(
        self, tx: Transaction, approval: Approval, event: ApprovalEvent, word: AuditWord | None = None
    ) -> Approval:
        """Move a locked request to an end without an answer, and tell."""
        ended_at = approval.expires_at if event is ApprovalEvent.EXPIRE else self.now_ms()
        ended = replace(approval, state=next_state(approval.state, event), ended_at=ended_at)
        self.save(tx, approval, ended)
        self._journal.record(tx, facts.ended(ended, event, word))
        return replace(ended, version=approval.version + 1)

    def save(self, tx: Transaction, old: Approval, new: Approval, *, code: bytes | None = None) -> None:
        """Write a change of a request, and erase the answer keys of one that is over; `code` are the sealed ones that
        must still be in force. Raises Problem(CONFLICT)."""
        if not store.save(tx, old, new):
            raise Problem(ProblemCode.CONFLICT, "the request has just changed")
        if code is not None:
            if not store.drop_code_in_force(tx, new.id, keys=code):
                raise Problem(ProblemCode.CONFLICT, "another code has just been drawn")
        elif new.is_over and new.is_offline:
            store.drop_code(tx, new.id)
            tx.on_commit(lambda: self.drawn_codes.drop(new.id))

    async def sweep(self) -> int:
        """Expire what is past its end, and erase what is older than policy keeps; return how many were due."""
        expired, is_full = 0, True
        while is_full:
            due = await self._storage.read(lambda tx: store.find_due(tx, self.now_ms()))
            await asyncio.gather(*map(self.expire, due))
            expired, is_full = expired + len(due), len(due) == store.SWEEP_BATCH
        now_ms = self.now_ms()
        self.new_asks.drop_due(now_ms)
        self.drawn_codes.drop_due(now_ms)
        before_ms = now_ms - self._retention_s * 1000

        def tidy(tx: Transaction) -> None:
            store.drop_old_codes(tx, now_ms)
            store.prune(tx, before_ms)

        await self._storage.write(tidy)
        return expired

    # What others ask

    def consume_device(self, tx: Transaction, *, tenant_id: str, user: str, approval_id: str) -> str | None:
        """Use an approved request for a further phone, once. Return the binding that a move replaces, None when the
        phone comes beside. Raises Problem(NOT_FOUND), Problem(CONFLICT)."""
        approval = store.find(tx, approval_id, is_locked=True)
        if approval is None or (approval.tenant_id, approval.user) != (tenant_id, user):
            raise Problem(ProblemCode.NOT_FOUND, "there is no such request for this customer")
        fields = parse_statement(approval.statement).fields
        if not isinstance(fields, DeviceFields):
            raise Problem(ProblemCode.CONFLICT, "this request does not allow a further phone")
        if approval.state is not ApprovalState.APPROVED or approval.answered_at is None:
            raise Problem(ProblemCode.CONFLICT, f"this request is {approval.state.value}")
        if approval.served or self.now_ms() - approval.answered_at > DEVICE_SERVES_S * 1000:
            raise Problem(
                ProblemCode.CONFLICT,
                "this request has served, or is too old",
                next_step="Ask the customer again.",
            )
        self.save(tx, approval, replace(approval, served=True))
        return approval.answered_by if fields.mode == "move" else None

    def erase(self, tx: Transaction, *, tenant_id: str, binding_id: str) -> None:
        """Erase what is counted of a removed binding."""
        store.drop_counter(tx, tenant_id=tenant_id, binding_id=binding_id)

    async def unblock(self, *, tenant_id: str, binding_id: str) -> None:
        """Let a phone answer again at the bank's wish. Raises Problem(NOT_FOUND), Problem(CONFLICT)."""

        def unit(tx: Transaction) -> None:
            phone = self._phones.find(tx, tenant_id=tenant_id, binding_id=binding_id)
            if phone is None or phone.state == "removed":
                raise Problem(ProblemCode.NOT_FOUND, "there is no such phone")
            counter = store.lock_counter(tx, tenant_id=tenant_id, binding_id=binding_id)
            if not store.save_counter(tx, counter, after_right(counter)):
                raise Problem(ProblemCode.CONFLICT, "the phone's count has just changed")
            self._journal.record(tx, facts.unblocked(BindingRef(tenant_id, binding_id, phone.user)))

        await self._storage.write(unit)

    async def policies(self, *, tenant_id: str) -> Mapping[StatementType, Policy]:
        """Return the policy in force of each type."""
        own = await self._storage.read(lambda tx: policy_store.find_policies(tx, tenant_id))
        return {kind: own.get(kind, default) for kind, default in DEFAULTS.items()}

    async def set_policy(self, *, tenant_id: str, kind: StatementType, policy: Policy) -> Policy:
        """Put a policy in force for requests to come. Raises Problem(INVALID_REQUEST) for one that contradicts
        itself."""
        refusal = contradiction(policy, kind)
        if refusal is not None:
            raise Problem(ProblemCode.INVALID_REQUEST, refusal)

        def unit(tx: Transaction) -> None:
            policy_store.put_policy(tx, tenant_id=tenant_id, kind=kind, policy=policy)
            text = msgspec.json.encode(policy).decode()
            self._journal.record(tx, facts.policy_changed(tenant_id, kind, text))

        await self._storage.write(unit)
        return policy


class ApprovalRecords:
    """Requests as they are kept, for evidence."""

    def find_record(self, tx: Transaction, tenant_id: str, approval_id: str) -> Approval | None:
        """Return one of a tenant's requests."""
        found = store.find(tx, approval_id)
        return found if found is not None and found.tenant_id == tenant_id else None


def over(approval: Approval) -> Problem:
    """Return the problem of a request that has ended."""
    return Problem(
        ProblemCode.APPROVAL_ENDED, f"this request is {approval.state.value}", state=approval.state.value
    )


def _unknown() -> Problem:
    return Problem(ProblemCode.NOT_FOUND, "there is no such request")
