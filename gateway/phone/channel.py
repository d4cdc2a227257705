"""Every later contact, and what can be asked on an open channel (wire specification, sections 5 and 12). `resume` turns
the ratchet with both copies kept until `welcome`; `Channel` asks one thing at a time."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from gateway.core.clock import Clock
from gateway.core.secrets import RandomSource
from gateway.phone.answering import Wish, make_answer
from gateway.phone.asks import Ask, News, PastPage
from gateway.phone.conversation import UNASKED, Conversation, is_refused, receive_answer
from gateway.phone.errors import (
    AnswerIsWrong,
    ApprovalEnded,
    BindingNotFound,
    CloneSuspected,
    ConnectionLost,
    GatewayProblem,
    GatewayRefused,
    PinIsWrong,
    UnexpectedAnswer,
)
from gateway.phone.models import Binding
from gateway.phone.pin_exchange import EvaluatedPin, evaluate_pin
from gateway.phone.store import PhoneStore
from gateway.phone.transport import FrameSocket, Network
from gateway.protocol import keys
from gateway.protocol.errors import ErrorCode, MalformedFrame
from gateway.protocol.frames import Hello, Kind, StaleChallenge, Suite, stale_answer_frame
from gateway.protocol.messages import (
    Answered,
    AnswerWrong,
    ApprovalEnd,
    ApprovalPage,
    Approvals,
    Decision,
    Facts,
    GatewayMessage,
    Inbox,
    InboxPage,
    InboxRead,
    OfflineCounted,
    OfflineCounter,
    PhoneMessage,
    PinChange,
    PinChangeReady,
    PinEnrol,
    PinEnrolled,
    Ping,
    PinProve,
    PinProved,
    PinStatus,
    PinWrong,
    Pong,
    Ready,
    Remove,
    Removed,
    Rename,
    Renamed,
    Unread,
    Welcome,
)
from gateway.protocol.noise import run_local
from gateway.protocol.pin import check_pin, offline_verifier
from gateway.protocol.primitives import P256
from gateway.protocol.resume import ResumeInitiator, next_key
from gateway.protocol.session import Session
from gateway.protocol.wiretypes import Bytes16, Bytes32, Bytes64, Bytes65

_M = TypeVar("_M", bound=GatewayMessage)
_END_OF: dict[Decision, ApprovalEnd] = {"approve": "approved", "refuse": "refused", "report": "reported"}


@dataclass(frozen=True, slots=True)
class Tools:
    """What a phone works with: its store, the network to one site, randomness, time, and what it says of itself."""

    store: PhoneStore
    network: Network
    random: RandomSource
    clock: Clock
    facts: Facts


class Channel:
    """An open channel of a binding. One question at a time; `pin` is the state that `welcome` told, None after a
    first contact; `news` what the gateway said by itself, while something was asked or waited for."""

    def __init__(
        self, tools: Tools, binding: Binding, conversation: Conversation, pin: PinStatus | None = None
    ) -> None:
        self.binding = binding
        self.pin = pin
        self.news = News(tools.clock)
        self._tools = tools
        self._conversation = conversation
        conversation.on_unasked = self.news.hear
        self._turn = asyncio.Lock()

    def on_state(self, callback: Callable[[str], None]) -> None:
        """Have `callback` hear every state that the gateway tells, while something is asked or watched."""
        self._conversation.on_state = callback

    async def ping(self) -> int:
        """Return the gateway's time, Unix seconds."""
        return (await self._ask(Ping(), Pong)).time

    async def prove_pin(self, pin: str) -> None:
        """Prove the PIN. Raises PinIsWrong, PinIsBlocked."""
        async with self._turn:
            await self._prove(await self._evaluate(pin))

    async def change_pin(self, old: str, new: str) -> None:
        """Prove the old PIN and enrol the new one. The device secret stays, so that a lost answer leaves no doubt which
        key belongs to a PIN. Raises WeakPin, PinIsWrong, PinIsBlocked."""
        check_pin(new, digits=self.binding.digits)
        async with self._turn:
            await self._prove(await self._evaluate(old))
            await self._exchange(PinChange(), PinChangeReady)
            fresh = await self._evaluate(new)
            signed = keys.sign(fresh.key, keys.pin_enrol_input(self._h, fresh.nonce))
            enrol = PinEnrol(
                pin_key=Bytes65(fresh.public),
                pin_signature=Bytes64(signed),
                pin_verifier=Bytes32(self._verifier(new)),
            )
            await self._exchange(enrol, PinEnrolled)

    async def next_ask(self) -> Ask:
        """Wait for a request of the bank that was not returned before, as long as it takes."""
        async with self._turn:
            while (ask := self.news.take()) is None:
                await self._listen()
        return ask

    async def answer(
        self, ask: Ask, decision: Decision, *, pin: str | None = None, number: int | None = None
    ) -> ApprovalEnd:
        """Answer a request; return its end, which is what was decided. Approving takes the PIN where the request asks
        for it, and its number. Raises ApprovalUnreadable, AnswerIncomplete, PinHasOtherDigits, PinIsBlocked,
        AnswerIsWrong, and ApprovalEnded when it is over otherwise."""
        wish = Wish.checked(ask, decision, pin=pin, number=number, digits=self.binding.digits)
        async with self._turn:
            state = self.news.end_of(ask.id) or await self._answer(ask, wish)
        if state != _END_OF[decision]:
            raise ApprovalEnded(state)
        return state

    async def until_settled(self, ask: Ask) -> ApprovalEnd:
        """Wait until the gateway says that a request is over; return its end."""
        async with self._turn:
            while (state := self.news.end_of(ask.id)) is None:
                await self._listen()
        return state

    async def past(self, before: bytes | None = None) -> PastPage:
        """Return a page of what this phone was asked before, newest first; `before` is the last id of the page
        before."""
        page = await self._ask(
            Approvals() if before is None else Approvals(before=Bytes16(before)), ApprovalPage
        )
        return PastPage.read(page)

    async def inbox(self, before: bytes | None = None) -> InboxPage:
        """Return a page of the bank's messages, newest first; `before` is the last id of the page before."""
        page = await self._ask(Inbox() if before is None else Inbox(before=Bytes16(before)), InboxPage)
        self.news.unread = page.unread
        return page

    async def mark_read(self, id: bytes) -> int:
        """Tell the bank that a message (16 bytes) was read; return how many are unread."""
        return (await self._ask(InboxRead(id=Bytes16(id)), Unread)).count

    async def rename(self, name: str) -> str:
        """Give the phone another name (1 to 64 characters); return the name in force."""
        renamed = await self._ask(Rename(name=name), Renamed)
        self._keep(msgspec.structs.replace(self.binding, name=renamed.name))
        return renamed.name

    async def remove(self) -> None:
        """End the binding at both ends: the gateway says so inside the channel, then the keys are erased."""
        await self._ask(Remove(), Removed)
        self._tools.store.drop_binding(self.binding.binding_id)
        self._tools.store.drop_pending(self.binding.activation_id)
        await self.close()

    async def watch(self, seconds: float) -> None:
        """Listen for that long, without asking anything. Raises BindingGone when the bank or the customer ends it."""
        try:
            async with self._turn, asyncio.timeout(seconds):
                raise await self._conversation.reject(await self._conversation.receive(None))
        except TimeoutError:
            return

    async def catch_up(self) -> None:
        """Tell how many answers this phone has made without a network, so that the gateway's count follows those that
        nobody typed. A gateway that takes no such answers says so, which changes nothing here."""
        made = self._tools.store.offline_counter(self.binding.binding_id)
        if made:
            with contextlib.suppress(GatewayProblem):
                await self._ask(OfflineCounter(value=made), OfflineCounted)

    async def open_again(self) -> "Channel":
        """Open the binding's channel anew. Raises as `resume`."""
        kept = self._tools.store.binding(self.binding.binding_id)
        if kept is None:
            raise BindingNotFound("no such binding")
        return await resume(self._tools, kept)

    async def close(self) -> None:
        """Close the channel; the binding stays."""
        await self._conversation.close()

    @property
    def _h(self) -> bytes:
        return self._conversation.session.handshake_hash

    async def _evaluate(self, pin: str) -> EvaluatedPin:
        tools, binding = self._tools, self.binding
        evaluated = await evaluate_pin(
            self._conversation, pin, binding_id=binding.binding_id, keys=binding.keys, random=tools.random
        )
        if len(evaluated.nonce) != 16:
            raise UnexpectedAnswer("an evaluation without a nonce")
        return evaluated

    def _verifier(self, pin: str) -> bytes:
        binding = self.binding
        return offline_verifier(binding.keys.device_secret, binding_id=binding.binding_id, pin=pin)

    async def _answer(self, ask: Ask, wish: Wish) -> ApprovalEnd:
        evaluated = None if wish.pin is None else await self._evaluate(wish.pin)
        answer = make_answer(ask, wish, binding=self.binding, handshake_hash=self._h, evaluated=evaluated)
        await self._conversation.send(answer)
        reply = await self._conversation.receive()
        if not isinstance(reply, Answered | AnswerWrong) or reply.id != ask.id:
            raise await self._conversation.reject(reply)
        if isinstance(reply, AnswerWrong):
            if reply.left == 0:
                self.news.settle(ask.id, "failed")
            raise AnswerIsWrong(reply.left, reply.until, needs_bank=reply.bank, is_last=reply.last)
        self.news.settle(ask.id, reply.state)
        return reply.state

    async def _listen(self) -> None:
        """Wait for one thing that the gateway says by itself."""
        message = await self._conversation.hear(None)
        if not isinstance(message, UNASKED):
            raise await self._conversation.reject(message)

    async def _prove(self, evaluated: EvaluatedPin) -> None:
        signed = keys.sign(evaluated.key, keys.pin_proof_input(self._h, evaluated.nonce))
        await self._conversation.send(PinProve(signature=Bytes64(signed)))
        answer = await self._conversation.receive()
        if isinstance(answer, PinWrong):
            raise PinIsWrong(answer.left, answer.until)
        if not isinstance(answer, PinProved):
            raise await self._conversation.reject(answer)

    async def _ask(self, message: PhoneMessage, kind: type[_M]) -> _M:
        async with self._turn:
            return await self._exchange(message, kind)

    async def _exchange(self, message: PhoneMessage, kind: type[_M]) -> _M:
        await self._conversation.send(message)
        while not isinstance(answer := await self._conversation.hear(), kind):
            if not isinstance(answer, UNASKED):
                raise await self._conversation.reject(answer)
        return answer

    def _keep(self, binding: Binding) -> None:
        self.binding = binding
        self._tools.store.put_binding(binding)


