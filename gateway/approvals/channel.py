"""Approvals on the phone's channel: what waits is told when a channel opens, what is new or over when it happens, on
whichever node; answers and the list of past requests. A `ChannelPart`; it keeps nothing of a channel."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, ClassVar, Protocol, cast

import msgspec
import structlog

from gateway.approvals import store
from gateway.approvals.answers import AnswerService
from gateway.approvals.asking import find_pending
from gateway.approvals.models import Approval, ApprovalState
from gateway.approvals.offline import OfflineService
from gateway.approvals.policy import factors_of_phone
from gateway.approvals.ports import Biometrics, PinConversation
from gateway.approvals.service import ApprovalService
from gateway.approvals.tally import Wrong
from gateway.core.errors import Problem
from gateway.core.ids import decode_id, encode_id
from gateway.core.subjects import BindingRef
from gateway.core.transaction import Transaction
from gateway.http.parts import ChannelContext, Channels
from gateway.protocol import messages
from gateway.protocol.errors import OutOfTurn
from gateway.protocol.messages import MAX_MESSAGE, MAX_PAGE
from gateway.protocol.wiretypes import Bytes16, StatementBytes
from gateway.storage.engine import Storage

_CREATED = "approval.created"
_ENDS = frozenset(f"approval.{state.value}" for state in ApprovalState)
_USER = "user:"
PAGE_BYTES = MAX_MESSAGE * 3 // 4 - 1_024
"""Bytes of statements in one page: base64 makes four of three, and the rest needs some room."""

_log = structlog.get_logger("approvals")


class HappenedEvent(Protocol):
    """An event as the log tells it; `data` is JSON text."""

    @property
    def type(self) -> str: ...
    @property
    def topic(self) -> str: ...
    @property
    def data(self) -> str: ...


class _Subject(msgspec.Struct):
    approval: str
    state: str


class ApprovalPart:
    """One for the process."""

    handles: ClassVar[tuple[type[Any], ...]] = (
        messages.Answer,
        messages.Approvals,
        messages.OfflineCounter,
    )

    def __init__(
        self,
        *,
        storage: Storage,
        approvals: ApprovalService,
        answers: AnswerService,
        offline: OfflineService,
        biometrics: Biometrics,
        channels: Channels,
    ) -> None:
        self._storage = storage
        self._approvals = approvals
        self._answers = answers
        self._offline = offline
        self._biometrics = biometrics
        self._channels = channels
        self._tasks: set[asyncio.Task[None]] = set()

    def greet(self, tx: Transaction, ref: BindingRef) -> Sequence[messages.GatewayMessage]:
        """Tell a phone what waits for its answer."""
        now_ms = self._approvals.now_ms()
        pending = find_pending(tx, ref.tenant_id, ref.user, now_ms)
        mine = [each for each in pending if each.is_for(ref.binding_id)]
        if not mine:
            return []
        enrolled = self._biometrics.enrolled(tx, tenant_id=ref.tenant_id, binding_ids=[ref.binding_id])
        return [_ask(each, has_biometric=bool(enrolled), now_ms=now_ms) for each in mine]

    async def answer(self, context: ChannelContext, message: Any) -> messages.GatewayMessage:
        """Answer one message. Raises OutOfTurn, Problem, HsmError."""
        match message:
            case messages.Answer():
                return await self._answer(context, message)
            case messages.Approvals():
                return await self._page(context.ref, message)
            case messages.OfflineCounter():
                value = await self._offline.count(context.ref, message.value)
                return messages.OfflineCounted(value=value)
            case _:
                raise OutOfTurn("not a message of approvals")

    async def _answer(self, context: ChannelContext, message: messages.Answer) -> messages.GatewayMessage:
        pin: PinConversation = context.pin
        evaluation = pin.take_evaluation() if message.factor == "pin" else None
        outcome = await self._answers.answer(
            context.ref, message, handshake_hash=context.handshake_hash, evaluation=evaluation
        )
        match outcome:
            case None:
                raise OutOfTurn("this phone was asked nothing of that id")
            case Approval():
                # Another phone's answer, or the end of the request, may have come first: the phone compares.
                return messages.Answered(id=message.id, state=_end(outcome))
            case Wrong():
                counter = outcome.counter
                is_blocked = counter.is_blocked_at(self._approvals.now_ms())
                until = counter.blocked_until_ms if is_blocked else None
                return messages.AnswerWrong(
                    id=message.id,
                    left=outcome.approval.tries_left,
                    until=None if until is None else -(-until // 1000),
                    bank=is_blocked and until is None,
                    last=outcome.is_last,
                )

    async def _page(self, ref: BindingRef, message: messages.Approvals) -> messages.ApprovalPage:
        def unit(tx: Transaction) -> list[Approval]:
            place = None
            if isinstance(message.before, Bytes16):
                last = store.find(tx, encode_id("apr", message.before))
                if last is None or (last.tenant_id, last.user) != (ref.tenant_id, ref.user):
                    raise OutOfTurn("no such request to go on from")
                place = (last.created_at, last.id)
            return store.find_page(
                tx,
                tenant_id=ref.tenant_id,
                user=ref.user,
                shown_to=ref.binding_id,
                before=place,
                limit=MAX_PAGE + 1,
            )

        found = await self._storage.read(unit)
        shown: list[messages.PastApproval] = []
        size = 0
        for approval in found[:MAX_PAGE]:
            size += len(approval.statement) + 128
            if shown and size > PAGE_BYTES:
                break
            shown.append(_past(approval, ref))
        return messages.ApprovalPage(items=tuple(shown), more=len(found) > len(shown))

    # What happens elsewhere

    def on_event(self, event: HappenedEvent) -> None:
        """Tell the open channels of a customer of a new request, and of one that is over."""
        if not event.topic.startswith(_USER) or (event.type not in _ENDS and event.type != _CREATED):
            return
        channels = self._channels.of_topic(event.topic)
        if not channels:
            return
        subject = msgspec.json.decode(event.data, type=_Subject)
        if event.type == _CREATED:
            new = self._approvals.new_asks.take(subject.approval)
            self._spawn(
                self._find_asked(subject.approval, event.topic)
                if new is None
                else self._tell_asked(channels, new.approval, new.enrolled)
            )
            return
        state = cast(messages.ApprovalEnd, subject.state)
        settled = messages.Settled(id=Bytes16(decode_id("apr", subject.approval)), state=state)
        for context in channels:
            self._spawn(context.tell(settled))

    async def _find_asked(self, approval_id: str, topic: str) -> None:
        contexts = self._channels.of_topic(topic)
        ids = [context.ref.binding_id for context in contexts]

        def unit(tx: Transaction) -> tuple[Approval | None, frozenset[str]]:
            approval = store.find(tx, approval_id)
            if approval is None or not ids:
                return None, frozenset()
            enrolled = self._biometrics.enrolled(tx, tenant_id=approval.tenant_id, binding_ids=ids)
            return approval, enrolled

        try:
            approval, enrolled = await self._storage.read(unit)
        except Problem:
            _log.warning("phones not told of a request; they are when they open", approval=approval_id)
            return
        if approval is not None and not approval.is_over:
            await self._tell_asked(contexts, approval, enrolled)

    async def _tell_asked(
        self, contexts: Sequence[ChannelContext], approval: Approval, enrolled: frozenset[str]
    ) -> None:
        now_ms = self._approvals.now_ms()
        for context in contexts:
            if approval.is_for(context.ref.binding_id):
                has_biometric = context.ref.binding_id in enrolled
                await context.tell(_ask(approval, has_biometric=has_biometric, now_ms=now_ms))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _ask(approval: Approval, *, has_biometric: bool, now_ms: int) -> messages.Ask:
    return messages.Ask(
        id=Bytes16(decode_id("apr", approval.id)),
        statement=StatementBytes(approval.statement),
        factors=factors_of_phone(approval.factors, has_biometric=has_biometric),
        number=approval.number_match,
        numbers=approval.numbers,
        time=now_ms // 1000,
    )


def _past(approval: Approval, ref: BindingRef) -> messages.PastApproval:
    return messages.PastApproval(
        id=Bytes16(decode_id("apr", approval.id)),
        statement=StatementBytes(approval.statement),
        state=_end(approval),
        at=(approval.ended_at or approval.expires_at) // 1000,
        here=approval.answered_by == ref.binding_id,
    )


def _end(approval: Approval) -> messages.ApprovalEnd:
    return cast(messages.ApprovalEnd, approval.state.value)
