"""T41: an assertion of fingerprint or face is forged, moved to another answer, channel or phone, or replayed."""

from typing import Any

import pytest
from approval_kit import approve, ask, asked, exchange, make, set_policy, state
from attack_kit import audit_words, bind_phone
from biometrics_kit import UP, Authenticator
from gateway_kit import PIN, GatewayKit

from gateway.phone.channel import Channel
from gateway.protocol.approval import answer_input, biometric_challenge
from gateway.protocol.messages import (
    Answer,
    Answered,
    AnswerWrong,
    Assertion,
    BiometricBegin,
    BiometricChallenge,
    BiometricEnrol,
    BiometricState,
)
from gateway.protocol.wiretypes import (
    AuthenticatorBytes,
    ClientDataBytes,
    CredentialBytes,
    DerSignatureBytes,
)


async def enrol(channel: Channel, device: Authenticator) -> None:
    """Enrol a credential as a phone does, after a proof of the PIN."""
    await channel.prove_pin(PIN)
    challenge = await channel._exchange(BiometricBegin(), BiometricChallenge)
    made = device.create(bytes(challenge.challenge))
    conversation = channel._conversation
    await conversation.send(
        BiometricEnrol(
            client_data=ClientDataBytes(made["client_data"]),
            attestation_object=AuthenticatorBytes(made["attestation_object"]),
        )
    )
    while not isinstance(heard := await conversation.hear(10), BiometricState) or heard.credential is None:
        pass


async def enrolled(kit: GatewayKit, **wish: Any) -> tuple[Channel, Authenticator]:
    _, channel = await bind_phone(kit, **wish)
    device = Authenticator(credential=f"of {wish}".encode())
    await enrol(channel, device)
    return channel, device


def assertion(device: Authenticator, got: dict[str, bytes], **changes: Any) -> Assertion:
    return Assertion(
        credential=CredentialBytes(changes.get("credential", device.credential)),
        client_data=ClientDataBytes(got["client_data"]),
        authenticator_data=AuthenticatorBytes(got["authenticator_data"]),
        signature=DerSignatureBytes(got["signature"]),
    )


def challenge_of(channel: Channel, statement: bytes, **changes: Any) -> bytes:
    wish: dict[str, Any] = {
        "decision": "approve",
        "factor": "biometric",
        "number": None,
        "binding_id": channel.binding.binding_id,
        "handshake_hash": channel._conversation.session.handshake_hash,
        **changes,
    }
    return biometric_challenge(answer_input(statement, **wish))


def answer_with(channel: Channel, found: Any, given: Assertion) -> Answer:
    return make(channel, found.raw, id=found.id, factor="biometric", assertion=given)


async def test_the_devices_own_assertion_approves(kit: GatewayKit) -> None:
    """The control."""
    channel, device = await enrolled(kit)
    for _ in range(2):
        request = await ask(kit)
        found = await asked(channel, request)
        assert found.factors == ("pin", "biometric")
        got = device.get(challenge_of(channel, found.raw))
        assert isinstance(
            await exchange(channel, answer_with(channel, found, assertion(device, got))), Answered
        )
        assert await state(kit, request) == "approved"


FORGED: dict[str, dict[str, Any]] = {
    "user presence alone": {"flags": UP},
    "another relying party": {"rp_id": "evil.example"},
    "another origin": {"origin": "https://evil.example"},
    "a registration in place of an assertion": {"kind": "webauthn.create"},
    "in a foreign frame": {"crossOrigin": True, "topOrigin": "https://evil.example"},
}


@pytest.mark.parametrize("how", FORGED)
async def test_an_assertion_that_was_got_otherwise_is_wrong(kit: GatewayKit, how: str) -> None:
    """Without finger or face, for or by another page, or as something else."""
    channel, device = await enrolled(kit)
    request = await ask(kit)
    found = await asked(channel, request)
    got = device.get(challenge_of(channel, found.raw), **FORGED[how])
    assert isinstance(
        await exchange(channel, answer_with(channel, found, assertion(device, got))), AnswerWrong
    )
    assert await state(kit, request) == "pending"