async def resume(tools: Tools, binding: Binding) -> Channel:
    """Open a channel under the ratchet index n that the store has. Raises GatewayRefused, CloneSuspected,
    ConnectionLost, HandshakeFailed; the binding is kept whatever is raised."""
    due = binding.hybrid_due <= tools.clock.now()
    suite = Suite.RESUME_HYBRID if due else Suite.RESUME_CLASSICAL
    try:
        return await _resume_with(tools, binding, suite)
    except GatewayRefused as error:
        if not is_refused(error, ErrorCode.SUITE):
            raise
        other = Suite.RESUME_CLASSICAL if due else Suite.RESUME_HYBRID
        return await _resume_with(tools, binding, other)


async def _resume_with(tools: Tools, binding: Binding, suite: Suite) -> Channel:
    socket = await tools.network.connect()
    try:
        session = await _shake_hands(tools, binding, suite, socket)
        conversation = Conversation(socket, session)
        # The next key lies beside this one before the gateway hears of it; this one goes after `welcome`.
        following = next_key(session)
        tools.store.put_binding(msgspec.structs.replace(binding, next_psk=following))
        await conversation.send(Ready())
        welcome = await _receive_welcome(conversation)
        if not isinstance(welcome, Welcome):
            raise await conversation.reject(welcome)
        if welcome.next != binding.index + 1:
            raise UnexpectedAnswer("the ratchet index does not fit")
        told = _told_key(welcome)
        renewed = msgspec.structs.replace(
            binding,
            state="active",
            told=None,
            index=welcome.next,
            psk=following,
            next_psk=None,
            tenant=welcome.tenant,
            label=welcome.label,
            hybrid_due=welcome.hybrid_due,
            digits=welcome.pin.digits,
            gateway_public=told or binding.gateway_public,
        )
        # One write, with the key of the index that runs under it: between them this phone would be locked out.
        keep = tools.store.put_binding if told is None else tools.store.move_binding
        keep(renewed)
        tools.store.drop_pending(binding.activation_id)
        channel = Channel(tools, renewed, conversation, welcome.pin)
        await channel.catch_up()
        return channel
    except BaseException:
        await socket.close()
        raise


