"""What is told of an activation: one function a step, each a Fact with its audit word, event type and data. The
services record them in the transaction that makes them true. No secret and no code is ever part of one."""

import hashlib
from collections.abc import Mapping

from gateway.activation.models import Activation, ActivationEvent
from gateway.core.events import AuditWord, Fact
from gateway.core.subjects import DeviceFacts, activation_topic

Data = Mapping[str, str | int | bool | None]

_ENDS = {
    ActivationEvent.CANCEL: AuditWord.BANK_ACTIVATION_CANCEL,
    ActivationEvent.EXPIRE: AuditWord.GATEWAY_ACTIVATION_EXPIRE,
    ActivationEvent.REFUSE: AuditWord.CUSTOMER_ACTIVATION_REFUSE,
    ActivationEvent.CONTEST: AuditWord.PHONE_ACTIVATION_CONTEST,
}


def _fact(
    activation: Activation, word: AuditWord, event: str | None, data: Data, *, webhook: bool = True
) -> Fact:
    return Fact(
        tenant_id=activation.tenant_id,
        word=word,
        subject=activation.id,
        data={"activation": activation.id, "user": activation.user, **data},
        event=event,
        topics=(activation_topic(activation.id),) if event is not None else (),
        webhook=webhook and event is not None,
    )


def started(activation: Activation) -> Fact:
    """The code may be shown."""
    data: Data = {}
    if activation.approval_id is not None:
        data = {"approval": activation.approval_id, "replaces": activation.replaces}
    return _fact(activation, AuditWord.BANK_ACTIVATION_START, "activation.waiting", data, webhook=False)


def present(activation: Activation, device: DeviceFacts, *, is_return: bool) -> Fact:
    """A phone is there and shows its device code."""
    word = AuditWord.PHONE_ACTIVATION_RETURN if is_return else AuditWord.PHONE_ACTIVATION_PRESENT
    data: Data = {
        "name": device.name,
        "model": device.model,
        "platform": device.platform,
        "os": device.os,
        "place": device.place,
        "tries_left": activation.tries_left,
    }
    return _fact(activation, word, "activation.present", data)


def away(activation: Activation) -> Fact:
    """The phone's connection was lost."""
    word = AuditWord.PHONE_ACTIVATION_LEAVE
    return _fact(activation, word, "activation.away", {}, webhook=False)


def code_wrong(activation: Activation) -> Fact:
    """A wrong device code was typed; tries are left."""
    word = AuditWord.CUSTOMER_ACTIVATION_CODE_WRONG
    return _fact(activation, word, "activation.code-wrong", {"left": activation.tries_left})


def confirmed(activation: Activation) -> Fact:
    """The device code was right."""
    word = AuditWord.CUSTOMER_ACTIVATION_CONFIRM
    return _fact(activation, word, "activation.confirmed", {"two_step": activation.is_two_step})


def active(activation: Activation, device: DeviceFacts, pin_key: bytes) -> Fact:
    """The phone is bound. The digest of its PIN key ties approvals to the binding, years later."""
    data: Data = {
        "binding": activation.binding_id,
        "name": device.name,
        "pin_key": hashlib.sha256(pin_key).hexdigest(),
    }
    return _fact(activation, AuditWord.PHONE_ACTIVATION_COMPLETE, "activation.active", data)


def ended(activation: Activation, event: ActivationEvent, word: AuditWord | None = None) -> Fact:
    """It is over without a bound phone. `word` replaces the event's own, when somebody else wanted it."""
    return _fact(activation, word or _ENDS[event], "activation.ended", {"reason": activation.ended_reason})


def typed_form_ended(activation: Activation) -> Fact:
    """Too many handshakes failed under the typed code; it is taken no longer."""
    word = AuditWord.GATEWAY_ACTIVATION_END_TYPED
    return _fact(activation, word, None, {"failures": activation.typed_failures})
