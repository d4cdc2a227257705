"""A push service of the test's own, with a browser: it answers what it is told to, opens each message and checks who
sent it. Opening is written from RFC 8188 and RFC 8291, checking from RFC 8292, on `cryptography` alone: no code of the
gateway's, nor the library that it encrypts with."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.core.subjects import BindingRef
from gateway.push.service import PushService as Pushes

CURVE = ec.SECP256R1()


def b64d(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _hkdf(ikm: bytes, *, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(ikm)


def open_message(body: bytes, *, key: ec.EllipticCurvePrivateKey, auth: bytes) -> bytes:
    """Return what a body of one record holds (RFC 8188 section 2, RFC 8291 section 3.4)."""
    salt, size, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
    sender, record = body[21 : 21 + length], body[21 + length :]
    assert length == 65
    assert len(record) <= size
    secret = key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(CURVE, sender))
    info = b"WebPush: info\0" + point(key.public_key()) + sender
    ikm = _hkdf(secret, salt=auth, info=info, length=32)
    content_key = _hkdf(ikm, salt=salt, info=b"Content-Encoding: aes128gcm\0", length=16)
    nonce = _hkdf(ikm, salt=salt, info=b"Content-Encoding: nonce\0", length=12)
    padded = AESGCM(content_key).decrypt(nonce, record, None).rstrip(b"\0")
    assert padded[-1:] == b"\x02", "the last record"
    return padded[:-1]


def check_vapid(field_text: str, *, public_key: bytes) -> dict[str, Any]:
    """Check an Authorization field under the key that the phone was told (RFC 8292 section 3); return the claims."""
    scheme, _, rest = field_text.partition(" ")
    assert scheme == "vapid"
    parts = dict(part.strip().split("=", 1) for part in rest.split(","))
    assert b64d(parts["k"]) == public_key
    header, claims, signature = parts["t"].split(".")
    assert json.loads(b64d(header)) == {"typ": "JWT", "alg": "ES256"}
    raw = b64d(signature)
    assert len(raw) == 64
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    key = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, public_key)
    key.verify(der, f"{header}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))
    found: dict[str, Any] = json.loads(b64d(claims))
    return found


@dataclass
class Browser:
    """What the Push API gives a page: an endpoint, a key pair and a secret."""

    endpoint: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(CURVE))
    auth: bytes = bytes(range(16))

    @property
    def p256dh(self) -> bytes:
        return point(self.key.public_key())

    def open(self, body: bytes) -> bytes:
        return open_message(body, key=self.key, auth=self.auth)


@dataclass
class Delivered:
    """One request that came."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class PushService:
    """Takes messages. `answers` are given in turn, as statuses with headers; then 201. An answer of None hangs up.
    None comes while `may_answer` is clear."""

    url: str = ""
    came: list[Delivered] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]] | None] = field(default_factory=list)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.may_answer.set()

    async def take(self, request: web.Request) -> web.Response:
        self.came.append(Delivered(request.path, dict(request.headers), await request.read()))
        await self.may_answer.wait()
        answer = self.answers.pop(0) if self.answers else (201, {})
        if answer is None:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        status, headers = answer
        return web.Response(status=status, headers=headers)

    def browser(self, name: str = "one") -> Browser:
        return Browser(f"{self.url}/push/{name}")


@contextlib.asynccontextmanager
async def push_service() -> AsyncIterator[PushService]:
    """Serve on loopback."""
    service = PushService()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", service.take)
    server = TestServer(app)
    await server.start_server()
    service.url = str(server.make_url("")).rstrip("/")
    try:
        yield service
    finally:
        await server.close()


async def is_subscribed(service: Pushes, ref: BindingRef) -> bool:
    """Ask the gateway whether a phone has a subscription, in a unit of its own."""
    return await service._storage.read(lambda tx: service.is_subscribed(tx, ref))
