"""The Noise handshake (revision 34) over any pattern of `patterns`, with psk and hfs. Steps are generators:
where a DH needs a static key that is held elsewhere (an HSM), the step yields a `DhRequest` and is sent the
32-byte result; `run_local` and `run_async` drive them. `first_contact` and `resume` call this for our
suites, the tests for the published vectors. A handshake that failed, or whose driver did, is dead."""

from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from gateway.protocol.errors import HandshakeFailed, InvalidKey, InvalidPoint, OutOfTurn, UnsupportedSuite
from gateway.protocol.patterns import ProtocolName, parse_name
from gateway.protocol.primitives import (
    AEADS,
    CIPHERTEXT_BYTES,
    DHS,
    ENCAPSULATION_KEY_BYTES,
    KEMS,
    Aead,
    AeadFactory,
    Dh,
    Kem,
    KeyPair,
    RemoteKey,
)
from gateway.protocol.session import Session
from gateway.protocol.symmetric import SymmetricState

MAX_MESSAGE: Final = 65_535
_TAG: Final = 16
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class DhRequest:
    """Asks for the DH of the remote-held static key with `public` (validated; 65 bytes for P-256). The
    answer is the shared x coordinate, 32 bytes."""

    public: bytes


Step = Generator[DhRequest, bytes, _T]


def run_local(step: Step[_T], key: KeyPair | None = None, *, dh: str = "P256") -> _T:
    """Drive a step in this process; `key` answers its DhRequests. Raises OutOfTurn when one comes without a
    key."""
    try:
        request = next(step)
        while True:
            if key is None:
                step.close()
                raise OutOfTurn("this step needs a key that is held elsewhere")
            request = step.send(DHS[dh].exchange(key, DHS[dh].parse(request.public)))
    except StopIteration as stop:
        result: _T = stop.value
        return result


async def run_async(step: Step[_T], dh: Callable[[bytes], Awaitable[bytes]]) -> _T:
    """Drive a step, asking `dh` (an HSM) for each DhRequest. What `dh` raises goes through, and the
    handshake is dead then."""
    try:
        request = next(step)
        while True:
            request = step.send(await dh(request.public))
    except StopIteration as stop:
        result: _T = stop.value
        return result
    finally:
        step.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Functions:
    """Replacements for the functions that a name asks for. Tests give ciphers or a KEM of their own here."""

    aead: AeadFactory | None = None
    kem: Kem | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeKeys:
    """What one side brings: its static key (here or held elsewhere), a fixed ephemeral (tests alone), the
    other's static key, and the pre-shared keys in order (32 bytes each)."""

    static: KeyPair | RemoteKey | None = None
    ephemeral: KeyPair | None = None
    remote_static: bytes | None = None
    psks: Sequence[bytes] = field(default=(), repr=False)


