"""Phones without a network: the code that shows a request to one of them, and the eight digits that come back. A code's
answer keys are kept, sealed, until its request is over; one code of a request is in force at a time, so that digits are
guessed against one phone alone."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

from msgspec.structs import replace as replace_struct

from gateway.approvals import facts, store
from gateway.approvals.answers import AnswerService
from gateway.approvals.models import Approval, ApprovalEvent, ApprovalState, Via, next_state
from gateway.approvals.ports import Phone, Phones, Pins, Sealing
from gateway.approvals.service import ApprovalService, over
from gateway.approvals.tally import Wrong
from gateway.core.errors import Problem, ProblemCode
from gateway.core.events import Journal
from gateway.core.ids import decode_id
from gateway.core.secrets import RandomSource
from gateway.core.subjects import BindingRef
from gateway.core.transaction import Transaction
from gateway.protocol.errors import MalformedCode, WrongOfflineAnswer
from gateway.protocol.offline import OfflineKeys, check_offline_answer, seal_offline
from gateway.protocol.proof import OfflineProof, Proof, encode_proof
from gateway.protocol.wiretypes import Bytes16, Bytes65
from gateway.storage.engine import Storage

_KEY = struct.Struct(">I32s")
_BLOCKED = "this phone is blocked after wrong answers"


@dataclass(frozen=True, slots=True)
class OfflineView:
    """A code to be drawn: its payload, the phone it is for, and those that it could be for."""

    approval: Approval
    payload: bytes
    phone: Phone
    phones: Sequence[Phone]


@dataclass(frozen=True, slots=True)
class _Waiting:
    """What an answer is checked against."""

    approval: Approval
    ref: BindingRef
    signing_key: bytes
    keys: list[OfflineKeys]
    verifier: bytes
    next_counter: int


@dataclass(frozen=True, slots=True)
class _Shown:
    """The code that was drawn last: the phone that it is for, its sealed answer keys, the phone's next count."""

    phone: Phone
    sealed: bytes
    next_counter: int
    is_blocked: bool


