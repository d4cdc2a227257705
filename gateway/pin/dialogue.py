"""The PIN as two conversations on an encrypted channel: its enrolment in first contact, and evaluation, proof
and change on the open channel of a binding. The channels hand messages in and send what comes back; the turn of each
message is kept here. A nonce proves once, a proof allows one change, and both die with the channel."""

from gateway.core.subjects import BindingRef
from gateway.core.transaction import Transaction
from gateway.pin.models import PinBlocked, PinRefused
from gateway.pin.service import Enrolment, Evaluation, PinService
from gateway.protocol import messages
from gateway.protocol.errors import OutOfTurn
from gateway.protocol.wiretypes import Bytes16, Bytes33
from hsm_adapters.errors import HsmError

MAX_ENROLMENT_EVALUATIONS = 8
"""Each makes a key in the key store; in first contact, and in one change."""


class PinEnrolment:
    """Enrolment in first contact: any number of evaluations up to a limit, each under a key of its own; the last
    one counts."""

    __slots__ = ("_checked", "_count", "_enrolment", "_handshake_hash", "_ref", "_service", "_verifier")

    def __init__(self, service: PinService, ref: BindingRef, handshake_hash: bytes) -> None:
        self._service = service
        self._ref = ref
        self._handshake_hash = handshake_hash
        self._enrolment: Enrolment | None = None
        self._checked = b""
        self._verifier = b""
        self._count = 0

    async def evaluate(self, blinded: bytes) -> messages.PinEvaluated:
        """Evaluate under a fresh key. Raises `PinRefused` for a bad point, OutOfTurn beyond the limit."""
        if self._count >= MAX_ENROLMENT_EVALUATIONS:
            raise OutOfTurn("too many evaluations in one enrolment")
        self._enrolment = await self._service.begin_enrolment(
            binding_id=self._ref.binding_id, blinded=blinded
        )
        self._count += 1  # a key that an outage kept from being made counts for nothing
        return messages.PinEvaluated(element=Bytes33(self._enrolment.element), left=self._enrolment.left)

    def check(self, *, pin_key: bytes, signature: bytes) -> None:
        """Check that the phone holds the PIN key (65 bytes). Raises OutOfTurn before an evaluation, `PinRefused`."""
        if self._enrolment is None:
            raise OutOfTurn("no evaluation came before")
        self._service.check_enrolment(
            pin_key=pin_key, signature=signature, handshake_hash=self._handshake_hash
        )
        self._checked = pin_key

    async def seal(self, verifier: bytes) -> None:
        """Take what offline answers are checked against (32 bytes), after `check`. Raises HsmError."""
        if self._enrolment is not None:
            self._enrolment = await self._service.renew(self._ref, self._enrolment)
        self._verifier = await self._service.seal_verifier(self._ref, verifier, pin_key=self._checked)

    def record(self, tx: Transaction, *, pin_key: bytes) -> None:
        """Store the PIN in the transaction that makes the binding active, after `seal`."""
        if self._enrolment is None or self._checked != pin_key:
            raise OutOfTurn("no evaluation came before")
        self._service.enrol(
            tx, owner=self._ref, enrolment=self._enrolment, pin_key=pin_key, verifier=self._verifier
        )


