"""T12: a thief with the phone's storage and every message, decrypted, guesses the PIN without the gateway."""

from typing import Any

import pytest
from attack_kit import begin, overhear, phone_over
from cryptography.hazmat.primitives.asymmetric import ec
from gateway_kit import PIN, GatewayKit
from pin_guessing import guess_with_blinds, guess_with_keys, guess_with_the_hsm, scalars_of, secrets_in

from gateway.core.secrets import system_random
from gateway.phone.channel import Channel
from gateway.phone.errors import PinIsWrong
from gateway.phone.pin_exchange import EvaluatedPin
from gateway.protocol.errors import SignatureInvalid
from gateway.protocol.keys import pin_proof_input, verify
from gateway.protocol.messages import Commit, PinEvaluate, PinEvaluated, PinProve
from gateway.protocol.oprf import ORDER


class Recording:
    """An enrolment and a proof, overheard inside the channel; and what the phone drew from its random generator, which
    the thief does not have."""

    def __init__(self, heard: list[Any], drawn: list[bytes], channel: Channel) -> None:
        self.heard, self.drawn, self.channel = heard, drawn, channel
        self.binding = channel.binding

    def all(self, kind: type[Any]) -> list[Any]:
        return [message for message in self.heard if isinstance(message, kind)]

    def is_right(self, public: bytes) -> bool:
        """Say whether a PIN key made the recorded proof: the signature is a test of every guess."""
        [proof], [*_, evaluated] = self.all(PinProve), self.all(PinEvaluated)
        message = pin_proof_input(self.channel._h, evaluated.nonce)
        try:
            verify(public, proof.signature, message)
        except SignatureInvalid:
            return False
        return True

    @property
    def blinds(self) -> list[int]:
        """The blinding scalars, from the phone's randomness."""
        return [int.from_bytes(raw, "big") % (ORDER - 1) + 1 for raw in self.drawn if len(raw) == 48]


async def record(kit: GatewayKit) -> Recording:
    drawn: list[bytes] = []

    def random(size: int) -> bytes:
        drawn.append(system_random(size))
        return drawn[-1]

    activation, link = await begin(kit)
    contact = await phone_over(kit, random=random).begin_link(link)
    heard = overhear(contact._conversation)
    await kit.confirm(activation, contact.device_code)
    await contact.wait_confirmed()
    drawn.clear()
    channel = await contact.enrol(PIN)
    await channel.prove_pin(PIN)
    return Recording(heard, drawn, channel)


async def test_the_dictionary_finds_nothing_in_all_that_was_said(kit: GatewayKit) -> None:
    """The recorded proof tells a right guess from a wrong one, and the recorded evaluations are at hand. Yet no value
    of storage or transcript serves as blind or as OPRF key. With either of the two secrets that the thief lacks the
    same dictionary finds the PIN: the blind (which the phone forgets), or the OPRF key (which the key store holds)."""
    recording = await record(kit)
    binding, is_right = recording.binding, recording.is_right
    [proof] = recording.all(PinProve)
    [commit] = recording.all(Commit)
    [*_, evaluated] = recording.all(PinEvaluated)
    assert is_right(commit.pin_key), "the thief can tell"
    secrets = secrets_in(binding, recording.channel._h, proof.signature, commit.pin_key, commit.signature)
    elements = [bytes(message.blinded) for message in recording.all(PinEvaluate)]
    scalars = scalars_of([*secrets, *secrets_in(*elements, bytes(evaluated.element))])
    assert guess_with_blinds(evaluated.element, scalars, binding=binding, is_right=is_right) == set()
    assert guess_with_keys(scalars, binding=binding, is_right=is_right) == set()
    last_blind = [recording.blinds[-1]]
    assert guess_with_blinds(evaluated.element, last_blind, binding=binding, is_right=is_right) == {PIN}
    assert await guess_with_the_hsm(kit, binding=binding, is_right=is_right) == {PIN}


async def test_every_evaluation_looks_new(kit: GatewayKit) -> None:
    """One PIN or another, asked once or again: no blinded or evaluated element ever comes twice, so that elements
    cannot be compared between evaluations; and no blind is used for two of them."""
    recording = await record(kit)
    channel = recording.channel
    await channel.change_pin(PIN, "281946")
    for _ in range(3):
        await channel.prove_pin("281946")
    asked = {bytes(message.blinded) for message in recording.all(PinEvaluate)}
    answered = {bytes(message.element) for message in recording.all(PinEvaluated)}
    assert len(asked) == len(answered) == len(set(recording.blinds)) == 7


async def test_a_recorded_proof_serves_once(kit: GatewayKit) -> None:
    """Sent again for a new evaluation, on this channel or on the next: it is over the nonce and the channel's h."""
    recording = await record(kit)
    [proof] = recording.all(PinProve)
    channel = recording.channel
    await channel._evaluate(PIN)
    await channel._conversation.send(proof)
    answer = await channel._conversation.receive(5)
    assert type(answer).__name__ == "PinWrong"


async def test_a_pin_key_of_the_thiefs_own_proves_nothing(kit: GatewayKit) -> None:
    """He runs the OPRF against a gateway of his own making, and signs with what comes out."""
    channel = (await record(kit)).channel
    evaluated = await channel._evaluate(PIN)
    forged = EvaluatedPin(ec.generate_private_key(ec.SECP256R1()), evaluated.nonce, evaluated.left)
    with pytest.raises(PinIsWrong):
        await channel._prove(forged)
