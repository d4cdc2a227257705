"""T06: the device code is guessed by whoever holds the page's session."""

import asyncio

from gateway_kit import GatewayKit


async def test_three_guesses_end_the_activation_however_they_come(kit: GatewayKit) -> None:
    """Thirty guesses at once cost three tries, and no more than three are judged."""
    activation = (await kit.begin())["activation"]["id"]
    contact = await kit.phone().begin_link((await kit.code(activation))["link"])
    right = int(contact.device_code)
    guesses = [f"{(right + 1 + n) % 10**8:08d}" for n in range(30)]
    answers = await asyncio.gather(*(kit.confirm(activation, guess, status=None) for guess in guesses))
    codes = sorted(answer["code"] for answer in answers)
    assert codes.count("device-code-wrong") == 2
    assert codes.count("activation-ended") == 28
    assert (await kit.confirm(activation, contact.device_code, status=410))["code"] == "activation-ended"
    assert (await kit.activation(activation))["state"] == "refused"


async def test_reconnecting_does_not_give_new_tries(kit: GatewayKit) -> None:
    """The thief behind the phone starts over to get fresh tries: they count for the activation."""
    activation = (await kit.begin())["activation"]["id"]
    phone = kit.phone()
    link = (await kit.code(activation))["link"]
    for left in (2, 1):
        contact = await phone.begin_link(link)
        wrong = f"{(int(contact.device_code) + 1) % 10**8:08d}"
        assert (await kit.confirm(activation, wrong, status=422))["left"] == left
        await contact.close()
    contact = await phone.begin_link(link)
    wrong = f"{(int(contact.device_code) + 1) % 10**8:08d}"
    await kit.confirm(activation, wrong, status=410)
