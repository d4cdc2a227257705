"""Every later contact of a bound phone: the resume handshake under the ratcheting key, `ready` and `welcome`, and the
challenge that tells a copied phone from a stranger (wire specification, section 5). The phone's door calls `serve`.
The steps, by number:

    (1) the binding stands and is active              (2) the suite is the one that is due
    (3) the index is n or n+1, else challenge         (4) the handshake verifies under its psk, else challenge
    (5) the phone has spoken `ready`: live proof      (6) the ratchet turns, in one transaction with the fact and
                                                          with the S that the next index runs under
    (7) the phone acts, so `welcome` came: the key it came with is erased (`open_channel`)
"""

from dataclasses import dataclass

import structlog
from msgspec import UNSET, UnsetType

from gateway.core.errors import Problem, ProblemCode
from gateway.core.ids import encode_id
from gateway.core.secrets import RandomSource
from gateway.core.subjects import BindingRef
from gateway.core.transaction import Transaction
from gateway.devices import store
from gateway.devices.cells import cell_of
from gateway.devices.models import Binding, BindingEvent, BindingState, Turn
from gateway.devices.open_channel import OpenChannels
from gateway.devices.ports import GatewayKeys, PinBook, PinStatus, Sealing, Tenants
from gateway.devices.service import DeviceService
from gateway.http.channel import PhoneSocket, SocketClosed
from gateway.http.secure_channel import SecureChannel
from gateway.protocol import messages
from gateway.protocol.errors import (
    ContactRefused,
    ErrorCode,
    HandshakeFailed,
    MalformedFrame,
    MalformedMessage,
    SignatureInvalid,
)
from gateway.protocol.frames import (
    STALE_NONCE_BYTES,
    Hello,
    Suite,
    error_frame,
    parse_stale_answer,
    stale_challenge_frame,
)
from gateway.protocol.keys import resume_prologue, stale_input, verify
from gateway.protocol.noise import run_async
from gateway.protocol.resume import ResumeResponder, next_key
from gateway.protocol.session import Session
from gateway.protocol.wiretypes import Bytes65
from gateway.storage.engine import Storage
from hsm_adapters.errors import HsmError, InvalidPeerKey, KeyNotFound, UnwrapFailed

STEP_TIMEOUT_S = 30.0
_log = structlog.get_logger("devices")


@dataclass(frozen=True, slots=True)
class ContactDesk:
    """What a contact is served with."""

    storage: Storage
    service: DeviceService
    pins: PinBook
    tenants: Tenants
    keys: GatewayKeys
    sealer: Sealing
    random: RandomSource


def _prologue(socket: PhoneSocket, hello: Hello) -> bytes:
    return resume_prologue(hello.suite, host=socket.host, binding_id=hello.subject, index=hello.counter)


