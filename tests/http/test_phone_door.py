"""The phone's door: whatever comes in as first frame, as m3 or as m7, the answer is one of the closed list or a closed
socket, and the next phone is served as ever."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from gateway_kit import PIN, GatewayKit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.phone.contact import FirstContact
from gateway.phone.errors import ConnectionLost, GatewayProblem
from gateway.protocol import keys, messages
from gateway.protocol.code import ActivationCode, read_link
from gateway.protocol.frames import MAX_FRAME, Hello, Kind, Suite, parse_gateway_frame
from gateway.protocol.wiretypes import Bytes10, Bytes32, Bytes33, Bytes64, Bytes65

SLOW = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[GatewayKit]:
    async with GatewayKit.running(tmp_path) as running:
        yield running


async def knock(kit: GatewayKit, frame: bytes | str) -> str | None:
    """Send a first frame; return the refusal's code, None when the socket was closed without one."""
    url = kit.now.url.replace("http", "ws") + "/phone/v1/channel"
    async with kit.session.ws_connect(url, protocols=("tessera.v1",)) as socket:
        await (socket.send_str(frame) if isinstance(frame, str) else socket.send_bytes(frame))
        answer = await socket.receive(10)
        if answer.type is not aiohttp.WSMsgType.BINARY:
            return None
        refusal = parse_gateway_frame(answer.data)
        assert (await socket.receive(10)).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        code: str = refusal.error.value  # type: ignore[union-attr]
        return code


async def test_another_subprotocol_is_turned_away(kit: GatewayKit) -> None:
    url = kit.now.url.replace("http", "ws") + "/phone/v1/channel"
    for protocols in ((), ("tessera.v2",)):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await kit.session.ws_connect(url, protocols=protocols)
        assert refused.value.status == 426


async def test_too_many_channels(tmp_path: Path) -> None:
    async with GatewayKit.running(tmp_path, max_connections=2) as kit:
        url = kit.now.url.replace("http", "ws") + "/phone/v1/channel"
        kept = [await kit.session.ws_connect(url, protocols=("tessera.v1",)) for _ in range(2)]
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await kit.session.ws_connect(url, protocols=("tessera.v1",))
        assert refused.value.status == 503
        for socket in kept:
            await socket.close()


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("text", None),
        (b"", "refused"),
        (b"\x01", "refused"),
        (bytes(MAX_FRAME), "refused"),
        (bytes(MAX_FRAME + 1), None),
        (b"\x01\x01\x09" + bytes(40), "suite"),
        (b"\x01\x01\x03" + bytes(40), "suite"),
        (b"\x01\x02\x01" + bytes(40), "suite"),
        (b"\x01\x07\x01" + bytes(40), "refused"),
        (b"\x01\x01\x01" + bytes(40), "unknown"),
        (b"\x01\x02\x03" + bytes(40), "unknown"),
        (b"\x02\x02\x03" + bytes(40), "refused"),
    ],
)
async def test_first_frames(kit: GatewayKit, frame: bytes | str, code: str | None) -> None:
    assert await knock(kit, frame) == code


@SLOW
@given(frame=st.binary(max_size=200))
async def test_any_first_frame(kit: GatewayKit, frame: bytes) -> None:
    assert await knock(kit, frame) in ("refused", "suite", "unknown", None)


async def test_any_m1_for_a_known_activation(kit: GatewayKit) -> None:
    activation = (await kit.begin())["activation"]["id"]
    _, payload = read_link((await kit.code(activation))["link"])
    subject = ActivationCode.parse(payload).activation_id
    for size in (1, 64, 65, 66, 200, 1_300, 2_000, 16_000):
        noise = secrets.token_bytes(size)
        hello = Hello(Kind.FIRST_CONTACT, Suite.FIRST_HYBRID, subject, 0, noise).encode()
        assert await knock(kit, hello) == "refused"
    assert (await kit.activation(activation))["state"] == "waiting"
    await (await kit.phone().begin_link((await kit.code(activation))["link"])).close()


