"""What a customer answers through the phone's channel. The numbered steps, in their order:

    (1) the request is this customer's, and asked this phone   (2) it waits; one answered alike already says so again
    (3) the phone may answer: not blocked by wrong answers     (4) the decision's factor is one that is needed
    (5) the number is the desktop's                            (6) g_D signed decision, number, channel and statement
    (7) the PIN's key, or the credential, proves the factor    (8) the first answer wins: one compare-and-set

Steps (4) to (7) fail alike, with one answer that does not say which (PSD2 RTS article 4(3)(a)); all are run, whichever
fails. What is wrong costs a try of the request and one of the phone, durably, before it is told."""

import contextlib
from dataclasses import dataclass
from typing import ClassVar

from msgspec.structs import replace

from gateway.approvals import store
from gateway.approvals.models import (
    DECISIONS,
    Approval,
    ApprovalEvent,
    Counter,
    CounterPolicy,
    Via,
    next_state,
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
from gateway.approvals.tally import Tally, Wrong
from gateway.core.errors import Problem
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
        self._approvals = approvals
        self._phones = phones
        self._pins = pins
        self._biometrics = biometrics
        self.tally = Tally(
            journal=journal,
            approvals=approvals,
            phones=phones,
            warnings=warnings,
            policy=policy or CounterPolicy(),
        )

    async def answer(
        self,
        ref: BindingRef,
        message: messages.Answer,
        *,
        handshake_hash: bytes,
        evaluation: PinEvaluation | None,
    ) -> Approval | Wrong | None:
        """Take an answer; return where the request is now, or None when this phone was asked nothing of that id.
        `evaluation` is the PIN's that waits for its proof. Raises Problem, HsmError."""
        asked = await self._storage.read(lambda tx: self._find(tx, ref, message))
        if asked is None:
            return None
        approval = asked.approval
        if not approval.is_over and self._approvals.now_ms() >= approval.expires_at:
            approval = await self._approvals.expire(approval.id)
        if approval.is_over:  # (2)
            if evaluation is not None:
                await self._prove_pin(ref, message, approval, handshake_hash, evaluation)
            return approval
        if message.decision == "approve" and asked.counter.is_blocked_at(self._approvals.now_ms()):  # (3)
            if evaluation is not None:
                await self._prove_pin(ref, message, approval, handshake_hash, evaluation)
            return self.tally.blocked(approval, asked.counter)
        given = await self._verify(asked, ref, message, handshake_hash=handshake_hash, evaluation=evaluation)
        if given is not None:
            try:
                return await self._storage.write(lambda tx: self._settle(tx, ref, message, given))
            except PhoneEnded:
                raise
            except Problem:  # nothing stands, and the PIN was right
                if evaluation is not None:
                    await self._prove_pin(ref, message, approval, handshake_hash, evaluation)
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
            checked = await self._check_biometric(ref, message, signed)
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

    def _settle(
        self, tx: Transaction, ref: BindingRef, message: messages.Answer, given: _Given
    ) -> Approval | Wrong:
        """Step (8), in one transaction. Raises ProtocolError kinds, Problem(NO_PHONE)."""
        approval = store.find(tx, encode_id("apr", message.id), is_locked=True)
        if approval is None:
            raise PhoneEnded("the request was erased meanwhile")
        if approval.is_over:
            return approval
        now_ms = self._approvals.now_ms()
        if now_ms >= approval.expires_at:
            return self._approvals.end(tx, approval, ApprovalEvent.EXPIRE)
        phone = self._phones.find(tx, tenant_id=ref.tenant_id, binding_id=ref.binding_id)
        if phone is None or phone.state != "active":
            raise PhoneEnded("the phone was suspended or removed meanwhile")
        if given.evaluation is not None:
            self._pins.restore(tx, ref, given.evaluation)
        if given.assertion is not None:
            self._biometrics.accept(tx, ref, given.assertion)
        event, counter = DECISIONS[message.decision], None
        if event is ApprovalEvent.APPROVE:
            counter = self.tally.hold(tx, ref)
            if counter.is_blocked_at(now_ms):
                return self.tally.blocked(approval, counter)
            self._approvals.asking.check_allowed(tx, phone, approval, now_ms)
        answered = replace(
            approval,
            state=next_state(approval.state, event),
            ended_at=now_ms,
            answered_by=ref.binding_id,
            factor=message.factor,
            via=Via.CHANNEL,
            proof=given.proof,
        )
        self.tally.record(tx, approval, answered, event, counter=counter)
        return answered

    def _count_wrong(
        self,
        tx: Transaction,
        ref: BindingRef,
        message: messages.Answer,
        evaluation: PinEvaluation | None,
    ) -> Approval | Wrong:
        approval = store.find(tx, encode_id("apr", message.id), is_locked=True)
        if approval is None:
            raise PhoneEnded("the request was erased meanwhile")
        if evaluation is not None:
            self._pins.tell_wrong(tx, ref, evaluation)
        if approval.is_over:
            return approval
        return self.tally.count_wrong(tx, ref, approval, Via.CHANNEL)


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
