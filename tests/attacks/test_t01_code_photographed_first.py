"""T01: a bystander photographs the code and scans it before the customer does."""

import pytest
from attack_kit import begin, refusal
from cryptography.hazmat.primitives.asymmetric import ec
from gateway_kit import PIN, GatewayKit

from gateway.core.encoding import b64url_decode
from gateway.phone.errors import CodeTwoNeeded, ContactEnded, GatewayProblem
from gateway.phone.pin_exchange import EvaluatedPin
from gateway.protocol.errors import ErrorCode, MalformedCode
from gateway.protocol.messages import PinEvaluate
from gateway.protocol.wiretypes import Bytes33


async def test_the_thief_who_scans_first_is_not_bound_by_the_customers_confirmation(kit: GatewayKit) -> None:
    """The customer scans too; the activation ends on both phones, and nobody is bound."""
    activation, link = await begin(kit)
    thief = await kit.phone("Thief").begin_link(link)
    assert await refusal(kit.phone("Customer").begin_link(link)) is ErrorCode.ENDED
    with pytest.raises(ContactEnded) as ended:
        await thief.wait_confirmed()
    assert ended.value.reason == "contested"
    assert (await kit.confirm(activation, thief.device_code, status=410))["reason"] == "contested"
    assert await kit.bindings() == []


async def test_the_thief_alone_waits_for_digits_that_nobody_types(kit: GatewayKit) -> None:
    """Without the customer's typing there is no nonce, no PIN evaluation and no binding, whatever the thief sends."""
    activation, link = await begin(kit)
    thief = await kit.phone("Thief").begin_link(link)
    assert thief.needs_code2
    thief._nonce = bytes(10)
    with pytest.raises(GatewayProblem):
        await thief.enrol(PIN)
    # Asked on its own, and a commit with a guessed nonce and a PIN key that no evaluation made.
    await thief._channel.send(PinEvaluate(blinded=Bytes33(b"\x02" + bytes(31) + b"\x05")))
    with pytest.raises(GatewayProblem):
        await thief._channel.receive()
    made_up = EvaluatedPin(ec.generate_private_key(ec.SECP256R1()), b"", 5)
    await thief._channel.send(thief._commit(made_up, bytes(10), pin=PIN))
    with pytest.raises(GatewayProblem):
        await thief._channel.receive()
    assert await kit.bindings() == []
    assert (await kit.activation(activation))["state"] == "present"


async def test_in_two_steps_the_thief_also_needs_the_second_code(kit: GatewayKit) -> None:
    """Even a thief whose digits the customer was talked into typing cannot go on without the second code; and a
    photograph of it serves only the phone that it was made for."""
    activation, link = await begin(kit, two_step=True)
    thief = await kit.phone("Thief").begin_link(link)
    await kit.confirm(activation, thief.device_code)
    await thief.wait_confirmed()
    with pytest.raises(CodeTwoNeeded):
        await thief.enrol(PIN)
    for guess in (bytes(10), b"\xff" * 10):
        thief._nonce = guess
        with pytest.raises(GatewayProblem):
            await thief.enrol(PIN)
    assert await kit.bindings() == []


async def test_code_2_of_one_phone_does_not_open_for_another(kit: GatewayKit) -> None:
    """The second code on the customer's screen, photographed by a thief whose own activation stands confirmed."""
    contacts = {}
    for name in ("Customer", "Thief"):
        activation, link = await begin(kit, user=name, two_step=True)
        contact = await kit.phone(name).begin_link(link)
        await kit.confirm(activation, contact.device_code)
        await contact.wait_confirmed()
        contacts[name] = contact, b64url_decode((await kit.code(activation))["link"].partition("#")[2])
    photographed = contacts["Customer"][1]
    with pytest.raises(MalformedCode):
        contacts["Thief"][0].take_code2(photographed)
    contacts["Customer"][0].take_code2(photographed)
    await contacts["Customer"][0].enrol(PIN)
    assert [binding["name"] for binding in await kit.bindings()] == ["Customer"]
