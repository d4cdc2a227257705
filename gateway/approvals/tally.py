"""What hangs on an answer, right or wrong: the tries of the request, the count of the phone and its blocks, what is
remembered of the customer. Called by `answers.py` and `offline.py` in the transaction of the answer, so that nothing is
told that was not counted."""

from dataclasses import dataclass

from msgspec.structs import replace

from gateway.approvals import facts, store
from gateway.approvals.models import (
    Approval,
    ApprovalEvent,
    ApprovalState,
    Counter,
    CounterPolicy,
    Customer,
    Via,
    after_right,
    after_unwanted,
    after_wrong,
    is_next_block_final,
    next_state,
    wait_ms,
)
from gateway.approvals.ports import Phones, Warnings
from gateway.approvals.service import ApprovalService
from gateway.core.errors import Problem, ProblemCode
from gateway.core.events import Journal
from gateway.core.subjects import BindingRef
from gateway.core.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Wrong:
    """An answer that was not right, or came from a blocked phone: the request as it is now, and the phone's count.
    `is_last` says that the phone's next block will be one that only the bank lifts."""

    approval: Approval
    counter: Counter
    is_last: bool


class Tally:
    """One for the process."""

    def __init__(
        self,
        *,
        journal: Journal,
        approvals: ApprovalService,
        phones: Phones,
        warnings: Warnings,
        policy: CounterPolicy,
    ) -> None:
        self._journal = journal
        self._approvals = approvals
        self._phones = phones
        self._warnings = warnings
        self._policy = policy

    def hold(self, tx: Transaction, ref: BindingRef) -> Counter:
        """Return the count of a phone, and hold it until the unit ends."""
        return store.lock_counter(tx, tenant_id=ref.tenant_id, binding_id=ref.binding_id)

    def find_block(self, tx: Transaction, ref: BindingRef) -> Counter | None:
        """Return the count of a phone that is blocked now, and hold it; None for one that may approve."""
        counter = self.hold(tx, ref)
        return counter if counter.is_blocked_at(self._approvals.now_ms()) else None

    def blocked(self, approval: Approval, counter: Counter) -> Wrong:
        """Return what a blocked phone is answered; nothing is checked of its answer, and nothing counted."""
        return Wrong(approval, counter, self._is_last(counter))

    def record(
        self,
        tx: Transaction,
        old: Approval,
        answered: Approval,
        event: ApprovalEvent,
        *,
        counter: Counter | None,
        offline_next: int | None = None,
        code: bytes | None = None,
    ) -> None:
        """Write an answer that counts, with all that hangs on it. `counter` is the phone's when it approves;
        `offline_next` its next answer without a network, when this was one, to the code of these sealed keys. Raises
        Problem(CONFLICT) where request, count or code have changed since they were read."""
        self._approvals.save(tx, old, answered, code=code)
        if counter is not None:
            fresh = after_right(counter)
            if offline_next is not None:
                fresh = replace(fresh, offline_next=offline_next)
            if fresh != counter:
                self.save(tx, counter, fresh)
        self._remember(tx, answered, event)
        self._journal.record(tx, facts.answered(answered, event))

    def save(self, tx: Transaction, old: Counter, new: Counter) -> None:
        """Write a phone's count. Raises Problem(CONFLICT): a try must not get lost."""
        if not store.save_counter(tx, old, new):
            raise Problem(ProblemCode.CONFLICT, "the phone's count has just changed")

    def count_wrong(self, tx: Transaction, ref: BindingRef, approval: Approval, via: Via) -> Wrong:
        """Take a try of a locked request and one of the phone, end the one and block the other where that was the last,
        and tell. On the channel, a request whose number is matched has one try: whoever may guess among three again
        has guessed it soon."""
        is_guess = via is Via.CHANNEL and approval.number_match != "none"
        left = 0 if is_guess else approval.tries_left - 1
        state = approval.state if left > 0 else next_state(approval.state, ApprovalEvent.EXHAUST)
        ended_at = None if left > 0 else self._approvals.now_ms()
        counted = replace(approval, tries_left=left, state=state, ended_at=ended_at)
        self._approvals.save(tx, approval, counted)
        counted = replace(counted, version=approval.version + 1)
        self._journal.record(tx, facts.wrong(counted, ref, via))
        if counted.state is ApprovalState.FAILED:
            self._remember(tx, counted, ApprovalEvent.EXHAUST)
        return Wrong(counted, *self._block(tx, ref))

    def _block(self, tx: Transaction, ref: BindingRef) -> tuple[Counter, bool]:
        counter = store.lock_counter(tx, tenant_id=ref.tenant_id, binding_id=ref.binding_id)
        now_ms = self._approvals.now_ms()
        fallen = after_wrong(counter, now_ms=now_ms, policy=self._policy)
        if fallen != counter:
            self.save(tx, counter, fallen)
        is_last = self._is_last(fallen)
        if fallen.is_blocked and not counter.is_blocked_at(now_ms):
            self._journal.record(tx, facts.blocked(ref, fallen, is_next_final=is_last))
            phone = self._phones.find(tx, tenant_id=ref.tenant_id, binding_id=ref.binding_id)
            if is_last and phone is not None:
                self._warnings.warn_of_block(tx, ref, phone=phone.name)
        return fallen, is_last

    def _is_last(self, counter: Counter) -> bool:
        is_the_banks = counter.is_blocked and counter.blocked_until_ms is None
        return not is_the_banks and is_next_block_final(counter, self._policy)

    def _remember(self, tx: Transaction, approval: Approval, event: ApprovalEvent) -> None:
        """Keep in mind what a customer did not want, and forget it with the next approval."""
        tenant_id, user = approval.tenant_id, approval.user
        known = store.find_customer(tx, tenant_id=tenant_id, user=user, is_locked=True)
        is_login = approval.type == "login"
        if event is ApprovalEvent.APPROVE:
            if known is None:
                return
            changed = Customer(tenant_id, user, is_reported=known.is_reported and not is_login)
        else:
            changed = self._unwanted(tx, known or Customer(tenant_id, user), approval, event)
            if event is ApprovalEvent.REPORT and is_login:
                changed = replace(changed, is_reported=True)
        if changed != known:
            store.save_customer(tx, changed, is_new=known is None)

    def _unwanted(
        self, tx: Transaction, customer: Customer, approval: Approval, event: ApprovalEvent
    ) -> Customer:
        now_ms, fatigue = self._approvals.now_ms(), self._approvals.fatigue
        changed = after_unwanted(customer, event, now_ms=now_ms, policy=fatigue)
        if changed.unwanted >= fatigue.told_from:
            until_ms = now_ms + wait_ms(changed, now_ms=now_ms, policy=fatigue)
            self._journal.record(tx, facts.fatigue(changed, approval, until_ms=until_ms))
        return changed