def _told_key(welcome: Welcome) -> bytes | None:
    """Return the S that the next contact runs under, if the gateway told another one. One that is no point would lock
    this phone out: it is refused before anything is stored. Raises InvalidPoint."""
    if welcome.gateway_key is msgspec.UNSET:
        return None
    key = bytes(welcome.gateway_key)
    P256().parse(key)
    return key


async def _receive_welcome(conversation: Conversation) -> GatewayMessage:
    """Return the answer to `ready`. When another contact of this phone came in between, such as one that was given up,
    the next try begins anew: ConnectionLost."""
    try:
        return await conversation.receive()
    except GatewayProblem as problem:
        if problem.problem != "conflict":
            raise
        raise ConnectionLost("another contact came in between") from problem


async def _shake_hands(tools: Tools, binding: Binding, suite: Suite, socket: FrameSocket) -> Session:
    prologue = keys.resume_prologue(
        suite, host=binding.host, binding_id=binding.binding_id, index=binding.index
    )
    handshake = ResumeInitiator(
        suite,
        prologue=prologue,
        psk=binding.psk,
        static=binding.keys.static_pair(),
        gateway_public=binding.gateway_public,
    )
    m1 = run_local(handshake.write_m1(tools.facts))
    hello = Hello(Kind.RESUME, suite, binding.binding_id, binding.index, m1).encode()
    await socket.send(hello)
    answer = await receive_answer(socket)
    if isinstance(answer, StaleChallenge):
        claim = keys.stale_input(
            binding.binding_id, index=binding.index, nonce=answer.nonce, prologue=prologue, hello=hello
        )
        await _answer_challenge(binding, claim, socket)
    else:
        run_local(handshake.read_m2(answer.message))
    return handshake.session


async def _answer_challenge(binding: Binding, claim: bytes, socket: FrameSocket) -> None:
    """Tell the gateway, by signature, that this phone sent the hello whose ratchet index is not the one known. Always
    raises: CloneSuspected, or what the gateway answers instead."""
    await socket.send(stale_answer_frame(keys.sign(binding.keys.signing_key(), claim)))
    try:
        await receive_answer(socket)
    except GatewayRefused as error:
        if is_refused(error, ErrorCode.SUSPENDED):
            raise CloneSuspected from None
        raise
    raise MalformedFrame("an answer after a challenge")
