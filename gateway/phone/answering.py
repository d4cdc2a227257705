"""One answer to a request: what may be given for it, and what is signed. It is bound to the channel that it goes
through (h), so a lost answer is made anew on the next one."""

from dataclasses import dataclass, field
from typing import Self

from msgspec import UNSET, UnsetType

from gateway.phone.asks import Ask
from gateway.phone.errors import AnswerIncomplete, ApprovalUnreadable
from gateway.phone.models import Binding
from gateway.phone.pin_exchange import EvaluatedPin, require_digits
from gateway.protocol import keys, messages
from gateway.protocol.approval import answer_input, pin_input
from gateway.protocol.wiretypes import Bytes16, Bytes64


@dataclass(frozen=True, slots=True)
class Wish:
    """What the customer decided, checked against the request. `pin` is there with the factor `pin` alone."""

    decision: messages.Decision
    factor: messages.Factor
    number: int | None
    pin: str | None = field(repr=False)

    @classmethod
    def checked(
        cls, ask: Ask, decision: messages.Decision, *, pin: str | None, number: int | None, digits: int
    ) -> Self:
        """Check a decision before it costs a try. Refusing and reporting need neither PIN nor number. Raises
        ApprovalUnreadable, AnswerIncomplete, PinHasOtherDigits."""
        if ask.statement is None:
            raise ApprovalUnreadable()
        if decision != "approve":
            return cls(decision, "possession", None, None)
        if pin is not None:
            require_digits(pin, digits=digits)
        factor: messages.Factor = "possession" if pin is None else "pin"
        if factor not in ask.factors:
            missing = "the PIN" if "pin" in ask.factors else "fingerprint or face"
            raise AnswerIncomplete(f"to approve this, {missing} is needed")
        if not _is_number_of(ask, number):
            raise AnswerIncomplete("to approve this, the number on the bank's page is needed")
        return cls(decision, factor, None if ask.number == "none" else number, pin)


def _is_number_of(ask: Ask, number: int | None) -> bool:
    if ask.number == "none":
        return True
    if number is None:
        return False
    return number in ask.numbers if ask.number == "choose" else 10 <= number <= 99


def make_answer(
    ask: Ask, wish: Wish, *, binding: Binding, handshake_hash: bytes, evaluated: EvaluatedPin | None
) -> messages.Answer:
    """Sign an answer. `evaluated` is the PIN's evaluation on this channel, with the factor `pin`; it serves once."""
    signed = answer_input(
        ask.raw,
        decision=wish.decision,
        factor=wish.factor,
        number=wish.number,
        binding_id=binding.binding_id,
        handshake_hash=handshake_hash,
    )
    proof: Bytes64 | UnsetType = UNSET
    if evaluated is not None:
        proved = pin_input(signed, handshake_hash=handshake_hash, nonce=evaluated.nonce)
        proof = Bytes64(keys.sign(evaluated.key, proved))
    return messages.Answer(
        id=Bytes16(ask.id),
        decision=wish.decision,
        factor=wish.factor,
        number=wish.number,
        signature=Bytes64(keys.sign(binding.keys.signing_key(), signed)),
        pin_signature=proof,
    )
