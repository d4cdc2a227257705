"""JSON messages over an open channel: the session's keys around a socket's frames. First contact and the open
channel both speak through this. After a failure it is closed, for a channel that lost a message is dead."""

from collections.abc import Callable

from gateway.phone.errors import BindingGone, ContactEnded, GatewayProblem, GatewayRefused, UnexpectedAnswer
from gateway.phone.transport import FrameSocket
from gateway.protocol.errors import ErrorCode, ProtocolError
from gateway.protocol.frames import Answer, ErrorFrame, StaleChallenge, parse_gateway_frame
from gateway.protocol.messages import (
    Ask,
    BiometricState,
    Ended,
    GatewayMessage,
    PhoneMessage,
    Problem,
    PushKey,
    Settled,
    State,
    Unread,
    decode_gateway_message,
    encode,
)
from gateway.protocol.session import Session

ANSWER_SECONDS = 30.0
UNASKED = (Ask, Settled, Unread, PushKey, BiometricState)
"""What the gateway says by itself on an open channel, also between a question and its answer."""


async def receive_answer(socket: FrameSocket) -> Answer | StaleChallenge:
    """Return the gateway's answer to a hello. Raises GatewayRefused, ConnectionLost, MalformedFrame."""
    frame = parse_gateway_frame(await socket.receive(ANSWER_SECONDS))
    if isinstance(frame, ErrorFrame):
        raise GatewayRefused(frame.error)
    return frame


class Conversation:
    """Messages out and in, in order. `on_state` hears of every `state` message, `on_unasked` what the gateway says by
    itself; while there is none, such a message is one like any other."""

    def __init__(
        self, socket: FrameSocket, session: Session, *, on_state: Callable[[str], None] | None = None
    ) -> None:
        self.session = session
        self.on_state = on_state
        self.on_unasked: Callable[[GatewayMessage], None] | None = None
        self._socket = socket

    async def send(self, message: PhoneMessage) -> None:
        """Send one message. Raises ConnectionLost, ChannelFailed."""
        await self._socket.send(self.session.encrypt(encode(message)))

    async def receive(self, timeout: float | None = ANSWER_SECONDS) -> GatewayMessage:
        """Return the next message that answers something. Raises as `hear`."""
        while True:
            message = await self.hear(timeout)
            if self.on_unasked is None or not isinstance(message, UNASKED):
                return message

    async def hear(self, timeout: float | None = ANSWER_SECONDS) -> GatewayMessage:
        """Return the next message but `state active`; `on_unasked` has heard it. Raises BindingGone, ContactEnded,
        GatewayProblem for the messages that end things, ConnectionLost, and the protocol's errors."""
        while True:
            frame = await self._socket.receive(timeout)
            try:
                message = decode_gateway_message(self.session.decrypt(frame))
            except ProtocolError:
                await self.close()
                raise
            if isinstance(message, Problem):
                raise GatewayProblem(message.code)
            if isinstance(message, Ended):
                await self.close()
                raise ContactEnded(message.reason)
            if not isinstance(message, State):
                await self._pass_on(message)
                return message
            if self.on_state is not None:
                self.on_state(message.state)
            if message.state != "active":
                await self.close()
                raise BindingGone(message.state)

    async def _pass_on(self, message: GatewayMessage) -> None:
        if self.on_unasked is None or not isinstance(message, UNASKED):
            return
        try:
            self.on_unasked(message)
        except UnexpectedAnswer:
            await self.close()
            raise

    async def reject(self, message: GatewayMessage) -> UnexpectedAnswer:
        """Close, since question and answer no longer match, and return the error to raise."""
        await self.close()
        return UnexpectedAnswer(f"{type(message).__name__} is not an answer to this")

    async def close(self) -> None:
        """Forget the keys and close the socket."""
        self.session.close()
        await self._socket.close()


def is_refused(error: Exception, code: ErrorCode) -> bool:
    """Whether an error is the gateway's refusal with that code."""
    return isinstance(error, GatewayRefused) and error.error is code
