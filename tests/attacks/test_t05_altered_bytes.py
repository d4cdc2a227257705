"""T05: wrong psk, prologue or S, or a bit flipped in any message of either side. What holds: altered bytes never take
effect, and nobody but the real phone is ever bound."""

import pytest
from attack_kit import Alter, WireNetwork, begin, bind_phone, flip, insist, phone_over, refusal
from cryptography.hazmat.primitives.asymmetric import ec
from gateway_kit import GatewayKit

from gateway.core.encoding import b64url_decode
from gateway.core.ids import decode_id
from gateway.devices.channel import ResumeContact
from gateway.devices.models import Binding
from gateway.phone.errors import CloneSuspected, PhoneError
from gateway.phone.transport import Network, Site
from gateway.protocol.code import ActivationCode, make_link, read_link
from gateway.protocol.errors import ErrorCode, ProtocolError
from gateway.protocol.keys import compress
from gateway.protocol.primitives import wrap_p256
from gateway.protocol.wiretypes import Bytes65

HELLO_BYTES = [1, 3, 10, 18, 22, 23, 24, 60, 88, 130, 700, 1300, -1, -20]
"""Kind, suite, id, counter, then e, e1, s and the payload of m1."""

ANSWER_BYTES = [0, 1, 40, 66, 80, 700, 1153, -1, -30]
"""Type, then e, ekem1 and the payload of m2."""

LATER = [("sent", 2), ("sent", 3), ("sent", 4)] + [("received", n) for n in (2, 3, 4, 5)]
"""m3, the PIN and the commit; pending, confirmed, the evaluation and active."""


async def the_code(kit: GatewayKit) -> tuple[str, str, ActivationCode]:
    activation, link = await begin(kit)
    host, payload = read_link(link)
    return activation, host, ActivationCode.parse(payload)


RESUME_HELLO_BYTES = [*range(27), 60, 88, 120, -1, -20]
"""Type, kind, suite, id, counter, then e and the payload of m1."""

RESUME_LATER = [("sent", 2), ("sent", 3), ("received", 1), ("received", 2), ("received", 3)]
"""ready and the rename; m2, welcome and renamed."""


def altering(frame_number: int, byte: int) -> Alter:
    return lambda number, frame: [flip(frame, byte) if number == frame_number else frame]


async def test_another_key_activation_rotation_or_host_is_refused(kit: GatewayKit) -> None:
    activation, host, code = await the_code(kit)
    _, _, other = await the_code(kit)
    # A phisher's code names an S of his own: the bank's gateway refuses what is meant for another key.
    own = compress(wrap_p256(ec.generate_private_key(ec.SECP256R1())).public)
    forged = [
        ActivationCode(
            code.activation_id, flip(code.otk, 3), code.gateway_public, code.expiry, code.rotation
        ),
        ActivationCode(code.activation_id, other.otk, code.gateway_public, code.expiry, code.rotation),
        ActivationCode(other.activation_id, code.otk, code.gateway_public, code.expiry, code.rotation),
        ActivationCode(code.activation_id, code.otk, own, code.expiry, code.rotation),
        ActivationCode(code.activation_id, code.otk, code.gateway_public, code.expiry - 1, code.rotation),
    ]
    for wrong in forged:
        assert await refusal(kit.phone().begin_link(make_link(host, wrong.pack()))) is ErrorCode.REFUSED
    # A phisher's site passes the bank's own code on to the bank: the phone speaks for the host that it reached.
    phished = phone_over(kit, Network(Site("phisher.example", kit.now.url), kit.session))
    assert await refusal(phished.begin(code)) is ErrorCode.REFUSED
    assert (await kit.activation(activation))["state"] == "waiting"
    await (await kit.phone().begin_link(make_link(host, code.pack()))).close()


async def test_a_bit_flipped_in_the_hello_is_refused(kit: GatewayKit) -> None:
    activation, host, code = await the_code(kit)
    link = make_link(host, code.pack())
    for byte in HELLO_BYTES:
        with pytest.raises((PhoneError, ProtocolError)):
            await phone_over(kit, WireNetwork(kit, sent=altering(1, byte))).begin_link(link)
        assert (await kit.activation(activation))["state"] == "waiting", byte
    await (await kit.phone().begin_link(link)).close()
    assert (await kit.activation(activation))["state"] == "present"


async def test_a_bit_flipped_in_the_gateways_answer_is_seen_by_the_phone(kit: GatewayKit) -> None:
    activation, host, code = await the_code(kit)
    link = make_link(host, code.pack())
    phone = phone_over(kit)
    for byte in ANSWER_BYTES:
        unlucky = phone_over(kit, WireNetwork(kit, received=altering(1, byte)), store=phone.store)
        with pytest.raises((PhoneError, ProtocolError)):
            await unlucky.begin_link(link)
        assert (await kit.activation(activation))["state"] == "waiting", byte
    await (await phone.begin_link(link)).close()


