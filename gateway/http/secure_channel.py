"""A phone's socket with its Noise session: messages in, messages out. First contact and the open channel of a binding
talk through it. Kept small, since thousands are open; a message that does not open ends the channel."""

import contextlib

from gateway.http.channel import PhoneSocket, SocketClosed
from gateway.protocol.errors import ChannelFailed
from gateway.protocol.messages import GatewayMessage, PhoneMessage, decode_phone_message, encode
from gateway.protocol.session import Session


class SecureChannel:
    """One encrypted channel. One task receives; any may send, and messages leave in the order of the calls."""

    __slots__ = ("_socket", "session")

    def __init__(self, socket: PhoneSocket, session: Session) -> None:
        self._socket = socket
        self.session = session

    @property
    def handshake_hash(self) -> bytes:
        """h, 32 bytes: what the phone's signatures are bound to."""
        return self.session.handshake_hash

    async def receive(self, seconds: float | None = None) -> PhoneMessage:
        """Return the next message. Raises `SocketClosed`, MalformedMessage, TimeoutError after `seconds`."""
        frame = await self._socket.receive(seconds)
        try:
            plaintext = self.session.decrypt(frame)
        except ChannelFailed:
            await self.close()
            raise SocketClosed from None
        return decode_phone_message(plaintext)

    async def send(self, message: GatewayMessage) -> None:
        """Send a message. Encryption and hand-over to the socket happen before the first suspension, so that
        several senders cannot disturb the order of nonces. Raises `SocketClosed`."""
        try:
            frame = self.session.encrypt(encode(message))
        except ChannelFailed:
            raise SocketClosed from None
        await self._socket.send(frame)

    async def tell(self, message: GatewayMessage) -> None:
        """Send a message if the phone is still there."""
        with contextlib.suppress(SocketClosed):
            await self.send(message)

    async def close(self) -> None:
        """Close the socket and forget the keys; a task that waits in `receive` gets `SocketClosed`."""
        self.session.close()
        await self._socket.close()
