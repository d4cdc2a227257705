"""Phones without a network: the code that shows a request to one of them, and the eight digits that come back. A code's
answer keys are kept, sealed, until its request is over; one code of a request is in force at a time, so that digits are
guessed against one phone alone."""

import contextlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from gateway.approvals import facts, store
from gateway.approvals.answers import AnswerService
from gateway.approvals.at_hand import DrawnCode
from gateway.approvals.cells import code_cell
from gateway.approvals.models import Approval, ApprovalEvent, Counter, Via, next_state
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
from gateway.protocol.offline import STANDING, OfflineKeys, check_offline_answer, seal_offline
from gateway.protocol.proof import OfflineProof, Proof, encode_proof
from gateway.protocol.wiretypes import Bytes16, Bytes65
from gateway.storage.engine import Storage

_KEY = struct.Struct(">I32s")
_READINGS = 5
"""How often an answer is checked anew when something changes meanwhile."""
_BLOCKED = "this phone is blocked after wrong answers"


@dataclass(frozen=True, slots=True)
class OfflineView:
    """A code to be drawn: its payload, the phone it is for, and those that it could be for."""

    approval: Approval
    payload: bytes
    phone: Phone
    phones: Sequence[Phone]


@dataclass(frozen=True, slots=True)
class _Shown:
    """What rests of the code that was drawn last: the phone that it is for, its sealed answer keys, the phone's
    count."""

    phone: Phone
    sealed: bytes
    counter: Counter