class Tampering:
    """Runs a first contact whose m3 is changed on its way into the channel."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
        from gateway.phone.conversation import Conversation

        send = Conversation.send

        async def tampered(conversation: Any, message: Any) -> None:
            await send(conversation, change(message) if isinstance(message, messages.Bind) else message)

        monkeypatch.setattr(Conversation, "send", tampered)


def _other_platform(bind: messages.Bind) -> Any:
    return msgspec.structs.replace(bind, device=msgspec.structs.replace(bind.device, platform="ios"))


@pytest.mark.parametrize(
    "change",
    [
        lambda bind: msgspec.structs.replace(bind, signature=Bytes64(bytes(64))),
        lambda bind: msgspec.structs.replace(bind, key=Bytes65(bytes(65))),
        lambda bind: msgspec.structs.replace(bind, key=Bytes65(b"\4" + b"\xff" * 64)),
        _other_platform,
        lambda _: messages.Ping(),
        lambda _: messages.PinEvaluate(blinded=Bytes33(b"\2" + bytes(32))),
    ],
    ids=["signature", "key", "no point", "platform", "ping", "pin-evaluate"],
)
async def test_m3_that_does_not_verify(kit: GatewayKit, monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    activation = (await kit.begin())["activation"]["id"]
    link = (await kit.code(activation))["link"]
    phone = kit.phone()
    with monkeypatch.context() as patched:
        Tampering(patched, change)
        with pytest.raises((GatewayProblem, ConnectionLost)):
            await phone.begin_link(link)
    assert (await kit.activation(activation))["state"] == "waiting"
    # The same phone may try again, properly.
    contact = await phone.begin_link(link)
    await kit.confirm(activation, contact.device_code)
    await contact.wait_confirmed()
    await contact.enrol(PIN)


async def confirmed(kit: GatewayKit, **wish: Any) -> tuple[str, FirstContact]:
    activation = (await kit.begin(**wish))["activation"]["id"]
    contact = await kit.phone().begin_link((await kit.code(activation))["link"])
    await kit.confirm(activation, contact.device_code)
    await contact.wait_confirmed()
    return activation, contact


async def say(contact: FirstContact, message: Any) -> str:
    """Send a message; return the code of the problem that comes back."""
    conversation = contact._channel
    await conversation.send(message)
    with pytest.raises(GatewayProblem) as problem:
        await conversation.receive(10)
    return str(problem.value.problem)


def commit_of(contact: FirstContact, *, nonce: bytes, pin_key: Any, signed_by: Any = None) -> messages.Commit:
    h = contact._session.handshake_hash
    signing = signed_by or contact._pending.keys.signing_pair().private
    return messages.Commit(
        nonce=Bytes10(nonce),
        signature=Bytes64(keys.sign(signing, keys.commit_input(h, nonce))),
        pin_key=Bytes65(pin_key.public),
        pin_signature=Bytes64(keys.sign(pin_key.private, keys.pin_enrol_input(h))),
        pin_verifier=Bytes32(bytes(32)),
    )


async def test_commit_that_does_not_verify_binds_nothing(kit: GatewayKit) -> None:
    from gateway.protocol.oprf import blind
    from gateway.protocol.primitives import P256

    pin_key, other = P256().generate(), P256().generate()

    async def evaluated(contact: FirstContact) -> None:
        element = blind(b"749205", secrets.token_bytes).element
        await contact._channel.send(messages.PinEvaluate(blinded=Bytes33(element)))
        assert isinstance(await contact._channel.receive(10), messages.PinEvaluated)

    _, contact = await confirmed(kit)
    nonce = contact._nonce
    assert nonce is not None
    assert await say(contact, commit_of(contact, nonce=nonce, pin_key=pin_key)) == "out-of-turn"
    await evaluated(contact)
    assert await say(contact, commit_of(contact, nonce=bytes(10), pin_key=pin_key)) == "signature-invalid"
    wrong = commit_of(contact, nonce=nonce, pin_key=pin_key, signed_by=other.private)
    assert await say(contact, wrong) == "signature-invalid"
    with pytest.raises(ConnectionLost):  # three were enough
        await contact._channel.receive(10)
    activation, contact = await confirmed(kit, two_step=True)
    await evaluated(contact)
    guessed = commit_of(contact, nonce=secrets.token_bytes(10), pin_key=pin_key)
    assert await say(contact, guessed) == "signature-invalid"
    swapped = msgspec.structs.replace(guessed, pin_key=Bytes65(other.public))
    assert await say(contact, swapped) == "signature-invalid"
    assert (await kit.activation(activation))["state"] == "confirmed"
    assert await kit.bindings() == []


async def test_nothing_of_the_pin_before_the_code_is_confirmed(kit: GatewayKit) -> None:
    from gateway.protocol.oprf import blind
    from gateway.protocol.primitives import P256

    activation = (await kit.begin())["activation"]["id"]
    contact = await kit.phone().begin_link((await kit.code(activation))["link"])
    element = blind(b"749205", secrets.token_bytes).element
    assert await say(contact, messages.PinEvaluate(blinded=Bytes33(element))) == "out-of-turn"
    early = commit_of(contact, nonce=bytes(10), pin_key=P256().generate())
    assert await say(contact, early) == "out-of-turn"
    assert (await kit.activation(activation))["state"] == "present"


async def test_altered_frame_ends_the_channel(kit: GatewayKit) -> None:
    _, contact = await confirmed(kit)
    sealed = bytearray(contact._session.encrypt(messages.encode(messages.Ping())))
    sealed[3] ^= 1
    await contact._channel._socket.send(bytes(sealed))
    with pytest.raises(ConnectionLost):
        await contact._channel.receive(10)
