"""First contact from the phone's side, from the code to the binding (wire specification, section 4), taken up again
after each lost connection with the same keys and rotation. The steps: `begin` → shown device code →
`wait_confirmed` → (code 2) → `enrol`, which returns the open channel of the new binding."""

import asyncio
import contextlib
from typing import Protocol

import msgspec

from gateway.phone.channel import Channel, Tools, resume
from gateway.phone.conversation import ANSWER_SECONDS, Conversation, is_refused, receive_answer
from gateway.phone.errors import (
    CodeTwoNeeded,
    ConnectionLost,
    ContactEnded,
    GatewayProblem,
    GatewayRefused,
    PhoneError,
    UnexpectedAnswer,
)
from gateway.phone.models import Binding, PendingContact
from gateway.phone.pin_exchange import EvaluatedPin, evaluate_pin
from gateway.phone.transport import FrameSocket
from gateway.protocol import keys
from gateway.protocol.code import cut_code2_label, open_code2, parse_code2_nonce
from gateway.protocol.errors import ErrorCode, HandshakeFailed, MalformedCode, ProtocolError
from gateway.protocol.first_contact import FirstContactInitiator, uncompress
from gateway.protocol.frames import Answer, Hello, Kind, Suite
from gateway.protocol.messages import (
    Active,
    Attestation,
    Bind,
    Cancel,
    Commit,
    Confirmed,
    Device,
    FirstAnswer,
    GatewayMessage,
    Pending,
    WrongCode,
)
from gateway.protocol.noise import run_local
from gateway.protocol.pin import check_pin, offline_verifier
from gateway.protocol.resume import first_key
from gateway.protocol.session import Session
from gateway.protocol.wiretypes import Bytes10, Bytes32, Bytes64, Bytes65

CANCEL_SECONDS = 2.0
RETRY_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)


class Listener(Protocol):
    """Hears what happens while a first contact waits. Any method may do nothing."""

    def device_code(self, code: str, tries: int) -> None:
        """The eight digits to type on the bank's page; a new one after each reconnection."""

    def wrong_code(self, left: int) -> None:
        """A wrong code was typed on the bank's page."""

    def reconnecting(self) -> None:
        """The connection broke and is taken up again."""


class Quiet:
    """A listener that does nothing."""

    def device_code(self, code: str, tries: int) -> None:
        """Do nothing."""

    def wrong_code(self, left: int) -> None:
        """Do nothing."""

    def reconnecting(self) -> None:
        """Do nothing."""


