"""The open channel of a binding: the messages of section 5 of the wire specification, each answered in order, and the
states that are pushed. First contact hands over here once the binding is active, the resume handshake once the phone
is welcome. Thousands are open at once: one task, no queue, a few references each."""

from collections.abc import Sequence

import structlog

from gateway.core.errors import Problem, ProblemCode
from gateway.core.events import AuditWord
from gateway.core.subjects import BindingRef
from gateway.core.transaction import Transaction
from gateway.devices.live import LiveChannels
from gateway.devices.models import BindingEvent, Turn
from gateway.devices.ports import PinBook, PinDialogue
from gateway.devices.service import DeviceService
from gateway.http.channel import SocketClosed
from gateway.http.limits import RateLimiter
from gateway.http.parts import ChannelPart
from gateway.http.problems import problem_of_hsm_error
from gateway.http.secure_channel import SecureChannel
from gateway.protocol import messages
from gateway.protocol.errors import OutOfTurn, ProtocolError
from gateway.settings import RateLimit
from hsm_adapters.errors import HsmError

MAX_PROBLEMS = 3
ACTS = RateLimit(60, 60)
"""Messages that act, of one binding on this node; each is a write and a row of the audit log."""
_log = structlog.get_logger("devices")


class Overtaken(Exception):
    """The ratchet has moved on without this channel, or the binding is no longer active."""


class OpenChannels:
    """What all open channels share. One for the process."""

    def __init__(
        self,
        *,
        service: DeviceService,
        pins: PinBook,
        live: LiveChannels,
        limiter: RateLimiter,
        parts: Sequence[ChannelPart] = (),
    ) -> None:
        self.limiter = limiter
        self.service = service
        self.pins = pins
        self.live = live
        self._parts = parts
        self._by_message = {kind: part for part in parts for kind in part.handles}

    def part_of(self, message: messages.PhoneMessage) -> ChannelPart | None:
        """Return the part that answers a message."""
        return self._by_message.get(type(message))

    async def run(
        self,
        channel: SecureChannel,
        ref: BindingRef,
        *,
        lang: messages.Lang,
        turn: Turn | None = None,
    ) -> None:
        """Serve the channel until it closes. `turn` is that of the ratchet which opened it, None after a first
        contact."""
        open_channel = OpenChannel(self, channel, ref, lang, turn)
        self.live.add(open_channel)
        try:
            # No event tells any more what changed before the channel was registered: so it is asked for now.
            state, greetings = await self.service.find_state(ref, lambda tx: self._greet(tx, ref))
            if greetings is not None:
                for greeting in greetings:
                    await channel.tell(greeting)
                await open_channel.serve()
            else:
                await open_channel.tell_state(state.value)
        except (Problem, HsmError) as problem:
            await channel.tell(_tell(problem))
        finally:
            self.live.discard(open_channel)
            await channel.close()

    def _greet(self, tx: Transaction, ref: BindingRef) -> list[messages.GatewayMessage]:
        return [greeting for part in self._parts for greeting in part.greet(tx, ref)]


class OpenChannel:
    """One of them; to the parts it is their `ChannelContext`."""

    __slots__ = ("_channel", "_pin", "_problems", "_seen_ms", "_shared", "_turn", "lang", "ref")

    def __init__(
        self,
        shared: OpenChannels,
        channel: SecureChannel,
        ref: BindingRef,
        lang: messages.Lang,
        turn: Turn | None,
    ) -> None:
        self.ref = ref
        self.lang = lang
        self._shared = shared
        self._channel = channel
        self._turn = turn
        self._pin: PinDialogue | None = None
        self._problems = 0
        self._seen_ms = shared.service.now_ms()

    async def serve(self) -> None:
        """Answer messages until the socket closes, until three were not valid here, or until the phone acts and another
        contact has taken over."""
        while self._problems < MAX_PROBLEMS:
            try:
                answer = await self._answer(await self._channel.receive())
            except SocketClosed:
                return
            except Overtaken:
                await self._channel.tell(messages.Problem(code=ProblemCode.CONFLICT.code))
                return
            except ProtocolError as error:
                self._problems += 1
                answer = messages.Problem(code=error.code)
            except (Problem, HsmError) as problem:
                answer = _tell(problem)
            await self._channel.tell(answer)
            if isinstance(answer, messages.Removed):
                return

    @property
    def handshake_hash(self) -> bytes:
        """h, 32 bytes."""
        return self._channel.handshake_hash

    @property
    def pin(self) -> PinDialogue:
        """The PIN's conversation on this channel."""
        if self._pin is None:
            self._pin = self._shared.pins.dialogue(self.ref, self._channel.handshake_hash)
        return self._pin

    async def tell(self, message: messages.GatewayMessage) -> None:
        """Send a message if the phone is still there."""
        await self._channel.tell(message)

    async def tell_state(self, state: messages.BindingState) -> None:
        """Tell the phone of a change, and close the socket unless the binding is active."""
        await self._channel.tell(messages.State(state=state))
        if state != "active":
            await self._channel.close()

    async def close(self) -> None:
        """Close the socket: another contact of the same phone took over."""
        await self._channel.close()

    async def _answer(self, message: messages.PhoneMessage) -> messages.GatewayMessage:
        match message:
            case messages.Ping():
                return await self._pong()
            case messages.PinEvaluate() | messages.PinProve() | messages.PinChange() | messages.PinEnrol():
                await self._may_act()
                return await self.pin.answer(message)
            case messages.Rename():
                await self._may_act()
                return await self._rename(message.name)
            case messages.Remove():
                await self._may_act()
                return await self._remove()
            case _:
                part = self._shared.part_of(message)
                if part is None:
                    raise OutOfTurn("not a message of an open channel")
                await self._may_act()
                return await part.answer(self, message)

    async def _may_act(self) -> None:
        """Count a message that acts. Before the first one the key that the channel was opened with goes: the phone has
        had `welcome`, so whoever comes with it later is challenged. Raises Problem(RATE_LIMITED), `Overtaken`."""
        self._shared.limiter.take("acts", self.ref.binding_id, ACTS).check()
        if self._turn is None:
            return
        if not await self._shared.service.settle(self.ref, self._turn):
            raise Overtaken
        self._turn = None

    async def _pong(self) -> messages.GatewayMessage:
        service = self._shared.service
        now_ms = service.now_ms()
        if now_ms - self._seen_ms >= service.policy.seen_period_s * 1000:
            self._seen_ms = now_ms
            await service.touch(self.ref)
        return messages.Pong(time=now_ms // 1000)

    async def _rename(self, name: str) -> messages.GatewayMessage:
        view = await self._shared.service.rename(
            tenant_id=self.ref.tenant_id,
            binding_id=self.ref.binding_id,
            name=name,
            word=AuditWord.PHONE_BINDING_RENAME,
        )
        return messages.Renamed(name=view.binding.device.name)

    async def _remove(self) -> messages.GatewayMessage:
        # Forgotten first, so that the event of its own removal is not pushed before the answer.
        self._shared.live.discard(self)
        await self._shared.service.step(
            BindingEvent.REMOVE,
            tenant_id=self.ref.tenant_id,
            binding_id=self.ref.binding_id,
            word=AuditWord.PHONE_BINDING_REMOVE,
        )
        return messages.Removed()


def _tell(failure: Problem | HsmError) -> messages.Problem:
    if isinstance(failure, HsmError):
        _log.warning("message not served", error=failure.code)
        failure = problem_of_hsm_error(failure)
    return messages.Problem(code=failure.kind.code)
