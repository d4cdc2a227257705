"""The biometric factor on an open channel: a challenge after a proof of the PIN, the new credential in answer, its
removal. A credential made without the PIN would let whoever holds an unlocked phone for a minute approve with a finger
of his own, so each takes a fresh proof; removal leaves the PIN alone and needs none. Challenges serve their channel
alone, once, for five minutes at most."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from gateway.biometrics.models import Credential
from gateway.biometrics.service import BiometricService
from gateway.core.clock import Clock
from gateway.core.ids import decode_id
from gateway.core.secrets import RandomSource
from gateway.core.subjects import BindingRef
from gateway.core.transaction import Transaction
from gateway.http.parts import ChannelContext
from gateway.protocol import messages
from gateway.protocol.errors import OutOfTurn
from gateway.protocol.wiretypes import Bytes16, Bytes32, CredentialBytes

CHALLENGE_BYTES = 32
CHALLENGE_LIFE_S = 300.0
MAX_CHALLENGES = 10_000
"""Challenges kept at once; each took a proof of a PIN. Beyond that the oldest goes."""


class PinProofs(Protocol):
    """What is asked of the PIN's conversation on a channel."""

    def take_proof(self) -> bool:
        """Say whether the PIN was proved just now, once."""
        ...


@dataclass(frozen=True, slots=True)
class _Challenge:
    value: bytes
    given_at: float


class BiometricPart:
    """A `ChannelPart`. One for the process."""

    handles: ClassVar[tuple[type[Any], ...]] = (
        messages.BiometricBegin,
        messages.BiometricEnrol,
        messages.BiometricRemove,
    )

    def __init__(self, *, service: BiometricService, clock: Clock, random: RandomSource) -> None:
        self._service = service
        self._clock = clock
        self._random = random
        # By handshake hash, which no other channel has; oldest first.
        self._challenges: OrderedDict[bytes, _Challenge] = OrderedDict()

    def greet(self, tx: Transaction, ref: BindingRef) -> Sequence[messages.GatewayMessage]:
        """Tell the phone what policy wants, and which credential is in force."""
        return [self._state(self._service.find(tx, ref))]

    async def answer(self, context: ChannelContext, message: Any) -> messages.GatewayMessage:
        """Answer one message. Raises OutOfTurn, `BiometricRefused`, `WebAuthnRefused`, Problem."""
        match message:
            case messages.BiometricBegin():
                return self._begin(context)
            case messages.BiometricEnrol():
                await self._enrol(context, message)
            case messages.BiometricRemove():
                await self._service.remove(context.ref)
            case _:
                raise OutOfTurn("not a message of the biometric factor")
        return self._state(await self._service.read(context.ref))

    def _begin(self, context: ChannelContext) -> messages.BiometricChallenge:
        self._service.check_allowed()
        self._challenges.pop(context.handshake_hash, None)
        proofs: PinProofs = context.pin
        if not proofs.take_proof():
            raise OutOfTurn("a credential needs a fresh proof of the PIN")
        challenge = _Challenge(self._random(CHALLENGE_BYTES), self._clock.monotonic())
        self._forget_old()
        self._challenges[context.handshake_hash] = challenge
        user = decode_id("bnd", context.ref.binding_id)
        return messages.BiometricChallenge(challenge=Bytes32(challenge.value), user=Bytes16(user))

    def _forget_old(self) -> None:
        now = self._clock.monotonic()
        while self._challenges:
            oldest = next(iter(self._challenges.values()))
            if len(self._challenges) < MAX_CHALLENGES and now - oldest.given_at <= CHALLENGE_LIFE_S:
                break
            self._challenges.popitem(last=False)

    async def _enrol(self, context: ChannelContext, message: messages.BiometricEnrol) -> None:
        challenge = self._challenges.pop(context.handshake_hash, None)
        if challenge is None or self._clock.monotonic() - challenge.given_at > CHALLENGE_LIFE_S:
            raise OutOfTurn("no challenge waits for a credential")
        await self._service.enrol(
            context.ref,
            challenge=challenge.value,
            client_data=message.client_data,
            attestation_object=message.attestation_object,
        )

    def _state(self, found: Credential | None) -> messages.BiometricState:
        credential = None if found is None else CredentialBytes(found.credential)
        return messages.BiometricState(policy=self._service.policy, credential=credential)
