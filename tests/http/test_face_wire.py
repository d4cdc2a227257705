"""Below HTTP: bytes of any kind on the socket, clients that go silent."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from face_kit import Face, running_face

from gateway.http import endpoint, wire


@pytest.fixture
async def face(tmp_path: Path) -> AsyncIterator[Face]:
    async with running_face(tmp_path) as running:
        yield running


async def talk(face: Face, raw: bytes) -> bytes:
    """Send bytes and return everything until the server closes."""
    host, port = "127.0.0.1", int(face.url.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(raw)
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    return answer


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nBad Header: telling\r\n\r\n",
        b"telling\r\n\r\n",
        b"GET /telling" + 9000 * b"g" + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /t/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /t/hello HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"GET /t/hello HTTP/1.1\r\nHost: x\r\nX: " + 9000 * b"g" + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03telling",
    ],
)
async def test_what_is_no_http_gets_a_problem_without_an_echo(face: Face, raw: bytes) -> None:
    head, _, body = (await talk(face, raw)).partition(b"\r\n\r\n")
    assert b" 400 " in head.splitlines()[0]
    assert b"application/problem+json" in head
    assert json.loads(body)["code"] == "invalid-request"
    assert b"telling" not in head + body
    assert b"aiohttp" not in head + body


async def test_silent_connection_is_dropped(face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "HEAD_TIMEOUT_S", 0.1)
    assert await talk(face, b"") == b""
    assert await talk(face, b"GET /t/hello HTTP/1.1\r\nHost:") == b""


async def test_body_that_does_not_come_is_not_waited_for(face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "BODY_TIMEOUT_S", 0.1)
    head = f"POST /t/orders HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {face.key}\r\n"
    more = "Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
    answer = await talk(face, (head + more).encode())
    assert b" 400 " in answer.splitlines()[0]
    assert b"did not come in time" in answer


async def test_connection_in_use_outlives_the_timer(face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "HEAD_TIMEOUT_S", 0.05)
    for _ in range(3):
        assert (await face.ask("GET", "/t/hello"))[0] == 200
        await asyncio.sleep(0.06)
