"""First contact on the wire: hello and m1, m2, m3 (wire specification, section 4). The phone's door calls `serve`; the
rules are those of `ContactService`, the rest of the conversation is `conversation.py`'s. Before m2 a failure is an
error frame; afterwards it is told inside the channel."""

import asyncio
from dataclasses import dataclass, replace
from typing import Literal

from gateway.activation.contacts import Admission, ContactService, Ended, PresentPhone
from gateway.activation.conversation import Conversation, ConversationDesk
from gateway.activation.models import Activation
from gateway.activation.ports import BindingDesk, GatewayKeys, Tenants
from gateway.activation.secrets import raw_binding_id, raw_id
from gateway.core.clock import Clock
from gateway.core.errors import Problem, ProblemCode
from gateway.core.secrets import RandomSource
from gateway.core.subjects import DeviceFacts
from gateway.http.channel import PhoneSocket, SocketClosed
from gateway.http.secure_channel import SecureChannel
from gateway.protocol import messages
from gateway.protocol.code import Code2, seal_code2
from gateway.protocol.errors import (
    ContactRefused,
    ErrorCode,
    HandshakeFailed,
    InvalidPoint,
    MalformedMessage,
    ProtocolError,
    SignatureInvalid,
)
from gateway.protocol.first_contact import FirstContactResponder, FirstM1
from gateway.protocol.frames import Hello
from gateway.protocol.keys import Label, bind_input, first_contact_prologue, verify
from gateway.protocol.noise import run_async
from gateway.protocol.session import Session
from gateway.protocol.wiretypes import Bytes16
from hsm_adapters.errors import HsmError, InvalidPeerKey, KeyNotFound

STEP_TIMEOUT_S = 30.0
IV_BYTES = 12


@dataclass(frozen=True, slots=True)
class FirstContactDesk:
    """What a first contact is served with."""

    clock: Clock
    random: RandomSource
    tenants: Tenants
    keys: GatewayKeys
    contacts: ContactService
    bindings: BindingDesk
    conversations: ConversationDesk
    biometric: Literal["off", "optional", "required"] = "optional"


class FirstContact:
    """Serves hellos of kind 1."""

    def __init__(self, desk: FirstContactDesk) -> None:
        self._desk = desk

    async def serve(self, socket: PhoneSocket, hello: Hello) -> None:
        """Run the contact, and go on as the binding's open channel once it is active. Raises `ContactRefused`,
        `SocketClosed`."""
        conversation = await self._open(socket, hello)
        del hello  # an open channel may live for days: it keeps nothing of its beginning
        if conversation is None:
            return
        opened = await self._desk.conversations.run(conversation)
        del conversation
        if opened is not None:
            channel, ref, lang = opened
            await self._desk.bindings.run_open(channel, ref, lang=lang)

    async def _open(self, socket: PhoneSocket, hello: Hello) -> Conversation | None:
        desk = self._desk
        admission = await desk.contacts.admit(hello)
        session, m1, claimed = await self._shake_hands(socket, admission, hello)
        admission = replace(admission, activation=claimed)
        channel = SecureChannel(socket, session)
        try:
            bind = await self._read_m3(channel, m1)
        except ProtocolError as error:
            await channel.tell(messages.Problem(code=error.code))
            raise SocketClosed from None
        phone = PresentPhone(
            static_key=m1.phone_public,
            signing_key=bytes(bind.key),
            device=_facts(bind.device, place=socket.place),
            device_code=session.export(Label.DEVICE_CODE),
            code2=self._seal_code2(admission, session) if admission.is_two_step else None,
        )
        conversation = Conversation(desk.conversations, channel, admission, phone)
        desk.conversations.live.add(admission.activation.id, conversation)
        try:
            activation = await desk.contacts.present(admission, phone)
            desk.conversations.live.prevail(activation.id, conversation)
            await conversation.begin(activation)
        except BaseException as error:
            desk.conversations.live.discard(admission.activation.id, conversation)
            if isinstance(error, Ended):
                await conversation.tell_ended(error.reason)
                return None
            if isinstance(error, HsmError | Problem):
                await channel.tell(messages.Problem(code=ProblemCode.UNAVAILABLE.code))
                raise SocketClosed from error
            raise
        return conversation

    async def _shake_hands(
        self, socket: PhoneSocket, admission: Admission, hello: Hello
    ) -> tuple[Session, FirstM1, Activation]:
        desk, activation = self._desk, admission.activation
        prologue = first_contact_prologue(
            hello.suite,
            host=socket.host,
            activation_id=raw_id(activation),
            rotation=hello.counter,
            expiry=activation.expiry_s,
        )

        async def agree(peer: bytes) -> bytes:
            return await desk.keys.agree(activation.gateway_label, peer)

        try:
            static_public = await desk.keys.public_key(activation.gateway_label)
            responder = FirstContactResponder(
                hello.suite, prologue=prologue, psk=admission.psk, static_public=static_public
            )
            m1 = await run_async(responder.read_m1(hello.message), agree)
        except (HandshakeFailed, InvalidPeerKey):
            await desk.contacts.count_failure(admission)
            raise ContactRefused(ErrorCode.REFUSED) from None
        except (MalformedMessage, InvalidPoint):
            raise ContactRefused(ErrorCode.REFUSED) from None
        except KeyNotFound:
            raise ContactRefused(ErrorCode.RETIRED) from None
        claim = asyncio.ensure_future(
            desk.contacts.claim(admission, static_key=m1.phone_public, platform=m1.facts.platform)
        )
        # m2 is computed while the claim is being written, and sent once it is durable.
        try:
            await asyncio.sleep(0)
            answer = await self._answer(admission)
            frame = await run_async(responder.write_m2(answer), agree)
            claimed = await claim
        finally:
            claim.cancel()
        await socket.send(frame)
        return responder.session, m1, claimed

    async def _answer(self, admission: Admission) -> messages.FirstAnswer:
        desk, activation = self._desk, admission.activation
        tenant = await desk.tenants.find(activation.tenant_id)
        return messages.FirstAnswer(
            binding=Bytes16(raw_binding_id(activation)),
            tenant=tenant.name,
            label=activation.label,
            pin=messages.PinPolicy(digits=desk.conversations.pins.digits),
            biometric=desk.biometric,
            two_step=admission.is_two_step,
            time=int(desk.clock.now()),
            expires=activation.expiry_s,
        )

    async def _read_m3(self, channel: SecureChannel, m1: FirstM1) -> messages.Bind:
        bind = await channel.receive(STEP_TIMEOUT_S)
        if not isinstance(bind, messages.Bind):
            raise MalformedMessage("m3 is a bind message")
        if bind.device.platform != m1.facts.platform:
            raise SignatureInvalid("m1 and m3 name different platforms")
        verify(bind.key, bind.signature, bind_input(channel.handshake_hash))
        return bind

    def _seal_code2(self, admission: Admission, session: Session) -> bytes:
        activation = admission.activation
        code = Code2(raw_binding_id(activation), admission.nonce, activation.label)
        return seal_code2(session.export(Label.CODE_2), code, iv=self._desk.random(IV_BYTES))


def _facts(device: messages.Device, *, place: str | None) -> DeviceFacts:
    return DeviceFacts(
        name=device.name,
        model=device.model,
        platform=device.platform,
        os=device.os,
        app=device.app,
        lang=device.lang,
        place=place,
    )