class OfflineService:
    """Codes and their answers. One for the process."""

    def __init__(
        self,
        *,
        storage: Storage,
        journal: Journal,
        random: RandomSource,
        sealer: Sealing,
        approvals: ApprovalService,
        answers: AnswerService,
        phones: Phones,
        pins: Pins,
    ) -> None:
        self._storage = storage
        self._journal = journal
        self._random = random
        self._sealer = sealer
        self._approvals = approvals
        self._answers = answers
        self._phones = phones
        self._pins = pins

    async def show(self, *, tenant_id: str, approval_id: str, binding_id: str | None) -> OfflineView:
        """Seal a request for one phone: the one that is named, or the customer's first that may answer. Raises
        Problem(NOT_FOUND), Problem(APPROVAL_ENDED), Problem(CONFLICT), Problem(NO_PHONE), HsmError."""
        approval = await self._open(tenant_id=tenant_id, approval_id=approval_id)
        now_ms = self._approvals.now_ms()
        phones = await self._storage.read(lambda tx: self._approvals.asking.candidates(tx, approval, now_ms))
        phone = next((each for each in phones if binding_id in (None, each.id)), None)
        if phone is None:
            raise Problem(ProblemCode.NO_PHONE, "this customer has no such phone that may answer")
        ref = BindingRef(tenant_id, phone.id, approval.user)
        keys = await self._phones.offline_keys(tenant_id=tenant_id, binding_id=phone.id)
        if not keys or await self._pins.offline_verifier(ref) is None:
            raise Problem(
                ProblemCode.CONFLICT,
                "this phone was bound before there were answers without a network",
                next_step="Change the PIN on the phone once, with a network.",
            )
        payload = seal_offline(
            approval.statement, binding_id=decode_id("bnd", phone.id), keys=keys, random=self._random
        )
        packed = b"".join(_KEY.pack(each.index, each.answer_key) for each in keys)
        sealed = await self._sealer.seal(packed, **_cell(approval.id, phone.id))

        def unit(tx: Transaction) -> None:
            now = store.find(tx, approval.id, is_locked=True)
            if now is None or now.is_over:
                raise over(now or approval)
            store.put_code(
                tx,
                approval_id=approval.id,
                binding_id=phone.id,
                keys=sealed,
                expires_at=approval.expires_at,
            )
            self._journal.record(tx, facts.shown(approval, phone.id))

        await self._storage.write(unit)
        return OfflineView(approval, payload, phone, phones)

    async def answer(self, *, tenant_id: str, approval_id: str, digits: str) -> Approval:
        """Take the digits that the customer typed. Raises Problem(OFFLINE_ANSWER_WRONG, left=…) after taking a try,
        Problem(APPROVAL_ENDED), Problem(CONFLICT) when no code was shown or the phone is blocked."""
        waiting = await self._waiting(tenant_id=tenant_id, approval_id=approval_id)
        approval = waiting.approval
        try:
            counter = check_offline_answer(
                digits,
                statement=approval.statement,
                keys=waiting.keys,
                verifier=waiting.verifier,
                next_counter=waiting.next_counter,
            )
        except MalformedCode as error:
            raise Problem(ProblemCode.INVALID_REQUEST, "code: eight digits are needed") from error
        except WrongOfflineAnswer:
            raise await self._count_wrong(waiting) from None
        typed = "".join(digit for digit in digits if digit.isdigit())
        settled = await self._storage.write(lambda tx: self._settle(tx, waiting, counter, typed))
        if settled.state is not ApprovalState.APPROVED:
            raise over(settled)
        return settled

    async def count(self, ref: BindingRef, value: int) -> int:
        """Catch up with a phone that has made so many answers; return the count in force. It never falls."""

        def unit(tx: Transaction) -> int:
            counter = store.lock_counter(tx, tenant_id=ref.tenant_id, binding_id=ref.binding_id)
            if value <= counter.offline_next:
                return counter.offline_next
            self._answers.tally.save(tx, counter, replace(counter, offline_next=value))
            self._journal.record(tx, facts.counted(ref, value))
            return value

        counters = await self._storage.read(
            lambda tx: store.find_counters(tx, tenant_id=ref.tenant_id, binding_ids=[ref.binding_id])
        )
        known = counters[ref.binding_id].offline_next if ref.binding_id in counters else 0
        return known if value <= known else await self._storage.write(unit)

    async def _open(self, *, tenant_id: str, approval_id: str) -> Approval:
        approval = await self._approvals.read(tenant_id=tenant_id, approval_id=approval_id)
        _check_open(approval)
        return approval

    async def _waiting(self, *, tenant_id: str, approval_id: str) -> _Waiting:
        """Find what an answer is checked against. Raises as `answer`."""

        def unit(tx: Transaction) -> tuple[Approval | None, _Shown | None]:
            approval = store.find(tx, approval_id)
            return approval, None if approval is None else self._shown(tx, approval)

        found, shown = await self._storage.read(unit)
        approval = await self._approvals.current(found, tenant_id=tenant_id)
        _check_open(approval)
        if shown is None:
            raise Problem(
                ProblemCode.CONFLICT, "no code waits for an answer", next_step="Draw the code first."
            )
        if shown.is_blocked:
            raise Problem(ProblemCode.CONFLICT, _BLOCKED)
        phone = shown.phone
        ref = BindingRef(approval.tenant_id, phone.id, approval.user)
        packed = await self._sealer.open(shown.sealed, **_cell(approval.id, phone.id))
        verifier = await self._pins.offline_verifier(ref)
        if verifier is None:
            raise Problem(ProblemCode.CONFLICT, "this phone has no PIN for answers without a network")
        keys = [OfflineKeys(index, b"", key) for index, key in _KEY.iter_unpack(packed)]
        return _Waiting(approval, ref, phone.signing_key, keys, verifier, shown.next_counter)

    def _shown(self, tx: Transaction, approval: Approval) -> _Shown | None:
        code = store.find_code(tx, approval.id)
        if code is None:
            return None
        binding_id, sealed = code
        phone = self._phones.find(tx, tenant_id=approval.tenant_id, binding_id=binding_id)
        if phone is None or phone.state != "active":
            return None
        counters = store.find_counters(tx, tenant_id=approval.tenant_id, binding_ids=[binding_id])
        counter = counters.get(binding_id)
        if counter is None:
            return _Shown(phone, sealed, 0, is_blocked=False)
        is_blocked = counter.is_blocked_at(self._approvals.now_ms())
        return _Shown(phone, sealed, counter.offline_next, is_blocked=is_blocked)

    def _settle(self, tx: Transaction, waiting: _Waiting, used: int, digits: str) -> Approval:
        """Take an answer that is right, in one transaction: request and count by compare-and-set. Return the request,
        which may have expired meanwhile. Raises Problem."""
        ref = waiting.ref
        approval = store.find(tx, waiting.approval.id, is_locked=True)
        if approval is None or approval.is_over:
            raise over(approval or waiting.approval)
        now_ms = self._approvals.now_ms()
        if now_ms >= approval.expires_at:
            return self._approvals.end(tx, approval, ApprovalEvent.EXPIRE)
        counter = store.lock_counter(tx, tenant_id=ref.tenant_id, binding_id=ref.binding_id)
        phone = self._phones.find(tx, tenant_id=ref.tenant_id, binding_id=ref.binding_id)
        if phone is None or phone.state != "active" or used < counter.offline_next:
            raise Problem(ProblemCode.CONFLICT, "the phone's state has just changed")
        if counter.is_blocked_at(now_ms):
            raise Problem(ProblemCode.CONFLICT, _BLOCKED)
        self._approvals.asking.check_allowed(tx, phone, approval, now_ms)
        proof = Proof(
            binding=Bytes16(decode_id("bnd", ref.binding_id)),
            key=Bytes65(waiting.signing_key),
            decision="approve",
            factor="pin",
            number=None,
            h=None,
            signature=None,
            pin=None,
            biometric=None,
            offline=OfflineProof(counter=used, digits=digits),
        )
        answered = replace_struct(
            approval,
            state=next_state(approval.state, ApprovalEvent.APPROVE),
            ended_at=now_ms,
            answered_by=ref.binding_id,
            factor="pin",
            via=Via.OFFLINE,
            proof=encode_proof(proof),
        )
        self._answers.tally.record(
            tx, approval, answered, ApprovalEvent.APPROVE, counter=counter, offline_next=used + 1
        )
        return answered

    async def _count_wrong(self, waiting: _Waiting) -> Problem:
        def unit(tx: Transaction) -> Wrong:
            approval = store.find(tx, waiting.approval.id, is_locked=True)
            if approval is None or approval.is_over:
                raise over(approval or waiting.approval)
            if self._answers.tally.find_block(tx, waiting.ref) is not None:
                # As right ones are answered, else many at once would tell which is right.
                raise Problem(ProblemCode.CONFLICT, _BLOCKED)
            return self._answers.tally.count_wrong(tx, waiting.ref, approval, Via.OFFLINE)

        wrong = await self._storage.write(unit)
        if wrong.approval.is_over:
            return over(wrong.approval)
        return Problem(ProblemCode.OFFLINE_ANSWER_WRONG, left=wrong.approval.tries_left)


def _cell(approval_id: str, binding_id: str) -> dict[str, str]:
    return {"table": "approval_codes", "column": "keys", "row": f"{approval_id}#{binding_id}"}


def _check_open(approval: Approval) -> None:
    if approval.is_over:
        raise over(approval)
    if not approval.is_offline:
        raise Problem(
            ProblemCode.CONFLICT,
            "this request is answered with a network alone: by policy, or since it is too long for a code",
            next_step="Answer it on a phone that has a network.",
        )
