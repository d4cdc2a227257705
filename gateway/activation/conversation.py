"""First contact after m3: pending, wrong codes, confirmed, the PIN's enrolment, commit (wire specification, section 4).
`channel.py` makes one a phone; events of the activation reach it through `LiveContacts`. What the phone is told and
what the database says may cross on the way: every message here can be repeated or overtaken without harm, and commit
asks the database."""

import contextlib
import hmac
from typing import NoReturn, cast

import structlog

from gateway.activation.contacts import Admission, CommitOrder, ContactService, Ended, PresentPhone
from gateway.activation.live import LiveContacts
from gateway.activation.models import Activation, ActivationState
from gateway.activation.ports import PinBook
from gateway.activation.service import ActivationService
from gateway.core.clock import Clock
from gateway.core.errors import Problem, ProblemCode
from gateway.core.events import AuditWord
from gateway.core.subjects import BindingRef
from gateway.http.channel import SocketClosed
from gateway.http.problems import problem_of_hsm_error
from gateway.http.secure_channel import SecureChannel
from gateway.protocol import messages
from gateway.protocol.errors import OutOfTurn, ProtocolError, SignatureInvalid
from gateway.protocol.keys import Label, commit_input, verify
from gateway.protocol.wiretypes import Bytes10
from hsm_adapters.errors import HsmError

MAX_PROBLEMS = 3
EXPIRY_SLACK_S = 0.5

_log = structlog.get_logger("first-contact")


class ConversationDesk:
    """What conversations are served with. One for the process."""

    def __init__(
        self,
        *,
        clock: Clock,
        activations: ActivationService,
        contacts: ContactService,
        pins: PinBook,
        live: LiveContacts,
    ) -> None:
        self.clock = clock
        self.activations = activations
        self.contacts = contacts
        self.pins = pins
        self.live = live

    async def run(
        self, conversation: "Conversation"
    ) -> tuple[SecureChannel, BindingRef, messages.Lang] | None:
        """Serve a conversation to its end; return what goes on as an open channel when the phone is bound."""
        activation_id = conversation.activation_id
        is_active = False
        try:
            is_active = await conversation.serve()
        finally:
            self.live.discard(activation_id, conversation)
            if not is_active and conversation.is_lost:
                with contextlib.suppress(Problem):
                    await self.contacts.leave(activation_id)
        return conversation.hand_over() if is_active else None


