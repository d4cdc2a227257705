"""T22: oversized, deep or endless input, at every door: HTTP bodies, headers and queries, WebSocket frames, hello
frames, messages inside a channel. The gateway never answers 500, never dies, and nothing changes."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from attack_kit import audit_words, bind_phone, is_alive, shout
from gateway_kit import PIN, GatewayKit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.ids import decode_id
from gateway.http.edge import Edge
from gateway.phone.channel import Channel
from gateway.phone.contact import FirstContact
from gateway.phone.errors import GatewayProblem, PhoneError
from gateway.protocol.errors import ProtocolError
from gateway.protocol.frames import MAX_FRAME, SUBPROTOCOL
from gateway.protocol.messages import PinChange, PinChangeReady

REFUSED = {400, 401, 403, 404, 405, 411, 413, 414, 415, 422, 431}
fuzzed = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(autouse=True)
def failures(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BaseException]]:
    """Exceptions that nobody foresaw, at the edge of the gateway; there must be none."""
    seen: list[BaseException] = []
    note, answer = Edge._note_broken_stream, Edge._answer_failure

    def note_broken_stream(self: Edge, request: Any, request_id: str, error: Exception) -> None:
        if not isinstance(error, ConnectionError):
            seen.append(error)
        note(self, request, request_id, error)

    def answer_failure(self: Edge, request: Any, request_id: str, error: Exception) -> Any:
        response = answer(self, request, request_id, error)
        if response.status == 500 and not isinstance(error, ConnectionError):
            seen.append(error)
        return response

    monkeypatch.setattr(Edge, "_note_broken_stream", note_broken_stream)
    monkeypatch.setattr(Edge, "_answer_failure", answer_failure)
    yield seen
    assert seen == []


async def run(kit: GatewayKit, test: Any) -> None:
    """Run a hypothesis test of a coroutine on this loop: hypothesis is synchronous, so it works in a thread."""
    loop = asyncio.get_running_loop()
    inner = test.hypothesis.inner_test

    def call(*args: Any, **kwargs: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(inner(*args, **kwargs), loop).result(60)

    test.hypothesis.inner_test = call
    await asyncio.to_thread(test)
    assert await is_alive(kit)


async def post(kit: GatewayKit, body: Any, path: str = "/api/v1/activations") -> int:
    headers = {"Authorization": f"Bearer {kit.api_key}", "Content-Type": "application/json"}
    try:
        async with kit.session.post(kit.now.url + path, data=body, headers=headers) as answer:
            return answer.status
    except (aiohttp.ClientConnectionError, ConnectionError):
        return 413  # closed while more was being sent


def status_of(answer: bytes) -> int:
    """Return the status of a raw answer, or 0 when the connection was closed without one."""
    line = answer.partition(b"\r\n")[0].split(b" ")
    return int(line[1]) if len(line) > 1 and line[1].isdigit() else 0


async def test_bodies_too_large_or_too_deep_are_refused(kit: GatewayKit) -> None:
    limit = kit.settings.max_body_bytes
    good = json.dumps({"user": "u", "label": "l"}).encode()
    assert await post(kit, good + b" " * (limit - len(good))) == 201, (
        "the control: up to the limit it is taken"
    )
    assert await post(kit, good + b" " * (limit + 1 - len(good))) == 413
    assert await post(kit, b"x" * 5_000_000) == 413

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(10_000):
            yield b"[" * 8_192

    assert await post(kit, endless()) == 413
    for deep in (b"[" * 60_000, b'{"a":' * 12_000, b'{"user":' + b"[" * 30_000 + b"]" * 30_000 + b"}"):
        assert await post(kit, deep) == 400
    for path in ("/api/v1/page-tokens", "/api/v1/webhooks"):
        assert await post(kit, b"[" * 60_000, path) == 400
        assert await post(kit, b"1" * (limit + 1), path) == 413
    for odd in (b'{"user":"\\ud800","label":"l"}', b'{"user":"u","label":1e999}', b"\xff\xfe{}", b"\x00"):
        assert await post(kit, odd) == 400
    assert await is_alive(kit)


async def test_headers_and_queries_too_large_are_refused(kit: GatewayKit) -> None:
    big = b"x" * 100_000
    requests = [
        b"GET /" + big + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /api/v1/bindings?cursor=" + big + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Big: " + big + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"X-Many: 1\r\n" * 100_000 + b"\r\n",
        b"GET /api/v1/bindings HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\n\r\n",
        b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nLast-Event-ID: \xff\r\n\r\n",
        b"GET /%ff%fe%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /phone/..%2f..%2fgateway/settings.py HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /phone/v1/typed/%ff%00AAA HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: \xff\r\nX-Forwarded-For: \xff\r\n\r\n",
        b"POST /api/v1/activations HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v1/activations HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /api/v1/activations HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        bytes(range(256)) * 40,
    ]
    statuses = [status_of(await shout(kit, request, seconds=3)) for request in requests]
    assert set(statuses) <= REFUSED | {0, 200}, statuses
    assert statuses.count(0) + statuses.count(200) <= 3, statuses
    bearer = b"Authorization: Bearer " + kit.api_key.encode()
    for header in (b"Idempotency-Key: \xff\xfe", b"Idempotency-Key: " + b"k" * 7_000, b"Origin: \xff"):
        body = b'{"user":"u","label":"l"}'
        head = b"POST /api/v1/activations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        length = f"Content-Length: {len(body)}\r\n\r\n".encode()
        answer = await shout(kit, head + bearer + b"\r\n" + header + b"\r\n" + length + body)
        assert status_of(answer) in REFUSED | {201}, header
    assert await is_alive(kit)


@pytest.mark.parametrize("token", [None, "a metrics token"])
async def test_raw_requests_of_any_bytes(tmp_path: Path, token: str | None) -> None:
    """Start lines, names and values as no client library would send them, at all kinds of paths."""
    paths = [b"/api/v1/bindings", b"/phone/v1/channel", b"/phone/v1/config", b"/metrics", b"/a", b"/phone/x"]
    names = [
        b"Authorization",
        b"Cookie",
        b"Sec-WebSocket-Protocol",
        b"Sec-WebSocket-Key",
        b"Origin",
        b"Upgrade",
    ]
    value = st.binary(max_size=40).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b""))
    async with GatewayKit.running(tmp_path, metrics_token=token) as kit:

        @fuzzed
        @given(
            st.sampled_from([b"GET", b"POST", b"OPTIONS", b"X"]),
            st.sampled_from(paths),
            st.binary(max_size=12).map(lambda raw: raw.replace(b" ", b"").replace(b"\n", b"")),
            st.dictionaries(st.sampled_from(names), value, max_size=3),
        )
        async def send(method: bytes, path: bytes, tail: bytes, headers: dict[bytes, bytes]) -> None:
            lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers.items())
            request = method + b" " + path + tail + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            assert status_of(await shout(kit, request + lines + b"\r\n", seconds=5)) != 500

        await run(kit, send)
        raw = b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\n\r\n"
        assert status_of(await shout(kit, raw)) == (200 if token is None else 401)


async def connect(kit: GatewayKit) -> aiohttp.ClientWebSocketResponse:
    url = f"{kit.now.url}/phone/v1/channel"
    return await kit.session.ws_connect(url, protocols=(SUBPROTOCOL,), max_msg_size=0)


async def answer_to(kit: GatewayKit, *frames: bytes | str) -> Any:
    """Send frames on a connection of one's own; return the first thing that comes back."""
    async with await connect(kit) as socket:
        try:
            for frame in frames:
                await (socket.send_str(frame) if isinstance(frame, str) else socket.send_bytes(frame))
        except (ConnectionError, aiohttp.ClientError):
            pass
        return await socket.receive(10)


