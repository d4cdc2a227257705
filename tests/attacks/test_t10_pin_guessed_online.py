"""T10: a thief with the unlocked phone guesses the PIN through the gateway."""

import asyncio

import pytest
from attack_kit import bind_phone
from gateway_kit import PIN, GatewayKit
from pin_guessing import ref_of

from gateway.core.secrets import system_random
from gateway.phone.errors import PhoneError, PinIsBlocked, PinIsWrong
from gateway.protocol.keys import pin_proof_input, sign
from gateway.protocol.messages import PinChange, PinChangeReady, PinEvaluate, PinEvaluated, PinProve, PinWrong
from gateway.protocol.oprf import blind
from gateway.protocol.wiretypes import Bytes33, Bytes64

WRONG = [f"{n:06d}" for n in range(483_910, 483_990, 7)]


async def test_fifteen_guesses_in_three_rounds_then_only_the_bank_opens_it(kit: GatewayKit) -> None:
    _, channel = await bind_phone(kit)
    judged = 0
    for wait in (5 * 60, 10 * 60, None):
        for guess in range(5):
            with pytest.raises(PinIsWrong):
                await channel.prove_pin(WRONG[guess])
            judged += 1
        with pytest.raises(PinIsBlocked):
            await channel.prove_pin(PIN)
        if wait is not None:
            kit.clock.advance(wait - 1)
            with pytest.raises(PinIsBlocked):
                await channel.prove_pin(PIN)
            kit.clock.advance(2)
    kit.clock.advance(365 * 86_400)
    with pytest.raises(PinIsBlocked):
        await channel.prove_pin(PIN)
    assert judged == 15
    [binding] = await kit.bindings()
    assert binding["pin"] == {"blocked": True, "blocked_until": None}
    await kit.call("POST", f"/api/v1/bindings/{binding['id']}/unblock-pin", {})
    await channel.prove_pin(PIN)


async def test_hanging_up_before_the_proof_costs_the_try_all_the_same(kit: GatewayKit) -> None:
    """The thief asks for evaluations and never proves, to guess offline: the counter falls at evaluation."""
    phone, channel = await bind_phone(kit)
    for _ in range(5):
        await channel._evaluate(WRONG[0])
        await channel.close()
        channel = await phone.open(channel.binding.binding_id)
    with pytest.raises(PinIsBlocked):
        await channel._evaluate(PIN)


async def test_guesses_on_many_channels_at_once_are_counted_one_by_one(kit: GatewayKit) -> None:
    """Channels of one storage race each other for more than five evaluations: a new channel closes the one before, and
    a cheater's phone keeps them all open, so the race is run against the service that all channels share."""
    phone, channel = await bind_phone(kit)
    identifier = channel.binding.binding_id
    await channel.close()
    evaluated = 0
    for _ in range(12):
        try:
            opened = await phone.open(identifier)
            for guess in WRONG[:2]:
                await opened._conversation.send(PinEvaluate(blinded=Bytes33(blinded_guess(guess))))
            for _ in range(2):
                evaluated += isinstance(await opened._conversation.receive(5), PinEvaluated)
            await opened.close()
        except PhoneError:
            break
    assert evaluated == 5
    pins, ref = kit.now.capabilities.pins, await ref_of(kit)
    await kit.call("POST", f"/api/v1/bindings/{ref.binding_id}/unblock-pin", {})
    outcomes = await asyncio.gather(
        *(pins.evaluate(ref, blinded_guess(guess)) for guess in WRONG), return_exceptions=True
    )
    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 5


def blinded_guess(pin: str) -> bytes:
    return blind(pin.encode(), system_random).element


async def test_a_change_of_pin_is_no_way_around_the_counter(kit: GatewayKit) -> None:
    """A fresh OPRF key takes no try, so it is given only after a proof, and once."""
    _, channel = await bind_phone(kit)
    await channel._evaluate(WRONG[0])
    await channel._conversation.send(PinChange())
    with pytest.raises(PhoneError):
        await channel._conversation.receive(5)
    await channel.prove_pin(PIN)
    await channel._exchange(PinChange(), PinChangeReady)
    await channel._conversation.send(PinChange())
    with pytest.raises(PhoneError):
        await channel._conversation.receive(5)


async def test_one_evaluation_is_proved_once(kit: GatewayKit) -> None:
    """A right proof sent twice does not restore the counter twice, nor does a wrong one leave a second attempt."""
    _, channel = await bind_phone(kit)
    evaluated = await channel._evaluate(PIN)
    signature = sign(evaluated.key, pin_proof_input(channel._h, evaluated.nonce))
    for wrong_first in (flip_last(signature), signature):
        await channel._conversation.send(PinProve(signature=Bytes64(wrong_first)))
    first = await channel._conversation.receive(5)
    assert isinstance(first, PinWrong)
    with pytest.raises(PhoneError):
        await channel._conversation.receive(5)


def flip_last(signature: bytes) -> bytes:
    return signature[:-1] + bytes((signature[-1] ^ 1,))
