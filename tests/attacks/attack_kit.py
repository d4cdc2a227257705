"""What attackers do in these tests: bind phones in few words, stand on the wire, read inside a channel, copy a phone's
storage, and speak raw bytes to the gateway."""

import asyncio
import contextlib
import copy
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from gateway_kit import PIN, GatewayKit, MovingNetwork
from yarl import URL

from gateway.core.encoding import b64url_decode
from gateway.core.secrets import RandomSource, system_random
from gateway.phone.channel import Channel
from gateway.phone.client import Person, PhoneClient
from gateway.phone.contact import FirstContact
from gateway.phone.errors import GatewayRefused, PhoneError
from gateway.phone.store import MemoryStore
from gateway.protocol.errors import ErrorCode, ProtocolError

Alter = Callable[[int, bytes], list[bytes]]
"""Given the number of a frame on its connection (from 1) and the frame, returns the frames that go on in its place."""


ENGINES = pytest.mark.parametrize(
    "kit", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)
"""For what races: on each database."""


class Enough(Exception):
    """The wire lets no more connections through: the attack has been seen often enough."""


class WireSocket:
    """A frame socket with somebody on the wire."""

    def __init__(self, inner: Any, sent: Alter | None, received: Alter | None) -> None:
        self._inner = inner
        self._alter_sent, self._alter_received = sent, received
        self._sent = self._received = 0
        self._waiting: list[bytes] = []

    async def send(self, frame: bytes) -> None:
        self._sent += 1
        for changed in [frame] if self._alter_sent is None else self._alter_sent(self._sent, frame):
            await self._inner.send(changed)

    async def receive(self, timeout: float | None = None) -> bytes:
        while not self._waiting:
            frame = await self._inner.receive(timeout)
            self._received += 1
            alter = self._alter_received
            self._waiting += [frame] if alter is None else alter(self._received, frame)
        return self._waiting.pop(0)

    async def close(self) -> None:
        await self._inner.close()


class WireNetwork(MovingNetwork):
    """Lets somebody alter, drop, repeat or reorder frames either way: on the first `attacked` connections, or on every
    one until `Enough` after so many."""

    def __init__(
        self,
        kit: GatewayKit,
        *,
        sent: Alter | None = None,
        received: Alter | None = None,
        attacked: int = 1_000,
        most: int = 1_000,
    ) -> None:
        super().__init__(lambda: kit.now.url, kit.session)
        self._sent, self._received = sent, received
        self._attacked, self._most = attacked, most
        self.connections = 0

    async def connect(self) -> Any:
        self.connections += 1
        if self.connections > self._most:
            raise Enough
        socket = await super().connect()
        if self.connections > self._attacked:
            return socket
        return WireSocket(socket, self._sent, self._received)


def phone_over(
    kit: GatewayKit,
    network: Any = None,
    *,
    store: Any = None,
    random: RandomSource = system_random,
    clock: Any = None,
) -> PhoneClient:
    """Make a phone over a network, a store, a source of randomness or a clock that somebody handles."""
    return PhoneClient(
        store=store or MemoryStore(),
        network=network or WireNetwork(kit),
        random=random,
        clock=clock or kit.clock,
        person=Person("Phone", "en"),
    )


def flip(frame: bytes, byte: int) -> bytes:
    """Return the frame with one bit changed."""
    changed = bytearray(frame)
    changed[byte % len(changed)] ^= 0x10
    return bytes(changed)


async def begin(kit: GatewayKit, **wish: Any) -> tuple[str, str]:
    """Start an activation; return its id and the link on the screen."""
    activation = (await kit.begin(**wish))["activation"]["id"]
    return activation, (await kit.code(activation))["link"]


async def confirmed(kit: GatewayKit, phone: PhoneClient, **wish: Any) -> FirstContact:
    """Run a first contact as far as the confirmation."""
    activation, link = await begin(kit, **wish)
    contact = await phone.begin_link(link)
    await kit.confirm(activation, contact.device_code)
    await contact.wait_confirmed()
    return contact