class Handshake:
    """One side of a handshake. Call `write` and `read` in turns; after the last message `session` is
    there."""

    __slots__ = (
        "_dh",
        "_ephemeral",
        "_initiator",
        "_kem",
        "_kem_private",
        "_kem_public",
        "_place",
        "_psks",
        "_re",
        "_rs",
        "_session",
        "_static",
        "_symmetric",
        "name",
        "remote_ephemeral",
        "remote_static",
    )

    def __init__(
        self,
        name: str,
        keys: HandshakeKeys,
        *,
        initiator: bool,
        prologue: bytes,
        functions: Functions | None = None,
    ) -> None:
        """Set up one side. Raises UnsupportedSuite, InvalidKey, InvalidPoint."""
        self.name: ProtocolName = parse_name(name)
        self._initiator = initiator
        self._dh, aead, self._kem = _functions(self.name, functions)
        self._static = keys.static
        self._ephemeral = keys.ephemeral
        self.remote_static: bytes = keys.remote_static or b""
        self.remote_ephemeral: bytes = b""
        self._rs: Any = self._dh.parse(self.remote_static) if self.remote_static else None
        self._re: Any = None
        self._kem_private: Any = None
        self._kem_public: Any = None
        self._session: Session | None = None
        self._place = 0
        if len(keys.psks) != self.name.pattern.psks or any(len(psk) != 32 for psk in keys.psks):
            raise InvalidKey("this pattern takes other pre-shared keys")
        self._psks = list(keys.psks)
        self._symmetric = SymmetricState(name.encode("ascii"), prologue=prologue, factory=aead)
        self._mix_pre_messages()

    def _mix_pre_messages(self) -> None:
        pattern = self.name.pattern
        for tokens, own in (
            (pattern.initiator_pre, self._initiator),
            (pattern.responder_pre, not self._initiator),
        ):
            if tokens:
                public = (self._static.public if self._static else b"") if own else self.remote_static
                if not public:
                    raise InvalidKey("this pattern needs a static key beforehand")
                self._symmetric.mix_hash(public)

    def _begin(self, *, writing: bool) -> tuple[str, ...]:
        """Take the turn; the place is given back by `_end`, so that a step that failed leaves a dead
        handshake."""
        place, messages = self._place, self.name.pattern.messages
        if not 0 <= place < len(messages) or ((place % 2 == 0) == self._initiator) != writing:
            raise OutOfTurn("this message is not due, or the handshake has failed")
        self._place = -1 - place
        return messages[place]

    def _end(self) -> None:
        self._place = -self._place
        if self._place == len(self.name.pattern.messages):
            symmetric = self._symmetric
            first, second = symmetric.split()
            send, receive = (first, second) if self._initiator else (second, first)
            self._session = Session(
                send=send,
                receive=receive,
                handshake_hash=symmetric.hash,
                chaining_key=symmetric.chaining_key,
            )

    @property
    def session(self) -> Session:
        """The open channel. Raises OutOfTurn before the last message."""
        if self._session is None:
            raise OutOfTurn("the handshake is not finished")
        return self._session

    @property
    def handshake_hash(self) -> bytes:
        """The transcript hash so far, 32 bytes."""
        return self._symmetric.hash

    def write(self, payload: bytes = b"") -> Step[bytes]:
        """Step: return the next message with `payload` in it. Raises OutOfTurn, InvalidKey."""
        symmetric = self._symmetric
        parts: list[bytes] = []
        for token in self._begin(writing=True):
            if token == "e":  # noqa: S105 - a Noise token
                self._ephemeral = self._ephemeral or self._dh.generate()
                parts.append(self._ephemeral.public)
                self._mix_ephemeral(self._ephemeral.public)
            elif token == "s":  # noqa: S105
                parts.append(symmetric.encrypt_and_hash(self._require_static().public))
            elif token == "e1":  # noqa: S105
                self._kem_private, encapsulation_key = self._require_kem().generate()
                parts.append(symmetric.encrypt_and_hash(encapsulation_key))
            elif token == "ekem1":  # noqa: S105
                shared, ciphertext = self._require_kem().encapsulate(self._kem_public)
                parts.append(symmetric.encrypt_and_hash(ciphertext))
                symmetric.mix_key(shared)
            else:
                yield from self._mix_secret(token)
        parts.append(symmetric.encrypt_and_hash(payload))
        self._end()
        return b"".join(parts)

    def read(self, message: bytes) -> Step[bytes]:
        """Step: read the next message and return its payload. Raises OutOfTurn, and HandshakeFailed when
        anything in it does not verify."""
        tokens = self._begin(writing=False)
        if len(message) > MAX_MESSAGE:
            raise HandshakeFailed("the message is too long")
        try:
            payload = yield from self._read_tokens(tokens, message)
        except (InvalidPoint, InvalidKey) as error:
            raise HandshakeFailed(f"a key of the handshake is not valid ({error.code})") from None
        self._end()
        return payload

    def _read_tokens(self, tokens: tuple[str, ...], message: bytes) -> Step[bytes]:
        symmetric = self._symmetric
        rest = message
        for token in tokens:
            if token == "e":  # noqa: S105 - a Noise token
                self.remote_ephemeral, rest = _cut(rest, self._dh.size)
                self._re = self._dh.parse(self.remote_ephemeral)
                self._mix_ephemeral(self.remote_ephemeral)
            elif token == "s":  # noqa: S105
                field, rest = _cut(rest, self._dh.size + (_TAG if symmetric.has_key else 0))
                self.remote_static = symmetric.decrypt_and_hash(field)
                self._rs = self._dh.parse(self.remote_static)
            elif token == "e1":  # noqa: S105
                field, rest = _cut(rest, ENCAPSULATION_KEY_BYTES + (_TAG if symmetric.has_key else 0))
                self._kem_public = self._require_kem().parse(symmetric.decrypt_and_hash(field))
            elif token == "ekem1":  # noqa: S105
                field, rest = _cut(rest, CIPHERTEXT_BYTES + (_TAG if symmetric.has_key else 0))
                ciphertext = symmetric.decrypt_and_hash(field)
                symmetric.mix_key(self._require_kem().decapsulate(self._kem_private, ciphertext))
            else:
                yield from self._mix_secret(token)
        return symmetric.decrypt_and_hash(rest)

    def _mix_ephemeral(self, public: bytes) -> None:
        self._symmetric.mix_hash(public)
        if self.name.pattern.psks:
            self._symmetric.mix_key(public)

    def _mix_secret(self, token: str) -> Step[None]:
        """Mix a pre-shared key, or the DH that a token names."""
        if token == "psk":  # noqa: S105
            self._symmetric.mix_key_and_hash(self._psks.pop(0))
            return
        mine, theirs = (token[0], token[1]) if self._initiator else (token[1], token[0])
        own = self._ephemeral if mine == "e" else self._require_static()
        parsed, raw = (self._re, self.remote_ephemeral) if theirs == "e" else (self._rs, self.remote_static)
        if own is None or parsed is None:
            raise InvalidKey("a key of the handshake is missing")
        if isinstance(own, KeyPair):
            shared = self._dh.exchange(own, parsed)
        else:
            shared = yield DhRequest(raw)
            if len(shared) != 32:
                raise InvalidKey("a DH output has 32 bytes")
        self._symmetric.mix_key(shared)

    def _require_static(self) -> KeyPair | RemoteKey:
        if self._static is None:
            raise InvalidKey("this pattern needs a static key")
        return self._static

    def _require_kem(self) -> Kem:
        if self._kem is None:
            raise UnsupportedSuite("this name has no KEM")
        return self._kem


def _cut(data: bytes, length: int) -> tuple[bytes, bytes]:
    if len(data) < length:
        raise HandshakeFailed("the message is too short")
    return data[:length], data[length:]


def _functions(name: ProtocolName, given: Functions | None) -> tuple[Dh, Callable[[bytes], Aead], Kem | None]:
    aead = (given.aead if given else None) or AEADS.get(name.cipher)
    kem = (given.kem if given else None) or KEMS.get(name.kem)
    dh = DHS.get(name.dh)
    if aead is None or dh is None or (name.kem and kem is None):
        raise UnsupportedSuite("no such DH, cipher or KEM")
    return dh, aead, kem if name.kem else None
