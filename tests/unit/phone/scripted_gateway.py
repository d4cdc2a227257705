"""A gateway in one object, for the tests of the phone client: the responder's side of the protocol over a real
WebSocket on loopback, with state in memory. A fault named in `faults` breaks the connection once at that point;
`seen` lists what arrived. It checks what a gateway checks, and raises in the test when the phone breaks a rule."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import WSMsgType, web
from msgspec import UNSET
from scripted_requests import TRIES, BoundPhone, Evaluated, Requests, evaluate_blinded

from gateway.core.encoding import b64url_encode
from gateway.protocol import keys, messages
from gateway.protocol.code import ActivationCode, Code2, TypedCode, seal_code2
from gateway.protocol.errors import ErrorCode, HandshakeFailed, SignatureInvalid
from gateway.protocol.first_contact import FirstContactResponder
from gateway.protocol.frames import (
    Hello,
    Kind,
    Suite,
    error_frame,
    parse_hello,
    parse_stale_answer,
    stale_challenge_frame,
)
from gateway.protocol.noise import run_local
from gateway.protocol.primitives import P256, KeyPair
from gateway.protocol.resume import ResumeResponder, first_key, next_key
from gateway.protocol.session import Session
from gateway.protocol.wiretypes import Bytes10, Bytes16, Bytes33, Bytes65

DIGITS = 6


class Broken(Exception):
    """The connection is broken on purpose, or the phone has gone."""


@dataclass
class ScriptedGateway:
    """One activation, then its binding."""

    host: str = "bank.example"
    two_step: bool = False
    biometric: Literal["off", "optional", "required"] = "off"
    told_key: bytes | None = None
    suites: tuple[Suite, ...] = (Suite.FIRST_HYBRID, Suite.RESUME_CLASSICAL, Suite.RESUME_HYBRID)
    expiry: int = 1_800_000_300
    hybrid_due: int = 2_000_000_000
    faults: set[str] = field(default_factory=set)
    refusals: list[ErrorCode] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    static: KeyPair = field(default_factory=lambda: P256().generate())
    activation_id: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    binding_id: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    seed: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    nonce: bytes = field(default_factory=lambda: secrets.token_bytes(10))
    rotation: int = 0
    typed: TypedCode = field(default_factory=lambda: TypedCode.generate(secrets.token_bytes))
    first: tuple[bytes, int] | None = None
    code: str | None = None
    code2_key: bytes = b""
    confirmed: asyncio.Event = field(default_factory=asyncio.Event)
    pushes: "asyncio.Queue[messages.GatewayMessage]" = field(default_factory=asyncio.Queue)
    requests: Requests = field(default_factory=Requests)
    phone: BoundPhone | None = None
    ended: bool = False

    def screen(self) -> ActivationCode:
        """The code on the screen now."""
        psk = keys.one_time_key(self.seed, activation_id=self.activation_id, rotation=self.rotation)
        return ActivationCode(
            self.activation_id, psk, keys.compress(self.static.public), self.expiry, self.rotation
        )

    def code2(self, label: str = "Account 1") -> bytes:
        """The second code for the contact that runs now."""
        code = Code2(self.binding_id, self.nonce, label)
        return seal_code2(self.code2_key, code, iv=secrets.token_bytes(12))

    def type_code(self, code: str) -> None:
        """The customer types the device code."""
        if code == self.code:
            self.confirmed.set()
        else:
            self.pushes.put_nowait(messages.WrongCode(left=2))

    def application(self) -> web.Application:
        """The HTTP face."""
        app = web.Application()
        app.router.add_get("/phone/v1/channel", self._handle)
        app.router.add_get("/phone/v1/config", self._config)
        app.router.add_get("/phone/v1/typed/{locator}", self._typed)
        return app

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Serve on loopback; yields the origin."""
        runner = web.AppRunner(self.application(), shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    async def _config(self, request: web.Request) -> web.Response:
        key = b64url_encode(keys.compress(self.static.public))
        tenants = [{"id": "ten_1", "name": "Example Bank", "s": key}]
        return web.json_response({"host": self.host, "name": "Example", "tenants": tenants})

    async def _typed(self, request: web.Request) -> web.Response:
        if request.match_info["locator"] != self.typed.locator:
            return web.json_response({}, status=404)
        found = {"activation": b64url_encode(self.activation_id), "tenant": "ten_1", "expires": self.expiry}
        return web.json_response(found)

    def _break(self, point: str) -> None:
        if point in self.faults:
            self.faults.discard(point)
            raise Broken

    async def _handle(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(protocols=("tessera.v1",), timeout=0.2)
        await ws.prepare(request)
        try:
            hello = parse_hello(await self._frame(ws))
            self.seen.append(f"hello {hello.suite.name} {hello.counter}")
            if self.refusals:
                await ws.send_bytes(error_frame(self.refusals.pop(0)))
            elif hello.suite not in self.suites:
                await ws.send_bytes(error_frame(ErrorCode.SUITE))
            elif hello.kind is Kind.FIRST_CONTACT:
                await self._first_contact(ws, hello)
            else:
                await self._resume(ws, hello)
        except Broken:
            pass
        finally:
            await ws.close()
        return ws

    async def _frame(self, ws: web.WebSocketResponse) -> bytes:
        message = await ws.receive()
        if message.type is not WSMsgType.BINARY:
            raise Broken
        data: bytes = message.data
        return data

    async def _receive(self, ws: web.WebSocketResponse, session: Session) -> messages.PhoneMessage:
        message = messages.decode_phone_message(session.decrypt(await self._frame(ws)))
        self.seen.append(type(message).__name__)
        return message

    async def _send(
        self, ws: web.WebSocketResponse, session: Session, message: messages.GatewayMessage
    ) -> None:
        await ws.send_bytes(session.encrypt(messages.encode(message)))

    async def _first_contact(self, ws: web.WebSocketResponse, hello: Hello) -> None:
        if self.ended:
            await ws.send_bytes(error_frame(ErrorCode.ENDED))
            return
        psk = (
            self.typed.psk(self.activation_id)
            if hello.counter == keys.TYPED_ROTATION
            else keys.one_time_key(self.seed, activation_id=self.activation_id, rotation=hello.counter)
        )
        prologue = keys.first_contact_prologue(
            hello.suite,
            host=self.host,
            activation_id=hello.subject,
            rotation=hello.counter,
            expiry=self.expiry,
        )
        responder = FirstContactResponder(
            hello.suite, prologue=prologue, psk=psk, static_public=self.static.public
        )
        try:
            m1 = run_local(responder.read_m1(hello.message), self.static)
        except HandshakeFailed:
            await ws.send_bytes(error_frame(ErrorCode.REFUSED))
            return
        is_fresh = hello.counter in (self.rotation, self.rotation - 1, keys.TYPED_ROTATION)
        if not is_fresh and self.first != (m1.phone_public, hello.counter):
            await ws.send_bytes(error_frame(ErrorCode.EXPIRED))
            return
        self._break("m1")
        self.first = (m1.phone_public, hello.counter)
        answer = messages.FirstAnswer(
            binding=Bytes16(self.binding_id),
            tenant="Example Bank",
            label="Account 1",
            pin=messages.PinPolicy(digits=DIGITS),
            biometric=self.biometric,
            two_step=self.two_step,
            time=1_800_000_000,
            expires=self.expiry,
        )
        frame = run_local(responder.write_m2(answer))
        self._break("m2")
        await ws.send_bytes(frame)
        await self._bound(ws, responder.session, m1.phone_public)

    async def _bound(self, ws: web.WebSocketResponse, session: Session, static: bytes) -> None:
        bind = await self._receive(ws, session)
        assert isinstance(bind, messages.Bind)
        h = session.handshake_hash
        keys.verify(bind.key, bind.signature, keys.bind_input(h))
        self._break("bind")
        self.code = keys.device_code(session.export(keys.Label.DEVICE_CODE))
        self.code2_key = session.export(keys.Label.CODE_2)
        if not self.confirmed.is_set():
            await self._send(ws, session, messages.Pending(tries=3))
            await self._wait(ws, session)
        self._break("confirmed")
        if self.two_step:
            await self._send(ws, session, messages.Confirmed())
        else:
            await self._send(ws, session, messages.Confirmed(nonce=Bytes10(self.nonce)))
        evaluate = await self._receive(ws, session)
        assert isinstance(evaluate, messages.PinEvaluate)
        self._break("evaluate")
        oprf_key = P256().generate()
        element = evaluate_blinded(oprf_key, evaluate.blinded)
        await self._send(ws, session, messages.PinEvaluated(element=Bytes33(element), left=4))
        commit = await self._receive(ws, session)
        assert isinstance(commit, messages.Commit)
        self._break("commit")
        assert commit.nonce == self.nonce
        keys.verify(bind.key, commit.signature, keys.commit_input(h, self.nonce))
        keys.verify(commit.pin_key, commit.pin_signature, keys.pin_enrol_input(h))
        self.phone = BoundPhone(
            static=static,
            signing=bytes(bind.key),
            ratchet={0: first_key(session)},
            oprf_key=oprf_key,
            pin_key=bytes(commit.pin_key),
            name=bind.device.name,
            verifier=bytes(commit.pin_verifier),
        )
        self.ended = True
        self._break("active")
        await self._send(ws, session, messages.Active(added=1_800_000_100))
        await self._open(ws, session, self.phone)

    async def _wait(self, ws: web.WebSocketResponse, session: Session) -> None:
        """Wait for the device code, telling what is pushed meanwhile."""
        while True:
            confirmed = asyncio.ensure_future(self.confirmed.wait())
            pushed = asyncio.ensure_future(self.pushes.get())
            done, waiting = await asyncio.wait({confirmed, pushed}, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
            if pushed not in done:
                return
            message = pushed.result()
            if isinstance(message, messages.Problem) and message.code == "break":
                raise Broken
            await self._send(ws, session, message)
            if isinstance(message, messages.Ended):
                raise Broken

    async def _resume(self, ws: web.WebSocketResponse, hello: Hello) -> None:
        phone = self.phone
        if phone is None or hello.subject != self.binding_id or phone.suspended:
            code = ErrorCode.SUSPENDED if phone and phone.suspended else ErrorCode.UNKNOWN
            await ws.send_bytes(error_frame(code))
            return
        if hello.counter not in phone.ratchet:
            await self._challenge(ws, hello, phone)
            return
        responder = ResumeResponder(
            hello.suite,
            prologue=keys.resume_prologue(
                hello.suite, host=self.host, binding_id=hello.subject, index=hello.counter
            ),
            psk=phone.ratchet[hello.counter],
            static_public=self.static.public,
            phone_public=phone.static,
        )
        try:
            run_local(responder.read_m1(hello.message), self.static)
        except HandshakeFailed:
            await self._challenge(ws, hello, phone)
            return
        self._break("resume m2")
        await ws.send_bytes(run_local(responder.write_m2(messages.ResumeAnswer(time=1_800_000_200))))
        session = responder.session
        assert isinstance(await self._receive(ws, session), messages.Ready)
        self._break("ready")
        phone.ratchet = {hello.counter: phone.ratchet[hello.counter], hello.counter + 1: next_key(session)}
        self._break("welcome")
        welcome = messages.Welcome(
            next=hello.counter + 1,
            state="active",
            tenant="Example Bank",
            label="Account 1",
            hybrid_due=self.hybrid_due,
            pin=messages.PinStatus(digits=DIGITS, left=phone.left, blocked_until=None),
            gateway_key=UNSET if self.told_key is None else Bytes65(self.told_key),
        )
        await self._send(ws, session, welcome)
        await self._open(ws, session, phone)

    async def _awaited(self, ws: web.WebSocketResponse, session: Session) -> messages.PhoneMessage:
        """The next message of an open channel; what is pushed meanwhile is told at once."""
        received = asyncio.ensure_future(self._receive(ws, session))
        while not received.done():
            pushed = asyncio.ensure_future(self.pushes.get())
            done, _ = await asyncio.wait({received, pushed}, return_when=asyncio.FIRST_COMPLETED)
            if pushed not in done:
                pushed.cancel()
                break
            await self._send(ws, session, pushed.result())
        return await received

    async def _challenge(self, ws: web.WebSocketResponse, hello: Hello, phone: BoundPhone) -> None:
        nonce = secrets.token_bytes(32)
        await ws.send_bytes(stale_challenge_frame(nonce))
        signature = parse_stale_answer(await self._frame(ws))
        claim = keys.stale_input(
            hello.subject,
            index=hello.counter,
            nonce=nonce,
            prologue=keys.resume_prologue(
                hello.suite, host=self.host, binding_id=hello.subject, index=hello.counter
            ),
            hello=hello.encode(),
        )
        keys.verify(phone.signing, signature, claim)
        phone.suspended = True
        await ws.send_bytes(error_frame(ErrorCode.SUSPENDED))

    async def _open(self, ws: web.WebSocketResponse, session: Session, phone: BoundPhone) -> None:
        """Answer on an open channel until the phone leaves; what is in `pushes` is sent before each answer."""
        evaluated: bytes = b""
        fresh: KeyPair | None = None
        h = session.handshake_hash
        for told in self.requests.opened():
            await self._send(ws, session, told)
        while True:
            message = await self._awaited(ws, session)
            if not isinstance(message, messages.Ping):  # whoever acts has stored the next key
                phone.ratchet = dict([max(phone.ratchet.items())])
            while not self.pushes.empty():
                await self._send(ws, session, self.pushes.get_nowait())
            given = Evaluated(phone.signing, phone.pin_key, evaluated, self.binding_id, h)
            reply: messages.GatewayMessage | None = self.requests.reply(message, given)
            if isinstance(message, messages.Answer):
                phone.left = TRIES if isinstance(reply, messages.Answered) else phone.left
                self._break("answered")
            if reply is not None:
                pass
            elif isinstance(message, messages.Ping):
                reply = messages.Pong(time=1_800_000_201)
            elif isinstance(message, messages.PinEvaluate):
                if phone.left == 0:
                    reply = messages.PinBlocked(until=1_800_000_500)
                else:
                    phone.left -= 0 if fresh else 1
                    evaluated = secrets.token_bytes(16)
                    element = evaluate_blinded(fresh or phone.oprf_key, message.blinded)
                    reply = messages.PinEvaluated(
                        element=Bytes33(element), left=phone.left, nonce=Bytes16(evaluated)
                    )
            elif isinstance(message, messages.PinProve):
                try:
                    keys.verify(phone.pin_key, message.signature, keys.pin_proof_input(h, evaluated))
                    phone.left = TRIES
                    reply = messages.PinProved()
                except SignatureInvalid:
                    reply = messages.PinWrong(left=phone.left, until=None)
            elif isinstance(message, messages.PinChange):
                fresh = P256().generate()
                reply = messages.PinChangeReady()
            elif isinstance(message, messages.PinEnrol) and fresh is not None:
                keys.verify(message.pin_key, message.pin_signature, keys.pin_enrol_input(h, evaluated))
                phone.oprf_key, phone.pin_key, fresh = fresh, bytes(message.pin_key), None
                phone.verifier = bytes(message.pin_verifier)
                self._break("pin-enrolled")
                reply = messages.PinEnrolled()
            elif isinstance(message, messages.Rename):
                phone.name = message.name
                reply = messages.Renamed(name=message.name)
            elif isinstance(message, messages.Remove):
                self.phone = None
                reply = messages.Removed()
            else:
                reply = messages.Problem(code="out-of-turn")
            await self._send(ws, session, reply)
