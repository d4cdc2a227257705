"""Noise's CipherState and SymmetricState with SHA-256 (revision 34, sections 5.1 and 5.2). The handshake
alone calls this. A failed decryption never changes the state."""

import hashlib
from typing import Final

from gateway.protocol.errors import ChannelFailed, HandshakeFailed
from gateway.protocol.keys import hmac_sha256
from gateway.protocol.primitives import Aead, AeadFactory, InvalidTag

_sha256: Final = hashlib.sha256
_LAST_COUNTER: Final = 2**64 - 2


class CipherState:
    """One direction of a channel: an AEAD under one key and the counter of messages, each used once."""

    __slots__ = ("_aead", "_counter")

    def __init__(self, aead: Aead) -> None:
        self._aead: Aead | None = aead
        self._counter = 0

    def _turn(self) -> Aead:
        if self._aead is None or self._counter > _LAST_COUNTER:
            raise ChannelFailed("the channel is closed")
        return self._aead

    def encrypt(self, plaintext: bytes) -> bytes:
        """Return the next transport message: ciphertext and 16-byte tag. Raises ChannelFailed once closed."""
        message = self._turn().encrypt(self._counter, plaintext, b"")
        self._counter += 1
        return message

    def decrypt(self, message: bytes) -> bytes:
        """Open the next transport message. Raises ChannelFailed when it is altered or out of its turn; the
        state is closed then, for there is no way to know what was lost."""
        aead = self._turn()
        try:
            plaintext = aead.decrypt(self._counter, message, b"")
        except InvalidTag:
            self.close()
            raise ChannelFailed("a message does not open") from None
        self._counter += 1
        return plaintext

    def close(self) -> None:
        """Forget the key."""
        self._aead = None


class SymmetricState:
    """The chaining key, the transcript hash and the handshake's current cipher."""

    __slots__ = ("_aead", "_counter", "_factory", "chaining_key", "hash")

    def __init__(self, name: bytes, *, prologue: bytes, factory: AeadFactory) -> None:
        start = name.ljust(32, b"\x00") if len(name) <= 32 else _sha256(name).digest()
        self.chaining_key = start
        self.hash = _sha256(start + prologue).digest()
        self._factory = factory
        self._aead: Aead | None = None
        self._counter = 0

    def mix_hash(self, data: bytes) -> None:
        """h = HASH(h | data)."""
        self.hash = _sha256(self.hash + data).digest()

    def mix_key(self, material: bytes) -> None:
        """ck, k = HKDF(ck, material, 2)."""
        temporary = hmac_sha256(self.chaining_key, material)
        self.chaining_key = first = hmac_sha256(temporary, b"\x01")
        self._aead = self._factory(hmac_sha256(temporary, first + b"\x02"))
        self._counter = 0

    def mix_key_and_hash(self, material: bytes) -> None:
        """ck, temp_h, k = HKDF(ck, material, 3); h = HASH(h | temp_h). For pre-shared keys."""
        temporary = hmac_sha256(self.chaining_key, material)
        self.chaining_key = first = hmac_sha256(temporary, b"\x01")
        second = hmac_sha256(temporary, first + b"\x02")
        self.mix_hash(second)
        self._aead = self._factory(hmac_sha256(temporary, second + b"\x03"))
        self._counter = 0

    @property
    def has_key(self) -> bool:
        """Whether what is written now is encrypted."""
        return self._aead is not None

    def encrypt_and_hash(self, plaintext: bytes) -> bytes:
        """Encrypt under the current key (or pass, when there is none yet) and mix the result into h."""
        if self._aead is None:
            output = plaintext
        else:
            output = self._aead.encrypt(self._counter, plaintext, self.hash)
            self._counter += 1
        self.hash = _sha256(self.hash + output).digest()
        return output

    def decrypt_and_hash(self, data: bytes) -> bytes:
        """The reverse. Raises HandshakeFailed when the tag does not verify."""
        if self._aead is None:
            output = data
        else:
            try:
                output = self._aead.decrypt(self._counter, data, self.hash)
            except InvalidTag:
                raise HandshakeFailed("a part of the handshake does not verify") from None
            self._counter += 1
        self.hash = _sha256(self.hash + data).digest()
        return output

    def split(self) -> tuple[CipherState, CipherState]:
        """Return the two directions: from the initiator, from the responder."""
        temporary = hmac_sha256(self.chaining_key, b"")
        first = hmac_sha256(temporary, b"\x01")
        second = hmac_sha256(temporary, first + b"\x02")
        return CipherState(self._factory(first)), CipherState(self._factory(second))
