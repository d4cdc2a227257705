"""What is told of a request: one function a step, each a Fact with its audit word, event type and data. The digests of
statement and proof tie what is kept to the signed log. The number on the desktop is never part of one."""

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256

from gateway.approvals.models import Approval, ApprovalEvent, Counter, Customer, Via
from gateway.core.events import AuditWord, Fact
from gateway.core.subjects import BindingRef, approval_topic, user_topic

Data = Mapping[str, str | int | bool | None]

_ENDS = {
    ApprovalEvent.APPROVE: (AuditWord.PHONE_APPROVAL_APPROVE, "approval.approved"),
    ApprovalEvent.REFUSE: (AuditWord.PHONE_APPROVAL_REFUSE, "approval.refused"),
    ApprovalEvent.REPORT: (AuditWord.PHONE_APPROVAL_REPORT, "approval.reported"),
    ApprovalEvent.EXPIRE: (AuditWord.GATEWAY_APPROVAL_EXPIRE, "approval.expired"),
    ApprovalEvent.CANCEL: (AuditWord.BANK_APPROVAL_CANCEL, "approval.cancelled"),
}


def _fact(approval: Approval, word: AuditWord, event: str | None, extra: Data) -> Fact:
    data = {
        "approval": approval.id,
        "user": approval.user,
        "type": approval.type,
        "state": approval.state.value,
    }
    topics = (approval_topic(approval.id), user_topic(approval.tenant_id, approval.user))
    return Fact(
        tenant_id=approval.tenant_id,
        word=word,
        subject=approval.id,
        data={**data, **extra},
        event=event,
        topics=topics if event is not None else (),
        webhook=event is not None,
    )


def _statement(approval: Approval) -> str:
    return sha256(approval.statement).hexdigest()


def created(approval: Approval) -> Fact:
    """The customer is asked."""
    extra: Data = {"statement": _statement(approval), "binding": approval.binding_id}
    return _fact(approval, AuditWord.BANK_APPROVAL_CREATE, "approval.created", extra)


def answered(approval: Approval, event: ApprovalEvent) -> Fact:
    """An answer counts."""
    word, kind = _ENDS[event]
    extra: Data = {
        "statement": _statement(approval),
        "proof": sha256(approval.proof or b"").hexdigest(),
        "binding": approval.answered_by,
        "decision": event.value,
        "factor": approval.factor,
        "via": None if approval.via is None else approval.via.value,
    }
    return _fact(approval, word, kind, extra)


def ended(approval: Approval, event: ApprovalEvent, word: AuditWord | None = None) -> Fact:
    """It is over without an answer. `word` replaces the event's own, when somebody else wanted it."""
    own, kind = _ENDS[event]
    return _fact(approval, word or own, kind, {})


def wrong(approval: Approval, ref: BindingRef, via: Via) -> Fact:
    """An answer did not verify; which part of it, nobody is told."""
    is_offline = via is Via.OFFLINE
    word = AuditWord.CUSTOMER_APPROVAL_WRONG if is_offline else AuditWord.PHONE_APPROVAL_WRONG
    extra: Data = {"binding": ref.binding_id, "left": approval.tries_left, "via": via.value}
    return _fact(approval, word, "approval.failed" if approval.is_over else None, extra)


def shown(approval: Approval, binding_id: str) -> Fact:
    """A code for a phone without a network was drawn."""
    return _fact(approval, AuditWord.CUSTOMER_APPROVAL_SHOW, None, {"binding": binding_id})


def blocked(ref: BindingRef, counter: Counter, *, is_next_final: bool) -> Fact:
    """A phone may not answer for a while, or until the bank unblocks it."""
    until = None if counter.blocked_until_ms is None else utc(counter.blocked_until_ms)
    data: Data = {
        "binding": ref.binding_id,
        "user": ref.user,
        "until": until,
        "next_is_final": is_next_final,
    }
    return Fact(
        tenant_id=ref.tenant_id,
        word=AuditWord.GATEWAY_APPROVAL_BLOCK,
        subject=ref.binding_id,
        data=data,
        event="binding.approvals-blocked",
        topics=(ref.topic,),
        webhook=True,
    )


def unblocked(ref: BindingRef) -> Fact:
    """The bank has unblocked a phone."""
    return Fact(
        tenant_id=ref.tenant_id,
        word=AuditWord.BANK_APPROVAL_UNBLOCK,
        subject=ref.binding_id,
        data={"binding": ref.binding_id, "user": ref.user},
        event="binding.approvals-unblocked",
        topics=(ref.topic,),
        webhook=True,
    )


def fatigue(customer: Customer, approval: Approval, *, until_ms: int) -> Fact:
    """A customer refuses one request after another: somebody else may be asking in his name."""
    data: Data = {
        "user": customer.user,
        "count": customer.unwanted,
        "until": utc(until_ms),
        "approval": approval.id,
    }
    return Fact(
        tenant_id=customer.tenant_id,
        word=AuditWord.GATEWAY_APPROVAL_FATIGUE,
        subject=approval.id,
        data=data,
        event="customer.fatigue",
        topics=(user_topic(customer.tenant_id, customer.user),),
        webhook=True,
    )


def counted(ref: BindingRef, value: int) -> Fact:
    """A phone told how many offline answers it has made."""
    return Fact(
        tenant_id=ref.tenant_id,
        word=AuditWord.PHONE_APPROVAL_COUNT,
        subject=ref.binding_id,
        data={"binding": ref.binding_id, "user": ref.user, "value": value},
    )


def policy_changed(tenant_id: str, kind: str, policy: str) -> Fact:
    """The bank has changed how a type of request is approved."""
    return Fact(
        tenant_id=tenant_id,
        word=AuditWord.BANK_POLICY_CHANGE,
        subject=kind,
        data={"type": kind, "policy": policy},
    )


def utc(at_ms: int) -> str:
    """Return a time in RFC 3339 form, in whole seconds, never before the moment it stands for."""
    return datetime.fromtimestamp(-(-at_ms // 1000), UTC).isoformat().replace("+00:00", "Z")