async def test_another_authenticator_is_wrong_also_under_the_same_name(kit: GatewayKit) -> None:
    channel, device = await enrolled(kit)
    request = await ask(kit)
    found = await asked(channel, request)
    thief = Authenticator(credential=device.credential)
    thief.count = 100
    own_name = Authenticator(credential=b"the thief's")
    for forger in (thief, own_name):
        got = forger.get(challenge_of(channel, found.raw))
        answer = answer_with(channel, found, assertion(forger, got))
        assert isinstance(await exchange(channel, answer), AnswerWrong)
    assert await state(kit, request) == "pending"
    assert isinstance(await approve(channel, found), Answered)


MOVED: dict[str, dict[str, Any]] = {
    "refusal": {"decision": "refuse"},
    "number": {"number": 47},
    "binding": {"binding_id": bytes(16)},
    "channel": {"handshake_hash": bytes(32)},
    "factor": {"factor": "pin"},
}


@pytest.mark.parametrize("what", MOVED)
async def test_an_assertion_over_another_answer_is_wrong(kit: GatewayKit, what: str) -> None:
    channel, device = await enrolled(kit)
    request = await ask(kit)
    found = await asked(channel, request)
    got = device.get(challenge_of(channel, found.raw, **MOVED[what]))
    assert isinstance(
        await exchange(channel, answer_with(channel, found, assertion(device, got))), AnswerWrong
    )
    assert await state(kit, request) == "pending"


async def test_an_assertion_for_another_request_is_wrong(kit: GatewayKit) -> None:
    channel, device = await enrolled(kit)
    first, second = await ask(kit), await ask(kit)
    found, other = await asked(channel, first), await asked(channel, second)
    given = assertion(device, device.get(challenge_of(channel, found.raw)))
    assert isinstance(await exchange(channel, answer_with(channel, other, given)), AnswerWrong)
    assert isinstance(await exchange(channel, answer_with(channel, found, given)), Answered)
    assert isinstance(await exchange(channel, answer_with(channel, other, given)), AnswerWrong)
    assert await state(kit, second) == "pending"


async def test_a_credential_of_one_phone_approves_on_no_other(kit: GatewayKit) -> None:
    """Of the same customer: each binding has its own."""
    _, device = await enrolled(kit)
    _, other = await bind_phone(kit)
    await set_policy(kit, "payment", factors="biometric")
    request = await ask(kit)
    found = await asked(other, request)
    assert found.factors == ("pin",)
    got = device.get(challenge_of(other, found.raw))
    assert isinstance(await exchange(other, answer_with(other, found, assertion(device, got))), AnswerWrong)
    assert await state(kit, request) == "pending"


async def test_a_count_that_does_not_rise_erases_the_credential_and_tells(kit: GatewayKit) -> None:
    """Two authenticators share one key: the second to come shows it."""
    channel, device = await enrolled(kit)
    request = await ask(kit)
    found = await asked(channel, request)
    device.get(bytes(32))
    behind = device.count
    got = device.get(challenge_of(channel, found.raw))
    assert isinstance(await exchange(channel, answer_with(channel, found, assertion(device, got))), Answered)
    second = await ask(kit)
    found = await asked(channel, second)
    device.count = behind - 1
    got = device.get(challenge_of(channel, found.raw))
    assert isinstance(
        await exchange(channel, answer_with(channel, found, assertion(device, got))), AnswerWrong
    )
    third = await asked(channel, await ask(kit))
    assert third.factors == ("pin",)
    assert [word for word in await audit_words(kit) if "biometric" in word and "enrol" not in word]


async def test_a_credential_is_made_after_a_proof_of_the_pin_alone(kit: GatewayKit) -> None:
    """An unlocked phone in other hands adds no finger."""
    from gateway.phone.errors import PhoneError

    _, channel = await bind_phone(kit)
    await channel._conversation.send(BiometricBegin())
    with pytest.raises(PhoneError):
        await channel._conversation.receive(5)