async def bind_phone(
    kit: GatewayKit, phone: PhoneClient | None = None, **wish: Any
) -> tuple[PhoneClient, Channel]:
    """Bind a phone; return it with its open channel."""
    phone = phone or kit.phone()
    activation, link = await begin(kit, **wish)
    contact = await phone.begin_link(link)
    await kit.confirm(activation, contact.device_code)
    await contact.wait_confirmed()
    if contact.needs_code2:
        shown = await kit.code(activation)
        contact.take_code2(b64url_decode(shown["link"].partition("#")[2]))
    return phone, await contact.enrol(PIN)


async def insist(kit: GatewayKit, phone: PhoneClient, activation: str, link: str) -> Channel | None:
    """Be the customer, who begins again when the phone shows an error; return the channel once the phone is bound."""
    for _ in range(5):
        try:
            for binding in phone.store.bindings():
                return await phone.open(binding.binding_id)
            contact = await phone.begin_link(link)
            if (await kit.activation(activation))["state"] == "present":
                await kit.confirm(activation, contact.device_code)
            await contact.wait_confirmed()
            channel = await contact.enrol(PIN)
            await channel.ping()
        except (PhoneError, ProtocolError):
            continue
        except Enough:
            return None
        return channel
    return None


async def refusal(work: Any) -> ErrorCode:
    """Return the code of the gateway's refusal of `work`."""
    with pytest.raises(GatewayRefused) as caught:
        await work
    return caught.value.error


def copy_of(phone: PhoneClient, kit: GatewayKit) -> PhoneClient:
    """Return a phone over a copy of this one's storage, as a thief with its backup would run."""
    return kit.phone(store=copy.deepcopy(phone.store))  # type: ignore[arg-type]


def overhear(conversation: Any) -> list[Any]:
    """Read inside a channel from now on: return the list to which every message, decrypted, is added."""
    heard: list[Any] = []
    send, receive = conversation.send, conversation.receive

    async def overheard_send(message: Any) -> None:
        heard.append(message)
        await send(message)

    async def overheard_receive(*timeout: Any) -> Any:
        heard.append(await receive(*timeout))
        return heard[-1]

    conversation.send, conversation.receive = overheard_send, overheard_receive
    return heard


@contextlib.asynccontextmanager
async def gateway_without_phones() -> AsyncIterator[str]:
    """A gateway for a bank that asks whether its customers have phones: none has. Yields its address."""

    async def none(_: web.Request) -> web.Response:
        return web.json_response({"items": [], "next_cursor": None})

    app = web.Application()
    app.router.add_get("/api/v1/bindings", none)
    server = TestServer(app)
    await server.start_server()
    yield str(server.make_url("")).rstrip("/")
    await server.close()


async def audit_words(kit: GatewayKit) -> list[str]:
    """Return the words of the audit log."""
    page = await kit.call("GET", "/api/v1/audit?limit=200")
    return [entry["word"] for entry in page["items"]]


async def shout(kit: GatewayKit, data: bytes, *, seconds: float = 5.0) -> bytes:
    """Send raw bytes to the gateway's port; return what comes back until it closes or is silent."""
    url = URL(kit.now.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    got = b""
    try:
        writer.write(data)
        await writer.drain()
        async with asyncio.timeout(seconds):
            while piece := await reader.read(65_536):
                got += piece
                head, end, body = got.partition(b"\r\n\r\n")
                length = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
                if end and length and len(body) >= int(length[0].split(b":")[1]):
                    break
    except (ConnectionError, TimeoutError):
        pass
    finally:
        writer.close()
    return got


async def is_alive(kit: GatewayKit) -> bool:
    """Whether the gateway still answers and can serve."""
    async with kit.session.get(f"{kit.now.url}/readyz") as answer:
        return answer.status == 200