class _Changed(Exception):
    """What an answer was checked against has changed meanwhile."""


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
        approval = await self._approvals.read(tenant_id=tenant_id, approval_id=approval_id)
        _check_open(approval)
        now_ms = self._approvals.now_ms()
        phones = await self._storage.read(lambda tx: self._approvals.asking.candidates(tx, approval, now_ms))
        phone = next((each for each in phones if binding_id in (None, each.id)), None)
        if phone is None:
            raise Problem(ProblemCode.NO_PHONE, "this customer has no such phone that may answer")
        ref = BindingRef(tenant_id, phone.id, approval.user)
        keys = await self._phones.offline_keys(tenant_id=tenant_id, binding_id=phone.id)
        verifier = await self._pins.offline_verifier(ref)
        if not keys or verifier is None:
            raise Problem(
                ProblemCode.CONFLICT,
                "this phone was bound before there were answers without a network",
                next_step="Change the PIN on the phone once, with a network.",
            )
        payload = seal_offline(
            approval.statement, binding_id=decode_id("bnd", phone.id), keys=keys, random=self._random
        )
        packed = b"".join(_KEY.pack(each.index, each.answer_key) for each in keys)
        sealed = await self._sealer.seal(packed, **code_cell(approval.id, phone.id))

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
            counter = store.lock_counter(tx, tenant_id=ref.tenant_id, binding_id=ref.binding_id)
            self._journal.record(tx, facts.shown(approval, phone.id))
            drawn = DrawnCode(
                now, ref, phone, counter, _unpack(packed), sealed, verifier.opened, verifier.sealed
            )
            tx.on_commit(
                lambda: self._approvals.drawn_codes.put(approval.id, drawn, until_ms=approval.expires_at)
            )

        await self._storage.write(unit)
        return OfflineView(approval, payload, phone, phones)

    async def answer(self, *, tenant_id: str, approval_id: str, digits: str) -> Approval:
        """Take the digits that the customer typed. What they are checked against is at hand where this process has
        drawn the code, else read; the transaction of an answer that is right finds out whether it still holds, and one
        that is wrong is checked against what was read. Raises Problem(OFFLINE_ANSWER_WRONG, left=…) after taking a try,
        Problem(APPROVAL_ENDED), Problem(CONFLICT) when no code was shown or the phone is blocked."""
        drawn = self._approvals.drawn_codes.take(approval_id)
        if drawn is not None and drawn.ref.tenant_id == tenant_id:
            with contextlib.suppress(WrongOfflineAnswer, _Changed):
                return await self._take(drawn, digits)
        for _ in range(_READINGS):
            drawn = await self._read(tenant_id=tenant_id, approval_id=approval_id)
            try:
                return await self._take(drawn, digits)
            except WrongOfflineAnswer:
                raise await self._count_wrong(drawn) from None
            except _Changed:
                continue
        raise Problem(ProblemCode.CONFLICT, "the phone's state has just changed")

    async def _take(self, drawn: DrawnCode, digits: str) -> Approval:
        """Check digits, and settle the request by those that are right. Raises Problem, WrongOfflineAnswer,
        _Changed."""
        try:
            used = check_offline_answer(
                digits,
                statement=drawn.approval.statement,
                keys=drawn.keys,
                verifier=drawn.verifier,
                next_counter=drawn.counter.offline_next,
            )
        except MalformedCode as error:
            raise Problem(ProblemCode.INVALID_REQUEST, "code: eight digits are needed") from error
        typed = "".join(digit for digit in digits if digit.isdigit())
        try:
            return await self._storage.write(lambda tx: self._settle(tx, drawn, used, typed))
        except Problem as problem:
            if problem.kind is ProblemCode.CONFLICT:
                raise _Changed from problem
            raise

    async def count(self, ref: BindingRef, value: int) -> int:
        """Catch up with a phone that has made so many answers, but for the last ones, which may still be typed; return
        the lowest count in force. It never falls."""
        lowest = value - STANDING

        def unit(tx: Transaction) -> int:
            counter = store.lock_counter(tx, tenant_id=ref.tenant_id, binding_id=ref.binding_id)
            if lowest <= counter.offline_next:
                return counter.offline_next
            self._answers.tally.save(tx, counter, replace(counter, offline_next=lowest))
            self._journal.record(tx, facts.counted(ref, value))
            return lowest

        counters = await self._storage.read(
            lambda tx: store.find_counters(tx, tenant_id=ref.tenant_id, binding_ids=[ref.binding_id])
        )
        known = counters[ref.binding_id].offline_next if ref.binding_id in counters else 0
        return known if lowest <= known else await self._storage.write(unit)

    async def _read(self, *, tenant_id: str, approval_id: str) -> DrawnCode:
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
        phone = shown.phone
        if shown.counter.is_blocked_at(self._approvals.now_ms()):
            raise Problem(ProblemCode.CONFLICT, _BLOCKED)
        ref = BindingRef(approval.tenant_id, phone.id, approval.user)
        packed = await self._sealer.open(shown.sealed, **code_cell(approval.id, phone.id))
        verifier = await self._pins.offline_verifier(ref)
        if verifier is None:
            raise Problem(ProblemCode.CONFLICT, "this phone has no PIN for answers without a network")
        return DrawnCode(
            approval,
            ref,
            phone,
            shown.counter,
            _unpack(packed),
            shown.sealed,
            verifier.opened,
            verifier.sealed,
        )

    def _shown(self, tx: Transaction, approval: Approval) -> _Shown | None:
        code = store.find_code(tx, approval.id)
        if code is None:
            return None
        binding_id, sealed = code
        phone = self._phones.find(tx, tenant_id=approval.tenant_id, binding_id=binding_id)
        if phone is None or phone.state != "active":
            return None
        counters = store.find_counters(tx, tenant_id=approval.tenant_id, binding_ids=[binding_id])
        return _Shown(phone, sealed, counters.get(binding_id) or Counter(binding_id, approval.tenant_id))

    def _settle(self, tx: Transaction, drawn: DrawnCode, used: int, digits: str) -> Approval:
        """Take an answer that is right, in one transaction: request, code and count by compare-and-set. Return the
        request. Raises Problem(CONFLICT) where something that it was checked against does not hold any more,
        Problem(NO_PHONE)."""
        ref, approval = drawn.ref, drawn.approval
        now_ms = self._approvals.now_ms()
        if (
            now_ms >= approval.expires_at
            or drawn.counter.is_blocked_at(now_ms)
            or not self._phones.is_active(tx, tenant_id=ref.tenant_id, binding_id=ref.binding_id)
            or not self._pins.is_verifier(tx, ref, drawn.sealed_verifier)
        ):
            raise Problem(ProblemCode.CONFLICT, "the phone's state has just changed")
        self._approvals.asking.check_allowed(tx, drawn.phone, approval, now_ms)
        proof = Proof(
            binding=Bytes16(decode_id("bnd", ref.binding_id)),
            key=Bytes65(drawn.phone.signing_key),
            decision="approve",
            factor="pin",
            number=None,
            h=None,
            signature=None,
            pin=None,
            biometric=None,
            offline=OfflineProof(counter=used, digits=digits),
        )
        answered = replace(
            approval,
            state=next_state(approval.state, ApprovalEvent.APPROVE),
            ended_at=now_ms,
            answered_by=ref.binding_id,
            factor="pin",
            via=Via.OFFLINE,
            proof=encode_proof(proof),
        )
        self._answers.tally.record(
            tx,
            approval,
            answered,
            ApprovalEvent.APPROVE,
            counter=drawn.counter,
            offline_next=used + 1,
            code=drawn.sealed_keys,
        )
        return answered

    async def _count_wrong(self, drawn: DrawnCode) -> Problem:
        def unit(tx: Transaction) -> Wrong:
            approval = store.find(tx, drawn.approval.id, is_locked=True)
            if approval is None or approval.is_over:
                raise over(approval or drawn.approval)
            if self._answers.tally.find_block(tx, drawn.ref) is not None:
                # As right ones are answered, else many at once would tell which is right.
                raise Problem(ProblemCode.CONFLICT, _BLOCKED)
            return self._answers.tally.count_wrong(tx, drawn.ref, approval, Via.OFFLINE)

        wrong = await self._storage.write(unit)
        if wrong.approval.is_over:
            return over(wrong.approval)
        return Problem(ProblemCode.OFFLINE_ANSWER_WRONG, left=wrong.approval.tries_left)


def _unpack(packed: bytes) -> list[OfflineKeys]:
    return [OfflineKeys(index, b"", key) for index, key in _KEY.iter_unpack(packed)]


def _check_open(approval: Approval) -> None:
    if approval.is_over:
        raise over(approval)
    if not approval.is_offline:
        raise Problem(
            ProblemCode.CONFLICT,
            "this request is answered with a network alone: by policy, or since it is too long for a code",
            next_step="Answer it on a phone that has a network.",
        )
