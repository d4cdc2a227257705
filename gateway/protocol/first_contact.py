"""First contact: the handshake by which a phone that saw the code meets the gateway (wire specification,
sections 3 and 4). The phone runs `FirstContactInitiator`, the gateway `FirstContactResponder`; both are one
handshake each and die when a step fails. The messages after it (bind, commit, ...) are the callers' state
machines."""

from dataclasses import dataclass

from gateway.protocol.frames import Kind, Suite, answer_frame
from gateway.protocol.keys import parse_point
from gateway.protocol.messages import Facts, FirstAnswer, decode_facts, decode_first_answer, encode
from gateway.protocol.noise import Functions, Handshake, HandshakeKeys, Step
from gateway.protocol.primitives import KeyPair, RemoteKey
from gateway.protocol.session import Session
from gateway.protocol.suites import name_of


@dataclass(frozen=True, slots=True)
class FirstM1:
    """What a valid m1 brings: the phone's agreement key s_D (65 bytes, validated) and its facts."""

    phone_public: bytes
    facts: Facts


class FirstContactResponder:
    """The gateway's side. `psk` is otk_n or the typed code's, `static_public` S (65 bytes), whose private
    half is asked for by DhRequests: two in `read_m1`, none in `write_m2`."""

    __slots__ = ("_handshake",)

    def __init__(
        self,
        suite: Suite,
        *,
        prologue: bytes,
        psk: bytes,
        static_public: bytes,
        ephemeral: KeyPair | None = None,
        functions: Functions | None = None,
    ) -> None:
        """Set up. `ephemeral` and `functions` are for test vectors alone. Raises UnsupportedSuite,
        InvalidKey."""
        self._handshake = Handshake(
            name_of(suite, Kind.FIRST_CONTACT),
            HandshakeKeys(static=RemoteKey(static_public), ephemeral=ephemeral, psks=(psk,)),
            initiator=False,
            prologue=prologue,
            functions=functions,
        )

    def read_m1(self, message: bytes) -> Step[FirstM1]:
        """Step: read the Noise m1 of a hello. Raises HandshakeFailed, MalformedMessage."""
        payload = yield from self._handshake.read(message)
        return FirstM1(self._handshake.remote_static, decode_facts(payload))

    def write_m2(self, answer: FirstAnswer) -> Step[bytes]:
        """Step: return the answer frame (0x02 | m2). The session is open after it."""
        message = yield from self._handshake.write(encode(answer))
        return answer_frame(message)

    @property
    def session(self) -> Session:
        """The open channel. Raises OutOfTurn before m2."""
        return self._handshake.session


class FirstContactInitiator:
    """The phone's side. `static` is s_D, `gateway_public` S as the code has it (33 bytes) or as configured
    (65)."""

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
            name_of(suite, Kind.FIRST_CONTACT),
            HandshakeKeys(
                static=static, ephemeral=ephemeral, remote_static=uncompress(gateway_public), psks=(psk,)
            ),
            initiator=True,
            prologue=prologue,
            functions=functions,
        )

    def write_m1(self, facts: Facts) -> Step[bytes]:
        """Step: return the Noise m1, to go into a hello."""
        return self._handshake.write(encode(facts))

    def read_m2(self, message: bytes) -> Step[FirstAnswer]:
        """Step: read the Noise m2 of an Answer frame. Raises HandshakeFailed, MalformedMessage."""
        payload = yield from self._handshake.read(message)
        return decode_first_answer(payload)

    @property
    def session(self) -> Session:
        """The open channel. Raises OutOfTurn before m2."""
        return self._handshake.session


def uncompress(point: bytes) -> bytes:
    """Return the 65-byte form of a point in either form. Raises InvalidPoint."""
    numbers = parse_point(point).public_numbers()
    return b"\x04" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