class ResumeContact:
    """Serves hellos of kind 2."""

    def __init__(self, desk: ContactDesk, channels: OpenChannels) -> None:
        self._desk = desk
        self._channels = channels

    async def serve(self, socket: PhoneSocket, hello: Hello) -> None:
        """Run the contact. Raises `ContactRefused`, `SocketClosed`."""
        opened = await self._open(socket, hello)
        del hello  # an open channel may live for days: it keeps nothing of its beginning
        if opened is not None:
            channel, ref, lang, turn = opened
            await self._channels.run(channel, ref, lang=lang, turn=turn)

    async def _open(
        self, socket: PhoneSocket, hello: Hello
    ) -> tuple[SecureChannel, BindingRef, messages.Lang, Turn] | None:
        desk = self._desk
        binding = await self._find(hello)
        psk = await self._psk(binding, hello.counter)
        if psk is None:  # (3)
            await self._challenge(socket, binding, hello)
            return None
        try:
            session, lang = await self._shake_hands(socket, binding, hello, psk)
        except (HandshakeFailed, InvalidPeerKey):  # (4)
            await self._challenge(socket, binding, hello)
            return None
        channel = SecureChannel(socket, session)
        try:
            message = await channel.receive(STEP_TIMEOUT_S)
        except MalformedMessage:
            message = None
        if not isinstance(message, messages.Ready):  # (5)
            await channel.tell(messages.Problem(code="out-of-turn"))
            raise SocketClosed
        try:
            label, key = await self._next_key(binding, hello.counter)
            pin, turn = await self._turn(channel, binding, hello, label)
            tenant = await desk.tenants.find(binding.tenant_id)
        except (HsmError, Problem):
            await channel.tell(messages.Problem(code=ProblemCode.UNAVAILABLE.code))
            raise SocketClosed from None
        welcome = messages.Welcome(
            next=hello.counter + 1,
            state="active",
            tenant=tenant.name,
            label=binding.label,
            hybrid_due=self._hybrid_due_s(binding, hello.suite),
            pin=messages.PinStatus(
                digits=pin.digits,
                left=pin.left,
                blocked_until=None if pin.blocked_until_ms is None else -(-pin.blocked_until_ms // 1000),
            ),
            gateway_key=key,
        )
        await channel.send(welcome)
        return channel, binding.ref, lang, turn

    async def _find(self, hello: Hello) -> Binding:
        """Steps (1) and (2)."""
        binding_id = encode_id("bnd", hello.subject)
        binding = await self._desk.storage.read(lambda tx: store.find_for_phone(tx, binding_id))
        if binding is None or binding.state is BindingState.REMOVED:
            raise ContactRefused(ErrorCode.UNKNOWN)
        if binding.state is BindingState.SUSPENDED:
            raise ContactRefused(ErrorCode.SUSPENDED)
        service = self._desk.service
        is_due = service.now_ms() // 1000 >= binding.hybrid_due_s(service.policy)
        if hello.suite is Suite.RESUME_CLASSICAL and is_due:
            raise ContactRefused(ErrorCode.SUITE)
        return binding

    async def _psk(self, binding: Binding, counter: int) -> bytes | None:
        sealed = binding.psk_of(counter)
        if sealed is None:
            return None
        try:
            return await self._desk.sealer.open(sealed, **cell_of(binding, counter))
        except UnwrapFailed:
            _log.error("a ratchet key does not open: its row was edited", binding=binding.id)
            raise ContactRefused(ErrorCode.REFUSED) from None

    async def _shake_hands(
        self, socket: PhoneSocket, binding: Binding, hello: Hello, psk: bytes
    ) -> tuple[Session, messages.Lang]:
        """Step (4), then m2. Raises HandshakeFailed."""
        desk, label = self._desk, binding.gateway_label_of(hello.counter)

        async def agree(peer: bytes) -> bytes:
            return await desk.keys.agree(label, peer)

        try:
            responder = ResumeResponder(
                hello.suite,
                prologue=_prologue(socket, hello),
                psk=psk,
                static_public=await desk.keys.public_key(label),
                phone_public=binding.static_key,
            )
            facts = await run_async(responder.read_m1(hello.message), agree)
        except MalformedMessage:
            raise ContactRefused(ErrorCode.REFUSED) from None
        except KeyNotFound:
            _log.warning("a phone came under an agreement key that is gone", binding=binding.id, key=label)
            raise ContactRefused(ErrorCode.RETIRED) from None
        answer = messages.ResumeAnswer(time=desk.service.now_ms() // 1000)
        await socket.send(await run_async(responder.write_m2(answer), agree))
        return responder.session, facts.lang

    async def _next_key(self, binding: Binding, counter: int) -> tuple[str, Bytes65 | UnsetType]:
        """Return the label of the gateway key that the next index runs under, and its point where it is another one
        than this contact's: the phone moves to the key in force. Raises `HsmError`."""
        keys, used = self._desk.keys, binding.gateway_label_of(counter)
        label = await keys.next_label(binding.tenant_id, used)
        return label, UNSET if label == used else Bytes65(await keys.public_key(label))

    async def _turn(
        self, channel: SecureChannel, binding: Binding, hello: Hello, label: str
    ) -> tuple[PinStatus, Turn]:
        """Step (6). The next index will run under the gateway key of `label`. Raises `SocketClosed` when the binding or
        its ratchet has moved on since the hello; the phone hears which."""
        desk, counter = self._desk, hello.counter
        cell = cell_of(binding, counter + 1, gateway_label=label)
        sealed = await desk.sealer.seal(next_key(channel.session), **cell)
        now_ms = desk.service.now_ms()

        def unit(tx: Transaction) -> PinStatus | BindingState | None:
            row = store.find(tx, tenant_id=binding.tenant_id, binding_id=binding.id, is_locked=True)
            if row is None or row.state is not BindingState.ACTIVE:
                return BindingState.REMOVED if row is None else row.state
            # Neither by another contact: the phone may have had its `welcome`, and forgotten this one.
            if (row.index, row.turns) != (binding.index, binding.turns) or row.psk_of(counter) is None:
                return None
            hybrid_ms = now_ms if hello.suite is Suite.RESUME_HYBRID else row.hybrid_at
            if not store.turn_ratchet(
                tx,
                row,
                counter=counter,
                psk_next=sealed,
                next_label=label,
                now_ms=now_ms,
                hybrid_ms=hybrid_ms,
            ):
                return None
            desk.service.tell_seen(tx, row)
            return desk.pins.statuses(tx, tenant_id=row.tenant_id, binding_ids=[row.id]).get(row.id)

        pin = await desk.storage.write(unit)
        if isinstance(pin, BindingState):
            await channel.tell(messages.State(state=pin.value))
            raise SocketClosed
        if pin is None:
            await channel.tell(messages.Problem(code="conflict"))
            raise SocketClosed
        return pin, Turn(counter, binding.turns + 1, is_move=label != binding.gateway_label_of(counter))

    def _hybrid_due_s(self, binding: Binding, suite: Suite) -> int:
        service = self._desk.service
        if suite is Suite.RESUME_HYBRID and binding.is_hybrid:
            return service.now_ms() // 1000 + service.policy.hybrid_period_s
        return binding.hybrid_due_s(service.policy)

    async def _challenge(self, socket: PhoneSocket, binding: Binding, hello: Hello) -> None:
        """Ask for a signature by g_D over the challenge and this very hello: a valid one says that the phone sent it,
        and so that a second holder of its keys exists."""
        desk = self._desk
        nonce = desk.random(STALE_NONCE_BYTES)
        await socket.send(stale_challenge_frame(nonce))
        try:
            signature = parse_stale_answer(await socket.receive(STEP_TIMEOUT_S))
            claim = stale_input(
                hello.subject,
                index=hello.counter,
                nonce=nonce,
                prologue=_prologue(socket, hello),
                hello=hello.encode(),
            )
            verify(binding.signing_key, signature, claim)
        except (MalformedFrame, SignatureInvalid):
            raise ContactRefused(ErrorCode.REFUSED) from None
        # A gateway whose database was set back looks the same to the phone; the bank is to tell them apart.
        is_ahead = hello.counter > binding.index and binding.psk_of(hello.counter) is None
        try:
            await desk.service.step(
                BindingEvent.CLONE,
                tenant_id=binding.tenant_id,
                binding_id=binding.id,
                reason="ahead" if is_ahead else "clone",
            )
        except Problem:
            raise ContactRefused(ErrorCode.SUSPENDED) from None
        await socket.send(error_frame(ErrorCode.SUSPENDED))