async def test_frames_too_large_or_of_the_wrong_kind_close_the_socket(kit: GatewayKit) -> None:
    for frame in (bytes(MAX_FRAME + 1), bytes(4_000_000), "x", '{"t":"ping"}', "x" * 2_000_000):
        answer = await answer_to(kit, frame)
        assert answer.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED), answer
    for hello in (
        b"",
        b"\x01",
        bytes(MAX_FRAME),
        b"\x01\x01\x01" + bytes(24),
        b"\x01\x02\x04" + bytes(2_000),
    ):
        answer = await answer_to(kit, hello)
        assert answer.type is aiohttp.WSMsgType.BINARY
        assert answer.data[0] == 0x7F
    assert await is_alive(kit)


async def test_an_endless_message_in_pieces_is_cut(kit: GatewayKit) -> None:
    """One WebSocket message in fragments that never ends, and control frames without end."""
    head = (
        b"GET /phone/v1/channel HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        b"Sec-WebSocket-Protocol: tessera.v1\r\n\r\n"
    )
    mask = bytes(4)
    piece = b"\x82\xfe\x10\x00".replace(b"\x82", b"\x02", 1) + mask + bytes(4_096)
    more = b"\x00\xfe\x10\x00" + mask + bytes(4_096)
    got = await shout(kit, head + piece + more * 40, seconds=5)
    assert b" 101 " in got
    assert got.endswith(b"\x03\xf1") or b"\x88" in got, "closed: too big (1009)"
    await shout(kit, head + (b"\x89\x80" + mask) * 5_000, seconds=1)
    await shout(kit, head + b"\xf2\x80" + mask, seconds=1)
    assert await is_alive(kit)