class Conversation:
    """One phone between m3 and m7."""

    def __init__(
        self, desk: ConversationDesk, channel: SecureChannel, admission: Admission, phone: PresentPhone
    ) -> None:
        activation = admission.activation
        self._desk = desk
        self._channel = channel
        self._activation = activation
        self._phone = phone
        self._nonce = admission.nonce
        self._is_two_step = admission.is_two_step
        self._ref = BindingRef(activation.tenant_id, activation.binding_id, activation.user)
        self._enrolment = desk.pins.enrolment(self._ref, channel.handshake_hash)
        self._is_present = self._has_heard = self._is_confirmed = False
        self._has_ended = False
        self._problems = 0

    @property
    def activation_id(self) -> str:
        """The activation it is about."""
        return self._activation.id

    @property
    def is_lost(self) -> bool:
        """Whether the phone went away while its activation goes on."""
        return not self._has_ended

    def hand_over(self) -> tuple[SecureChannel, BindingRef, messages.Lang]:
        """Return what the open channel goes on with."""
        return self._channel, self._ref, cast(messages.Lang, self._phone.device.lang)

    async def begin(self, activation: Activation) -> None:
        """The phone is present: send m4, or m6 at once when it was confirmed before, or a moment ago. Raises
        `SocketClosed`."""
        self._is_present = True
        if activation.state is ActivationState.CONFIRMED or self._has_heard:
            await self.tell_confirmed()
        else:
            await self._channel.send(messages.Pending(tries=activation.tries_left))

    async def tell_confirmed(self) -> None:
        """Send m6, once: with the nonce in one step; in two steps code 2 carries it. A phone that is not known to be
        the present one yet hears nothing."""
        self._has_heard = True
        if self._is_confirmed or not self._is_present:
            return
        self._is_confirmed = True
        if self._is_two_step:
            await self._channel.tell(messages.Confirmed())
        else:
            await self._channel.tell(messages.Confirmed(nonce=Bytes10(self._nonce)))

    async def tell_wrong_code(self, left: int) -> None:
        """Tell that a wrong device code was typed at the desktop."""
        if self._is_present and not self._is_confirmed:
            await self._channel.tell(messages.WrongCode(left=left))

    async def tell_ended(self, reason: str) -> None:
        """Tell the end, and close."""
        if self._has_ended:
            return
        self._has_ended = True
        await self._channel.tell(messages.Ended(reason=cast(messages.EndReason, reason)))
        await self._channel.close()

    async def replace(self) -> None:
        """Close: the phone came again on another socket."""
        self._has_ended = True
        await self._channel.close()

    async def serve(self) -> bool:
        """Answer until the phone is bound (True), gone, or the activation is over (False)."""
        while self._problems < MAX_PROBLEMS:
            try:
                message = await self._channel.receive(self._seconds_left())
                if isinstance(message, messages.Commit):
                    await self._commit(message)
                    return True
                answer = await self._answer(message)
            except SocketClosed:
                return False
            except TimeoutError:
                if await self._expire():
                    return False
                continue
            except Ended as ended:
                await self.tell_ended(ended.reason)
                return False
            except ProtocolError as error:
                self._problems += 1
                answer = messages.Problem(code=error.code)
            except HsmError as error:
                _log.warning("message not served", error=error.code)
                answer = messages.Problem(code=problem_of_hsm_error(error).kind.code)
            except Problem as problem:
                _log.warning("message not served", error=problem.kind.code)
                answer = messages.Problem(code=ProblemCode.UNAVAILABLE.code)
            await self._channel.tell(answer)
        await self._channel.close()
        return False

    def _seconds_left(self) -> float:
        left = self._activation.expires_at / 1000 - self._desk.clock.now()
        return max(left, 0.0) + EXPIRY_SLACK_S

    async def _expire(self) -> bool:
        activation = await self._desk.activations.expire(self._activation.id)
        if activation.is_over:
            await self.tell_ended(activation.ended_reason or "cancelled")
        return activation.is_over

    async def _answer(self, message: messages.PhoneMessage) -> messages.GatewayMessage:
        if isinstance(message, messages.Cancel):
            await self._cancel()
        if not self._is_confirmed or not isinstance(message, messages.PinEvaluate):
            raise OutOfTurn("not before m6, and only the PIN's enrolment")
        return await self._enrolment.evaluate(message.blinded)

    async def _cancel(self) -> NoReturn:
        """The customer gives up on the phone: end the activation on every screen. Raises `Ended`, with the older reason
        when it was over already, and OutOfTurn for a phone that is not the present one."""
        if not self._is_present:
            raise OutOfTurn("only the phone that is present can cancel")
        try:
            cancelled = await self._desk.activations.cancel(
                tenant_id=self._activation.tenant_id,
                activation_id=self._activation.id,
                word=AuditWord.PHONE_ACTIVATION_CANCEL,
            )
        except Problem as problem:
            if problem.kind is not ProblemCode.ACTIVATION_ENDED:
                raise
            raise Ended(str(problem.fields["reason"])) from None
        raise Ended(cancelled.ended_reason or "cancelled")

    async def _commit(self, message: messages.Commit) -> None:
        """Check m7, make the binding, and say so. Raises `Ended`, ProtocolError kinds, `SocketClosed`."""
        if not self._is_confirmed:
            raise OutOfTurn("m7 before m6")
        if not hmac.compare_digest(message.nonce, self._nonce):
            raise SignatureInvalid("not the nonce of this activation")
        h = self._channel.handshake_hash
        verify(self._phone.signing_key, message.signature, commit_input(h, message.nonce))
        self._enrolment.check(pin_key=message.pin_key, signature=message.pin_signature)
        await self._enrolment.seal(message.pin_verifier)
        order = CommitOrder(
            phone=self._phone,
            pin_key=bytes(message.pin_key),
            enrolment=self._enrolment,
            binding_psk=self._channel.session.export(Label.BINDING_PSK),
        )
        added_ms = await self._desk.contacts.commit(self._activation, order)
        self._has_ended = True
        await self._channel.tell(messages.Active(added=added_ms // 1000))
