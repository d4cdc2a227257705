"""The rules of bound phones as the bank and the customer's page see them: list, read, rename, suspend, resume, remove,
unblock the PIN. Called by the routes and, for what the phone itself asks, by the channel. Every change is told by one
fact in the transaction that makes it true; it never touches a ratchet key beyond erasing it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from gateway.core.clock import Clock
from gateway.core.errors import Problem, ProblemCode
from gateway.core.events import AuditWord, Fact, Journal
from gateway.core.subjects import BindingRef
from gateway.core.transaction import Transaction
from gateway.devices import store
from gateway.devices.models import (
    Binding,
    BindingEvent,
    BindingState,
    BindingStepRefused,
    CloneResumeRefused,
    DevicePolicy,
    ResumeRefused,
    Turn,
    move,
)
from gateway.devices.ports import Erasing, Inbox, PinBook, PinStatus
from gateway.protocol.keys import sha256
from gateway.storage.engine import Storage

_ASK_THE_BANK = "the bank suspended this phone: only the bank can resume it"
_ASK_STEP = "Ask the bank to resume this phone."
_COPIED = "a copy of this phone was used: nobody can resume it"
_COPIED_STEP = "Remove this phone and bind it anew."

Data = Mapping[str, str | int | bool | None]
_Greeting = TypeVar("_Greeting")


@dataclass(frozen=True, slots=True)
class BindingView:
    """A binding and what may be told of its PIN (None when it is removed)."""

    binding: Binding
    pin: PinStatus | None


@dataclass(frozen=True, slots=True)
class BindingFilter:
    """Which bindings a list shows: of one user, in one state; after a position (added_at, id)."""

    user: str | None = None
    state: BindingState | None = None
    before: tuple[int, str] | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class _Words:
    """Audit words of one step, by who wants it: the bank's back end (or the gateway), or the customer on the page; and
    its event type."""

    bank: AuditWord
    customer: AuditWord
    event: str


_STEPS = {
    BindingEvent.SUSPEND: _Words(
        AuditWord.BANK_BINDING_SUSPEND, AuditWord.CUSTOMER_BINDING_SUSPEND, "binding.suspended"
    ),
    BindingEvent.RESUME: _Words(
        AuditWord.BANK_BINDING_RESUME, AuditWord.CUSTOMER_BINDING_RESUME, "binding.resumed"
    ),
    BindingEvent.REMOVE: _Words(
        AuditWord.BANK_BINDING_REMOVE, AuditWord.CUSTOMER_BINDING_REMOVE, "binding.removed"
    ),
    BindingEvent.CLONE: _Words(
        AuditWord.PHONE_BINDING_CLONE, AuditWord.PHONE_BINDING_CLONE, "binding.suspended"
    ),
}


class DeviceService:
    """Bound phones. One for the process."""

    def __init__(
        self,
        *,
        storage: Storage,
        journal: Journal,
        clock: Clock,
        pins: PinBook,
        inbox: Inbox,
        attached: Sequence[Erasing] = (),
        policy: DevicePolicy,
    ) -> None:
        """`attached` are those who keep something of a binding that goes when it is removed, beside the PIN."""
        self._storage = storage
        self._journal = journal
        self._clock = clock
        self._pins = pins
        self._inbox = inbox
        self._attached = attached
        self.policy = policy

    def now_ms(self) -> int:
        """Return the time, Unix milliseconds."""
        return int(self._clock.now() * 1000)

    async def read(self, *, tenant_id: str, binding_id: str, user: str | None = None) -> BindingView:
        """Return a binding. `user`, when given, must own it. Raises Problem(NOT_FOUND)."""

        def unit(tx: Transaction) -> BindingView:
            binding = _owned(store.find(tx, tenant_id=tenant_id, binding_id=binding_id), user)
            return self._views(tx, tenant_id, [binding])[0]

        return await self._storage.read(unit)

    async def find_state(
        self, ref: BindingRef, greet: Callable[[Transaction], _Greeting]
    ) -> tuple[BindingState, _Greeting | None]:
        """Return where a binding stands now (one that is not there counts as removed), and what `greet` reads in the
        same unit when it is active."""

        def unit(tx: Transaction) -> tuple[BindingState, _Greeting | None]:
            found = store.find(tx, tenant_id=ref.tenant_id, binding_id=ref.binding_id)
            state = BindingState.REMOVED if found is None else found.state
            return state, greet(tx) if state is BindingState.ACTIVE else None

        return await self._storage.read(unit)

    async def browse(self, *, tenant_id: str, wanted: BindingFilter) -> Sequence[BindingView]:
        """Return bindings, newest first."""

        def unit(tx: Transaction) -> Sequence[BindingView]:
            found = store.find_page(
                tx,
                tenant_id=tenant_id,
                user=wanted.user,
                state=wanted.state,
                before=wanted.before,
                limit=wanted.limit,
            )
            return self._views(tx, tenant_id, found)

        return await self._storage.read(unit)

    async def rename(
        self,
        *,
        tenant_id: str,
        binding_id: str,
        name: str,
        user: str | None = None,
        word: AuditWord | None = None,
    ) -> BindingView:
        """Give a phone another name. `user` and `word` as in `step`. Raises Problem(NOT_FOUND), Problem(CONFLICT)
        for a removed one."""

        renaming = AuditWord.BANK_BINDING_RENAME if user is None else AuditWord.CUSTOMER_BINDING_RENAME

        def unit(tx: Transaction) -> BindingView:
            binding = _owned(_locked(tx, tenant_id, binding_id), user)
            if binding.state is BindingState.REMOVED:
                raise Problem(ProblemCode.CONFLICT, "this phone has been removed")
            store.rename(tx, tenant_id=tenant_id, binding_id=binding_id, name=name)
            renamed = replace(binding, device=replace(binding.device, name=name))
            self._tell(tx, renamed, word or renaming, "binding.renamed", {})
            return self._views(tx, tenant_id, [renamed])[0]

        return await self._storage.write(unit)

    async def step(
        self,
        event: BindingEvent,
        *,
        tenant_id: str,
        binding_id: str,
        user: str | None = None,
        word: AuditWord | None = None,
        reason: str | None = None,
    ) -> BindingView:
        """Move a binding by one event of the table: suspend, resume, remove, or clone found. `user`, when given, is the
        customer who wants it and must own it, and the audit log says so; such a customer resumes only what the
        customer suspended, and nobody what a copy suspended. `word` is for what the phone wants. Raises
        Problem(NOT_FOUND), Problem(CONFLICT)."""

        def unit(tx: Transaction) -> BindingView:
            binding = _owned(_locked(tx, tenant_id, binding_id), user)
            try:
                moved = move(binding, event, is_customer=user is not None)
            except BindingStepRefused as error:
                raise Problem(ProblemCode.CONFLICT, f"this phone is {binding.state}") from error
            except CloneResumeRefused as error:
                raise Problem(ProblemCode.CONFLICT, _COPIED, next_step=_COPIED_STEP) from error
            except ResumeRefused as error:
                raise Problem(ProblemCode.CONFLICT, _ASK_THE_BANK, next_step=_ASK_STEP) from error
            if not store.set_state(tx, binding, moved):
                raise Problem(ProblemCode.CONFLICT, "the phone's state has just changed")
            if moved.state is BindingState.REMOVED:
                self._erase(tx, tenant_id, binding_id)
            words = _STEPS[event]
            wanted = words.bank if user is None else words.customer
            extra: Data = {} if reason is None else {"reason": reason}
            if moved.suspended_by is not None:
                extra = {**extra, "suspended_by": moved.suspended_by.value}
            self._tell(tx, moved, word or wanted, words.event, extra)
            return self._views(tx, tenant_id, [moved])[0]

        return await self._storage.write(unit)

    async def unblock_pin(self, *, tenant_id: str, binding_id: str) -> BindingView:
        """Restore the PIN's counter at the bank's wish. Raises Problem(NOT_FOUND), Problem(CONFLICT)."""

        def unit(tx: Transaction) -> BindingView:
            binding = _owned(_locked(tx, tenant_id, binding_id), None)
            if binding.state is BindingState.REMOVED:
                raise Problem(ProblemCode.CONFLICT, "this phone has been removed")
            self._pins.unblock(tx, tenant_id=tenant_id, binding_id=binding_id)
            self._tell(tx, binding, AuditWord.BANK_PIN_UNBLOCK, "binding.pin-unblocked", {})
            return self._views(tx, tenant_id, [binding])[0]

        return await self._storage.write(unit)

    async def touch(self, ref: BindingRef) -> None:
        """Note that the phone was seen now."""
        now_ms = self.now_ms()
        await self._storage.write(
            lambda tx: store.touch(tx, tenant_id=ref.tenant_id, binding_id=ref.binding_id, now_ms=now_ms)
        )

    async def settle(self, ref: BindingRef, turn: Turn) -> bool:
        """Erase the ratchet key that a channel was opened with, since its phone has proved that it has the next one;
        say whether no other contact came in between, so that the channel may still act."""
        return await self._storage.write(lambda tx: store.settle_ratchet(tx, ref, turn))

    def add(self, tx: Transaction, binding: Binding, *, replaces: str | None = None) -> None:
        """Store a new binding, tell its customer, and end the binding that it `replaces`, if that still stands. The
        audit log ties the binding to its signing key."""
        others = store.find_of_user(tx, tenant_id=binding.tenant_id, user=binding.user)
        store.insert(tx, binding)
        key = {"key": sha256(binding.signing_key).hex()}
        self._tell(tx, binding, AuditWord.PHONE_BINDING_ADD, "binding.active", key)
        self._inbox.welcome(tx, binding.ref, phone=binding.device.name, is_first=not others)
        if replaces is not None:
            self._replace(tx, binding, replaces)

    def _replace(self, tx: Transaction, binding: Binding, replaced_id: str) -> None:
        old = _locked(tx, binding.tenant_id, replaced_id)
        if old is None or old.user != binding.user or old.state is BindingState.REMOVED:
            return
        moved = move(old, BindingEvent.REMOVE, is_customer=True)
        if not store.set_state(tx, old, moved):
            raise Problem(ProblemCode.CONFLICT, "the old phone's state has just changed")
        self._erase(tx, old.tenant_id, old.id)
        reason = {"reason": "moved", "to": binding.id}
        self._tell(tx, moved, AuditWord.GATEWAY_BINDING_MOVE, "binding.removed", reason)

    def _erase(self, tx: Transaction, tenant_id: str, binding_id: str) -> None:
        self._pins.erase(tx, tenant_id=tenant_id, binding_id=binding_id)
        for each in self._attached:
            each.erase(tx, tenant_id=tenant_id, binding_id=binding_id)

    def tell_seen(self, tx: Transaction, binding: Binding) -> None:
        """Record a contact of the phone."""
        self._tell(tx, binding, AuditWord.PHONE_BINDING_RESUME, "binding.seen", {}, webhook=False)

    def _tell(
        self,
        tx: Transaction,
        binding: Binding,
        word: AuditWord,
        event: str,
        extra: Data,
        *,
        webhook: bool = True,
    ) -> None:
        data = {
            "binding": binding.id,
            "user": binding.user,
            "name": binding.device.name,
            "state": binding.state.value,
            **extra,
        }
        fact = Fact(
            tenant_id=binding.tenant_id,
            word=word,
            subject=binding.id,
            data=data,
            event=event,
            topics=(binding.ref.topic,),
            webhook=webhook,
        )
        self._journal.record(tx, fact)

    def _views(self, tx: Transaction, tenant_id: str, bindings: Sequence[Binding]) -> list[BindingView]:
        ids = [binding.id for binding in bindings]
        pins = self._pins.statuses(tx, tenant_id=tenant_id, binding_ids=ids) if ids else {}
        return [BindingView(binding, pins.get(binding.id)) for binding in bindings]


def _locked(tx: Transaction, tenant_id: str, binding_id: str) -> Binding | None:
    return store.find(tx, tenant_id=tenant_id, binding_id=binding_id, is_locked=True)


def _owned(binding: Binding | None, user: str | None) -> Binding:
    if binding is None or (user is not None and binding.user != user):
        raise Problem(ProblemCode.NOT_FOUND, "there is no such phone")
    return binding