class PinDialogue:
    """The PIN on an open channel."""

    __slots__ = (
        "_count",
        "_evaluation",
        "_fresh",
        "_handshake_hash",
        "_is_changing",
        "_proved_key",
        "_ref",
        "_service",
    )

    def __init__(self, service: PinService, ref: BindingRef, handshake_hash: bytes) -> None:
        self._service = service
        self._ref = ref
        self._handshake_hash = handshake_hash
        self._evaluation: Evaluation | None = None
        self._proved_key: bytes | None = None
        self._is_changing = False
        self._fresh: Enrolment | None = None
        self._count = 0

    async def answer(
        self,
        message: messages.PinEvaluate | messages.PinProve | messages.PinChange | messages.PinEnrol,
    ) -> messages.GatewayMessage:
        """Answer one message. Raises OutOfTurn when it is not due, `PinRefused` when it does not verify (a wrong
        PIN is an answer, not an error), and HsmError, after which a change begins anew with the proof."""
        try:
            match message:
                case messages.PinEvaluate():
                    return await self._evaluate(message.blinded)
                case messages.PinProve():
                    return await self._prove(message.signature)
                case messages.PinChange():
                    return self._change()
                case messages.PinEnrol():
                    return await self._enrol(message)
        except HsmError:
            self._is_changing, self._proved_key = False, None
            raise

    def take_evaluation(self) -> Evaluation | None:
        """Return the evaluation that waits for a proof, once: the caller proves it by an answer of its own."""
        evaluation, self._evaluation = self._evaluation, None
        return evaluation

    def take_proof(self) -> bool:
        """Say whether the PIN was proved just now, once: the proof serves one change of what stands beside the PIN."""
        is_fresh = self._proved_key is not None and not self._is_changing
        if is_fresh:
            self._proved_key = None
        return is_fresh

    async def _evaluate(self, blinded: bytes) -> messages.GatewayMessage:
        self._evaluation = self._fresh = None
        if self._is_changing:
            if self._count >= MAX_ENROLMENT_EVALUATIONS:
                raise OutOfTurn("too many evaluations in one change")
            self._count += 1
            fresh = await self._service.begin_enrolment(binding_id=self._ref.binding_id, blinded=blinded)
            self._fresh = fresh
            return messages.PinEvaluated(
                element=Bytes33(fresh.element), left=fresh.left, nonce=Bytes16(fresh.nonce)
            )
        self._proved_key = None
        try:
            done = await self._service.evaluate(self._ref, blinded)
        except PinBlocked as blocked:
            return messages.PinBlocked(until=_seconds(blocked.until_ms))
        self._evaluation = done
        return messages.PinEvaluated(element=Bytes33(done.element), left=done.left, nonce=Bytes16(done.nonce))

    async def _prove(self, signature: bytes) -> messages.GatewayMessage:
        evaluation = self.take_evaluation()
        if evaluation is None:
            raise OutOfTurn("no evaluation waits for a proof")
        try:
            await self._service.prove(
                self._ref, evaluation, handshake_hash=self._handshake_hash, signature=signature
            )
        except PinRefused:
            return messages.PinWrong(left=evaluation.left, until=_seconds(evaluation.until_ms))
        self._proved_key = evaluation.pin_key
        return messages.PinProved()

    def _change(self) -> messages.GatewayMessage:
        if self._proved_key is None or self._is_changing:
            raise OutOfTurn("a change needs a fresh proof")
        self._is_changing, self._count = True, 0
        return messages.PinChangeReady()

    async def _enrol(self, message: messages.PinEnrol) -> messages.GatewayMessage:
        fresh, self._fresh = self._fresh, None
        proved_key = self._proved_key
        if fresh is None or proved_key is None or not self._is_changing:
            raise OutOfTurn("no change was begun")
        self._service.check_enrolment(
            pin_key=message.pin_key,
            signature=message.pin_signature,
            handshake_hash=self._handshake_hash,
            nonce=fresh.nonce,
        )
        await self._service.change(
            self._ref,
            fresh,
            proved_key=proved_key,
            pin_key=message.pin_key,
            verifier=message.pin_verifier,
        )
        self._is_changing, self._proved_key = False, None
        return messages.PinEnrolled()


def _seconds(at_ms: int | None) -> int | None:
    return None if at_ms is None else -(-at_ms // 1000)


class PinDesk(PinService):
    """The PIN service as the other capabilities see it: it begins the conversations, too."""

    def enrolment(self, ref: BindingRef, handshake_hash: bytes) -> PinEnrolment:
        """Begin an enrolment in first contact; h has 32 bytes."""
        return PinEnrolment(self, ref, handshake_hash)

    def dialogue(self, ref: BindingRef, handshake_hash: bytes) -> PinDialogue:
        """Begin the conversation of one open channel; h has 32 bytes."""
        return PinDialogue(self, ref, handshake_hash)
