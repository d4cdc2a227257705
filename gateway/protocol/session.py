"""What a finished handshake leaves: two directions of a channel, the handshake hash and the exports. Lives in
the memory of one socket's owner and nowhere else; it is never stored, copied or sent to another node."""

from gateway.protocol.keys import Label, export
from gateway.protocol.symmetric import CipherState


class Session:
    """An open channel. `handshake_hash` (h, 32 bytes) binds signatures to this channel."""

    __slots__ = ("_chaining_key", "_receive", "_send", "handshake_hash")

    def __init__(
        self, *, send: CipherState, receive: CipherState, handshake_hash: bytes, chaining_key: bytes
    ) -> None:
        self._send = send
        self._receive = receive
        self._chaining_key = chaining_key
        self.handshake_hash = handshake_hash

    def encrypt(self, plaintext: bytes) -> bytes:
        """Return the next message to send, 16 bytes longer. Raises ChannelFailed once closed."""
        return self._send.encrypt(plaintext)

    def decrypt(self, message: bytes) -> bytes:
        """Open the next message received. Raises ChannelFailed; the session is closed then."""
        return self._receive.decrypt(message)

    def export(self, label: Label) -> bytes:
        """Return the 32-byte secret of a label (wire specification, section 3)."""
        return export(self._chaining_key, self.handshake_hash, label)

    def close(self) -> None:
        """Forget the keys of both directions."""
        self._send.close()
        self._receive.close()
        self._chaining_key = b""

    def __repr__(self) -> str:
        return "Session(<keys>)"