async def test_a_bit_flipped_later_takes_no_effect_and_the_real_phone_goes_on(kit: GatewayKit) -> None:
    """On the first connection alone: the phone begins again, and it alone is bound, once."""
    for side, number in LATER:
        activation, link = await begin(kit, user=f"{side}-{number}")
        network = WireNetwork(kit, attacked=1, **{side: altering(number, -3)})  # type: ignore[arg-type]
        channel = await insist(kit, phone_over(kit, network), activation, link)
        assert channel is not None, (side, number)
        assert network.connections > 1, "the altered frame was not noticed"
        [binding] = await kit.bindings(f"?user={side}-{number}")
        assert decode_id("bnd", binding["id"]) == channel.binding.binding_id
        assert binding["name"] == "Phone"


async def test_a_bit_flipped_on_every_connection_binds_nobody_but_the_real_phone(kit: GatewayKit) -> None:
    """What the phone sends is altered: nobody is bound. What the gateway sends is altered: the real phone alone may be,
    when its own commit arrived whole and only the gateway's last word did not."""
    for side, number in LATER:
        activation, link = await begin(kit, user=f"{side}-{number}")
        network = WireNetwork(kit, most=4, **{side: altering(number, -3)})  # type: ignore[arg-type]
        phone = phone_over(kit, network)
        channel = await insist(kit, phone, activation, link)
        bound = {decode_id("bnd", item["id"]) for item in await kit.bindings(f"?user={side}-{number}")}
        if side == "sent":
            assert (channel, bound) == (None, set()), number
        assert bound <= {binding.binding_id for binding in phone.store.bindings()}, number
        assert channel is None or bound == {channel.binding.binding_id}


async def test_a_bit_flipped_in_a_later_hello_suspends_nobody(kit: GatewayKit) -> None:
    """A hello that does not verify is challenged, and the real phone answers: for the hello that it sent."""
    phone, channel = await bind_phone(kit)
    identifier = channel.binding.binding_id
    await channel.close()
    for turn in range(2):
        for byte in RESUME_HELLO_BYTES:
            network = WireNetwork(kit, sent=altering(1, byte))
            with pytest.raises((PhoneError, ProtocolError)) as caught:
                await phone_over(kit, network, store=phone.store).open(identifier)
            assert not isinstance(caught.value, CloneSuspected), byte
            [binding] = await kit.bindings()
            assert (binding["state"], binding["suspended_by"]) == ("active", None), byte
        opened = await phone.open(identifier)
        assert opened.binding.index == turn + 1
        await opened.close()


async def test_a_bit_flipped_later_in_a_contact_takes_no_effect(kit: GatewayKit) -> None:
    phone, channel = await bind_phone(kit)
    identifier = channel.binding.binding_id
    await channel.close()
    for side, number in RESUME_LATER:
        for byte in (0, 1, 40, -1):
            network = WireNetwork(kit, attacked=1, **{side: altering(number, byte)})  # type: ignore[arg-type]
            unlucky = phone_over(kit, network, store=phone.store)
            with pytest.raises((PhoneError, ProtocolError)):
                await (await unlucky.open(identifier)).rename("Altered")
            opened = await phone.open(identifier)
            await opened.ping()
            await opened.close()
            [binding] = await kit.bindings()
            assert binding["state"] == "active", (side, number, byte)
            # The gateway's own last word altered on its way: what the phone asked for was done, and is not unsaid.
            assert (binding["name"] == "Altered") == ((side, number) == ("received", 3))


async def test_a_key_that_a_taken_over_gateway_named_shows_at_the_next_contact(
    kit: GatewayKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit that THREAT_MODEL.md admits: whoever runs the gateway's process tells phones an S of his own. The
    honest gateway has the phone's word, by signature, that something is wrong; nobody is let in."""
    own = wrap_p256(ec.generate_private_key(ec.SECP256R1())).public

    async def name_own_key(self: ResumeContact, binding: Binding, counter: int) -> tuple[str, Bytes65]:
        return binding.gateway_label, Bytes65(own)

    phone, channel = await bind_phone(kit)
    identifier = channel.binding.binding_id
    await channel.close()
    with monkeypatch.context() as patch:
        patch.setattr(ResumeContact, "_next_key", name_own_key)
        await (await phone.open(identifier)).close()
    with pytest.raises(CloneSuspected):
        await phone.open(identifier)
    [binding] = await kit.bindings()
    assert (binding["state"], binding["suspended_by"]) == ("suspended", "clone")


async def test_code_2_altered_does_not_open(kit: GatewayKit) -> None:
    activation, link = await begin(kit, two_step=True)
    contact = await kit.phone().begin_link(link)
    await kit.confirm(activation, contact.device_code)
    await contact.wait_confirmed()
    payload = b64url_decode((await kit.code(activation))["link"].partition("#")[2])
    for byte in range(0, len(payload), 7):
        with pytest.raises(ProtocolError):
            contact.take_code2(flip(payload, byte))
    assert contact.needs_code2
    contact.take_code2(payload)