async def test_who_says_nothing_is_let_go(kit: GatewayKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket without a hello, and a first contact that stops after m2, end by themselves."""
    monkeypatch.setattr("gateway.http.channel.HELLO_TIMEOUT_S", 0.2)
    monkeypatch.setattr("gateway.activation.channel.STEP_TIMEOUT_S", 0.2)
    sockets = await asyncio.gather(*(connect(kit) for _ in range(30)))
    assert kit.now.capabilities.door.open_channels == 30
    for socket in sockets:
        assert (await socket.receive(10)).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
    activation = (await kit.begin())["activation"]["id"]
    contact = kit.phone()
    monkeypatch.setattr(FirstContact, "_bind", lambda self: self._receive(10))
    with pytest.raises(PhoneError):
        await contact.begin_link((await kit.code(activation))["link"])
    async with asyncio.timeout(10):
        while kit.now.capabilities.door.open_channels:
            await asyncio.sleep(0.02)


async def test_more_sockets_than_the_gateway_holds_are_turned_away(tmp_path: Path) -> None:
    async with GatewayKit.running(tmp_path, max_connections=5) as kit:
        sockets = [await connect(kit) for _ in range(5)]
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await connect(kit)
        assert refused.value.status == 503
        await sockets[0].close()
        async with asyncio.timeout(10):
            while kit.now.capabilities.door.open_channels == 5:
                await asyncio.sleep(0.02)
        await (await connect(kit)).close()
        for socket in sockets:
            await socket.close()


async def test_hello_frames_of_any_bytes(kit: GatewayKit) -> None:
    """Random, and nearly right: the ids of a real activation and a real binding, any suite, counter and m1."""
    activation = (await kit.begin())["activation"]["id"]
    _, channel = await bind_phone(kit, user="other")
    ids = [decode_id("act", activation), channel.binding.binding_id, bytes(16)]
    nearly = st.builds(
        lambda kind, suite, subject, counter, m1: (
            bytes((1, kind, suite)) + subject + counter.to_bytes(4, "big") + m1
        ),
        st.integers(0, 3),
        st.integers(0, 6),
        st.sampled_from(ids),
        st.sampled_from([0, 1, 2, 0xFFFE, 0xFFFF, 0xFFFFFFFF]),
        st.binary(max_size=200) | st.sampled_from([bytes(1_400), b"\x04" + bytes(1_399), b"\xff" * 16_000]),
    )

    @fuzzed
    @given(st.binary(max_size=400) | nearly)
    async def send(frame: bytes) -> None:
        answer = await answer_to(kit, frame)
        if answer.type is aiohttp.WSMsgType.BINARY:
            assert answer.data[0] in (0x03, 0x7F), "no m2 for a made-up hello"

    await run(kit, send)
    assert (await kit.activation(activation))["state"] == "waiting"
    await channel.ping()
    [binding] = await kit.bindings()
    assert binding["state"] == "active"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
TYPES = [
    "ping",
    "pin-evaluate",
    "pin-prove",
    "pin-change",
    "pin-enrol",
    "rename",
    "remove ",
    "bind",
    "commit",
    "ready",
]
MEMBERS = ["blinded", "signature", "name", "pin_key", "pin_signature", "nonce", "key", "device", "x"]


async def test_messages_of_any_bytes_inside_a_channel(kit: GatewayKit) -> None:
    """From a phone that is bound, and whose keys somebody uses to say anything: answers, problems, a closed socket."""
    phone, first = await bind_phone(kit)
    held: list[Channel] = [first]
    whole = st.builds(
        lambda kind, members: json.dumps({"t": kind, **members}).encode(),
        st.sampled_from(TYPES),
        st.dictionaries(
            st.sampled_from(MEMBERS),
            json_values | st.sampled_from(["A" * 44, "A" * 86, "Ag" + "A" * 42, "A" * 87, "A" * 14_000]),
            max_size=4,
        ),
    )
    deep = st.integers(1, 7_000).map(lambda n: b'{"t":' + b"[" * n)

    @fuzzed
    @given(st.binary(max_size=300) | whole | json_values.map(lambda v: json.dumps(v).encode()) | deep)
    async def send(plain: bytes) -> None:
        conversation = held[0]._conversation
        try:
            await conversation._socket.send(conversation.session.encrypt(plain))
            await conversation.receive(10)
        except (PhoneError, ProtocolError) as error:
            if type(error).__name__ == "GatewayProblem":
                return
            held[0] = await phone.open(first.binding.binding_id)

    await run(kit, send)
    [binding] = await kit.bindings()
    assert binding["state"] == "active"
    await (await phone.open(first.binding.binding_id)).ping()


async def test_a_phone_that_acts_without_end_is_slowed_down(kit: GatewayKit) -> None:
    """Each act is a write and a row of the audit log. The limit is the binding's, whatever channels it opens; another
    phone, and what changes nothing, goes on."""
    phone, channel = await bind_phone(kit)
    _, other = await bind_phone(kit, user="user-2")
    told: list[str] = []
    for round_ in range(2):
        for number in range(75):
            try:
                await channel.rename(f"{round_}-{number}")
            except GatewayProblem as problem:
                told.append(problem.problem)
                assert "minute" in problem.next_step
        await channel.ping()
        channel = await phone.open(channel.binding.binding_id)
    assert told == ["rate-limited"] * 90
    assert (await audit_words(kit)).count("phone:binding:rename") == 60
    await other.rename("Another")
    kit.clock.advance(60)
    await channel.rename("Calm again")


async def test_a_change_of_pin_makes_no_keys_without_end(kit: GatewayKit) -> None:
    """Each evaluation in it makes a key in the key store; the limit is that of a first contact."""
    phone, channel = await bind_phone(kit)
    await channel.prove_pin(PIN)
    await channel._exchange(PinChange(), PinChangeReady)
    for _ in range(8):
        await channel._evaluate("281946")
    with pytest.raises(GatewayProblem):
        await channel._evaluate("281946")
    await channel.close()
    await (await phone.open(channel.binding.binding_id)).prove_pin(PIN)


async def test_thousands_of_messages_are_answered_in_order_and_three_bad_ones_end_it(kit: GatewayKit) -> None:
    phone, channel = await bind_phone(kit)
    conversation = channel._conversation
    for _ in range(20):
        for _ in range(100):
            await conversation._socket.send(conversation.session.encrypt(b'{"t":"ping"}'))
        for _ in range(100):
            assert type(await conversation.receive(20)).__name__ == "Pong"
    refused = 0
    try:
        for _ in range(50):
            await conversation._socket.send(conversation.session.encrypt(msgspec.json.encode({"t": "x"})))
        for _ in range(50):
            try:
                await conversation.receive(10)
            except PhoneError as error:
                if type(error).__name__ != "GatewayProblem":
                    raise
                refused += 1
    except PhoneError:
        pass
    assert refused == 3
    await (await phone.open(channel.binding.binding_id)).close()
