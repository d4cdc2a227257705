"""Every later contact: the handshake under the binding's ratcheting key (wire specification, sections 3 and
5). The phone runs `ResumeInitiator`, the gateway `ResumeResponder`. The next key of the ratchet is
`next_key`; when it is stored, and the old one erased, is the callers' duty."""

from gateway.protocol.frames import Kind, Suite, answer_frame
from gateway.protocol.keys import Label
from gateway.protocol.messages import Facts, ResumeAnswer, decode_facts, decode_resume_answer, encode
from gateway.protocol.noise import Functions, Handshake, HandshakeKeys, Step
from gateway.protocol.primitives import KeyPair, RemoteKey
from gateway.protocol.session import Session
from gateway.protocol.suites import name_of


class ResumeResponder:
    """The gateway's side. `psk` is bpsk_n, `static_public` S and `phone_public` s_D (65 bytes each). The
    private half of S is asked for by DhRequests: two in `read_m1`, none in `write_m2`."""

    __slots__ = ("_handshake",)

    def __init__(
        self,
        suite: Suite,
        *,
        prologue: bytes,
        psk: bytes,
        static_public: bytes,
        phone_public: bytes,
        ephemeral: KeyPair | None = None,
        functions: Functions | None = None,
    ) -> None:
        """Set up. `ephemeral` and `functions` are for test vectors alone. Raises InvalidPoint, InvalidKey,
        UnsupportedSuite."""
        self._handshake = Handshake(
            name_of(suite, Kind.RESUME),
            HandshakeKeys(
                static=RemoteKey(static_public), ephemeral=ephemeral, remote_static=phone_public, psks=(psk,)
            ),
            initiator=False,
            prologue=prologue,
            functions=functions,
        )

    def read_m1(self, message: bytes) -> Step[Facts]:
        """Step: read the Noise m1 of a hello. Raises HandshakeFailed, MalformedMessage."""
        payload = yield from self._handshake.read(message)
        return decode_facts(payload)

    def write_m2(self, answer: ResumeAnswer) -> Step[bytes]:
        """Step: return the answer frame (0x02 | m2). The session is open after it."""
        message = yield from self._handshake.write(encode(answer))
        return answer_frame(message)

    @property
    def session(self) -> Session:
        """The open channel. Raises OutOfTurn before m2."""
        return self._handshake.session


class ResumeInitiator:
    """The phone's side. `static` is s_D, `gateway_public` S (65 bytes)."""

    __slots__ = ("_handshake",)

    def __init__(
        self,
        suite: Suite,
        *,
        prologue: bytes,
        psk: bytes,
        static: KeyPair,
        gateway_public: bytes,
        ephemeral: KeyPair | None = None,
        functions: Functions | None = None,
    ) -> None:
        """Set up. `ephemeral` and `functions` are for test vectors alone. Raises InvalidPoint, InvalidKey,
        UnsupportedSuite."""
        self._handshake = Handshake(
            name_of(suite, Kind.RESUME),
            HandshakeKeys(static=static, ephemeral=ephemeral, remote_static=gateway_public, psks=(psk,)),
            initiator=True,
            prologue=prologue,
            functions=functions,
        )

    def write_m1(self, facts: Facts) -> Step[bytes]:
        """Step: return the Noise m1, to go into a hello."""
        return self._handshake.write(encode(facts))

    def read_m2(self, message: bytes) -> Step[ResumeAnswer]:
        """Step: read the Noise m2 of an Answer frame. Raises HandshakeFailed, MalformedMessage."""
        payload = yield from self._handshake.read(message)
        return decode_resume_answer(payload)

    @property
    def session(self) -> Session:
        """The open channel. Raises OutOfTurn before m2."""
        return self._handshake.session


def first_key(session: Session) -> bytes:
    """Return bpsk_0 of a first contact's session, 32 bytes."""
    return session.export(Label.BINDING_PSK)


def next_key(session: Session) -> bytes:
    """Return bpsk_{n+1} of a resume session that ran under bpsk_n, 32 bytes."""
    return session.export(Label.RATCHET)
