"""Frames and JSON messages: vectors, limits, and outside bytes of any kind."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol import frames, messages
from gateway.protocol.errors import (
    ErrorCode,
    MalformedFrame,
    MalformedMessage,
    ProtocolError,
    UnsupportedSuite,
)
from gateway.protocol.frames import Answer, ErrorFrame, Hello, Kind, StaleChallenge, Suite
from gateway.protocol.wiretypes import Bytes16

FILE = json.loads((Path(__file__).resolve().parents[2] / "vectors" / "tessera-v1.json").read_text())
MESSAGES, FRAMES = FILE["messages"], FILE["frames"]
OPTIONAL = {
    ("confirmed", "nonce"),
    ("pin-evaluated", "nonce"),
    ("welcome", "gateway_key"),
    ("answer", "pin_signature"),
    ("answer", "assertion"),
}
OPTIONAL |= {("approvals", "before"), ("inbox", "before")}


@pytest.mark.parametrize("text", MESSAGES["phone"])
def test_phone_messages(text: str) -> None:
    decoded = messages.decode_phone_message(text.encode())
    assert json.loads(messages.encode(decoded)) == json.loads(text)
    with pytest.raises(MalformedMessage):
        messages.decode_gateway_message(text.encode())


@pytest.mark.parametrize("text", MESSAGES["gateway"])
def test_gateway_messages(text: str) -> None:
    decoded = messages.decode_gateway_message(text.encode())
    assert json.loads(messages.encode(decoded)) == json.loads(text)
    with pytest.raises(MalformedMessage):
        messages.decode_phone_message(text.encode())


def test_every_message_has_a_vector() -> None:
    for texts, union in (
        (MESSAGES["phone"], messages.PhoneMessage),
        (MESSAGES["gateway"], messages.GatewayMessage),
    ):
        tags = {kind.__struct_config__.tag for kind in union.__args__}
        assert {json.loads(text)["t"] for text in texts} == tags


@pytest.mark.parametrize("text", MESSAGES["wrong_phone"])
def test_wrong_phone_messages(text: str) -> None:
    with pytest.raises(MalformedMessage):
        messages.decode_phone_message(text.encode())


@pytest.mark.parametrize("text", MESSAGES["wrong_gateway"], ids=range(len(MESSAGES["wrong_gateway"])))
def test_wrong_gateway_messages(text: str) -> None:
    with pytest.raises(MalformedMessage):
        messages.decode_gateway_message(text.encode())


@pytest.mark.parametrize("text", MESSAGES["phone"] + MESSAGES["gateway"])
def test_each_member_is_needed_and_none_more(text: str) -> None:
    decode = messages.decode_phone_message if text in MESSAGES["phone"] else messages.decode_gateway_message
    members = json.loads(text)
    with pytest.raises(MalformedMessage):
        decode(json.dumps({**members, "x": 1}).encode())
    for name in set(members) - {"t"}:
        if (members["t"], name) in OPTIONAL:
            continue
        rest = {key: value for key, value in members.items() if key != name}
        with pytest.raises(MalformedMessage):
            decode(json.dumps(rest).encode())


def test_the_error_does_not_quote_the_message() -> None:
    with pytest.raises(MalformedMessage) as caught:
        messages.decode_phone_message(b'{"t":"very-secret-1234"}')
    assert "1234" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_length_limits() -> None:
    body = b'{"t":"ping"}'
    messages.decode_phone_message(body + b" " * (messages.MAX_MESSAGE - len(body)))
    with pytest.raises(MalformedMessage):
        messages.decode_phone_message(body + b" " * (messages.MAX_MESSAGE - len(body) + 1))
    with pytest.raises(MalformedMessage):
        Bytes16(b"short")


TEXTS = MESSAGES["phone"] + MESSAGES["gateway"] + [case["m1_payload"] for case in FILE["resume"]]
DECODERS = (
    messages.decode_phone_message,
    messages.decode_gateway_message,
    messages.decode_facts,
    messages.decode_first_answer,
    messages.decode_resume_answer,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@st.composite
def nearly(draw: st.DrawFn) -> bytes:
    """A known message with one member replaced by something else, or with one byte changed."""
    text = draw(st.sampled_from(TEXTS))
    if draw(st.booleans()):
        members = json.loads(text)
        members[draw(st.sampled_from(sorted(members)))] = draw(JSON)
        return json.dumps(members).encode()
    data = bytearray(text.encode())
    data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


@given(st.binary(max_size=200) | nearly() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_message_or_malformed(data: bytes) -> None:
    for decode in DECODERS:
        try:
            decoded = decode(data)
        except MalformedMessage:
            continue
        again: Any = decode(messages.encode(decoded))
        assert again == decoded


def test_deep_nesting_is_refused_without_a_crash() -> None:
    for text in ("[" * 16_000, '{"t":' * 3_000, '{"t":"ping","x":' + "[" * 16_000):
        for decode in DECODERS:
            with pytest.raises(MalformedMessage):
                decode(text.encode())


@pytest.mark.parametrize("case", FILE["first_contact"] + FILE["resume"], ids=lambda case: case["name"])
def test_hellos(case: dict[str, Any]) -> None:
    frame = bytes.fromhex(case["hello"])
    hello = frames.parse_hello(frame)
    assert hello.encode() == frame
    assert hello.suite == case["suite"]
    assert hello.suite.hybrid == (case["mlkem768"] is not None)
    assert hello.counter == case.get("rotation", case.get("index"))
    assert hello.subject.hex() == case.get("activation_id", case.get("binding_id"))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda frame: b"", MalformedFrame),
        (lambda frame: frame[:23], MalformedFrame),
        (lambda frame: b"\x02" + frame[1:], MalformedFrame),
        (lambda frame: frame[:1] + b"\x03" + frame[2:], MalformedFrame),
        (lambda frame: frame[:2] + b"\x00" + frame[3:], UnsupportedSuite),
        (lambda frame: frame[:2] + b"\x03" + frame[3:], UnsupportedSuite),
        (lambda frame: frame[:19] + b"\x00\x01\x00\x00" + frame[23:], MalformedFrame),
        (lambda frame: frame + bytes(frames.MAX_FRAME), MalformedFrame),
    ],
)
def test_wrong_hellos(change: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        frames.parse_hello(change(bytes.fromhex(FILE["first_contact"][0]["hello"])))


@pytest.mark.parametrize(
    "members", [(b"short", 0, b"m"), (bytes(16), 2**32, b"m"), (bytes(16), 0, bytes(16_384))]
)
def test_hellos_that_do_not_fit(members: tuple[bytes, int, bytes]) -> None:
    with pytest.raises(MalformedFrame):
        Hello(Kind.RESUME, Suite.RESUME_CLASSICAL, *members).encode()


def test_gateway_frames() -> None:
    for vector in FRAMES["errors"]:
        assert frames.parse_gateway_frame(bytes.fromhex(vector["frame"])) == ErrorFrame(
            ErrorCode(vector["code"])
        )
    assert {vector["code"] for vector in FRAMES["errors"]} == set(ErrorCode)
    challenge = FRAMES["stale_challenge"]
    nonce = bytes.fromhex(challenge["nonce"])
    assert frames.parse_gateway_frame(frames.stale_challenge_frame(nonce)) == StaleChallenge(nonce)
    assert frames.stale_challenge_frame(nonce).hex() == challenge["frame"]
    signature = bytes.fromhex(FRAMES["stale_answer"]["signature"])
    assert frames.stale_answer_frame(signature).hex() == FRAMES["stale_answer"]["frame"]
    assert frames.parse_stale_answer(frames.stale_answer_frame(signature)) == signature
    assert frames.parse_gateway_frame(frames.answer_frame(b"m2")) == Answer(b"m2")


@pytest.mark.parametrize("frame", FRAMES["wrong_gateway_frames"])
def test_wrong_gateway_frames(frame: str) -> None:
    with pytest.raises(MalformedFrame):
        frames.parse_gateway_frame(bytes.fromhex(frame))


def test_wrong_stale_frames() -> None:
    for build in (frames.stale_challenge_frame, frames.stale_answer_frame, frames.parse_stale_answer):
        with pytest.raises(MalformedFrame):
            build(b"short")


@given(st.binary(max_size=120))
def test_any_bytes_are_a_frame_or_malformed(data: bytes) -> None:
    for parse in (frames.parse_hello, frames.parse_gateway_frame, frames.parse_stale_answer):
        try:
            parse(data)
        except ProtocolError:
            continue


def test_unknown_types_are_not_encoded() -> None:
    with pytest.raises(NotImplementedError):
        msgspec.json.encode(object(), enc_hook=messages.encode_hook)
