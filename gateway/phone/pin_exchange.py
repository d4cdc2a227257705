"""The PIN over a conversation: evaluate, then the key that signs. A PIN and its key live only in the calls here."""

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec

from gateway.core.secrets import RandomSource
from gateway.phone.conversation import Conversation
from gateway.phone.errors import PinHasOtherDigits, PinIsBlocked
from gateway.phone.models import PhoneKeys
from gateway.protocol import oprf
from gateway.protocol.messages import PinBlocked, PinEvaluate, PinEvaluated
from gateway.protocol.pin import WeakReason, oprf_input, pin_key, weakness
from gateway.protocol.primitives import wrap_p256
from gateway.protocol.wiretypes import Bytes33


@dataclass(frozen=True, slots=True)
class EvaluatedPin:
    """The PIN key, the evaluation's nonce (16 bytes, empty in first contact) and the tries left after it."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    nonce: bytes
    left: int

    @property
    def public(self) -> bytes:
        """The PIN key's public half, 65 bytes."""
        return wrap_p256(self.key).public


def require_digits(pin: str, *, digits: int) -> None:
    """Raise PinHasOtherDigits for what can't be the PIN, before it costs a try."""
    if weakness(pin, digits=digits) in (WeakReason.NOT_DIGITS, WeakReason.LENGTH):
        raise PinHasOtherDigits(digits)


async def evaluate_pin(
    conversation: Conversation, pin: str, *, binding_id: bytes, keys: PhoneKeys, random: RandomSource
) -> EvaluatedPin:
    """Blind the PIN, have it evaluated, and derive the PIN key. It costs a try until it is proved. Raises
    PinIsBlocked, InvalidPoint, and what a conversation raises."""
    blinded = oprf.blind(oprf_input(pin, binding_id=binding_id), random)
    await conversation.send(PinEvaluate(blinded=Bytes33(blinded.element)))
    answer = await conversation.receive()
    if isinstance(answer, PinBlocked):
        raise PinIsBlocked(answer.until)
    if not isinstance(answer, PinEvaluated):
        raise await conversation.reject(answer)
    output = blinded.finalize(answer.element)
    key = pin_key(output, device_secret=keys.device_secret, binding_id=binding_id)
    return EvaluatedPin(key, bytes(answer.nonce) if answer.nonce else b"", answer.left)