class FirstContact:
    """One activation on this phone. `answer` is m2 of the contact that runs now: tenant, label, two_step, PIN digits,
    expiry, and whether the bank wants fingerprint or face (`biometric`), which this client has not. Every method may
    raise GatewayRefused, ContactEnded, GatewayProblem and, when the activation's time is over without a connection,
    ConnectionLost."""

    def __init__(
        self, tools: Tools, pending: PendingContact, device: Device, *, listener: Listener | None = None
    ) -> None:
        self._tools = tools
        self._pending = pending
        self._device = device
        self._listener: Listener = listener or Quiet()
        self._suite = Suite.FIRST_HYBRID
        self._conversation: Conversation | None = None
        self._answer: FirstAnswer | None = None
        self._confirmed = False
        self._nonce: bytes | None = None

    @property
    def answer(self) -> FirstAnswer:
        """What the gateway said in m2. Raises UnexpectedAnswer before `begin`."""
        if self._answer is None:
            raise UnexpectedAnswer("this contact has not begun")
        return self._answer

    @property
    def device_code(self) -> str:
        """The eight digits of the contact that runs now."""
        return keys.device_code(self._session.export(keys.Label.DEVICE_CODE))

    @property
    def _session(self) -> Session:
        return self._channel.session

    @property
    def _channel(self) -> Conversation:
        if self._conversation is None:
            raise ConnectionLost("the contact is not connected")
        return self._conversation

    async def begin(self) -> None:
        """Run the handshake and bind; returns when the device code is to be shown (or, on a retry, when the
        activation is confirmed already). Raises GatewayRefused, HandshakeFailed, ConnectionLost."""
        try:
            await self._connect()
        except GatewayRefused as error:
            if not is_refused(error, ErrorCode.SUITE):
                raise
            self._suite = Suite.FIRST_CLASSICAL
            await self._connect()

    async def wait_confirmed(self) -> None:
        """Wait until the customer has typed the device code on the bank's page."""
        while not self._confirmed:
            try:
                message = await self._receive(None)
            except ConnectionLost:
                await self._reconnect()
                continue
            if isinstance(message, WrongCode):
                self._listener.wrong_code(message.left)
            elif isinstance(message, Confirmed):
                self._take_confirmation(message)
            else:
                raise await self._channel.reject(message)

    @property
    def needs_code2(self) -> bool:
        """Whether code 2 has to be scanned or typed before `enrol`."""
        return self._nonce is None

    def take_code2(self, payload: bytes) -> str:
        """Open a scanned code 2 and return the account label it shows. Raises MalformedCode."""
        key = self._session.export(keys.Label.CODE_2)
        opened = open_code2(key, payload, binding_id=self.answer.binding)
        if opened.label != cut_code2_label(self.answer.label):
            raise MalformedCode("the second code is for another account")
        self._nonce = opened.nonce
        return opened.label

    def take_typed_code2(self, text: str) -> None:
        """Take the typed form of code 2. Raises MalformedCode, MistypedCode."""
        self._nonce = parse_code2_nonce(text)

    async def enrol(self, pin: str) -> Channel:
        """Choose the PIN, commit, and return the open channel. A lost connection is taken up again; in two-step that
        needs a new code 2. Raises WeakPin, CodeTwoNeeded, PinIsBlocked."""
        check_pin(pin, digits=self.answer.pin.digits)
        while True:
            try:
                return await self._enrol_once(pin)
            except ConnectionLost:
                channel = await self._settle() or await self._reconnect_or_settle()
                if channel is not None:
                    return channel
                await self.wait_confirmed()

    async def close(self) -> None:
        """Leave. The keys stay until the activation ends, so that the same code can be taken up again."""
        if self._conversation is not None:
            await self._conversation.close()

    async def cancel(self) -> None:
        """Give the activation up: end it on the bank's page if the gateway hears in `CANCEL_SECONDS`, and forget
        its keys. After a commit that may have arrived it only leaves, for the binding may stand. Raises StoreError."""
        if self._answer is None or self._tools.store.binding(self._answer.binding) is None:
            with contextlib.suppress(PhoneError, ProtocolError, TimeoutError):
                async with asyncio.timeout(CANCEL_SECONDS):
                    await self._channel.send(Cancel())
                    while True:  # until the end is told, or the socket closes
                        await self._channel.receive()
            self._tools.store.drop_pending(self._pending.activation_id)
        await self.close()

    async def _connect(self) -> None:
        await self.close()
        socket = await self._tools.network.connect()
        try:
            await self._shake_hands(socket)
            await self._bind()
        except BaseException:
            await socket.close()
            raise

    async def _shake_hands(self, socket: FrameSocket) -> None:
        pending, suite = self._pending, self._suite
        handshake = FirstContactInitiator(
            suite,
            prologue=keys.first_contact_prologue(
                suite,
                host=pending.host,
                activation_id=pending.activation_id,
                rotation=pending.rotation,
                expiry=pending.expiry,
            ),
            psk=pending.psk,
            static=pending.keys.static_pair(),
            gateway_public=pending.gateway_public,
        )
        m1 = run_local(handshake.write_m1(self._tools.facts))
        hello = Hello(Kind.FIRST_CONTACT, suite, pending.activation_id, pending.rotation, m1)
        await socket.send(hello.encode())
        answer = await receive_answer(socket)
        if not isinstance(answer, Answer):
            raise HandshakeFailed("a challenge in first contact")
        self._answer = run_local(handshake.read_m2(answer.message))
        self._conversation = Conversation(socket, handshake.session)

    async def _bind(self) -> None:
        signing = self._pending.keys.signing_pair()
        signed = keys.sign(signing.private, keys.bind_input(self._session.handshake_hash))
        await self._channel.send(
            Bind(
                key=Bytes65(signing.public),
                signature=Bytes64(signed),
                attestation=Attestation(type="none"),
                device=self._device,
            )
        )
        self._confirmed, self._nonce = False, None
        message = await self._receive()
        if isinstance(message, Confirmed):
            self._take_confirmation(message)
        elif isinstance(message, Pending):
            self._listener.device_code(self.device_code, message.tries)
        else:
            raise await self._channel.reject(message)

    async def _receive(self, timeout: float | None = ANSWER_SECONDS) -> GatewayMessage:
        """Receive; an end that is told inside the channel is believed, and the keys of this activation go."""
        try:
            return await self._channel.receive(timeout)
        except ContactEnded:
            self._tools.store.drop_pending(self._pending.activation_id)
            raise

    def _take_confirmation(self, message: Confirmed) -> None:
        self._confirmed = True
        self._nonce = bytes(message.nonce) if message.nonce else None

    async def _reconnect(self) -> None:
        """Connect again with the same keys and n until it works or the activation is over."""
        self._listener.reconnecting()
        for attempt in range(1_000):
            await asyncio.sleep(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)])
            try:
                return await self._connect()
            except ConnectionLost:
                if self._tools.clock.now() >= self._pending.expiry:
                    raise
            except GatewayRefused as error:
                if not is_refused(error, ErrorCode.BUSY):
                    raise
            except GatewayProblem as problem:
                if not problem.is_passing:
                    raise
        raise ConnectionLost("the gateway can't be reached")

    async def _reconnect_or_settle(self) -> Channel | None:
        """Connect again; when the activation has ended meanwhile, the commit may have arrived late after all."""
        try:
            await self._reconnect()
        except GatewayRefused as error:
            channel = await self._settle() if is_refused(error, ErrorCode.ENDED) else None
            if channel is None:
                raise
            return channel
        return None

    async def _enrol_once(self, pin: str) -> Channel:
        if self._nonce is None:
            raise CodeTwoNeeded("code 2 of this contact is missing")
        evaluated = await evaluate_pin(
            self._channel,
            pin,
            binding_id=self.answer.binding,
            keys=self._pending.keys,
            random=self._tools.random,
        )
        binding = self._committing()
        self._tools.store.put_binding(binding)
        await self._channel.send(self._commit(evaluated, self._nonce, pin=pin))
        message = await self._receive()
        if not isinstance(message, Active):
            raise await self._channel.reject(message)
        binding = msgspec.structs.replace(binding, state="active", added=message.added)
        self._tools.store.put_binding(binding)
        self._tools.store.drop_pending(self._pending.activation_id)
        return Channel(self._tools, binding, self._channel)

    def _commit(self, evaluated: EvaluatedPin, nonce: bytes, *, pin: str) -> Commit:
        h, own = self._session.handshake_hash, self._pending.keys
        verifier = offline_verifier(own.device_secret, binding_id=self.answer.binding, pin=pin)
        return Commit(
            nonce=Bytes10(nonce),
            signature=Bytes64(keys.sign(own.signing_key(), keys.commit_input(h, nonce))),
            pin_key=Bytes65(evaluated.public),
            pin_signature=Bytes64(keys.sign(evaluated.key, keys.pin_enrol_input(h))),
            pin_verifier=Bytes32(verifier),
        )

    def _committing(self) -> Binding:
        answer, pending = self.answer, self._pending
        return Binding(
            binding_id=bytes(answer.binding),
            activation_id=pending.activation_id,
            host=pending.host,
            tenant=answer.tenant,
            label=answer.label,
            name=self._device.name,
            gateway_public=uncompress(pending.gateway_public),
            keys=pending.keys,
            state="committing",
            index=0,
            psk=first_key(self._session),
            hybrid_due=answer.time + 30 * 86_400 if self._suite.hybrid else 0,
            digits=answer.pin.digits,
            added=answer.time,
        )

    async def _settle(self) -> Channel | None:
        """After a lost connection: if a commit was sent, ask by resuming under index 0 whether it arrived. Returns None
        when it did not, or when none was sent."""
        binding = self._tools.store.binding(self.answer.binding)
        if binding is None:
            return None
        self._listener.reconnecting()
        for attempt in range(1_000):
            await asyncio.sleep(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)])
            try:
                return await resume(self._tools, binding)
            except ConnectionLost:
                if self._tools.clock.now() >= self._pending.expiry + 60:
                    raise
            except GatewayRefused as error:
                if is_refused(error, ErrorCode.UNKNOWN):
                    return None
                if not is_refused(error, ErrorCode.BUSY):
                    raise
            except GatewayProblem as problem:
                if not problem.is_passing:
                    raise
        raise ConnectionLost("the gateway can't be reached")
