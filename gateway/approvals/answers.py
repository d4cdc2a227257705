"""What a customer answers through the phone's channel. The numbered steps, in their order:

    (1) the request is this customer's, and asked this phone   (2) it waits; one answered alike already says so again
    (3) the phone may answer: not blocked by wrong answers     (4) the decision's factor is one that is needed
    (5) the number is the desktop's                            (6) g_D signed decision, number, channel and statement
    (7) the PIN's key, or the credential, proves the factor    (8) the first answer wins: one compare-and-set

Steps (4) to (7) fail alike, with one answer that does not say which (PSD2 RTS article 4(3)(a)); all are run, whichever
fails. What is wrong costs a try of the request and one of the phone, durably, before it is told."""

import contextlib
from dataclasses import dataclass
from dataclasses import replace as replace_data
from typing import ClassVar

from msgspec.structs import replace

from gateway.approvals import facts, store
from gateway.approvals.models import (
    DECISIONS,
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
from gateway.approvals.policy import factors_of_phone
from gateway.approvals.ports import (
    Biometrics,
    CheckedAssertion,
    Phone,
    Phones,
    PinEvaluation,
    Pins,
    Warnings,
)
from gateway.approvals.service import ApprovalService
from gateway.core.events import Journal
from gateway.core.ids import decode_id, encode_id
from gateway.core.subjects import BindingRef
from gateway.core.transaction import Transaction
from gateway.protocol import messages
from gateway.protocol.approval import answer_input, biometric_challenge, pin_input
from gateway.protocol.errors import ProtocolError
from gateway.protocol.keys import verify
from gateway.protocol.proof import PinProof, Proof, encode_proof
from gateway.protocol.wiretypes import Bytes16, Bytes32, Bytes64, Bytes65
from gateway.storage.engine import Storage


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an answer ended: where the request is now, and whether this answer stands there."""

    approval: Approval
    is_own: bool


@dataclass(frozen=True, slots=True)
class Wrong:
    """An answer that was not right: the request as it is now, and the phone's count."""

    approval: Approval
    counter: Counter
    is_last: bool


class PhoneEnded(ProtocolError):
    """The phone, or the request, is there no more."""

    code: ClassVar[str] = "out-of-turn"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is known when an answer comes."""

    approval: Approval
    phone: Phone
    factors: tuple[messages.Factor, ...]
    counter: Counter


@dataclass(frozen=True, slots=True)
class _Given:
    """An answer that verifies: what is kept of it, and what is to be settled with it."""

    proof: bytes
    evaluation: PinEvaluation | None
    assertion: CheckedAssertion | None


class AnswerService:
    """Answers. One for the process."""

    def __init__(
        self,
        *,
        storage: Storage,
        journal: Journal,
        approvals: ApprovalService,
        phones: Phones,
        pins: Pins,
        biometrics: Biometrics,
        warnings: Warnings,
        policy: CounterPolicy | None = None,
    ) -> None:
        self._storage = storage
        self._journal = journal
        self._approvals = approvals
        self._phones = phones
        self._pins = pins
        self._biometrics = biometrics
        self._warnings = warnings
        self.policy = policy or CounterPolicy()

    async def answer(
        self,
        ref: BindingRef,
        message: messages.Answer,
        *,
        handshake_hash: bytes,
        evaluation: PinEvaluation | None,
    ) -> Outcome | Wrong | None:
        """Take an answer; None when this phone was asked nothing of that id. `evaluation` is the PIN's that waits for
        its proof. Raises Problem, HsmError."""
        asked = await self._storage.read(lambda tx: self._find(tx, ref, message))
        if asked is None:
            return None
        approval = asked.approval
        if not approval.is_over and self._approvals.now_ms() >= approval.expires_at:
            approval = await self._approvals.expire(approval.id)
        if approval.is_over:  # (2)
            if evaluation is not None:
                await self._prove_pin(ref, message, approval, handshake_hash, evaluation)
            return _outcome(approval, ref, message)
        if message.decision == "approve" and asked.counter.is_blocked_at(self._approvals.now_ms()):  # (3)
            return Wrong(approval, asked.counter, self._is_last(asked.counter))
        given = await self._verify(asked, ref, message, handshake_hash=handshake_hash, evaluation=evaluation)
        if given is not None:
            try:
                return await self._storage.write(lambda tx: self._settle(tx, ref, message, given))
            except PhoneEnded:
                raise
            except ProtocolError:  # the PIN or the credential was changed meanwhile
                pass
        return await self._storage.write(lambda tx: self._count_wrong(tx, ref, message, evaluation))

    def _find(self, tx: Transaction, ref: BindingRef, message: messages.Answer) -> _Asked | None:
        """Step (1)."""
        approval = store.find(tx, encode_id("apr", message.id))
        phone = self._phones.find(tx, tenant_id=ref.tenant_id, binding_id=ref.binding_id)
        if approval is None or phone is None or phone.state != "active":
            return None
        if (approval.tenant_id, approval.user) != (ref.tenant_id, ref.user):
            return None
        if not approval.is_for(ref.binding_id):
            return None
        ids = [ref.binding_id]
        enrolled = self._biometrics.enrolled(tx, tenant_id=ref.tenant_id, binding_ids=ids)
        factors = factors_of_phone(approval.factors, has_biometric=bool(enrolled))
        counter = store.find_counters(tx, tenant_id=ref.tenant_id, binding_ids=ids).get(ref.binding_id)
        return _Asked(approval, phone, factors, counter or Counter(ref.binding_id, ref.tenant_id))

    async def _verify(
        self,
        asked: _Asked,
        ref: BindingRef,
        message: messages.Answer,
        *,
        handshake_hash: bytes,
        evaluation: PinEvaluation | None,
    ) -> _Given | None:
        """Steps (4) to (7)."""
        approval, is_approving = asked.approval, message.decision == "approve"
        needed = asked.factors if is_approving else ("possession",)
        is_right = message.factor in needed  # (4)
        if is_approving and approval.number_match != "none":
            is_right &= message.number == approval.number  # (5)
        else:
            is_right &= message.number is None
        signed = _signed(ref, message, approval, handshake_hash)
        is_right &= _signs(asked.phone.signing_key, message.signature, signed)  # (6)
        pin, checked = None, None  # (7)
        if message.factor == "pin":
            pin = self._check_pin(message, signed, handshake_hash, evaluation)
            is_right &= pin is not None
        elif message.factor == "biometric":
            checked = await self._check_biometric(ref, message, signed) if is_right else None
            is_right &= checked is not None
        if not is_right:
            return None
        proof = Proof(
            binding=Bytes16(decode_id("bnd", ref.binding_id)),
            key=Bytes65(asked.phone.signing_key),
            decision=message.decision,
            factor=message.factor,
            number=message.number,
            h=Bytes32(handshake_hash),
            signature=message.signature,
            pin=pin,
            biometric=None if checked is None else checked.proof,
            offline=None,
        )
        return _Given(encode_proof(proof), evaluation if pin is not None else None, checked)

    def _check_pin(
        self,
        message: messages.Answer,
        signed: bytes,
        handshake_hash: bytes,
        evaluation: PinEvaluation | None,
    ) -> PinProof | None:
        signature = message.pin_signature
        if evaluation is None or not isinstance(signature, Bytes64):
            return None
        claim = pin_input(signed, handshake_hash=handshake_hash, nonce=evaluation.nonce)
        try:
            self._pins.check_approval(evaluation, signed=claim, signature=signature)
        except ProtocolError:
            return None
        return PinProof(nonce=Bytes16(evaluation.nonce), key=Bytes65(evaluation.pin_key), signature=signature)

    async def _prove_pin(
        self,
        ref: BindingRef,
        message: messages.Answer,
        approval: Approval,
        handshake_hash: bytes,
        evaluation: PinEvaluation,
    ) -> None:
        """An answer that comes again, or too late, decides nothing; but it took a try of the PIN, and a right PIN gets
        it back."""
        signed = _signed(ref, message, approval, handshake_hash)
        is_right = self._check_pin(message, signed, handshake_hash, evaluation) is not None
        settle = self._pins.restore if is_right else self._pins.tell_wrong
        with contextlib.suppress(ProtocolError):  # the PIN was changed meanwhile
            await self._storage.write(lambda tx: settle(tx, ref, evaluation))

    async def _check_biometric(
        self, ref: BindingRef, message: messages.Answer, signed: bytes
    ) -> CheckedAssertion | None:
        if not isinstance(message.assertion, messages.Assertion):
            return None
        try:
            return await self._biometrics.check(ref, message.assertion, challenge=biometric_challenge(signed))
        except ProtocolError:
            return None

    def _settle(self, tx: Transaction, ref: BindingRef, message: messages.Answer, given: _Given) -> Outcome:
        """Step (8), in one transaction. Raises ProtocolError kinds."""
        approval = store.find(tx, encode_id("apr", message.id), is_locked=True)
        if approval is None:
            raise PhoneEnded("the request was erased meanwhile")
        if approval.is_over:
            return _outcome(approval, ref, message)
        now_ms = self._approvals.now_ms()
        if now_ms >= approval.expires_at:
            return Outcome(self._approvals.end(tx, approval, ApprovalEvent.EXPIRE), is_own=False)
        phone = self._phones.find(tx, tenant_id=ref.tenant_id, binding_id=ref.binding_id)
        if phone is None or phone.state != "active":
            raise PhoneEnded("the phone was suspended or removed meanwhile")
        if given.evaluation is not None:
            self._pins.restore(tx, ref, given.evaluation)
        if given.assertion is not None:
            self._biometrics.accept(tx, ref, given.assertion)
        event = DECISIONS[message.decision]
        answered = replace(
            approval,
            state=next_state(approval.state, event),
            answered_at=now_ms,
            answered_by=ref.binding_id,
            factor=message.factor,
            via=Via.CHANNEL,
            proof=given.proof,
        )
        self.record(tx, ref, approval, answered, event)
        return Outcome(answered, is_own=True)

    def record(
        self, tx: Transaction, ref: BindingRef, old: Approval, answered: Approval, event: ApprovalEvent
    ) -> None:
        """Write an answer that counts, with all that hangs on it: the phone's count, what is remembered of the
        customer, and the fact."""
        self._approvals.save(tx, old, answered)
        if event is ApprovalEvent.APPROVE:
            counter = store.lock_counter(tx, tenant_id=ref.tenant_id, binding_id=ref.binding_id)
            if counter.wrong or counter.is_blocked or counter.round:
                store.save_counter(tx, counter, after_right(counter))
        self._remember(tx, answered, event)
        self._journal.record(tx, facts.answered(answered, event))

    def _remember(self, tx: Transaction, approval: Approval, event: ApprovalEvent) -> None:
        """Keep in mind what a customer did not want, and forget it with the next approval."""
        tenant_id, user = approval.tenant_id, approval.user
        known = store.find_customer(tx, tenant_id=tenant_id, user=user, is_locked=True)
        customer = known or Customer(tenant_id, user)
        now_ms = self._approvals.now_ms()
        is_login = approval.type == "login"
        if event is ApprovalEvent.APPROVE:
            if known is None:
                return
            is_reported = known.is_reported and not is_login
            changed = Customer(tenant_id, user, is_reported=is_reported)
        else:
            fatigue = self._approvals.fatigue
            changed = after_unwanted(customer, event, now_ms=now_ms, policy=fatigue)
            if event is ApprovalEvent.REPORT and is_login:
                changed = replace_data(changed, is_reported=True)
            if changed.unwanted >= fatigue.told_from:
                until_ms = now_ms + wait_ms(changed, now_ms=now_ms, policy=fatigue)
                self._journal.record(tx, facts.fatigue(changed, approval, until_ms=until_ms))
        if changed != known:
            store.save_customer(tx, changed, is_new=known is None)

    # Wrong answers

    def _count_wrong(
        self,
        tx: Transaction,
        ref: BindingRef,
        message: messages.Answer,
        evaluation: PinEvaluation | None,
    ) -> Outcome | Wrong:
        approval = store.find(tx, encode_id("apr", message.id), is_locked=True)
        if approval is None:
            raise PhoneEnded("the request was erased meanwhile")
        if evaluation is not None:
            self._pins.tell_wrong(tx, ref, evaluation)
        if approval.is_over:
            return _outcome(approval, ref, message)
        return self.count_wrong(tx, ref, approval, Via.CHANNEL)

    def count_wrong(self, tx: Transaction, ref: BindingRef, approval: Approval, via: Via) -> Wrong:
        """Take a try of a locked request and one of the phone, end the one and block the other where that was the last,
        and tell."""
        left = approval.tries_left - 1
        state = approval.state if left > 0 else next_state(approval.state, ApprovalEvent.EXHAUST)
        counted = replace(approval, tries_left=left, state=state)
        self._approvals.save(tx, approval, counted)
        counted = replace(counted, version=approval.version + 1)
        self._journal.record(tx, facts.wrong(counted, ref, via))
        if counted.state is ApprovalState.FAILED:
            self._remember(tx, counted, ApprovalEvent.EXHAUST)
        return Wrong(counted, *self._block(tx, ref))

    def _block(self, tx: Transaction, ref: BindingRef) -> tuple[Counter, bool]:
        counter = store.lock_counter(tx, tenant_id=ref.tenant_id, binding_id=ref.binding_id)
        now_ms = self._approvals.now_ms()
        fallen = after_wrong(counter, now_ms=now_ms, policy=self.policy)
        store.save_counter(tx, counter, fallen)
        is_last = self._is_last(fallen)
        if fallen.is_blocked and not counter.is_blocked_at(now_ms):
            self._journal.record(tx, facts.blocked(ref, fallen, is_next_final=is_last))
            phone = self._phones.find(tx, tenant_id=ref.tenant_id, binding_id=ref.binding_id)
            if is_last and phone is not None:
                self._warnings.warn_of_block(tx, ref, phone=phone.name)
        return fallen, is_last

    def _is_last(self, counter: Counter) -> bool:
        is_the_banks = counter.is_blocked and counter.blocked_until_ms is None
        return not is_the_banks and is_next_block_final(counter, self.policy)


def _signed(ref: BindingRef, message: messages.Answer, approval: Approval, handshake_hash: bytes) -> bytes:
    return answer_input(
        approval.statement,
        decision=message.decision,
        factor=message.factor,
        number=message.number,
        binding_id=decode_id("bnd", ref.binding_id),
        handshake_hash=handshake_hash,
    )


def _signs(key: bytes, signature: bytes, signed: bytes) -> bool:
    try:
        verify(key, signature, signed)
    except ProtocolError:
        return False
    return True


def _outcome(approval: Approval, ref: BindingRef, message: messages.Answer) -> Outcome:
    """Return where a request stands that is over: the phone's own answer, sent again after its acknowledgement was
    lost, is not counted anew."""
    alike = next_state(ApprovalState.PENDING, DECISIONS[message.decision])
    return Outcome(approval, is_own=approval.answered_by == ref.binding_id and approval.state is alike)
